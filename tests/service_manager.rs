//! What a service manager is told, by a stand-in for systemd's socket.
//!
//! It owns readiness, status, watchdog and the end, as a service manager sees them. Next:
//! `succession.rs`.

#![cfg(target_os = "linux")]

mod support;

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use socket2::Socket;

use support::process::{Log, Role, Spiped, daemonise, end, pid_in, pid_of, wait_for};
use support::{Address, Implementation::Ours, Room, Server, kernel, wait_until};

/// A stand-in for the socket of systemd.
struct Manager(UnixDatagram);

impl Manager {
    fn new(room: &Room) -> Self {
        let socket = UnixDatagram::bind(room.path("notify")).expect("bind");
        socket.set_read_timeout(Some(support::DEADLINE)).expect("SO_RCVTIMEO");
        // As systemd's: whoever -u names may speak to it, but not make it anew.
        let everybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(room.path("notify"), everybody).expect("chmod");
        Self(socket)
    }

    /// Starts a daemon that speaks to it. Its first message is still to come.
    fn start(&self, room: &Room, daemon: &Spiped) -> Child {
        let mut command = daemon.command();
        command.env("NOTIFY_SOCKET", room.path("notify")).stderr(Stdio::null());
        command.spawn().expect("spawn")
    }

    /// The next message.
    #[track_caller]
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// Skips messages up to one that is as expected.
    #[track_caller]
    fn wait_for(&self, expected: &str) {
        let end = std::time::Instant::now() + support::DEADLINE;
        loop {
            let message = self.next();
            if message == expected {
                return;
            }
            assert!(std::time::Instant::now() < end, "no {expected:?}, but {message:?}");
        }
    }
}

/// Whoever connects hears a nonce, as long as the connection is there.
#[track_caller]
fn greets(source: &Address) -> Socket {
    let mut stranger = source.connect().expect("connect");
    stranger.read_exact(&mut [0; 32]).expect("a nonce");
    stranger
}

#[test]
fn the_service_manager_is_kept_informed() {
    let (room, server) = (Room::new(), Server::echo());
    let manager = Manager::new(&room);
    let source = Address::Unix(room.path("source.sock"));
    let root = nix::unistd::geteuid().is_root();
    let user: &[&str] = if root { &["-u", "65534:65534"] } else { &[] };
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address());
    let mut command = daemon.flags(&["-F", "-o", "1000"]).flags(user).command();
    command.env("NOTIFY_SOCKET", room.path("notify")).env("WATCHDOG_USEC", "200000");
    let mut child = command.stderr(Stdio::null()).spawn().expect("spawn");

    // Ready means bound, and signals are heeded.
    assert_eq!(manager.next(), "READY=1\nSTATUS=0 connections\n");
    assert!(kernel::listening(&source));
    manager.wait_for("WATCHDOG=1\n");
    manager.wait_for("WATCHDOG=1\n");

    let stranger = greets(&source);
    manager.wait_for("STATUS=0 connections, 1 unfinished handshake\n");
    drop(stranger);
    manager.wait_for("STATUS=0 connections\n");
    let stream = source.connect().expect("connect");
    let secrecy = spiped_peer::Secrecy::None;
    let mut peer = spiped_peer::Raw::client(stream, &room.secret(), secrecy).expect("served");
    peer.send(b"x").expect("send");
    assert_eq!(peer.receive_exactly(1).expect("an echo"), b"x");
    manager.wait_for("STATUS=1 connection\n");

    kill(pid_of(&child), Signal::SIGTERM).expect("it runs");
    // A drain without a limit: the manager's patience is the limit.
    manager.wait_for("STOPPING=1\nSTATUS=stopping: 1 connection left to finish\n");
    manager.wait_for("WATCHDOG=1\n");
    drop(peer);
    assert_eq!(wait_for(&mut child).code(), Some(0));
}

/// A service manager that is less patient than `--drain-timeout` is asked for that time.
#[test]
fn a_drain_with_a_limit_has_its_time() {
    let (room, server) = (Room::new(), Server::echo());
    let manager = Manager::new(&room);
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Encrypt, &room, &source, server.address());
    let mut child = manager.start(&room, &daemon.flags(&["-F", "--drain-timeout", "300"]));
    assert_eq!(manager.next(), "READY=1\nSTATUS=0 connections\n");
    kill(pid_of(&child), Signal::SIGTERM).expect("it runs");
    let stopping = "STOPPING=1\nSTATUS=stopping: 0 connections left to finish\n";
    assert_eq!(manager.next(), format!("{stopping}EXTEND_TIMEOUT_USEC=310000000\n"));
    assert_eq!(wait_for(&mut child).code(), Some(0));
}

#[test]
fn a_signal_that_ends_at_once_is_told_too() {
    let (room, server) = (Room::new(), Server::echo());
    let manager = Manager::new(&room);
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Encrypt, &room, &source, server.address()).flags(&["-F"]);
    let mut child = manager.start(&room, &daemon);
    assert_eq!(manager.next(), "READY=1\nSTATUS=0 connections\n");
    kill(pid_of(&child), Signal::SIGINT).expect("it runs");
    assert_eq!(manager.next(), "STOPPING=1\nSTATUS=stopping: 0 connections left to finish\n");
    wait_for(&mut child);
}

#[test]
fn with_wait_for_dns_the_start_may_take_its_time() {
    let (room, server) = (Room::new(), Server::holding());
    let manager = Manager::new(&room);
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Encrypt, &room, &source, server.address());
    let daemon = daemon.target("no-such-host.invalid:80").flags(&["-D", "-F"]);
    let mut child = manager.start(&room, &daemon);
    // There is no name in the path of a socket.
    let first = "STATUS=-t: being looked up\nEXTEND_TIMEOUT_USEC=60000000\n";
    assert_eq!(manager.next(), first);
    let reason = manager.next();
    assert!(
        reason.starts_with("STATUS=-t: ") && reason.contains("no-such-host.invalid"),
        "{reason}"
    );
    kill(pid_of(&child), Signal::SIGTERM).expect("it runs");
    wait_for(&mut child);
}

#[test]
fn a_service_manager_that_is_not_there_is_a_warning() {
    let (room, server) = (Room::new(), Server::echo());
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address()).flags(&["-F"]);
    let mut command = daemon.command();
    command.env("NOTIFY_SOCKET", room.path("nobody")).stderr(Stdio::piped());
    let mut child = command.spawn().expect("spawn");
    let log = Log::read(child.stderr.take().expect("stderr is piped"));
    wait_until("it is ready", || log.text().contains(" connections to "));
    assert!(log.text().contains("the service manager hears nothing"), "{}", log.text());
    greets(&source);
    end(&mut child);
}

/// In the background the manager is told who is the daemon now.
#[test]
fn the_daemon_in_the_background_says_its_number() {
    let (room, server) = (Room::new(), Server::echo());
    let manager = Manager::new(&room);
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address());
    let mut command = daemon.flags(&["-p", "my.pid"]).command();
    command.env("NOTIFY_SOCKET", room.path("notify"));
    let (status, log) = daemonise(&mut command);
    assert!(status.success(), "{}", log.text());
    let pid = pid_in(&room.path("my.pid"));
    assert_eq!(manager.next(), format!("READY=1\nSTATUS=0 connections\nMAINPID={pid}\n"));
    greets(&source);
}
