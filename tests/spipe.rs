//! spipe and what its stdin and stdout may be, how it ends, and what it says.
//!
//! It owns the user's side of the client; that the bytes are right with every peer is
//! `interop.rs`. Next: `ssh.rs`, where it works for a living.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use socket2::Socket;
use spiped_peer::pattern::Pattern;
use spiped_peer::{MOST, PACKET, Raw, Secrecy};

use support::address::reset;
use support::kernel::acknowledged;
use support::process::{Log, Role, Spiped, end, pid_of, run, spipe, wait_for};
use support::tunnel::{Spipe, exchange};
use support::{Address, Daemon, Implementation::Ours, Room, Server, wait_until};

/// Larger than any buffer on the way.
const LARGE: usize = 5_000_000;

/// A server behind `spiped -d`, which spipe connects to.
struct FarEnd {
    room: Room,
    server: Server,
    daemon: Daemon,
}

impl FarEnd {
    fn new(server: Server) -> Self {
        let room = Room::new();
        let any = Address::any_v4();
        let daemon = Spiped::new(Ours, Role::Decrypt, &room, &any, server.address()).start();
        Self { room, server, daemon }
    }

    /// The command line to it.
    fn command(&self) -> Command {
        spipe(Ours, &self.room, self.daemon.address())
    }

    /// A running spipe with pipes, and the target's end.
    fn start(&self) -> (Spipe, Socket) {
        let spipe = Spipe::start(Ours, &self.room, self.daemon.address(), &[]);
        (spipe, self.server.accept())
    }
}

/// Starts a command with its stderr read.
fn spawn(command: &mut Command) -> (Child, Log) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("spawn");
    let log = Log::read(child.stderr.take().expect("stderr is piped"));
    (child, log)
}

/// It ends with status 0 and has printed nothing.
#[track_caller]
fn succeeds((mut child, log): (Child, Log)) {
    let status = wait_for(&mut child);
    assert_eq!(status.code(), Some(0), "{}", log.text());
    assert_eq!(String::from_utf8_lossy(&log.all()), "", "nothing is printed on success");
}

/// It ends with status 1 and a line.
#[track_caller]
fn fails_with_a_line(child: &mut Child, log: &Log) {
    assert_eq!(wait_for(child).code(), Some(1), "{}", log.text());
    let text = String::from_utf8_lossy(&log.all()).into_owned();
    assert_eq!(text.lines().count(), 1, "one line, not: {text:?}");
}

/// A far end that breaks off before it has sent a byte has most likely found nobody at its target.
#[test]
fn a_target_of_the_far_end_that_is_not_there_is_a_likely_reason() {
    let (room, nobody) = (Room::new(), Address::unused());
    for source in ["127.0.0.1:0", "ws://127.0.0.1:0"] {
        let spiped = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), &nobody);
        let daemon = spiped.source_text(source).start();
        let scheme = if source.starts_with("ws") { "ws://" } else { "" };
        let target = format!("{scheme}127.0.0.1:{}", daemon.address().port());
        let mut command = Command::new(Ours.path(support::Program::Spipe));
        command.args(["-t", &target, "-k"]).arg(room.key()).env_remove("RUST_LOG");
        let finished = run(&mut command, b"");
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        let hint = " before a byte had come (perhaps the other end cannot reach its target: its \
                    log says why)\n";
        assert!(finished.stderr.ends_with(hint), "{}", finished.stderr);
        let why = ": connection refused; nothing listens there";
        wait_until("why", || daemon.log().contains(why));
    }
}

#[test]
fn the_log_tells_each_step_to_who_wants_it() {
    let far = FarEnd::new(Server::echo());
    let port = far.daemon.address().port();
    for (level, steps) in [
        ("info", &[][..]),
        (
            "debug",
            &["looked up localhost:", "connecting to ", ": connected to ", ": handshake done"],
        ),
        (
            "trace",
            &["looked up localhost:", ": handshake done", ": end of stream to the plain side"],
        ),
    ] {
        let mut command = Command::new(Ours.path(support::Program::Spipe));
        command.args(["-t", &format!("localhost:{port}"), "--log-level", level, "-k"]);
        let finished = run(command.arg(far.room.key()).env_remove("RUST_LOG"), b"a secret");
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        let mut rest = finished.stderr.as_str();
        for step in steps {
            (_, rest) = rest.split_once(step).expect(&finished.stderr);
        }
        assert_eq!(finished.stderr.contains("looked up"), !steps.is_empty(), "{}", finished.stderr);
        assert!(!finished.stderr.contains("a secret"), "{}", finished.stderr);
    }
}

#[test]
fn stdin_and_stdout_are_files() {
    let far = FarEnd::new(Server::echo());
    let data = Pattern::new(1).take(LARGE);
    std::fs::write(far.room.path("in"), &data).expect("write");
    let input = File::open(far.room.path("in")).expect("open");
    let output = File::create(far.room.path("out")).expect("create");
    succeeds(spawn(far.command().stdin(input).stdout(output)));
    assert!(std::fs::read(far.room.path("out")).expect("read") == data, "the file differs");
}

