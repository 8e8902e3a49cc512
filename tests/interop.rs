//! Every role, with C spiped at the other end and with ourselves: data both ways at once is
//! bit-exact, and half-close works in both directions, with and without forward secrecy.
//!
//! It owns what two well-behaved ends do together. Next: `hostile.rs`, for the others.

mod support;

use spiped_peer::pattern::Pattern;
use spiped_peer::{Raw, Secrecy};

use support::peer::have_c;
use support::tunnel::{Ends, Spipe, Tunnel, exchange};
use support::{Address, Implementation, QUIET, Room, Server, holds_within, wait_until};

use Implementation::{C, Ours};
use support::process::{Role, Spiped};

/// Bytes each way.
const MANY: u64 = 16 << 20;
/// Bytes each way where the amount is not the question.
const SOME: u64 = 1 << 20;

const PLAIN: &[&str] = &[];
const NO_PFS: &[&str] = &["-f"];
const REQUIRE: &[&str] = &["-g"];

/// Both orders of half-close through two daemons.
fn daemons(encrypt: Implementation, decrypt: Implementation, flags: [&'static [&'static str]; 2]) {
    let room = Room::new();
    let server = Server::holding();
    let ends = Ends { encrypt, encrypt_flags: flags[0], decrypt, decrypt_flags: flags[1] };
    let tunnel = Tunnel::start(&room, ends, server.address());
    let client = tunnel.connect();
    exchange(client, server.accept(), MANY);
    let client = tunnel.connect();
    exchange(server.accept(), client, SOME);
    assert_eq!(server.connections(), 2);
}

/// Both orders of half-close through spipe and a daemon. Nothing is printed and the status is 0.
fn through_spipe(
    encrypt: Implementation,
    decrypt: Implementation,
    flags: [&'static [&'static str]; 2],
) {
    let room = Room::new();
    let server = Server::holding();
    let daemon = Spiped::new(decrypt, Role::Decrypt, &room, &Address::any_v4(), server.address())
        .flags(flags[1])
        .start();
    for client_first in [true, false] {
        // C spipe keeps its stdout open after the server's end of stream: nothing to test then.
        if !client_first && encrypt == C {
            break;
        }
        let mut spipe = Spipe::start(encrypt, &room, daemon.address(), flags[0]);
        let (client, target) = (spipe.pipes(), server.accept());
        if client_first {
            exchange(client, target, MANY);
        } else {
            exchange(target, client, SOME);
        }
        let status = support::process::wait_for(&mut spipe.child);
        assert!(status.success(), "spipe ended with {status}");
        assert_eq!(spipe.log.text(), "", "spipe prints nothing on success");
    }
}

/// A test for each choice of `-f`; `$with` is run with the flags of both ends.
macro_rules! with_and_without_pfs {
    ($name:ident, $run:ident, $encrypt:expr, $decrypt:expr) => {
        mod $name {
            use super::*;

            fn run(flags: [&'static [&'static str]; 2]) {
                let c_is_needed = $encrypt == C || $decrypt == C;
                if !c_is_needed || have_c(stringify!($name)) {
                    $run($encrypt, $decrypt, flags);
                }
            }

            #[test]
            fn forward_secrecy() {
                run([PLAIN, PLAIN]);
            }

            #[test]
            fn encrypt_without() {
                run([NO_PFS, PLAIN]);
            }

            #[test]
            fn decrypt_without() {
                run([PLAIN, NO_PFS]);
            }

            #[test]
            fn both_without() {
                run([NO_PFS, NO_PFS]);
            }

            #[test]
            fn both_required() {
                run([REQUIRE, REQUIRE]);
            }
        }
    };
}

with_and_without_pfs!(our_daemon_to_c, daemons, Ours, C);
with_and_without_pfs!(c_daemon_to_ours, daemons, C, Ours);
with_and_without_pfs!(our_daemon_to_ours, daemons, Ours, Ours);
with_and_without_pfs!(our_spipe_to_c, through_spipe, Ours, C);
with_and_without_pfs!(c_spipe_to_ours, through_spipe, C, Ours);
with_and_without_pfs!(our_spipe_to_ours, through_spipe, Ours, Ours);

