//! What a daemon still knows of a connection that has ended: nothing secret.
//!
//! A raw peer has all secrets of a connection, so that they can be searched for in the daemon's
//! memory: while the connection is open, to show that the search finds what is there, and after
//! its end. Copies in registers, and in what the kernel keeps, are beyond it. The exponent, which
//! the peer never learns, is looked for by its place: of the locked pages everything but the key is
//! zero afterwards. What is looked for is in `secrets/needles.rs`. Next: `sandbox.rs`.

#![cfg(target_os = "linux")]

#[path = "secrets/needles.rs"]
mod needles;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use socket2::Socket;
use spiped_peer::{Handshake, Raw, Secrecy, Side};

use support::address::reset;
use support::memory::{self, Found, Needles};
use support::process::{Role, Spiped};
use support::{Address, Daemon, Implementation::Ours, Room, Server, kernel, wait_until};

/// Both roles of the daemon under test.
const ROLES: [Role; 2] = [Role::Decrypt, Role::Encrypt];

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Both directions, between two packets.
    Clean,
    /// The peer resets it.
    Reset,
    /// A bit of a packet is flipped.
    Tampered,
    /// The peer resets it as soon as it can tell all keys, before any packet.
    Unused,
}

/// A daemon, and what must not be found in it.
struct Scene {
    role: Role,
    room: Room,
    daemon: Daemon,
    /// Descriptors of the daemon without a connection.
    descriptors: usize,
    needles: Needles,
}

/// A connection through it: encrypted at one end, plain at the other.
struct Connection {
    raw: Raw,
    plain: Socket,
}

impl Scene {
    /// Starts a daemon and opens a connection.
    fn start(role: Role) -> (Self, Connection) {
        let (room, server) = (Room::new(), Server::holding());
        let any = Address::any_v4();
        let daemon = Spiped::new(Ours, role, &room, &any, server.address()).start();
        let descriptors = kernel::descriptors(daemon.pid());
        let near = daemon.address().connect().expect("connect");
        let secret = room.secret();
        let handshake = |socket, side| {
            let mut handshake = Handshake::start(socket, &secret, side, Secrecy::Forward)?;
            let peer = handshake.exchange()?;
            let secrets = handshake.secrets(&peer);
            std::io::Result::Ok((handshake.keyed(&peer), secrets))
        };
        let (raw, secrets, plain) = if role == Role::Decrypt {
            let (raw, secrets) = handshake(near, Side::Client).expect("handshake");
            (raw, secrets, server.accept())
        } else {
            let (raw, secrets) = handshake(server.accept(), Side::Server).expect("handshake");
            (raw, secrets, near)
        };
        let scene =
            Self { role, room, daemon, descriptors, needles: needles::of_connection(&secrets) };
        (scene, Connection { raw, plain })
    }

    fn find(&self, needles: &Needles) -> Vec<Found> {
        memory::search(self.daemon.pid(), needles).expect("the memory of a child")
    }

    /// K is needed for the next handshake; if it is not found, nothing would be. It has one
    /// address, and of the key file it was made from nothing is left.
    #[track_caller]
    fn must_hold_the_key(&self) {
        holds_the_key_once(self.daemon.pid(), &self.room);
    }

    /// While packets flow, so are those of the connection.
    #[track_caller]
    fn must_hold_the_keys_in_use(&self) {
        let found = self.find(&self.needles);
        let holds = |name: &str| found.iter().any(|found| found.name.starts_with(name));
        for name in ["H_C after ipad", "H_C after opad", "H_S after ipad", "H_S after opad"] {
            assert!(holds(name), "{:?}: no {name}: {found:?}", self.role);
        }
        // Without the AES instructions a key is kept in another form.
        if aes_instructions() {
            assert!(holds("E_C") && holds("E_S"), "{:?}: no cipher key: {found:?}", self.role);
        }
    }

    /// Waits until the daemon has nothing more to do with the connection.
    #[track_caller]
    fn wait_for_the_end(&self) {
        let pid = self.daemon.pid();
        wait_until("the end is logged", || self.daemon.log().contains("connection from "));
        wait_until("both sockets are closed", || kernel::descriptors(pid) == self.descriptors);
        // Then the loop waits for events again.
        let state = || kernel::status_line(pid, "State:").expect("the daemon runs");
        wait_until("the loop sleeps", || state().starts_with('S'));
    }
}

