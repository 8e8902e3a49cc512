//! One daemon follows another at the same address: after a restart, a crash, or by mistake.
//!
//! It owns sockets and pidfiles that change hands. Next: `addresses.rs`.

mod support;

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::process::{Role, Spiped, daemonise, pid_in, run};
use support::servers::echo_once;
use support::{Address, Daemon, Implementation::Ours, Room, Server, kernel, wait_until};

/// A server behind a decrypting daemon.
fn far_end(room: &Room) -> (Server, Daemon) {
    let server = Server::echo();
    let any = Address::any_v4();
    let daemon = Spiped::new(Ours, Role::Decrypt, room, &any, server.address()).start();
    (server, daemon)
}

/// Starts a daemon and returns its process number.
#[track_caller]
fn start(spiped: &Spiped, pidfile: &Path) -> Pid {
    let (status, log) = daemonise(&mut spiped.command());
    assert!(status.success(), "{}", log.text());
    pid_in(pidfile)
}

/// SIGTERM with a connection open, and a successor at the same address and pidfile.
fn succession(room: &Room, source: &Address) {
    let (_server, far) = far_end(room);
    let pidfile = room.path("shared.pid");
    let spiped =
        Spiped::new(Ours, Role::Encrypt, room, source, far.address()).flags(&["-p", "shared.pid"]);
    let old = start(&spiped, &pidfile);
    let mut connection = source.connect().expect("connect");
    echo_once(&mut connection, b"before");

    kill(old, Signal::SIGTERM).expect("the old one runs");
    wait_until("the old one lets go of the address", || !kernel::listening(source));
    let new = start(&spiped, &pidfile);
    assert_ne!(old, new);

    // Both serve: the old one its connection, the new one whoever comes.
    for _ in 0..5 {
        echo_once(&mut connection, b"still with the old one");
        echo_once(&mut source.connect().expect("the successor"), b"with the new one");
    }
    assert!(kernel::alive(old), "the old one left its connection");
    drop(connection);
    wait_until("the old one ends", || {
        echo_once(&mut source.connect().expect("the successor"), b"meanwhile");
        !kernel::alive(old)
    });

    // What it left is the successor's, and works.
    assert_eq!(pid_in(&pidfile), new);
    assert!(kernel::alive(new));
    echo_once(&mut source.connect().expect("the successor"), b"afterwards");
    kill(new, Signal::SIGTERM).expect("the new one runs");
    wait_until("the new one ends", || !kernel::alive(new));
    assert!(!pidfile.exists(), "the pidfile is left");
}

#[test]
fn succession_on_tcp() {
    succession(&Room::new(), &Address::unused());
}

#[test]
fn succession_on_a_unix_socket() {
    let room = Room::new();
    let path = room.path("source.sock");
    succession(&room, &Address::Unix(path.clone()));
    assert!(!path.exists(), "the socket is left");
}

#[test]
fn a_dead_socket_is_replaced() {
    let room = Room::new();
    let (_server, far) = far_end(&room);
    let source = Address::Unix(room.path("source.sock"));
    let spiped = Spiped::new(Ours, Role::Encrypt, &room, &source, far.address());
    let mut crashed = spiped.clone().start();
    crashed.signal(Signal::SIGKILL);
    crashed.wait();
    assert!(room.path("source.sock").exists(), "this is what a crash leaves");
    let daemon = spiped.start();
    echo_once(&mut daemon.address().connect().expect("connect"), b"after a crash");
}

#[test]
fn a_live_socket_is_an_error() {
    let room = Room::new();
    let (_server, far) = far_end(&room);
    let source = Address::Unix(room.path("source.sock"));
    let spiped = Spiped::new(Ours, Role::Encrypt, &room, &source, far.address());
    let daemon = spiped.clone().start();
    let second = run(&mut spiped.command(), b"");
    assert_eq!(second.status.code(), Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("source.sock"), "{}", second.stderr);
    assert!(!room.path("source.sock.pid").exists(), "the second one left a pidfile");
    echo_once(&mut daemon.address().connect().expect("connect"), b"the first one serves on");
}

#[test]
fn a_file_that_is_no_socket_is_never_replaced() {
    let room = Room::new();
    let (_server, far) = far_end(&room);
    let source = Address::Unix(room.path("precious"));
    std::fs::write(room.path("precious"), "data").expect("write");
    let spiped = Spiped::new(Ours, Role::Encrypt, &room, &source, far.address());
    let second = run(&mut spiped.command(), b"");
    assert_eq!(second.status.code(), Some(1), "{}", second.stderr);
    assert_eq!(std::fs::read_to_string(room.path("precious")).expect("the file"), "data");
}