/// A client of a tunnel whose ends disagree gets no byte through. If the decrypting end is
/// ours, the target has not even seen a connection.
fn refused(encrypt: Implementation, decrypt: Implementation, flags: [&'static [&'static str]; 2]) {
    let room = Room::new();
    let server = Server::echo();
    let ends = Ends { encrypt, encrypt_flags: flags[0], decrypt, decrypt_flags: flags[1] };
    let tunnel = Tunnel::start(&room, ends, server.address());
    let mut client = tunnel.connect();
    // The tunnel may have refused before we write, so either call may be the one that fails.
    let outcome = support::servers::try_echo(&mut client, b"hello");
    assert!(outcome.is_err(), "a refused peer got an echo");
    if decrypt == Ours && flags[1] == REQUIRE {
        assert_eq!(server.connections(), 0, "-g refused, but the target was contacted");
    }
}

#[test]
fn required_forward_secrecy_refuses_a_peer_without() {
    let ends = [(Ours, Ours), (Ours, C), (C, Ours)];
    let c = have_c("required_forward_secrecy_refuses_a_peer_without");
    for (encrypt, decrypt) in ends {
        if c || (encrypt == Ours && decrypt == Ours) {
            refused(encrypt, decrypt, [NO_PFS, REQUIRE]);
            refused(encrypt, decrypt, [REQUIRE, NO_PFS]);
        }
    }
}

#[test]
fn refusing_daemon_serves_the_next_peer() {
    let (room, server) = (Room::new(), Server::echo());
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), server.address())
        .flags(REQUIRE)
        .start();
    let socket = daemon.address().connect().expect("connect");
    support::refused(Raw::client(socket, &room.secret(), Secrecy::None));
    assert!(!holds_within(QUIET, || server.connections() > 0), "the target was contacted");
    let socket = daemon.address().connect().expect("connect");
    let mut peer = Raw::client(socket, &room.secret(), Secrecy::Forward).expect("handshake");
    peer.send(b"hello").expect("send");
    assert_eq!(peer.receive_exactly(5).expect("receive"), b"hello");
    wait_until("one connection at the target", || server.connections() == 1);
}

/// The independent implementation of the tests, against both roles of `implementation`.
fn oracle(implementation: Implementation) {
    let (room, server) = (Room::new(), Server::holding());
    let data = Pattern::new(7).take(50_000);
    for secrecy in [Secrecy::Forward, Secrecy::None] {
        let tunnel =
            Tunnel::start(&room, Ends::new(implementation, implementation), server.address());
        let socket = tunnel.decrypt.address().connect().expect("connect");
        let mut client = Raw::client(socket, &room.secret(), secrecy).expect("handshake");
        let mut target = support::servers::Reading::new(server.accept());
        client.send(&data).expect("send");
        assert_eq!(target.exactly(data.len()), data);
        target.send(&data);
        assert_eq!(client.receive_exactly(data.len()).expect("receive"), data);

        let fake = Server::holding();
        let daemon =
            Spiped::new(implementation, Role::Encrypt, &room, &Address::any_v4(), fake.address())
                .start();
        let mut plain =
            support::servers::Reading::new(daemon.address().connect().expect("connect"));
        let mut peer = Raw::server(fake.accept(), &room.secret(), secrecy).expect("handshake");
        peer.send(&data).expect("send");
        assert_eq!(plain.exactly(data.len()), data);
        plain.send(&data);
        assert_eq!(peer.receive_exactly(data.len()).expect("receive"), data);
    }
}

#[test]
fn c_agrees_with_the_oracle() {
    if have_c("c_agrees_with_the_oracle") {
        oracle(C);
    }
}

#[test]
fn we_agree_with_the_oracle() {
    oracle(Ours);
}