#[test]
fn stdout_is_appended_to_a_file() {
    let far = FarEnd::new(Server::echo());
    std::fs::write(far.room.path("out"), "first ").expect("write");
    let output = File::options().append(true).open(far.room.path("out")).expect("open");
    let (child, log) = {
        let mut started = spawn(far.command().stdin(Stdio::piped()).stdout(output));
        let mut stdin = started.0.stdin.take().expect("stdin is piped");
        stdin.write_all(b"second").expect("send");
        started
    };
    succeeds((child, log));
    assert_eq!(std::fs::read(far.room.path("out")).expect("read"), b"first second");
}

#[test]
fn stdin_is_dev_null() {
    let far = FarEnd::new(Server::holding());
    let output = File::create(far.room.path("out")).expect("create");
    let spipe = spawn(far.command().stdin(Stdio::null()).stdout(output));
    let mut target = far.server.accept();
    assert_eq!(target.read(&mut [0; 1]).expect("the end of stdin"), 0);
    target.write_all(b"only one way").expect("send");
    drop(target);
    succeeds(spipe);
    assert_eq!(std::fs::read(far.room.path("out")).expect("read"), b"only one way");
}

#[test]
fn stdout_is_dev_null() {
    let far = FarEnd::new(Server::echo());
    let data = Pattern::new(2).take(LARGE);
    std::fs::write(far.room.path("in"), &data).expect("write");
    let input = File::open(far.room.path("in")).expect("open");
    succeeds(spawn(far.command().stdin(input).stdout(Stdio::null())));
}

#[test]
fn stdin_and_stdout_are_one_socket() {
    let far = FarEnd::new(Server::holding());
    for client_first in [true, false] {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        let again = theirs.try_clone().expect("dup");
        // The command keeps its copies until it is dropped; then the ends are ours to see.
        let spipe = spawn(far.command().stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(again)));
        let (client, target) = (Socket::from(ours), far.server.accept());
        support::address::limit(&client).expect("timeouts");
        if client_first {
            exchange(client, target, LARGE as u64);
        } else {
            exchange(target, client, LARGE as u64);
        }
        succeeds(spipe);
    }
}

#[test]
fn a_key_from_stdin_leaves_one_direction() {
    let far = FarEnd::new(Server::holding());
    let mut command = Command::new(Ours.path(support::Program::Spipe));
    command.args(["-t", &far.daemon.address().spec(), "-k-"]).env_remove("RUST_LOG");
    let secret = far.room.secret();
    std::thread::scope(|scope| {
        let running = scope.spawn(move || run(&mut command, &secret));
        let mut target = far.server.accept();
        target.write_all(b"hello").expect("send");
        drop(target);
        let finished = running.join().expect("spipe ends");
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        assert_eq!(finished.stdout, b"hello");
    });
}

#[test]
fn the_end_of_the_stream_closes_stdout_at_once() {
    let far = FarEnd::new(Server::holding());
    let (mut spipe, mut target) = far.start();
    let (mut stdin, mut stdout) = spipe.pipes();
    target.write_all(b"the last").expect("send");
    target.shutdown(std::net::Shutdown::Write).expect("shutdown");
    let mut received = Vec::new();
    stdout.read_to_end(&mut received).expect("the end of stdout");
    assert_eq!(received, b"the last");
    // Stdin is open, and the other way still works.
    stdin.write_all(b"upwards").expect("send");
    drop(stdin);
    let mut received = Vec::new();
    target.read_to_end(&mut received).expect("the end of stdin");
    assert_eq!(received, b"upwards");
    assert_eq!(wait_for(&mut spipe.child).code(), Some(0));
    assert_eq!(spipe.log.text(), "");
}

#[test]
fn a_reset_comes_after_every_good_byte() {
    let far = FarEnd::new(Server::holding());
    let (mut spipe, mut target) = far.start();
    let (_stdin, mut stdout) = spipe.pipes();
    let data = Pattern::new(3).take(400_000);
    target.write_all(&data).expect("send");
    wait_until("the bytes to be acknowledged", || acknowledged(&target));
    reset(target);
    let mut received = Vec::new();
    stdout.read_to_end(&mut received).expect("the end of stdout");
    assert!(received == data, "{} bytes of {}", received.len(), data.len());
    // Stdin is still open: it does not keep spipe.
    fails_with_a_line(&mut spipe.child, &spipe.log);
}