impl Connection {
    /// That many bytes at a time, each way.
    fn talk(&mut self, lengths: &[usize]) {
        for &length in lengths {
            let data = vec![b'x'; length];
            let mut received = vec![0; length];
            self.raw.send(&data).expect("send");
            self.plain.read_exact(&mut received).expect("receive");
            self.plain.write_all(&data).expect("send");
            self.raw.receive_exactly(length).expect("receive");
        }
    }

    fn end(mut self, end: End) {
        let mut rest = Vec::new();
        if let End::Clean = end {
            self.raw.socket.shutdown(Shutdown::Write).expect("shutdown");
            self.plain.read_to_end(&mut rest).expect("a clean end");
            drop(self.plain);
            self.raw.socket.read_to_end(&mut rest).expect("a clean end");
            return;
        }
        if let End::Tampered = end {
            let mut packet = self.raw.sealing.seal(b"forged");
            packet[0] ^= 1;
            self.raw.socket.write_all(&packet).expect("send");
        } else {
            reset(self.raw.socket);
        }
        let outcome = self.plain.read_to_end(&mut rest).map_err(|error| error.kind());
        assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "{end:?}");
    }
}

/// K, in its two halves, at one address; and not the content of the key file.
#[track_caller]
fn holds_the_key_once(pid: Pid, room: &Room) {
    let mut key = Needles::default();
    key.add("K", &Sha256::digest(room.secret()));
    key.add("the key file", &room.secret());
    let found = memory::search(pid, &key).expect("the memory of a child");
    let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["K[0..]", "K[16..]"], "{found:?}");
    assert_eq!(found[1].address, found[0].address + 16, "{found:?}");
}

/// How a handshake ends that is never finished.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// The peer ends the connection.
    Left,
    /// The peer resets it.
    Reset,
    /// The peer's MAC is wrong.
    WrongKey,
    /// The peer has proved that it holds the key, and its value is not below the modulus.
    TooLarge,
    /// The peer stays silent.
    TimedOut,
    /// Another peer comes, and there is room for one.
    Yielded,
}

const FAILURES: [Failure; 6] = [
    Failure::Left,
    Failure::Reset,
    Failure::WrongKey,
    Failure::TooLarge,
    Failure::TimedOut,
    Failure::Yielded,
];

/// A handshake that has come as far as both nonces, and so has an exponent and dk_1, fails. Neither
/// is left then, nor what HMAC has made of dk_1.
#[track_caller]
fn a_failure_leaves_nothing(role: Role, failure: Failure) {
    let (room, server) = (Room::new(), Server::holding());
    let flags: &[&str] = match failure {
        Failure::TimedOut => &["-o", "0.5"],
        Failure::Yielded => &["--max-handshakes", "1"],
        _ => &[],
    };
    let daemon = Spiped::new(Ours, role, &room, &Address::any_v4(), server.address());
    let daemon = daemon.flags(flags).start();
    let pid = daemon.pid();
    let locked = || memory::locked(pid).expect("the memory of a child");
    let key: [u8; 32] = Sha256::digest(room.secret()).into();
    assert_eq!(locked(), [key], "before the first connection");

    let near = daemon.address().connect().expect("connect");
    let (socket, side, _plain) = match role {
        Role::Decrypt => (near, Side::Client, None),
        Role::Encrypt => (server.accept(), Side::Server, Some(near)),
    };
    let mut handshake =
        Handshake::start(socket, &room.secret(), side, Secrecy::Forward).expect("nonces");
    let dk1 = handshake.secrets(&[1; 256]).handshake;
    let secrets = needles::of_handshake(&dk1);
    // K, the exponent, and dk_1, which is as long as two of them.
    wait_until("dk_1 is there, on locked pages", || {
        let locked = locked();
        locked.len() == 4 && dk1.chunks(32).all(|half| locked.iter().any(|part| part == half))
    });

    let mut message = handshake.public();
    let mut another = None;
    match failure {
        Failure::Left => handshake.socket().shutdown(Shutdown::Both).expect("shutdown"),
        Failure::Reset => handshake.socket().set_linger(Some(Duration::ZERO)).expect("linger"),
        Failure::WrongKey => message[287] ^= 1,
        Failure::TooLarge => message = handshake.public_of(&[0xff; 256]),
        Failure::TimedOut => {}
        Failure::Yielded => another = Some(daemon.address().connect().expect("connect")),
    }
    match failure {
        Failure::WrongKey | Failure::TooLarge => {
            handshake.socket().write_all(&message).expect("send");
        }
        Failure::Reset => drop(handshake),
        _ => {}
    }
    wait_until("its end is logged", || daemon.log().contains("connection from "));
    drop(another); // until now it may have had an exponent of its own
    wait_until("only the key is left on locked pages", || locked() == [key]);
    let left = memory::search(pid, &secrets).expect("the memory of a child");
    assert!(left.is_empty(), "{role:?}, {failure:?}: {left:?}");
    holds_the_key_once(pid, &room);
}

