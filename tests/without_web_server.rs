//! WebSockets that end without a web server: TLS that spiped ends itself, UNIX sockets, and a
//! bridge to C spiped.
//!
//! Without websockify and openssl it is skipped loudly; where `CI=true`, they must be there.
//! Next: `proxies.rs`.

mod support;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::Signal;
use socket2::Socket;
use spiped_peer::{Frame, read_frame};
use support::foreign::{Foreign, find, have, without_proxies};
use support::process::{Role, Spiped, run};
use support::servers::{echo_once, try_echo};
use support::tunnel::exchange;
use support::web::Certificate;
use support::{Address, Implementation, Implementation::Ours, Room, Server, wait_until};

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[test]
fn websockets_go_over_unix_sockets() {
    let (room, target) = (Room::new(), Server::holding());
    let socket = Address::Unix(room.path("x.sock"));
    let url = format!("ws+unix://{}:/a%20b?c", path(&room.path("x.sock")));
    let _decrypt = Spiped::new(Ours, Role::Decrypt, &room, &socket, target.address())
        .source_text(&url)
        .start();
    let any = Address::any_v4();
    let encrypt = Spiped::new(Ours, Role::Encrypt, &room, &any, &any).target(&url).start();
    let client = encrypt.address().connect().expect("connect");
    exchange(client, target.accept(), 2 << 20);
}

#[test]
fn the_pidfile_is_named_after_host_and_port() {
    let (room, target) = (Room::new(), Server::echo());
    let port = Address::unused().port();
    let spiped = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), target.address())
        .source_text(&format!("ws://127.0.0.1:{port}/a/b"));
    let (status, log) = support::process::daemonise(&mut spiped.command());
    assert!(status.success(), "{}", log.text());
    let pid = support::process::pid_in(&room.path(&format!("127.0.0.1:{port}.pid")));
    nix::sys::signal::kill(pid, Signal::SIGTERM).expect("the daemon runs");
    log.all();
}

#[test]
fn a_certificate_is_read_again_at_sighup() {
    if !have("a_certificate_is_read_again_at_sighup", &["openssl"]) {
        return;
    }
    let (room, target) = (Room::new(), Server::echo());
    let live = Certificate::new(&room.path("live"));
    // Renewed as Let's Encrypt does it: other files behind the same links.
    let (old, new) = (Certificate::new(&room.path("old")), Certificate::new(&room.path("new")));
    let show = |other: &Certificate| {
        for (link, file) in [(&live.certificate, &other.certificate), (&live.key, &other.key)] {
            std::fs::remove_file(link).expect("the last one");
            std::os::unix::fs::symlink(file, link).expect("a link");
        }
    };
    show(&old);
    let mut daemon = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), target.address())
        .source_text("wss://127.0.0.1:0/")
        .flags(&["--tls-cert", path(&live.certificate), "--tls-key", path(&live.key)])
        // As nohup does, which is no reason not to read it again.
        .wrapped(["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""].map(str::to_owned).to_vec())
        .start();
    let url = format!("wss://localhost:{}/", daemon.address().port());
    let trusts = |authority: &Path| {
        let mut command = Command::new(Ours.path(support::Program::Spipe));
        command.args(["-t", &url, "-k"]).arg(room.key()).arg("--tls-ca").arg(authority);
        let finished = run(without_proxies(&mut command), b"hello");
        assert_eq!(finished.stdout, if finished.status.success() { &b"hello"[..] } else { b"" });
        finished.status.success()
    };
    assert!(trusts(&old.authority) && !trusts(&new.authority));

    // The new ones lie beside the old, where the sandbox lets it read.
    std::fs::copy(&new.certificate, room.path("old/cert2.pem")).expect("copy");
    std::fs::copy(&new.key, room.path("old/key2.pem")).expect("copy");
    let renewed = Certificate {
        certificate: room.path("old/cert2.pem"),
        key: room.path("old/key2.pem"),
        authority: new.authority.clone(),
    };
    show(&renewed);
    daemon.signal(Signal::SIGHUP);
    wait_until("the new certificate is shown", || trusts(&new.authority));
    assert!(!trusts(&old.authority));

    // What is none leaves the one there is.
    std::fs::write(room.path("old/cert2.pem"), "nonsense").expect("write");
    daemon.signal(Signal::SIGHUP);
    wait_until("a warning", || daemon.log().contains(path(&live.certificate)));
    assert!(trusts(&new.authority) && daemon.running(), "{}", daemon.log());
}

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// Passes on what a client and the server of a WebSocket say, and keeps the control frames.
struct Tap {
    server: Server,
    seen: Arc<Mutex<Vec<(Way, Frame)>>>,
}

impl Tap {
    fn start(bridge: &Address) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (bridge, kept) = (bridge.clone(), seen.clone());
        let server = Server::each_at(&Address::any_v4(), move |client| {
            let server = bridge.connect().expect("the bridge is there");
            let back = (server.try_clone().expect("dup"), client.try_clone().expect("dup"));
            let seen = kept.clone();
            thread::spawn(move || {
                pass_on(back.0, back.1, |frame| keep(&seen, Way::ToClient, frame))
            });
            pass_on(client, server, |frame| keep(&kept, Way::ToServer, frame));
        });
        Self { server, seen }
    }

    /// The payloads of the frames that went this way and begin so.
    fn seen(&self, way: Way, first: u8) -> Vec<Vec<u8>> {
        let seen = self.seen.lock().expect("no thread panicked");
        let wanted = seen.iter().filter(|(went, frame)| *went == way && frame.first == first);
        wanted.map(|(_, frame)| frame.payload.clone()).collect()
    }
}

