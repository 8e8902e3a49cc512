//! Replays the published test vectors, computed by an independent implementation.
//!
//! Owns the check that every byte either end sends is the one in `vectors/protocol.txt`, however
//! the other end's bytes arrive. The head of that file explains it. `recorded.rs` is next.

#[path = "common/records.rs"]
mod records;
#[path = "common/replay.rs"]
mod replay;

use records::Case;
use replay::{Arrival, replay};
use spiped_proto::crypt::dh::{PeerPublic, public_value, shared_value};
use spiped_proto::crypt::packet::Opener;
use spiped_proto::crypt::{HandshakeKeys, Nonces, SessionKeys};
use spiped_proto::{Role, Secret, SharedKey};

fn cases() -> Vec<Case> {
    Case::parse_all(include_str!("vectors/protocol.txt"))
}

#[test]
fn both_ends_send_what_the_vectors_say() {
    for case in cases() {
        for role in [Role::Encrypt, Role::Decrypt] {
            for arrival in [Arrival::Whole, Arrival::ByteByByte] {
                replay(&case, role, arrival);
            }
        }
    }
}

/// The steps by themselves, so that a failure above can be told from its cause.
#[test]
fn every_step_gives_what_the_vectors_say() {
    for case in cases() {
        let name = case.name();
        let key = SharedKey::from_pieces([case.bytes("key_file")]);
        let nonces = Nonces { client: case.array("nonce_C"), server: case.array("nonce_S") };
        let handshake = HandshakeKeys::derive(&key, &nonces);
        assert_eq!(handshake.client_tag(&case.array("y_C")), case.bytes("h_C"), "{name}");
        assert_eq!(handshake.server_tag(&case.array("y_S")), case.bytes("h_S"), "{name}");

        for (us, them) in [('C', 'S'), ('S', 'C')] {
            if case.flag(&format!("f_{us}")) {
                continue; // no exponent
            }
            let exponent = Secret::filled(|x| *x = case.array(&format!("x_{us}")));
            assert_eq!(public_value(&exponent), case.bytes(&format!("y_{us}")), "{name}: y_{us}");
            let peer = PeerPublic::validate(&case.array(&format!("y_{them}"))).expect(name);
            let shared = shared_value(&peer, &exponent);
            assert_eq!(shared.expose(), case.bytes("y_SC"), "{name}: y_SC at {us}");
        }

        let session =
            SessionKeys::derive(&key, &nonces, &Secret::filled(|y| *y = case.array("y_SC")));
        let ((e_c, h_c), (e_s, h_s)) = (session.client(), session.server());
        assert_eq!([*e_c, *h_c, *e_s, *h_s].as_flattened(), case.bytes("dk_2"), "{name}: dk_2");
    }
}

/// Packets that come in one read are opened together; their lengths differ.
#[test]
fn the_packets_of_the_vectors_open_in_one_run_too() {
    for case in cases() {
        let dk_2: [u8; 128] = case.array("dk_2");
        let (keys, _) = dk_2.as_chunks::<32>();
        for (letter, cipher_key, mac_key) in [('C', &keys[0], &keys[1]), ('S', &keys[2], &keys[3])]
        {
            let join = |what: &str| {
                [0, 1, 2].map(|n| case.bytes(&format!("{what}_{letter}_{n}"))).concat()
            };
            let mut back = Vec::new();
            let opened = Opener::new((cipher_key, mac_key)).open(&join("packet"), &mut back);
            assert_eq!((opened, back), (Ok(()), join("data")), "{}", case.name());
        }
    }
}

/// A file that lost a case would make the tests above weaker without a word.
#[test]
fn the_vectors_have_the_cases_that_matter() {
    let cases = cases();
    assert_eq!(cases.len(), 12);
    let flags: Vec<_> = cases[..4].iter().map(|c| (c.flag("f_C"), c.flag("f_S"))).collect();
    assert_eq!(flags, [(false, false), (true, false), (false, true), (true, true)]);
    for length in [0, 32, 5000] {
        assert!(cases.iter().any(|case| case.bytes("key_file").len() == length), "{length}");
    }
    for (record, exponent) in [
        ("x_C", u256(0)),
        ("x_S", u256(0)),
        ("x_C", u256(1)), // y = 2
        ("x_S", u256(2)), // with the line above, a y_SC that is nearly all padding
        ("x_C", [0xff; 32]),
        ("x_S", [0xff; 32]),
    ] {
        assert!(cases.iter().any(|case| case.bytes(record) == exponent), "{record}: {exponent:?}");
    }
}

/// A small number as 32 big-endian bytes.
fn u256(number: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[31] = number;
    bytes
}
