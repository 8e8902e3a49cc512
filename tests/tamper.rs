//! Streams that are changed, cut or reset on the way between two good ends.
//!
//! Every packet before the damage is delivered, no byte of the bad one is, and the plain side
//! sees a reset: never something that looks like a clean end. Both roles. Next: `pressure.rs`.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use socket2::Socket;
use spiped_peer::pattern::{Checker, Pattern, send};
use spiped_peer::{MOST, PACKET, Raw, Secrecy};

use support::address::{Address, reset};
use support::kernel::acknowledged;
use support::process::{Role, Spiped};
use support::tunnel::{Ends, Tunnel};
use support::{Daemon, Implementation::Ours, Room, Server, wait_until};

/// Both roles of the daemon under test.
const ROLES: [Role; 2] = [Role::Decrypt, Role::Encrypt];

/// Packets in a stream, and bytes in each but the last.
const PACKETS: usize = 7;
/// Bytes in the last packet: it is not a full one.
const LAST: usize = 100;
/// Bytes that reach a slow reader before a reset.
const BEFORE_RESET: u64 = 400_000;

/// A daemon between a raw peer and a plain TCP socket, in either role.
struct Scene {
    role: Role,
    room: Room,
    server: Server,
    daemon: Daemon,
}

impl Scene {
    fn new(role: Role) -> Self {
        Self::with_server(role, Server::slow(), &Address::any_v4())
    }

    fn with_server(role: Role, server: Server, source: &Address) -> Self {
        let room = Room::new();
        let daemon = Spiped::new(Ours, role, &room, source, server.address()).start();
        Self { role, room, server, daemon }
    }

    /// A raw peer with an authenticated connection, and the plain socket at its other end.
    fn connect(&self) -> (Raw, Socket) {
        let socket = self.daemon.address().connect_slow().expect("connect");
        let secret = self.room.secret();
        if self.role == Role::Decrypt {
            let raw = Raw::client(socket, &secret, Secrecy::None).expect("handshake");
            (raw, self.server.accept())
        } else {
            let raw = Raw::server(self.server.accept(), &secret, Secrecy::None);
            (raw.expect("handshake"), socket)
        }
    }
}

/// The packets of a stream, and its bytes.
fn stream(raw: &mut Raw) -> (Vec<u8>, Vec<u8>) {
    let data = Pattern::new(5).take((PACKETS - 1) * MOST + LAST);
    let packets = data.chunks(MOST).flat_map(|chunk| raw.sealing.seal(chunk)).collect();
    (packets, data)
}

/// Reads to the end: exactly `expected`, then a reset.
#[track_caller]
fn then_reset(plain: &mut Socket, expected: &[u8], what: &str) {
    let mut received = Vec::new();
    let outcome = plain.read_to_end(&mut received).map_err(|error| error.kind());
    assert_eq!(received.len(), expected.len(), "bytes before the damage: {what}");
    assert!(received == expected, "the bytes differ: {what}");
    assert_eq!(outcome.err(), Some(ErrorKind::ConnectionReset), "the end: {what}");
}

/// Flips a bit at this offset of the first, a middle and the last packet.
fn flip_at(offset: usize) {
    for role in ROLES {
        let scene = Scene::new(role);
        for packet in [0, 1, PACKETS / 2, PACKETS - 1] {
            let (mut raw, mut plain) = scene.connect();
            let (mut packets, data) = stream(&mut raw);
            packets[packet * PACKET + offset] ^= 0x10;
            raw.socket.write_all(&packets).expect("send");
            let what = format!("{role:?}, byte {offset} of packet {packet}");
            then_reset(&mut plain, &data[..packet * MOST], &what);
        }
    }
}

#[test]
fn flipped_bit_in_the_data() {
    flip_at(0);
    flip_at(MOST - 1);
}

#[test]
fn flipped_bit_in_the_length() {
    flip_at(MOST + 2);
}

#[test]
fn flipped_bit_in_the_mac() {
    flip_at(MOST + 4);
    flip_at(PACKET - 1);
}

/// The same when the good packets have long been delivered.
#[test]
fn flipped_bit_later() {
    for role in ROLES {
        let scene = Scene::new(role);
        let (mut raw, mut plain) = scene.connect();
        let (mut packets, data) = stream(&mut raw);
        packets[3 * PACKET] ^= 1;
        raw.socket.write_all(&packets[..3 * PACKET]).expect("send");
        let mut received = vec![0; 3 * MOST];
        plain.read_exact(&mut received).expect("three packets");
        assert!(received == data[..3 * MOST], "the bytes differ");
        raw.socket.write_all(&packets[3 * PACKET..]).expect("send");
        then_reset(&mut plain, &[], &format!("{role:?}, a moment later"));
    }
}

