//! Peers that lack the key, or break the protocol: nobody behind the daemon notices them.
//!
//! It owns what is due to each trick of `tests/hostile-tester`, the tables of DESIGN.md that say
//! what came of them, and what takes more than one peer to try. Next: `tamper.rs`, for streams that
//! somebody else breaks on the way.

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use hostile_tester as tester;
use socket2::Socket;
use spiped_peer::pattern::Pattern;
use spiped_peer::{Handshake, MOST, NONCE, Raw, Secrecy, Side, random};

use support::process::{Role, Spiped};
use support::servers::{Reading, echo_once};
use support::tunnel::{Ends, Spipe, Tunnel};
use support::{Address, Daemon, Implementation::Ours, Program, Room, Server, wait_until};

/// Short, so that strangers are gone soon.
const TIMEOUT: &[&str] = &["-o", "3"];

fn decrypting(room: &Room, target: &Address, flags: &[&str]) -> Daemon {
    Spiped::new(Ours, Role::Decrypt, room, &Address::any_v4(), target).flags(flags).start()
}

fn connect(daemon: &Daemon) -> Socket {
    daemon.address().connect().expect("connect")
}

/// The end of a connection that a daemon gives up: end of stream or reset. Bytes before it
/// are skipped.
fn closed(socket: &mut Socket) {
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the daemon holds on to a stranger: {error}"),
        }
    }
}

/// What stranger number `index` does before it only waits to be thrown out. Errors are no
/// matter: it may be thrown out before it has done all it wanted.
fn stranger(mut socket: Socket, index: usize) -> io::Result<()> {
    match index % 5 {
        // Nothing.
        0 => {}
        // Noise.
        1 => socket.write_all(&Pattern::new(index as u64).take(5000))?,
        // Half a handshake: part of a nonce.
        2 => socket.write_all(&random::<20>())?,
        // Half a handshake: a nonce and most of a value.
        3 => {
            let mut handshake = Handshake::start(socket, b"wrong", Side::Client, Secrecy::Forward)?;
            let public = handshake.public();
            handshake.socket().write_all(&public[..200])?;
            closed(handshake.socket());
            return Ok(());
        }
        // A whole handshake with the wrong key.
        _ => {
            support::refused(Raw::client(socket, b"wrong", Secrecy::Forward));
            return Ok(());
        }
    }
    closed(&mut socket);
    Ok(())
}

/// Plays everything on our daemon; whatever comes of it is due, and is what DESIGN.md says.
fn everything(role: tester::Role) {
    let design = concat!(env!("CARGO_MANIFEST_DIR"), "/DESIGN.md");
    let design = std::fs::read_to_string(design).expect("DESIGN.md");
    let [decrypt, encrypt] = ["| `spiped -d` meets a client:", "| `spiped -e` meets a server:"]
        .map(|head| design.split_once(head).expect("the tables are in DESIGN.md").1);
    let table = if role == tester::Role::Encrypt {
        encrypt
    } else {
        &decrypt[..decrypt.len() - encrypt.len()]
    };
    let ours = tester::Subject::Program(Ours.path(Program::Spiped));
    for (trick, outcome) in tester::table::play_all(&ours, role).expect("our daemon starts") {
        assert!(trick.is_due(role, &outcome), "{}, {role:?}: {outcome:?}", trick.name);
        let row = format!("| {} | {} |", trick.name, tester::table::cells(&outcome));
        assert!(table.contains(&row), "`make hostile` writes into DESIGN.md: {row}");
    }
}

#[test]
fn every_trick_on_a_decrypting_daemon_comes_to_what_is_due() {
    everything(tester::Role::Decrypt);
}

#[test]
fn every_trick_on_an_encrypting_daemon_comes_to_what_is_due() {
    everything(tester::Role::Encrypt);
}

#[test]
fn forty_strangers_never_reach_the_target() {
    const STRANGERS: usize = 40;
    let (room, server) = (Room::new(), Server::echo());
    let ends = Ends { decrypt_flags: TIMEOUT, ..Ends::ours() };
    let tunnel = Tunnel::start(&room, ends, server.address());
    let lines = || tunnel.decrypt.log().lines().count();

    // A peer that was there before, and new ones all the while.
    let mut old = tunnel.connect();
    echo_once(&mut old, b"before");
    let before = lines();
    let mut served = 1;
    let sockets: Vec<Socket> = (0..STRANGERS).map(|_| connect(&tunnel.decrypt)).collect();
    std::thread::scope(|scope| {
        let strangers: Vec<_> = (0..)
            .zip(sockets)
            .map(|(index, socket)| scope.spawn(move || drop(stranger(socket, index))))
            .collect();
        while strangers.iter().any(|stranger| !stranger.is_finished()) {
            echo_once(&mut old, b"meanwhile");
            echo_once(&mut tunnel.connect(), b"a new one");
            served += 1;
        }
    });
    echo_once(&mut old, b"afterwards");
    assert!(served > 2, "nobody was served while the strangers were there");
    drop(old);

    wait_until("a line for every good connection", || lines() >= before + served);
    assert_eq!(server.connections(), served, "connections that the target saw");
    let (written, log) = (lines() - before, tunnel.decrypt.log());
    assert!(written <= STRANGERS + served, "{written} lines for {STRANGERS} strangers:\n{log}");
}

#[test]
fn nonces_are_sent_without_waiting() {
    let (room, server) = (Room::new(), Server::holding());
    let tunnel = Tunnel::start(&room, Ends::ours(), server.address());
    let nonce = Reading::new(connect(&tunnel.decrypt)).exactly(NONCE);
    assert_ne!(nonce, Reading::new(connect(&tunnel.decrypt)).exactly(NONCE), "a nonce came twice");

    let fake = Server::holding();
    let daemon =
        Spiped::new(Ours, Role::Encrypt, &room, &Address::any_v4(), fake.address()).start();
    let _plain = connect(&daemon);
    assert_eq!(Reading::new(fake.accept()).exactly(NONCE).len(), NONCE);
}

#[test]
fn early_packets_are_kept() {
    // Without forward secrecy a client knows the keys before the server has answered; its
    // packets and its end of stream may arrive together with its value.
    let (room, server) = (Room::new(), Server::holding());
    let daemon = decrypting(&room, server.address(), &[]);
    let mut handshake =
        Handshake::start(connect(&daemon), &room.secret(), Side::Client, Secrecy::None)
            .expect("nonces");
    let (mut sealing, _) = handshake.directions(&[0; 256]);
    let data = Pattern::new(3).take(20 * MOST);
    let mut message = handshake.public().to_vec();
    message.extend(data.chunks(MOST).flat_map(|chunk| sealing.seal(chunk)));
    handshake.socket().write_all(&message).expect("send");
    handshake.socket().shutdown(Shutdown::Write).expect("shutdown");
    let mut received = Vec::new();
    server.accept().read_to_end(&mut received).expect("a clean end");
    assert!(received == data, "early packets differ: {} bytes", received.len());
}

#[test]
fn an_unreachable_target_is_a_reset() {
    let room = Room::new();
    let tunnel = Tunnel::start(&room, Ends::ours(), &Address::unused());
    let mut client = tunnel.connect();
    let outcome = client.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "looks like a clean end");
    // And spipe says so with its exit status.
    let mut spipe = Spipe::start(Ours, &room, tunnel.decrypt.address(), &[]);
    assert_eq!(support::process::wait_for(&mut spipe.child).code(), Some(1));
}
