//! Plays one end of a recorded or computed conversation through a [`Conn`].
//!
//! Owns the comparison of everything that ours sends, tells and hands over with what a case says,
//! message by message. What a case is, is in `records.rs`.

use std::time::Instant;

use spiped_proto::{
    Authenticated, CloseReason, Config, Conn, Entropy, Event, Input, Pfs, Role, SharedKey, Side,
    wire,
};

use crate::records::Case;

/// How the other end's bytes arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    /// As much at a time as the core wants.
    Whole,
    /// One byte at a time.
    ByteByByte,
}

/// The letters of our end and of the other.
pub(crate) fn letters(role: Role) -> (char, char) {
    match role {
        Role::Encrypt => ('C', 'S'),
        Role::Decrypt => ('S', 'C'),
    }
}

/// Plays the end that `role` names, from the first nonce to the end of both streams.
pub(crate) fn replay(case: &Case, role: Role, arrival: Arrival) {
    let (us, them) = letters(role);
    let mut end = End::start(case, role, arrival);
    let context = format!("{}, {role:?}, {arrival:?}", case.name());

    // The nonces cross.
    assert_eq!(end.said(), case.bytes(&format!("nonce_{us}")), "{context}: our nonce");
    assert!(end.hear(case.bytes(&format!("nonce_{them}"))).is_empty());

    // The client speaks at once; the server only after it has heard the client.
    let ours = message(case, us);
    let before = if role == Role::Encrypt { ours.as_slice() } else { &[] };
    assert_eq!(end.said(), before, "{context}: sent after the nonces");
    assert_eq!(end.conn.poll_event(), None, "{context}: nothing is known yet");
    assert!(end.hear(&message(case, them)).is_empty());
    let after = if role == Role::Decrypt { ours.as_slice() } else { &[] };
    assert_eq!(end.said(), after, "{context}: sent after the peer's value");

    let forward_secrecy = !case.flag(&format!("f_{us}")) && !is_one(case, them);
    let authenticated = Event::PeerAuthenticated(Authenticated::new(0, forward_secrecy));
    assert_eq!(end.conn.poll_event(), Some(authenticated), "{context}");

    let mut total = 0;
    for number in 0..3 {
        let ours = case.bytes(&format!("data_{us}_{number}"));
        let mut packet = Vec::new();
        end.conn.handle_input(Instant::now(), Side::Plain, Input::Data(ours), &mut packet);
        let expected = case.bytes(&format!("packet_{us}_{number}"));
        assert_eq!(packet, expected, "{context}: packet {number} of ours");

        let theirs = end.hear(case.bytes(&format!("packet_{them}_{number}")));
        let expected = case.bytes(&format!("data_{them}_{number}"));
        assert_eq!(theirs, expected, "{context}: data {number} of theirs");
        total += ours.len() as u64;
    }
    assert_eq!(end.conn.bytes(), (total, total), "{context}");
    end.finish(&context);
}

struct End {
    conn: Conn,
    arrival: Arrival,
}

impl End {
    fn start(case: &Case, role: Role, arrival: Arrival) -> Self {
        let (us, _) = letters(role);
        let mut config = Config::new(role, [SharedKey::from_pieces([case.bytes("key_file")])]);
        config.pfs = if case.flag(&format!("f_{us}")) { Pfs::Refuse } else { Pfs::Allow };
        config.handshake_timeout = None;
        Self { conn: Conn::new(&config, entropy(case, us), Instant::now()), arrival }
    }

    /// What the core itself has to say.
    fn said(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        self.conn.poll_transmit(&mut said);
        said
    }

    /// Lets `bytes` arrive from the other end; what goes to the plain side is returned.
    ///
    /// Before the last byte of a message or packet, nothing of it may have an effect.
    fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let step = match self.arrival {
            Arrival::Whole => bytes.len(),
            Arrival::ByteByByte => 1,
        };
        for (index, piece) in bytes.chunks(step).enumerate() {
            assert!(self.conn.read_limit(Side::Encrypted) >= piece.len());
            self.conn.handle_input(Instant::now(), Side::Encrypted, Input::Data(piece), &mut out);
            if (index + 1) * step < bytes.len() {
                assert_eq!(out, [], "data of a packet that is not complete");
                assert_eq!(self.said(), [], "an answer to a message that is not complete");
            }
        }
        out
    }

    /// Both streams end.
    fn finish(mut self, context: &str) {
        let mut out = Vec::new();
        self.conn.handle_input(Instant::now(), Side::Encrypted, Input::End, &mut out);
        assert_eq!(self.conn.poll_event(), Some(Event::EndOfStream(Side::Plain)), "{context}");
        assert_eq!(self.conn.poll_event(), None, "{context}: the other direction goes on");
        self.conn.handle_input(Instant::now(), Side::Plain, Input::End, &mut out);
        assert_eq!(self.conn.poll_event(), Some(Event::EndOfStream(Side::Encrypted)), "{context}");
        assert_eq!(self.conn.poll_event(), Some(Event::Closed(CloseReason::Finished)), "{context}");
        assert_eq!((out, self.said()), (vec![], vec![]), "{context}: the end has no bytes");
    }
}

/// y || h of one end.
fn message(case: &Case, letter: char) -> Vec<u8> {
    [case.bytes(&format!("y_{letter}")), case.bytes(&format!("h_{letter}"))].concat()
}

fn is_one(case: &Case, letter: char) -> bool {
    case.array::<{ wire::PUBLIC_LEN }>(&format!("y_{letter}")) == spiped_proto::crypt::dh::ONE
}

/// The nonce and exponent of one end, from the case.
fn entropy(case: &Case, letter: char) -> Entropy {
    let nonce = case.bytes(&format!("nonce_{letter}"));
    // With -f the case has no exponent, and what is drawn in its place must not matter.
    let unused = [0xa5; wire::EXPONENT_LEN];
    let exponent = match case.bytes(&format!("x_{letter}")) {
        [] => &unused,
        exponent => exponent,
    };
    let mut draws = [nonce, exponent].into_iter();
    Entropy::draw(|bytes| {
        bytes.copy_from_slice(draws.next().ok_or("a third draw")?);
        Ok::<_, &str>(())
    })
    .expect("one draw for the nonce and one for the exponent")
}
