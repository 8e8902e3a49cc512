//! Who is let in, who is not, what each side is told, and when the patience ends.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use spiped_proto::crypt::{HandshakeKeys, Nonces};
use spiped_proto::wire::{NONCE_LEN, PUBLIC_LEN, PUBLIC_MESSAGE_LEN};
use spiped_proto::{
    Authenticated, CloseReason, Config, Conn, Entropy, Event, HandshakeError, Input, Pfs, Role,
    SharedKey, Side,
};

use crate::lockstep::{LIMIT, carry_all, core, core_at, established, events, hear, said, tell};

/// The modulus of group 14, RFC 3526.
const P: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
                 020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
                 4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
                 EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
                 98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
                 9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
                 E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
                 3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF";

fn authenticated(key: usize, forward_secrecy: bool) -> Vec<Event> {
    vec![Event::PeerAuthenticated(Authenticated::new(key, forward_secrecy))]
}

fn refused(error: HandshakeError) -> Vec<Event> {
    vec![Event::Closed(CloseReason::Handshake(error))]
}

#[test]
fn the_server_tells_which_of_its_keys_the_client_has() {
    let ring = ["first", "second", "third"];
    for (index, file) in ring.into_iter().enumerate() {
        let mut client = core(Role::Encrypt, Pfs::Allow, &[file]);
        let mut server = core(Role::Decrypt, Pfs::Allow, &ring);
        carry_all(&mut client, &mut server);
        assert_eq!(events(&mut client), authenticated(0, true));
        assert_eq!(events(&mut server), authenticated(index, true));
        let mut packet = Vec::new();
        client.handle_input(
            Instant::now(),
            Side::Plain,
            Input::Data(b"and speaks it"),
            &mut packet,
        );
        assert_eq!(hear(&mut server, &packet), b"and speaks it");
    }
    // A client with several keys speaks with its first.
    let mut client = core(Role::Encrypt, Pfs::Allow, &["third", "first"]);
    let mut server = core(Role::Decrypt, Pfs::Allow, &ring);
    carry_all(&mut client, &mut server);
    assert_eq!(events(&mut server), authenticated(2, true));
}

#[test]
fn a_wrong_key_is_refused_before_anything_keyed_is_sent() {
    let mut client = core(Role::Encrypt, Pfs::Allow, &["fourth"]);
    let mut server = core(Role::Decrypt, Pfs::Allow, &["first", "second", "third"]);
    hear(&mut client, &said(&mut server));
    hear(&mut server, &said(&mut client));
    assert_eq!(events(&mut server), refused(HandshakeError::WrongKey));
    assert_eq!(said(&mut server), [], "no byte after the nonce");
    assert_eq!((server.poll_timeout(), server.read_limit(Side::Encrypted)), (None, 0));
    // All that the client sees is the end.
    assert_eq!(
        tell(&mut client, Side::Encrypted, Input::End),
        [Event::Closed(CloseReason::EndInHandshake)]
    );
}

#[test]
fn forward_secrecy_is_told_as_it_is() {
    for (client_pfs, server_pfs, expected) in [
        (Pfs::Allow, Pfs::Allow, true),
        (Pfs::Require, Pfs::Allow, true),
        (Pfs::Allow, Pfs::Require, true),
        (Pfs::Require, Pfs::Require, true),
        (Pfs::Refuse, Pfs::Allow, false),
        (Pfs::Allow, Pfs::Refuse, false),
        (Pfs::Refuse, Pfs::Refuse, false),
    ] {
        let mut client = core(Role::Encrypt, client_pfs, &["key"]);
        let mut server = core(Role::Decrypt, server_pfs, &["key"]);
        carry_all(&mut client, &mut server);
        for conn in [&mut client, &mut server] {
            assert_eq!(events(conn), authenticated(0, expected), "{client_pfs:?} {server_pfs:?}");
        }
    }
}

#[test]
fn a_server_with_g_refuses_a_client_with_f() {
    let mut client = core(Role::Encrypt, Pfs::Refuse, &["key"]);
    let mut server = core(Role::Decrypt, Pfs::Require, &["key"]);
    hear(&mut client, &said(&mut server));
    hear(&mut server, &said(&mut client));
    assert_eq!(events(&mut server), refused(HandshakeError::NoForwardSecrecy));
    assert_eq!(said(&mut server), [], "no byte after the nonce");
    assert_eq!(events(&mut client), []);
}

#[test]
fn a_client_with_g_refuses_a_server_with_f() {
    let mut client = core(Role::Encrypt, Pfs::Require, &["key"]);
    let mut server = core(Role::Decrypt, Pfs::Refuse, &["key"]);
    carry_all(&mut client, &mut server);
    assert_eq!(events(&mut client), refused(HandshakeError::NoForwardSecrecy));
    assert_eq!(client.read_limit(Side::Plain), 0, "nothing may be sent");
    assert_eq!(events(&mut server), authenticated(0, false));
}

