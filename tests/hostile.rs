//! Peers that lack the key, or break the protocol: nobody behind the daemon notices them.
//!
//! It owns handshakes that fail and packets that lie. Next: `tamper.rs`, for streams that
//! somebody else breaks on the way.

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use socket2::Socket;
use spiped_peer::pattern::Pattern;
use spiped_peer::{Direction, Handshake, MOST, NONCE, PUBLIC, Raw, Secrecy, Side, random};

use support::process::{Role, Spiped};
use support::servers::{Reading, echo_once};
use support::tunnel::{Ends, Spipe, Tunnel};
use support::{
    Address, Daemon, Implementation::Ours, QUIET, Room, Server, holds_within, wait_until,
};

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
fn a_target_without_the_key_gets_no_data() {
    // The encrypting side is the one that is lied to: its client's bytes must stay here.
    let (room, fake) = (Room::new(), Server::holding());
    let daemon = Spiped::new(Ours, Role::Encrypt, &room, &Address::any_v4(), fake.address())
        .flags(TIMEOUT)
        .start();
    let mut plain = connect(&daemon);
    plain.write_all(b"secret").expect("send");
    let mut handshake =
        Handshake::start(fake.accept(), b"wrong", Side::Server, Secrecy::Forward).expect("nonces");
    handshake.socket().read_exact(&mut [0; PUBLIC]).expect("the client's value");
    let public = handshake.public();
    handshake.socket().write_all(&public).expect("send");
    let mut rest = Vec::new();
    // A reset is as good an end as any.
    let _ = handshake.socket().read_to_end(&mut rest);
    assert_eq!(rest.len(), 0, "bytes for a target without the key");
    let outcome = plain.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "looks like a clean end");
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
fn the_server_is_silent_until_the_client_has_proved_the_key() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = decrypting(&room, server.address(), &[]);
    let mut handshake =
        Handshake::start(connect(&daemon), &room.secret(), Side::Client, Secrecy::Forward)
            .expect("nonces");
    // All but the last byte of a good value: no answer, no connection to the target.
    let public = handshake.public();
    handshake.socket().write_all(&public[..public.len() - 1]).expect("send");
    handshake.socket().set_read_timeout(Some(QUIET)).expect("timeout");
    let answer = handshake.socket().read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(answer, Err(ErrorKind::WouldBlock), "an answer before the MAC was there");
    assert_eq!(server.connections(), 0);
    // And with it there are both.
    handshake.socket().set_read_timeout(Some(support::DEADLINE)).expect("timeout");
    handshake.socket().write_all(&public[public.len() - 1..]).expect("send");
    let peer = handshake.read_public().expect("the server's value");
    let mut client = handshake.keyed(&peer);
    client.send(b"hello").expect("send");
    assert_eq!(Reading::new(server.accept()).exactly(5), b"hello");
}

#[test]
fn values_outside_the_group_are_refused() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = decrypting(&room, server.address(), &[]);
    let mut handshake =
        Handshake::start(connect(&daemon), &room.secret(), Side::Client, Secrecy::Forward)
            .expect("nonces");
    // 2^2048 - 1 is no number below the prime, whoever vouches for it.
    let message = handshake.public_of(&[0xff; 256]);
    handshake.socket().write_all(&message).expect("send");
    support::refused(handshake.read_public());
    assert!(!holds_within(QUIET, || server.connections() > 0), "the target was contacted");
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = decrypting(&room, server.address(), &[]);
    let socket = connect(&daemon);
    socket.set_tcp_nodelay(true).expect("TCP_NODELAY");
    let mut handshake =
        Handshake::start(socket, &room.secret(), Side::Client, Secrecy::Forward).expect("nonces");
    for byte in handshake.public() {
        handshake.socket().write_all(&[byte]).expect("send");
    }
    let peer = handshake.read_public().expect("the server's value");
    let mut client = handshake.keyed(&peer);
    for byte in client.sealing.seal(b"slow") {
        client.socket.write_all(&[byte]).expect("send");
    }
    assert_eq!(Reading::new(server.accept()).exactly(4), b"slow");
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
fn unexpected_bytes_end_the_connection() {
    // A packet's worth of noise right behind a good handshake.
    let (room, server) = (Room::new(), Server::holding());
    let daemon = decrypting(&room, server.address(), &[]);
    let mut handshake =
        Handshake::start(connect(&daemon), &room.secret(), Side::Client, Secrecy::Forward)
            .expect("nonces");
    let mut message = handshake.public().to_vec();
    message.extend(Pattern::new(4).take(3 * MOST));
    handshake.socket().write_all(&message).expect("send");
    let mut target = server.accept();
    let outcome = target.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(
        outcome,
        Err(ErrorKind::ConnectionReset),
        "noise reached the target, or a clean end"
    );
    closed(handshake.socket());
}

/// Sends one packet with the length that it claims, between two good ones.
fn packet_with_length(length: u32) {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = decrypting(&room, server.address(), &[]);
    let mut client =
        Raw::client(connect(&daemon), &room.secret(), Secrecy::Forward).expect("handshake");
    let sealing: &mut Direction = &mut client.sealing;
    let packets = [sealing.seal(b"good"), sealing.seal_as(b"", length), sealing.seal(b"late")];
    client.socket.write_all(&packets.concat()).expect("send");
    let mut target = server.accept();
    let mut received = Vec::new();
    let outcome = target.read_to_end(&mut received).map_err(|error| error.kind());
    assert_eq!(received, b"good", "what is before a packet of length {length}, and no more");
    assert_eq!(outcome.err(), Some(ErrorKind::ConnectionReset), "after length {length}");
}

#[test]
fn packets_with_a_wrong_length_are_refused() {
    for length in [0, 1025, 1028, 1060, u32::MAX] {
        packet_with_length(length);
    }
}

#[test]
fn a_replayed_packet_is_refused() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = decrypting(&room, server.address(), &[]);
    let mut client =
        Raw::client(connect(&daemon), &room.secret(), Secrecy::Forward).expect("handshake");
    let packet = client.sealing.seal(b"once");
    client.socket.write_all(&[packet, packet].concat()).expect("send");
    let mut received = Vec::new();
    let outcome = server.accept().read_to_end(&mut received).map_err(|error| error.kind());
    assert_eq!(received, b"once");
    assert_eq!(outcome.err(), Some(ErrorKind::ConnectionReset));
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
