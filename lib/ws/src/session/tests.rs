//! Frames as a peer would write them, in any pieces, against what must come of them.

use proptest::prelude::*;
use spiped_peer::frame;

use super::*;

/// What became of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    stream: Vec<u8>,
    signals: Vec<Signal>,
    violation: Option<Violation>,
}

/// Passes `bytes` to a session in pieces of `piece` bytes.
fn hear(session: &mut Session, bytes: &[u8], piece: usize) -> Heard {
    let mut heard = Heard::default();
    for chunk in bytes.chunks(piece) {
        let mut buffer = chunk.to_vec();
        let mut cursor = Cursor::default();
        loop {
            match session.decode(&mut buffer, &mut cursor) {
                Ok(Some(signal)) => heard.signals.push(signal),
                Ok(None) => break,
                Err(violation) => {
                    heard.violation = Some(violation);
                    break;
                }
            }
        }
        heard.stream.extend_from_slice(&buffer[..cursor.payload()]);
        if heard.violation.is_some() {
            break;
        }
    }
    heard
}

/// The violation after `bytes`, which come from a server, and their stream before it.
fn refused(bytes: &[u8]) -> Violation {
    let heard = hear(&mut Session::new(Role::Client, true), bytes, bytes.len());
    for piece in 1..4 {
        let again = hear(&mut Session::new(Role::Client, true), bytes, piece);
        assert_eq!(again, heard, "in pieces of {piece}");
    }
    heard.violation.unwrap_or_else(|| panic!("{bytes:x?} is taken"))
}

#[test]
fn what_must_not_be_is_refused_with_its_code() {
    for (bytes, violation, code) in [
        (frame(0xc2, b"x", None), Violation::ReservedBits, 1002),
        (frame(0xa9, b"", None), Violation::ReservedBits, 1002),
        (frame(0x83, b"", None), Violation::ReservedOpcode(3), 1002),
        (frame(0x8f, b"", None), Violation::ReservedOpcode(15), 1002),
        (frame(0x81, b"hello", None), Violation::Text, 1003),
        (frame(0x01, b"", None), Violation::Text, 1003),
        (frame(0x09, b"", None), Violation::FragmentedControl, 1002),
        (frame(0x89, &[0; 126], None), Violation::LongControl, 1002),
        (frame(0x88, &[0; 126], None), Violation::LongControl, 1002),
        (frame(0x80, b"x", None), Violation::Continuation, 1002),
        ([frame(0x02, b"", None), frame(0x82, b"", None)].concat(), Violation::Nested, 1002),
        (frame(0x82, b"x", Some([0; 4])), Violation::Mask, 1002),
        (vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::BadLength, 1002),
        (frame(0x88, b"\x03", None), Violation::BadClose, 1002),
        (frame(0x88, b"\x03\xed", None), Violation::BadClose, 1002),
        (frame(0x88, b"\x03\xe8\xce\xba\xff", None), Violation::BadCloseReason, 1007),
        ([frame(0x82, b"", None), frame(0x82, b"x", None)].concat(), Violation::DataAfterEnd, 1002),
    ] {
        assert_eq!(refused(&bytes), violation);
        assert_eq!(violation.code().number(), code, "{violation}");
    }
    let unmasked = hear(&mut Session::new(Role::Server, false), &frame(0x82, b"x", None), 9);
    assert_eq!(unmasked.violation, Some(Violation::Mask));
}

#[test]
fn control_frames_may_come_within_a_message() {
    let bytes = [
        frame(0x02, b"one ", None),
        frame(0x89, b"are you there?", None),
        frame(0x00, b"two ", None),
        frame(0x8a, b"", None),
        frame(0x80, b"three", None),
        frame(0x88, b"\x03\xe9gone", None),
        b"what comes now is nobody's business".to_vec(),
    ]
    .concat();
    for piece in 1..=bytes.len() {
        let mut session = Session::new(Role::Client, true);
        let heard = hear(&mut session, &bytes, piece);
        assert_eq!(heard.stream, b"one two three");
        let signals =
            [Signal::Ping(b"are you there?".to_vec()), Signal::Pong, Signal::Close(Some(1001))];
        assert_eq!((heard.signals, heard.violation), (signals.to_vec(), None));
        assert!(session.is_between_messages());
    }
}