#[test]
fn cut_inside_a_packet() {
    for role in ROLES {
        let scene = Scene::new(role);
        for (packet, bytes) in [(0, 1), (0, PACKET - 1), (3, 500), (PACKETS - 1, PACKET - 32)] {
            let (mut raw, mut plain) = scene.connect();
            let (packets, data) = stream(&mut raw);
            raw.socket.write_all(&packets[..packet * PACKET + bytes]).expect("send");
            raw.socket.shutdown(Shutdown::Write).expect("shutdown");
            let what = format!("{role:?}, cut after {bytes} bytes of packet {packet}");
            then_reset(&mut plain, &data[..packet * MOST], &what);
        }
    }
}

#[test]
fn an_end_between_packets_is_clean() {
    for role in ROLES {
        let scene = Scene::new(role);
        for packets_sent in [0, 1, PACKETS] {
            let (mut raw, mut plain) = scene.connect();
            let (packets, data) = stream(&mut raw);
            raw.socket.write_all(&packets[..packets_sent * PACKET]).expect("send");
            raw.socket.shutdown(Shutdown::Write).expect("shutdown");
            let mut received = Vec::new();
            plain.read_to_end(&mut received).expect("a clean end");
            assert!(received == data[..data.len().min(packets_sent * MOST)], "the bytes differ");
            // The other direction is still open.
            plain.write_all(b"still here").expect("send");
            assert_eq!(raw.receive_exactly(10).expect("receive"), b"still here");
        }
    }
}

/// UNIX sockets know no reset: there the stream just ends, but not a byte too late.
#[test]
fn damage_before_a_unix_socket() {
    for role in ROLES {
        let room = Room::new();
        let path = Address::Unix(room.path("plain.sock"));
        let scene = if role == Role::Decrypt {
            Scene::with_server(role, Server::holding_at(&path), &Address::any_v4())
        } else {
            Scene::with_server(role, Server::holding(), &path)
        };
        let (mut raw, mut plain) = scene.connect();
        let (mut packets, data) = stream(&mut raw);
        packets[2 * PACKET + 17] ^= 0x80;
        raw.socket.write_all(&packets).expect("send");
        let mut received = Vec::new();
        // Unread bytes at the daemon may make the kernel say ECONNRESET even here.
        let _ = plain.read_to_end(&mut received);
        assert_eq!(received.len(), 2 * MOST, "bytes before the damage, {role:?}");
        assert!(received == data[..2 * MOST], "the bytes differ");
    }
}

/// Reads little by little, as a slow reader does, up to the reset.
#[track_caller]
fn slow_reader(plain: &mut Socket, what: &str) {
    let mut checker = Checker::new(6);
    let mut buffer = [0; 2048];
    let end = loop {
        match plain.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => checker.accept(&buffer[..count]),
            Err(error) => break Some(error.kind()),
        }
        // Slowness is what this is about; nothing waits for it.
        std::thread::sleep(std::time::Duration::from_micros(500));
    };
    assert_eq!(checker.received(), BEFORE_RESET, "bytes before the reset: {what}");
    assert_eq!(end, Some(ErrorKind::ConnectionReset), "the end: {what}");
}

#[test]
fn bytes_before_a_reset_reach_a_slow_reader() {
    for role in ROLES {
        let scene = Scene::new(role);
        let (mut raw, mut plain) = scene.connect();
        let data = Pattern::new(6).take(BEFORE_RESET as usize);
        raw.send(&data).expect("send");
        // The kernel at the daemon's side has them all, then comes the reset, then the reader.
        wait_until("the bytes to be acknowledged", || acknowledged(&raw.socket));
        reset(raw.socket);
        slow_reader(&mut plain, &format!("{role:?}"));
    }
}

/// Bytes and a reset at one plain end come out at the other.
fn across_the_tunnel(from_client: bool) {
    let (room, server) = (Room::new(), Server::slow());
    let tunnel = Tunnel::start(&room, Ends::ours(), server.address());
    let client = tunnel.encrypt.address().connect_slow().expect("connect");
    let target = server.accept();
    let (mut from, mut to) = if from_client { (client, target) } else { (target, client) };
    send(&mut from, &mut Pattern::new(6), BEFORE_RESET).expect("send");
    wait_until("the bytes to be acknowledged", || acknowledged(&from));
    reset(from);
    slow_reader(&mut to, if from_client { "client to target" } else { "target to client" });
}

#[test]
fn a_reset_of_the_client_crosses_the_tunnel() {
    across_the_tunnel(true);
}

#[test]
fn a_reset_of_the_target_crosses_the_tunnel() {
    across_the_tunnel(false);
}

/// Damage in one direction: what the other direction has in hand is no excuse to hang.
#[test]
fn damage_ends_both_directions() {
    for role in ROLES {
        let scene = Scene::new(role);
        let (mut raw, mut plain) = scene.connect();
        plain.write_all(b"up").expect("send");
        assert_eq!(raw.receive_exactly(2).expect("receive"), b"up");
        let mut packet = raw.sealing.seal(b"down");
        packet[0] ^= 1;
        raw.socket.write_all(&packet).expect("send");
        then_reset(&mut plain, &[], &format!("{role:?}"));
        // The peer sees some end; which one does not matter to it.
        let end = raw.socket.read(&mut [0; 1]).map_err(|error| error.kind());
        assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{role:?}: {end:?}");
    }
}