/// Our core in `role`, and what it tells when the peer sends `public` with the right MAC.
fn answer_to(role: Role, pfs: Pfs, public: &[u8; PUBLIC_LEN]) -> (Conn, Vec<Event>) {
    let mut conn = core(role, pfs, &["key"]);
    let ours = *said(&mut conn).first_chunk().expect("a nonce");
    let theirs = [9; NONCE_LEN];
    let key = SharedKey::from_pieces([b"key".as_slice()]);
    let tag =
        match role {
            Role::Encrypt => HandshakeKeys::derive(&key, &Nonces { client: ours, server: theirs })
                .server_tag(public),
            Role::Decrypt => HandshakeKeys::derive(&key, &Nonces { client: theirs, server: ours })
                .client_tag(public),
        };
    hear(&mut conn, &theirs);
    said(&mut conn);
    hear(&mut conn, &[public.as_slice(), &tag].concat());
    let events = events(&mut conn);
    (conn, events)
}

#[test]
fn a_public_value_is_refused_from_the_modulus_on() {
    let mut p = [0; PUBLIC_LEN];
    hex::decode_to_slice(P, &mut p).expect("hexadecimal");
    let [mut below, mut above] = [p, p];
    below[PUBLIC_LEN - 1] -= 1;
    above[PUBLIC_LEN - 9] += 1; // the last 8 bytes are all ff
    above[PUBLIC_LEN - 8..].fill(0);
    for role in [Role::Encrypt, Role::Decrypt] {
        for public in [p, above, [0xff; PUBLIC_LEN]] {
            let (mut conn, events) = answer_to(role, Pfs::Allow, &public);
            assert_eq!(events, refused(HandshakeError::PublicValueTooLarge), "{role:?}");
            assert_eq!(said(&mut conn), []);
        }
        // As C does: who can make the MAC has simpler ways to give the secret away.
        for public in [below, [0; PUBLIC_LEN]] {
            let (mut conn, events) = answer_to(role, Pfs::Require, &public);
            assert_eq!(events, authenticated(0, true), "{role:?}");
            let answer = if role == Role::Decrypt { PUBLIC_MESSAGE_LEN } else { 0 };
            assert_eq!(said(&mut conn).len(), answer);
        }
    }
}

/// The MAC keys of the two directions differ: a mirror does not hold the key.
#[test]
fn our_own_messages_sent_back_are_refused() {
    let mut client = core(Role::Encrypt, Pfs::Allow, &["key"]);
    for _ in 0..2 {
        let own = said(&mut client);
        hear(&mut client, &own);
    }
    assert_eq!(events(&mut client), refused(HandshakeError::WrongKey));
}

#[test]
fn any_flipped_bit_of_the_handshake_is_refused() {
    let message = NONCE_LEN + PUBLIC_MESSAGE_LEN;
    for bit in (0..message * 8).step_by(37).chain([message * 8 - 1]) {
        for by_client in [true, false] {
            let mut client = core(Role::Encrypt, Pfs::Refuse, &["key"]);
            let mut server = core(Role::Decrypt, Pfs::Refuse, &["key"]);
            let mut from_client = Flipper { bit, passed: 0, active: by_client };
            let mut from_server = Flipper { bit, passed: 0, active: !by_client };
            for _ in 0..3 {
                let (up, down) = (said(&mut client), said(&mut server));
                hear(&mut server, &from_client.pass(up));
                hear(&mut client, &from_server.pass(down));
            }
            // A nonce that differs makes the client's MAC wrong, whoever's nonce it is.
            let at_server = by_client || bit < NONCE_LEN * 8;
            let (judge, other) =
                if at_server { (&mut server, &mut client) } else { (&mut client, &mut server) };
            assert_eq!(events(judge), refused(HandshakeError::WrongKey), "bit {bit}");
            let others = if at_server { vec![] } else { authenticated(0, false) };
            assert_eq!(events(other), others, "bit {bit}");
        }
    }
}

/// Inverts one bit of all that passes, counted from the first.
struct Flipper {
    bit: usize,
    passed: usize,
    active: bool,
}

impl Flipper {
    fn pass(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let at = (self.bit / 8).checked_sub(self.passed);
        self.passed += bytes.len();
        if let Some(byte) = at.and_then(|at| bytes.get_mut(at)).filter(|_| self.active) {
            *byte ^= 1 << (self.bit % 8);
        }
        bytes
    }
}

