//! Nothing is kept of connections that are over, however they ended.
//!
//! It owns every kind of end, many times over, and the count of descriptors and memory before and
//! after. 2,000 connections, and then 2,000 more that must add nothing; with `SPIPED_LEAKS=100000`
//! as many as that. Next: `spipe.rs`.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use nix::unistd::Pid;
use socket2::Socket;
use spiped_peer::{Raw, Secrecy};

use support::address::reset;
use support::kernel::{descriptors, raise_descriptor_limit, resident_kib};
use support::process::{Role, Spiped};
use support::servers::echo_once;
use support::{Address, Daemon, Implementation::Ours, Room, Server, wait_until};

/// What the second half may add to a daemon's resident memory, in KiB.
const GROWTH_KIB: u64 = 1024;
/// Strangers that are held at a time, half of which have to yield to the other half.
const HELD: usize = 400;
/// Kinds of ends that are gone through one connection at a time.
const KINDS: usize = 12;

/// All daemons, and what is behind them.
struct Stage {
    room: Room,
    /// Decrypts for a target that answers.
    decrypt: Daemon,
    /// Encrypts to that.
    encrypt: Daemon,
    /// Decrypts for nobody.
    refused: Daemon,
    /// Decrypts from a UNIX socket for another.
    unix: Daemon,
    _servers: [Server; 2],
}

impl Stage {
    fn new() -> Self {
        let room = Room::new();
        let inner = Address::Unix(room.path("inner"));
        let servers = [Server::echo(), Server::echo_at(&inner)];
        let start = |role, source: &Address, target: &Address| {
            let strangers = (HELD / 2).to_string();
            let daemon = Spiped::new(Ours, role, &room, source, target).flags(&["-o", "1"]);
            match role {
                Role::Encrypt => daemon.start(),
                Role::Decrypt => daemon.flags(&["--max-handshakes", &strangers]).start(),
            }
        };
        let any = Address::any_v4();
        let decrypt = start(Role::Decrypt, &any, servers[0].address());
        let encrypt = start(Role::Encrypt, &any, decrypt.address());
        let refused = start(Role::Decrypt, &any, &Address::unused());
        let unix = start(Role::Decrypt, &Address::Unix(room.path("outer")), &inner);
        Self { room, decrypt, encrypt, refused, unix, _servers: servers }
    }

    fn pids(&self) -> [Pid; 4] {
        [&self.decrypt, &self.encrypt, &self.refused, &self.unix].map(Daemon::pid)
    }

    /// A peer that has the key and was answered once.
    fn friend(&self, daemon: &Daemon) -> Raw {
        // Without forward secrecy, because the powers would be most of the time.
        let mut peer =
            Raw::client(connect(daemon), &self.room.secret(), Secrecy::None).expect("a handshake");
        peer.send(b"hello").expect("send");
        assert_eq!(peer.receive_exactly(5).expect("an echo"), b"hello");
        peer
    }

    /// A connection that ends in way number `kind`.
    fn visit(&self, kind: usize) {
        match kind {
            0 | 1 => {
                let mut peer = self.friend(if kind == 0 { &self.decrypt } else { &self.unix });
                peer.socket.shutdown(Shutdown::Write).expect("shutdown");
                assert_eq!(peer.socket.read(&mut [0; 1]).expect("an end"), 0, "a clean end");
            }
            2 => reset(self.friend(&self.decrypt).socket),
            // A UNIX socket has no reset; this one just goes away with both directions open.
            3 => drop(self.friend(&self.unix)),
            // Noise where a packet should be, and a piece of a packet.
            4 => {
                let mut peer = self.friend(&self.decrypt);
                peer.socket.write_all(&[7; 1060]).expect("send");
                closed(&mut peer.socket);
            }
            5 => {
                let mut peer = self.friend(&self.unix);
                peer.socket.write_all(&[7; 100]).expect("send");
                peer.socket.shutdown(Shutdown::Write).expect("shutdown");
                closed(&mut peer.socket);
            }
            6 | 7 => {
                let daemon = if kind == 6 { &self.decrypt } else { &self.unix };
                let outcome = Raw::client(connect(daemon), b"wrong", Secrecy::None);
                assert!(outcome.is_err(), "the wrong key is good enough");
            }
            // Half a nonce, and gone.
            8 => connect(&self.decrypt).write_all(&[7; 16]).expect("send"),
            9 => {
                let secret = self.room.secret();
                let mut peer = Raw::client(connect(&self.refused), &secret, Secrecy::None)
                    .expect("the answer does not wait for the target");
                // Acknowledges the answer, for which the reset waits. It may have come already.
                let _ = peer.send(b"hello");
                closed(&mut peer.socket);
            }
            10 => echo_once(&mut connect(&self.encrypt), b"hello"),
            _ => {
                let mut client = connect(&self.encrypt);
                echo_once(&mut client, b"hello");
                reset(client);
            }
        }
    }

    /// Strangers who keep silent until they are dropped: some yield, for some the time is up.
    fn hold(&self) {
        let mut held: Vec<Socket> = (0..HELD).map(|_| connect(&self.decrypt)).collect();
        held.iter_mut().for_each(closed);
    }

    fn visit_all(&self, connections: usize) {
        let held = connections / 5 / HELD;
        (0..held).for_each(|_| self.hold());
        (0..connections - held * HELD).for_each(|number| self.visit(number % KINDS));
    }
}

fn connect(daemon: &Daemon) -> Socket {
    daemon.address().connect().expect("connect")
}

/// Waits for the daemon's end of a connection, whatever kind it is.
fn closed(socket: &mut Socket) {
    loop {
        match socket.read(&mut [0; 64]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the daemon holds on to a connection: {error}"),
        }
    }
}

#[test]
fn connections_leave_nothing_behind() {
    let connections = match std::env::var("SPIPED_LEAKS") {
        Ok(number) => number.parse().expect("SPIPED_LEAKS is a number of connections"),
        Err(_) => 2_000,
    };
    raise_descriptor_limit(1_500);
    let stage = Stage::new();
    let at_rest = stage.pids().map(descriptors);
    let rest =
        || wait_until("descriptors to be closed", || stage.pids().map(descriptors) == at_rest);

    stage.visit_all(connections);
    rest();
    let before = stage.pids().map(resident_kib);
    stage.visit_all(connections);
    rest();
    let after = stage.pids().map(resident_kib);

    support::say(&format!("{connections} connections, resident KiB {before:?}; again: {after:?}"));
    assert!(stage.decrypt.log().contains("too many handshakes at once"), "nobody had to yield");
    for (before, after) in before.into_iter().zip(after) {
        assert!(after <= before + GROWTH_KIB, "grew from {before} to {after} KiB");
    }
}