#[test]
fn an_empty_message_is_the_end_only_where_that_was_agreed() {
    let whole = frame(0x82, b"", None);
    let pieces = [frame(0x02, b"", None), frame(0x00, b"", None), frame(0x80, b"", None)].concat();
    let not_empty = [frame(0x02, b"x", None), frame(0x80, b"", None)].concat();
    for (bytes, ends) in [(&whole, true), (&pieces, true), (&not_empty, false)] {
        for half_close in [true, false] {
            let heard = hear(&mut Session::new(Role::Client, half_close), bytes, 1);
            let expected = if ends && half_close { vec![Signal::End] } else { vec![] };
            assert_eq!((heard.signals, heard.violation), (expected, None));
        }
    }
    // Behind the end there may be control frames.
    let bytes = [whole, frame(0x89, b"?", None), frame(0x88, b"", None)].concat();
    let heard = hear(&mut Session::new(Role::Client, true), &bytes, 2);
    let signals = [Signal::End, Signal::Ping(b"?".to_vec()), Signal::Close(None)];
    assert_eq!((heard.signals, heard.violation), (signals.to_vec(), None));
}

#[test]
fn a_message_is_never_held() {
    // 2^63 - 1 bytes are announced; what comes of them is passed on at once.
    let mut session = Session::new(Role::Client, false);
    let mut bytes = vec![0x82, 127];
    bytes.extend((u64::MAX / 2).to_be_bytes());
    bytes.extend([7; 1000]);
    let heard = hear(&mut session, &bytes, bytes.len());
    assert_eq!(heard.stream, [7; 1000]);
    assert!(!session.is_between_messages());
    assert_eq!(hear(&mut session, &[8; 5000], 5000).stream, [8; 5000]);
}

#[test]
fn both_roles_understand_each_other() {
    let (client, server) = (Session::new(Role::Client, true), Session::new(Role::Server, true));
    for (from, to) in [(client, Role::Server), (server, Role::Client)] {
        let key = [9, 8, 7, 6];
        let mut payload = *b"payload";
        let header = from.seal(&mut payload, key);
        let bytes = [
            header.as_slice(),
            &payload,
            &from.ping(key),
            &from.pong(b"echo", key),
            from.end_mark(key).as_slice(),
            &from.close(Code::Normal, key),
        ]
        .concat();
        let heard = hear(&mut Session::new(to, true), &bytes, 3);
        assert_eq!((heard.stream.as_slice(), heard.violation), (&b"payload"[..], None));
        let ping = Signal::Ping(Vec::new());
        assert_eq!(heard.signals, [ping, Signal::Pong, Signal::End, Signal::Close(Some(1000))]);
    }
}

/// A frame of a well-behaved client.
#[derive(Clone, Debug)]
enum Said {
    Data(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn said() -> impl Strategy<Value = Said> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    prop_oneof![
        4 => bytes(700).prop_map(Said::Data),
        1 => bytes(126).prop_map(Said::Ping),
        1 => bytes(126).prop_map(Said::Pong),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However a stream is cut into messages, frames and pieces, the same comes out.
    #[test]
    fn any_cut_gives_the_same_stream(
        frames in prop::collection::vec((said(), any::<bool>(), any::<[u8; 4]>()), 0..12),
        piece in 1_usize..900,
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Heard::default());
        let mut inside = false;
        for (said, fin, key) in &frames {
            match said {
                Said::Data(data) => {
                    let opcode = if inside { 0 } else { 2 };
                    bytes.extend(frame(if *fin { 0x80 } else { 0 } | opcode, data, Some(*key)));
                    inside = !fin;
                    expected.stream.extend(data);
                }
                Said::Ping(data) => {
                    bytes.extend(frame(0x89, data, Some(*key)));
                    expected.signals.push(Signal::Ping(data.clone()));
                }
                Said::Pong(data) => {
                    bytes.extend(frame(0x8a, data, Some(*key)));
                    expected.signals.push(Signal::Pong);
                }
            }
        }
        let mut session = Session::new(Role::Server, false);
        prop_assert_eq!(hear(&mut session, &bytes, piece), expected);
        prop_assert_eq!(session.is_between_messages(), !inside);
    }

    /// Whatever comes, nothing panics, and no more comes out than went in.
    #[test]
    fn any_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        piece in 1_usize..50,
    ) {
        for role in [Role::Client, Role::Server] {
            let heard = hear(&mut Session::new(role, true), &bytes, piece);
            prop_assert!(heard.stream.len() <= bytes.len());
        }
    }
}