#[test]
fn a_handshake_ends_exactly_at_its_deadline() {
    let (start, tick) = (Instant::now(), Duration::from_nanos(1));
    let timeout = [Event::Closed(CloseReason::HandshakeTimeout)];
    for role in [Role::Encrypt, Role::Decrypt] {
        // With nothing heard, with half a nonce, with a nonce, with all but a byte.
        for heard in [0, 16, NONCE_LEN, NONCE_LEN + PUBLIC_MESSAGE_LEN - 1] {
            let mut conn = core_at(start, role, Pfs::Allow, &["key"]);
            hear(&mut conn, &vec![5; heard]);
            said(&mut conn);
            assert_eq!(conn.poll_timeout(), Some(start + LIMIT), "it does not move");
            conn.handle_timeout(start + LIMIT - tick);
            assert_eq!(events(&mut conn), []);
            conn.handle_timeout(start + LIMIT);
            assert_eq!(events(&mut conn), timeout, "{role:?} after {heard} bytes");
            conn.handle_timeout(start + 2 * LIMIT);
            assert_eq!((events(&mut conn), conn.poll_timeout()), (vec![], None));
        }
    }
}

#[test]
fn there_is_no_deadline_after_the_handshake_or_without_a_limit() {
    let (mut client, mut server) = established();
    for conn in [&mut client, &mut server] {
        assert_eq!(conn.poll_timeout(), None);
        conn.handle_timeout(Instant::now() + 1000 * LIMIT);
        assert_eq!(events(conn), []);
        assert_eq!(conn.read_limit(Side::Plain), usize::MAX, "still open");
    }
    for handshake_timeout in [None, Some(Duration::MAX)] {
        let keys = [SharedKey::from_pieces([b"key".as_slice()])];
        let mut config = Config::new(Role::Encrypt, keys);
        config.handshake_timeout = handshake_timeout;
        let entropy = Entropy::draw(|_| Ok::<_, std::convert::Infallible>(()));
        let Ok(entropy) = entropy;
        assert_eq!(Conn::new(&config, entropy, Instant::now()).poll_timeout(), None);
    }
}

#[test]
fn an_end_or_a_failure_in_the_handshake_is_told_as_what_it_is() {
    let reset = ErrorKind::ConnectionReset;
    for role in [Role::Encrypt, Role::Decrypt] {
        for heard in [0, 1, NONCE_LEN, NONCE_LEN + PUBLIC_MESSAGE_LEN - 1] {
            let [encrypted, plain] = [Side::Encrypted, Side::Plain];
            for (side, input, expected) in [
                (encrypted, Input::End, CloseReason::EndInHandshake),
                (encrypted, Input::ReadFailed(reset), CloseReason::FailedInHandshake(reset)),
                (encrypted, Input::WriteFailed(reset), CloseReason::FailedInHandshake(reset)),
                (plain, Input::ReadFailed(reset), CloseReason::ReadFailed(plain, reset)),
                (plain, Input::WriteFailed(reset), CloseReason::WriteFailed(plain, reset)),
            ] {
                let mut conn = core(role, Pfs::Allow, &["key"]);
                hear(&mut conn, &vec![5; heard]);
                said(&mut conn);
                assert_eq!(tell(&mut conn, side, input), [Event::Closed(expected)]);
                assert_eq!(conn.poll_timeout(), None);
            }
        }
    }
}

#[test]
fn a_handshake_asks_for_the_rest_of_its_message_and_no_more() {
    let mut client = core(Role::Encrypt, Pfs::Refuse, &["key"]);
    let mut server = core(Role::Decrypt, Pfs::Refuse, &["key"]);
    for length in [NONCE_LEN, PUBLIC_MESSAGE_LEN] {
        let message = said(&mut client);
        assert_eq!(message.len(), length);
        hear(&mut client, &said(&mut server));
        for (taken, byte) in message.iter().enumerate() {
            assert_eq!(server.read_limit(Side::Encrypted), length - taken);
            assert_eq!(server.read_limit(Side::Plain), 0, "a stranger's target is not read");
            assert_eq!(hear(&mut server, &[*byte]), []);
        }
    }
    assert_eq!(server.read_limit(Side::Encrypted), usize::MAX);
    assert_eq!(server.read_limit(Side::Plain), usize::MAX);
}

#[test]
#[should_panic(expected = "more was passed in than read_limit() allows")]
fn more_than_was_asked_for_is_a_mistake_of_the_caller() {
    let mut server = core(Role::Decrypt, Pfs::Allow, &["key"]);
    server.handle_input(
        Instant::now(),
        Side::Encrypted,
        Input::Data(&[0; NONCE_LEN + 1]),
        &mut Vec::new(),
    );
}