fn keep(seen: &Mutex<Vec<(Way, Frame)>>, way: Way, frame: Frame) {
    if frame.first & 0x08 != 0 {
        seen.lock().expect("no thread panicked").push((way, frame));
    }
}

/// Passes on a head and then frames, byte for byte, up to the end of the stream.
fn pass_on(from: Socket, mut to: Socket, keep: impl Fn(Frame)) {
    let mut from = Tee { from, seen: Vec::new() };
    while !from.seen.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut [0]).expect("a head");
    }
    loop {
        to.write_all(&std::mem::take(&mut from.seen)).expect("the other takes it");
        match read_frame(&mut from) {
            Ok(frame) => keep(frame),
            Err(_) => break drop(to.shutdown(Shutdown::Write)),
        }
    }
}

/// Keeps what was read.
struct Tee {
    from: Socket,
    seen: Vec<u8>,
}

impl Read for Tee {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.seen.extend_from_slice(&into[..read]);
        Ok(read)
    }
}

#[test]
fn c_spiped_works_behind_websockify_which_pings() {
    let test = "c_spiped_works_behind_websockify_which_pings";
    if !have(test, &["websockify"]) || !support::peer::have_c(test) {
        return;
    }
    let (room, target) = (Room::new(), Server::echo());
    let any = Address::any_v4();
    let decrypt =
        Spiped::new(Implementation::C, Role::Decrypt, &room, &any, target.address()).start();
    let bridge = Address::unused();
    let mut command = Command::new(find("websockify").expect("looked for before"));
    command.args(["--heartbeat", "1", "-v"]);
    command.arg(format!("127.0.0.1:{}", bridge.port()));
    command.arg(format!("127.0.0.1:{}", decrypt.address().port()));
    let _websockify = Foreign::start("websockify", &mut command, &[&bridge]);

    let tap = Tap::start(&bridge);
    let url = format!("ws://127.0.0.1:{}/", tap.server.address().port());
    let encrypt = Spiped::new(Ours, Role::Encrypt, &room, &any, &any)
        .target(&url)
        .flags(&["--proxy", "none"])
        .start();
    let mut client = encrypt.address().connect().expect("connect");
    echo_once(&mut client, b"hello");
    wait_until("two of its Pings have come", || {
        echo_once(&mut client, b"between them");
        tap.seen(Way::ToClient, PING).len() >= 2
    });
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let mut writer = client.try_clone().expect("dup");
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&data).expect("send"));
        let mut back = vec![0; data.len()];
        client.read_exact(&mut back).expect("all of it comes back");
        assert!(back == data, "the echo differs");
    });
    try_echo(&mut client, b"and goes on").expect("an echo");
    // Each is answered by a Pong with what was in it.
    let pings = tap.seen(Way::ToClient, PING);
    wait_until("as many Pongs", || tap.seen(Way::ToServer, PONG).len() >= pings.len());
    assert_eq!(tap.seen(Way::ToServer, PONG)[..pings.len()], pings);
    client.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(client.read(&mut [0; 1]).expect("an end, and no cut"), 0);
    wait_until("both have ended", || encrypt.log().contains(": finished"));
}
