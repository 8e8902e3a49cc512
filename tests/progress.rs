//! `spipe --progress`: a line on a terminal, and nothing elsewhere.
//!
//! It owns what is drawn, when nothing is, and that the data never waits for it.

mod support;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use nix::pty::openpty;
use nix::sys::termios::{FlowArg, tcflow};
use spiped_peer::pattern::Pattern;

use support::process::{Log, Role, Spiped, run, spipe, wait_for};
use support::{Address, Daemon, Implementation::Ours, Room, Server, wait_until};

/// Larger than any buffer on the way.
const LARGE: usize = 5 << 20;

/// An echo behind `spiped -d`.
struct FarEnd {
    room: Room,
    _server: Server,
    daemon: Daemon,
}

impl FarEnd {
    fn new() -> Self {
        let (room, server) = (Room::new(), Server::echo());
        let any = Address::any_v4();
        let daemon = Spiped::new(Ours, Role::Decrypt, &room, &any, server.address()).start();
        std::fs::write(room.path("in"), Pattern::new(1).take(LARGE)).expect("write");
        Self { room, _server: server, daemon }
    }

    /// The command line to it, which sends and receives [`LARGE`] bytes.
    fn command(&self) -> Command {
        let mut command = spipe(Ours, &self.room, self.daemon.address());
        let input = File::open(self.room.path("in")).expect("open");
        let output = File::create(self.room.path("out")).expect("create");
        command.arg("--progress").env("TERM", "xterm").stdin(input).stdout(output);
        command
    }

    #[track_caller]
    fn assert_arrived(&self, child: &mut Child) {
        assert_eq!(wait_for(child).code(), Some(0));
        let [sent, back] = ["in", "out"].map(|name| std::fs::read(self.room.path(name)));
        assert!(sent.expect("read") == back.expect("read"), "the file differs");
    }
}

/// A terminal: where a program writes, and what is seen.
fn terminal() -> (OwnedFd, Log) {
    let pty = openpty(None, None).expect("openpty");
    (pty.slave, Log::read(File::from(pty.master)))
}

#[test]
fn a_terminal_shows_bytes_rate_and_time() {
    let far = FarEnd::new();
    let (slave, screen) = terminal();
    let mut child = far.command().stderr(slave).spawn().expect("spawn");
    far.assert_arrived(&mut child);
    // The last line is complete: it is drawn when all is done.
    let shown = String::from_utf8_lossy(&screen.all()).into_owned();
    let last = shown.rsplit("5.00 MiB sent, 5.00 MiB received, ").next().expect("the last line");
    assert_ne!(last, shown, "no line with the final counts");
    assert!(last.contains("iB/s, 00:0"), "{last:?}");
    assert!(last.ends_with('\n'), "the prompt would stand behind it: {last:?}");
}

#[test]
fn elsewhere_nothing_is_shown() {
    let far = FarEnd::new();
    let finished = run(&mut far.command(), b"some bytes");
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""));
    assert_eq!(finished.stdout, b"some bytes");
    // A terminal on which no line can be drawn twice.
    let (slave, screen) = terminal();
    let mut child = far.command().env("TERM", "dumb").stderr(slave).spawn().expect("spawn");
    far.assert_arrived(&mut child);
    assert_eq!(screen.all(), b"");
}

#[test]
fn a_terminal_that_was_stopped_does_not_stop_the_data() {
    let far = FarEnd::new();
    let pty = openpty(None, None).expect("openpty");
    tcflow(&pty.slave, FlowArg::TCOOFF).expect("tcflow");
    let mut child = far.command().stderr(pty.slave).spawn().expect("spawn");
    far.assert_arrived(&mut child);
}

#[test]
fn an_error_takes_the_place_of_the_line() {
    let (room, silent) = (Room::new(), Server::holding());
    let (slave, screen) = terminal();
    let mut command = spipe(Ours, &room, silent.address());
    command.args(["--progress", "-o", "0.5"]).env("TERM", "xterm");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(slave).spawn().expect("spawn");
    drop(command); // it holds the terminal open
    wait_until("the line", || screen.text().contains("0 B sent, 0 B received"));
    assert_eq!(wait_for(&mut child).code(), Some(1));
    let shown = String::from_utf8_lossy(&screen.all()).into_owned();
    assert!(shown.contains("\r\u{1b}[Kspipe: error: "), "{shown:?}");
}