#[test]
fn a_handshake_that_fails_leaves_no_secret() {
    if !support::in_ci() && !memory::readable(Pid::this()) {
        return support::skip("secrets", "this system does not let us read a process's memory");
    }
    for failure in FAILURES {
        a_failure_leaves_nothing(Role::Decrypt, failure);
        // Whom we connect to does not yield.
        if !matches!(failure, Failure::Yielded) {
            a_failure_leaves_nothing(Role::Encrypt, failure);
        }
    }
}

/// Nor does one that is dropped because the daemon stops, while it goes on for others.
#[test]
fn a_handshake_that_is_dropped_leaves_no_secret() {
    let (scene, mut connection) = Scene::start(Role::Decrypt);
    let pid = scene.daemon.pid();
    let locked = || memory::locked(pid).expect("the memory of a child");
    let stranger = scene.daemon.address().connect().expect("connect");
    let secret = scene.room.secret();
    let _handshake =
        Handshake::start(stranger, &secret, Side::Client, Secrecy::Forward).expect("nonces");
    wait_until("dk_1 is there", || locked().len() == 4);
    scene.daemon.signal(Signal::SIGTERM);
    // The keys of the open connection are elsewhere.
    wait_until("only the key is left on locked pages", || locked().len() == 1);
    connection.talk(&[5]);
}

/// Bytes that are sent at a time. Different numbers of packets go different ways through the code,
/// and the last ones leave the traces: one packet, a few, some, more than are hashed at once.
const TALKS: &[&[usize]] = &[&[10_000, 5], &[5, 3000], &[5, 10_000], &[5, 40_000]];

/// A connection that ends in this way leaves no secret behind, in either role.
#[track_caller]
fn leaves_nothing(end: End, talks: &[&[usize]]) {
    let mut left = Vec::new();
    for (role, talk) in ROLES.into_iter().flat_map(|role| talks.iter().map(move |it| (role, it))) {
        let (scene, mut connection) = Scene::start(role);
        if !support::in_ci() && !memory::readable(scene.daemon.pid()) {
            return support::skip("secrets", "this system does not let us read a child's memory");
        }
        scene.must_hold_the_key();
        connection.talk(talk);
        if !talk.is_empty() {
            scene.must_hold_the_keys_in_use();
        }

        connection.end(end);
        scene.wait_for_the_end();
        scene.must_hold_the_key();
        let found = scene.find(&scene.needles);
        left.extend(found.iter().map(|found| format!("{role:?} {talk:?}: {found:?}\n")));
    }
    assert!(left.is_empty(), "left after the end ({end:?}):\n{}", left.concat());
}

#[cfg(target_arch = "x86_64")]
fn aes_instructions() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(not(target_arch = "x86_64"))]
fn aes_instructions() -> bool {
    false
}

#[test]
fn a_clean_end_leaves_no_secret() {
    leaves_nothing(End::Clean, TALKS);
}

#[test]
fn a_reset_leaves_no_secret() {
    leaves_nothing(End::Reset, TALKS);
}

#[test]
fn a_connection_without_a_packet_leaves_no_secret() {
    leaves_nothing(End::Unused, &[&[]]);
}

#[test]
fn a_forged_packet_leaves_no_secret() {
    leaves_nothing(End::Tampered, TALKS);
}