/// A raw server sends some packets, damaged by `damage`: two good ones arrive, then status 1.
fn damaged(damage: impl Fn(&mut Vec<u8>)) {
    let (room, fake) = (Room::new(), Server::holding());
    let mut spipe = Spipe::start(Ours, &room, fake.address(), &[]);
    let (_stdin, mut stdout) = spipe.pipes();
    let mut raw = Raw::server(fake.accept(), &room.secret(), Secrecy::Forward).expect("handshake");
    let data = Pattern::new(4).take(4 * MOST);
    let mut packets = data.chunks(MOST).flat_map(|part| raw.sealing.seal(part)).collect();
    damage(&mut packets);
    raw.socket.write_all(&packets).expect("send");
    raw.socket.shutdown(std::net::Shutdown::Write).expect("shutdown");
    let mut received = Vec::new();
    stdout.read_to_end(&mut received).expect("the end of stdout");
    assert!(received == data[..2 * MOST], "{} bytes, not two packets", received.len());
    fails_with_a_line(&mut spipe.child, &spipe.log);
}

#[test]
fn a_flipped_bit_is_status_1() {
    damaged(|packets| packets[2 * PACKET + 40] ^= 2);
}

#[test]
fn a_cut_inside_a_packet_is_status_1() {
    damaged(|packets| packets.truncate(3 * PACKET - 1));
}

#[test]
fn a_closed_stdout_is_a_quiet_end() {
    let far = FarEnd::new(Server::holding());
    let (mut spipe, mut target) = far.start();
    let (_stdin, stdout) = spipe.pipes();
    drop(stdout);
    // The tunnel may end while we write the last of it.
    let _ = target.write_all(&Pattern::new(5).take(100_000));
    let status = wait_for(&mut spipe.child);
    assert_eq!(status.signal(), Some(Signal::SIGPIPE as i32), "{status}");
    assert_eq!(String::from_utf8_lossy(&spipe.log.all()), "");
}

#[test]
fn failures_are_one_line_and_status_1() {
    let far = FarEnd::new(Server::holding());
    let key = far.room.wrong_key();
    let address = far.daemon.address().spec();
    let mut wrong = Command::new(Ours.path(support::Program::Spipe));
    wrong.args(["-t", &address, "-k"]).arg(key).env_remove("RUST_LOG");
    let mut refused = spipe(Ours, &far.room, &Address::unused());
    let mut missing = Command::new(Ours.path(support::Program::Spipe));
    missing.args(["-t", &address, "-k", "/no-such-key"]).env_remove("RUST_LOG");
    let mut lost = Command::new(Ours.path(support::Program::Spipe));
    lost.args(["-t", "no-such-host.invalid:1", "-k"]).arg(far.room.key()).env_remove("RUST_LOG");
    let names = ["wrong key", "nobody listens", "/no-such-key", "no-such-host.invalid"];
    for (command, name) in
        [&mut wrong, &mut refused, &mut missing, &mut lost].into_iter().zip(names)
    {
        let finished = run(command, b"");
        assert_eq!(finished.status.code(), Some(1), "{name}: {}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{name}: {}", finished.stderr);
        assert_eq!(finished.stdout, b"", "{name}");
    }
    assert_eq!(far.server.connections(), 0);
}

#[test]
fn a_silent_peer_is_given_up() {
    // It accepts, and says nothing: -o ends that.
    let (room, silent) = (Room::new(), Server::holding());
    let mut command = spipe(Ours, &room, silent.address());
    let (mut child, log) =
        spawn(command.args(["-o", "0.2"]).stdin(Stdio::piped()).stdout(Stdio::null()));
    let _held = silent.accept();
    fails_with_a_line(&mut child, &log);
}

#[test]
fn sigterm_is_status_0() {
    let far = FarEnd::new(Server::holding());
    let (mut spipe, target) = far.start();
    let _pipes = spipe.pipes();
    kill(pid_of(&spipe.child), Signal::SIGTERM).expect("spipe runs");
    assert_eq!(wait_for(&mut spipe.child).code(), Some(0), "{}", spipe.log.text());
    drop(target);
}

#[test]
fn a_terminal_stays_as_it_was() {
    let far = FarEnd::new(Server::echo());
    let pty = openpty(None, None).expect("openpty");
    // Raw: no echo of its own, no translation of line ends.
    let mut termios = tcgetattr(&pty.slave).expect("tcgetattr");
    cfmakeraw(&mut termios);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &termios).expect("tcsetattr");
    let slave = || pty.slave.try_clone().expect("dup");
    // All of them are one open file, whose flags everybody on the terminal shares.
    let flags = || {
        let flags = fcntl(pty.slave.as_fd(), FcntlArg::F_GETFL).expect("F_GETFL");
        OFlag::from_bits_truncate(flags)
    };
    let before = flags();
    let mut child =
        far.command().stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("spawn");
    let mut master = File::from(pty.master);
    master.write_all(b"typed").expect("send");
    let screen = Log::read(master.try_clone().expect("dup"));
    wait_until("the echo on the screen", || screen.bytes() == b"typed");
    assert_eq!(flags(), before, "the flags of the terminal while spipe runs");
    kill(pid_of(&child), Signal::SIGTERM).expect("spipe runs");
    assert_eq!(wait_for(&mut child).code(), Some(0), "{}", screen.text());
    assert_eq!(flags(), before, "the flags of the terminal afterwards");
    end(&mut child);
}
