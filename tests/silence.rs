//! Peers that are silent or gone, and connections that will not end: the limits on them.
//!
//! No test measures a time: each waits for what the limit brings about. Next: `keys.rs`.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use socket2::Socket;

use support::process::wait_for;
use support::servers::echo_once;
use support::tunnel::{Ends, Spipe, Tunnel};
use support::{Implementation::Ours, Room, Server, wait_until};

/// What the log says at the end of a connection that was idle.
const IDLE: &str = "no byte either way for";

/// The next thing to be read is a reset.
#[track_caller]
fn is_reset(mut socket: Socket) {
    let outcome = socket.read(&mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(outcome, Err(ErrorKind::ConnectionReset));
}

#[test]
fn an_idle_connection_is_reset_on_both_sides_by_either_end() {
    const FLAGS: &[&str] = &["--idle-timeout", "0.3"];
    let ends = [
        Ends { encrypt_flags: FLAGS, ..Ends::ours() },
        Ends { decrypt_flags: FLAGS, ..Ends::ours() },
    ];
    for ends in ends {
        let (room, server) = (Room::new(), Server::holding());
        let tunnel = Tunnel::start(&room, ends, server.address());
        let (mut client, mut target) = (tunnel.connect(), server.accept());
        for socket in [&mut client, &mut target] {
            socket.write_all(b"hello").expect("send");
        }
        for socket in [&mut client, &mut target] {
            socket.read_exact(&mut [0; 5]).expect("what was sent before comes");
        }
        is_reset(client);
        is_reset(target);
        let daemon = if ends.encrypt_flags.is_empty() { tunnel.decrypt } else { tunnel.encrypt };
        wait_until("the end is logged", || daemon.log().contains(IDLE));
    }
}

#[test]
fn bytes_one_way_are_enough_to_stay() {
    let (room, server) = (Room::new(), Server::holding());
    let flags: &[&str] = &["--idle-timeout", "2"];
    let ends = Ends { encrypt_flags: flags, decrypt_flags: flags, ..Ends::ours() };
    let tunnel = Tunnel::start(&room, ends, server.address());
    let (_idle, mut idle) = (tunnel.connect(), server.accept());
    let (busy, mut received) = (tunnel.connect(), server.accept());
    idle.set_nonblocking(true).expect("O_NONBLOCK");
    // Until the one that is silent is gone, the other carries a byte at a time.
    wait_until("the idle connection is reset", || {
        (&busy).write_all(b"!").expect("the busy one stays");
        received.read_exact(&mut [0]).expect("the busy one stays");
        match idle.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            outcome => {
                let outcome = outcome.map_err(|error| error.kind());
                assert_eq!(outcome, Err(ErrorKind::ConnectionReset));
                true
            }
        }
    });
    (&busy).write_all(b"!").expect("the busy one stays");
    received.read_exact(&mut [0]).expect("the busy one stays");
}

/// Both streams have ended, and what is left waits for somebody who does not read.
#[test]
fn a_reader_that_has_stalled_is_idle_too() {
    let (room, server) = (Room::new(), Server::slow());
    let ends = Ends { decrypt_flags: &["--idle-timeout", "0.3", "-o", "0.3"], ..Ends::ours() };
    let tunnel = Tunnel::start(&room, ends, server.address());
    let (mut client, target) = (tunnel.connect(), server.accept());
    target.shutdown(Shutdown::Write).expect("shutdown");
    client.write_all(&vec![b'x'; 8 << 20]).map_err(|error| error.kind()).unwrap_or_else(|kind| {
        assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
    });
    wait_until("the end is logged", || tunnel.decrypt.log().contains(IDLE));
}

#[test]
fn an_idle_spipe_ends_with_status_1_and_says_why() {
    let (room, server) = (Room::new(), Server::echo());
    let tunnel = Tunnel::start(&room, Ends::ours(), server.address());
    let target = tunnel.decrypt.address();
    let mut spipe = Spipe::start(Ours, &room, target, &["--idle-timeout", "0.3"]);
    let (mut stdin, mut stdout) = spipe.pipes();
    stdin.write_all(b"hello").expect("send");
    let mut received = Vec::new();
    stdout.read_to_end(&mut received).expect("the end");
    assert_eq!(received, b"hello");
    assert_eq!(wait_for(&mut spipe.child).code(), Some(1));
    let text = String::from_utf8(spipe.log.all()).expect("UTF-8");
    assert!(text.contains(IDLE) && text.lines().count() == 1, "{text}");
}

/// Writes until the other side is given up, which shows as a reset here.
#[track_caller]
fn write_until_reset(mut socket: Socket) {
    let kind = loop {
        if let Err(error) = socket.write_all(&[b'x'; 4096]) {
            break error.kind();
        }
    };
    assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
}

/// A peer that does not read leaves the kernel with bytes that it cannot send, which is the same
/// to it as bytes that are not acknowledged. Once the stalled side is the one that was accepted,
/// once the one that was connected to.
#[cfg(target_os = "linux")]
#[test]
fn a_peer_that_leaves_bytes_unacknowledged_is_given_up() {
    const FLAGS: &[&str] = &["--ack-timeout", "0.4"];
    let (room, server) = (Room::new(), Server::slow());

    let ends = Ends { decrypt_flags: FLAGS, ..Ends::ours() };
    let tunnel = Tunnel::start(&room, ends, server.address());
    let (client, _unread) = (tunnel.connect(), server.accept());
    write_until_reset(client);
    wait_until("the end is logged", || tunnel.decrypt.log().contains("timed out"));

    let ends = Ends { encrypt_flags: FLAGS, ..Ends::ours() };
    let tunnel = Tunnel::start(&room, ends, server.address());
    let _unread = tunnel.encrypt.address().connect_slow().expect("connect");
    write_until_reset(server.accept());
    wait_until("the end is logged", || tunnel.encrypt.log().contains("timed out"));
}

#[test]
fn a_drain_that_takes_too_long_is_cut_short() {
    let (room, server) = (Room::new(), Server::echo());
    let ends = Ends { encrypt_flags: &["--drain-timeout", "0.3"], ..Ends::ours() };
    let mut tunnel = Tunnel::start(&room, ends, server.address());
    let mut client = tunnel.connect();
    echo_once(&mut client, b"hello");
    tunnel.encrypt.signal(Signal::SIGTERM);
    is_reset(client);
    let status = tunnel.encrypt.wait();
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{status}");
    let log = tunnel.encrypt.log();
    for said in ["finish within 0.3 s", "--drain-timeout: the time is up", "cut short by SIGTERM"] {
        assert!(log.contains(said), "no {said:?} in: {log}");
    }
}

#[test]
fn a_drain_that_finishes_in_time_is_a_clean_end() {
    let (room, server) = (Room::new(), Server::echo());
    let ends = Ends { encrypt_flags: &["--drain-timeout", "600"], ..Ends::ours() };
    let mut tunnel = Tunnel::start(&room, ends, server.address());
    let mut client = tunnel.connect();
    echo_once(&mut client, b"hello");
    tunnel.encrypt.signal(Signal::SIGTERM);
    wait_until("it drains", || tunnel.encrypt.log().contains("finish within 600 s"));
    echo_once(&mut client, b"still there");
    drop(client);
    assert_eq!(tunnel.encrypt.wait().code(), Some(0));
}
