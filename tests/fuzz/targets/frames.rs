//! WebSockets: whatever comes, in whatever pieces, an upgrade and the frames behind it mean what
//! they mean at once; what one role writes, the other takes as it was meant.
//!
//! Owns the promises of `lib/ws`. The first byte chooses what the rest is: a head, frames as they
//! are on the wire, or a plan for good ones. The oracle is `../frames.rs`. Next: `command_line.rs`.
// smoke: 30000 runs
#![no_main]

#[path = "../frames.rs"]
mod frames;
#[path = "../../../lib/proto/tests/pair/heap.rs"]
mod heap;
#[path = "../rng.rs"]
#[allow(dead_code)]
mod rng;

use frames::{Heard, Kind, Sent, frame, oracle};
use libfuzzer_sys::fuzz_target;
use rng::Rng;
use spiped_ws::upgrade::{self, Head, MAX_HEAD, Offer, Request};
use spiped_ws::{Code, Cursor, Role, Session, Signal, Violation};

/// The key of RFC 6455, section 1.3, and what a server shows for it.
const KEY: [u8; 16] = *b"the sample nonce";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Bytes of the heap that a session may hold: twice a control frame's payload, as vectors grow.
const MOST_HELD: isize = 256;

/// How what comes is cut.
type Cut<'a> = &'a mut dyn FnMut() -> usize;

fuzz_target!(|data: &[u8]| {
    let Some((&plan, script)) = data.split_first() else { return };
    let (kind, plan) = (plan % 6, usize::from(plan / 6));
    match kind {
        0 => head(plan, script, asked),
        1 => head(plan, script, answered),
        2 => raw_frames(plan, script),
        3 => good_frames(&mut Rng::new(script)),
        4 => both_roles(&mut Rng::new(script)),
        _ => both_upgrades(script),
    }
});

/// A head in pieces is the head at once, and is judged by `judge`.
fn head(plan: usize, script: &[u8], judge: fn(&[u8])) {
    // Longer than any input, so that the limit is met too.
    let script = script.repeat(plan % 3 + 1);
    let whole = gather(&script, script.len().max(1));
    let pieces = gather(&script, plan + 1);
    assert!(whole == pieces, "the same in pieces of {}", plan + 1);
    let end = script.windows(4).take(MAX_HEAD - 3).position(|window| window == b"\r\n\r\n");
    match end {
        Some(end) => assert!(whole.as_deref() == Some(&script[..end + 4]), "up to its empty line"),
        None => assert!(whole.is_none(), "no head"),
    }
    judge(whole.as_deref().unwrap_or(&script));
}

/// The head that a stream begins with, if it has an end.
fn gather(script: &[u8], size: usize) -> Option<Vec<u8>> {
    let before = heap::held();
    let mut head = Head::default();
    for piece in script.chunks(size) {
        let (taken, complete) = head.push(piece).ok()?;
        assert!(head.bytes().len() <= MAX_HEAD);
        assert!(heap::held() - before <= 2 * MAX_HEAD as isize, "a head holds too much");
        if complete {
            return Some(head.bytes().to_vec());
        }
        assert_eq!(taken, piece.len(), "all of it is the head's");
    }
    None
}

/// Any bytes as a request.
fn asked(head: &[u8]) {
    if let Some(claimed) = upgrade::forwarded_for(head) {
        one_line(&claimed);
    }
    for path in [None, Some("/ssh"), Some("/ssh?a=b")] {
        match Request::parse(head, path) {
            Ok(request) => {
                let looks_good = |end| upgrade::may_be_request(&head[..end]);
                assert!((0..=head.len()).all(looks_good), "its beginning was held to be another's");
                let grant = request.grant();
                // The client that sent the example's key takes the answer for what was agreed.
                let offer = Offer::new("h", "/", &[], KEY);
                match offer.accept(grant.as_bytes()) {
                    Ok(half_close) => assert_eq!(half_close, request.half_close),
                    Err(_) => assert!(!grant.contains(ACCEPT), "{grant}"),
                }
            }
            Err(refusal) => {
                one_line(&refusal.reason);
                assert!(refusal.response.starts_with("HTTP/1.1 4"));
            }
        }
    }
}

/// Any bytes as a response.
fn answered(head: &[u8]) {
    match Offer::new("h", "/", &[], KEY).accept(head) {
        Ok(_) => {
            let text = String::from_utf8_lossy(head);
            assert!(text.contains(" 101") && text.contains(ACCEPT), "{text}");
        }
        Err(refusal) => {
            one_line(&refusal.reason);
            assert_eq!(refusal.response, "", "a client says nothing more");
        }
    }
}

fn one_line(text: &str) {
    assert!(!text.contains(char::is_control) && text.chars().count() < 300, "{text:?}");
}

/// Any bytes after the upgrade.
fn raw_frames(plan: usize, script: &[u8]) {
    let role = if plan & 1 == 0 { Role::Server } else { Role::Client };
    let half_close = plan & 2 != 0;
    let size = plan / 4 + 1;
    let expected = oracle(script, role, half_close);
    let whole = hear(role, half_close, script, &mut || usize::MAX);
    assert_same(&whole, &expected);
    assert_same(&hear(role, half_close, script, &mut || size), &expected);
}

/// A conversation that is well formed, with one fault at most.
fn good_frames(rng: &mut Rng) {
    let role = rng.pick(&[Role::Server, Role::Client]);
    let half_close = rng.below(2) == 0;
    let frames = conversation(rng);
    let faulty = (rng.below(3) == 0).then(|| (rng.below(frames.len() + 1), rng.below(6)));
    let (mut wire, mut expected) = (Vec::new(), Heard::default());
    for (index, sent) in frames.iter().enumerate() {
        if let Some((at, fault)) = faulty
            && at == index
        {
            let (bytes, violation) = broken(rng, role, sent, fault);
            wire.extend(bytes);
            expected.violation = Some(violation);
            break;
        }
        wire.extend(frame(rng, role, sent));
        if expected.add(sent, half_close) {
            // Behind a Close or a fault nothing counts.
            wire.extend(rng.bytes(20));
            break;
        }
    }
    let heard = hear(role, half_close, &wire, &mut || 1 + rng.below(3000));
    assert_same(&heard, &expected);
    if faulty.is_none() {
        assert_same(&oracle(&wire, role, half_close), &expected);
    }
}

/// Messages in pieces, what may come between them, and perhaps an end.
fn conversation(rng: &mut Rng) -> Vec<Sent> {
    let mut frames = Vec::new();
    let mut inside = false;
    for _ in 0..rng.below(24) {
        let (kind, length) = match rng.below(8) {
            0 => (Kind::Ping, rng.below(126)),
            1 => (Kind::Pong, rng.pick(&[0, 1, 124, 125])),
            2 => (Kind::Data, rng.pick(&[0, 125, 126, 127, 0xffff, 0x1_0000, 70_000])),
            _ => (Kind::Data, rng.below(300)),
        };
        let fin = kind != Kind::Data || rng.below(3) > 0;
        frames.push(Sent { kind, first: !inside, fin, payload: rng.bytes(length) });
        if kind == Kind::Data {
            inside = !fin;
        }
    }
    if rng.below(2) == 0 {
        let code = rng.pick(&[1000_u16, 1001, 1007, 1011, 3000, 4999]);
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend("gone ✓".bytes());
        payload.truncate(rng.pick(&[0, 2, 7, 10]));
        frames.push(Sent { kind: Kind::Close, first: true, fin: true, payload });
    }
    frames
}

/// Instead of `sent`, something that must not be.
fn broken(rng: &mut Rng, role: Role, sent: &Sent, fault: usize) -> (Vec<u8>, Violation) {
    let other = if role == Role::Client { Role::Server } else { Role::Client };
    let mut bytes = frame(rng, role, sent);
    match fault {
        0 => return (frame(rng, other, sent), Violation::Mask),
        1 => bytes[0] ^= rng.pick(&[0x10, 0x20, 0x40, 0x70]),
        2 => {
            let opcode = rng.pick(&[3, 7, 11, 15]);
            bytes[0] = 0x80 | opcode;
            return (bytes, Violation::ReservedOpcode(opcode));
        }
        3 => {
            bytes[0] = rng.pick(&[8, 9, 10]);
            return (bytes, Violation::FragmentedControl);
        }
        4 => {
            let masked = bytes[1] & 0x80;
            return (vec![rng.pick(&[0x88, 0x89, 0x8a]), masked | 126], Violation::LongControl);
        }
        _ => {
            let mask = bytes[1] & 0x80;
            let opcode = if sent.kind == Kind::Data { bytes[0] } else { 0x82 };
            bytes = vec![opcode, mask | 127, 0x80 | rng.below(128) as u8];
            bytes.extend([0xff; 11]);
            return (bytes, Violation::BadLength);
        }
    }
    (bytes, Violation::ReservedBits)
}

/// What one session writes is what the other hears.
fn both_roles(rng: &mut Rng) {
    let roles = rng.pick(&[(Role::Client, Role::Server), (Role::Server, Role::Client)]);
    let half_close = rng.below(2) == 0;
    let session = Session::new(roles.0, half_close);
    let (mut wire, mut expected) = (Vec::new(), Heard::default());
    let mut ended = false;
    for _ in 0..rng.below(24) {
        let key = rng.bytes(4).try_into().expect("four");
        match rng.below(8) {
            0 => {
                wire.extend(session.ping(key));
                expected.signals.push(Signal::Ping(vec![]));
            }
            1 => {
                let length = rng.below(126);
                wire.extend(session.pong(&rng.bytes(length), key));
                expected.signals.push(Signal::Pong);
            }
            2 if half_close && !ended => {
                wire.extend(session.end_mark(key).as_slice());
                expected.signals.push(Signal::End);
                ended = true;
            }
            3 if rng.below(4) == 0 => {
                let codes = [Code::Normal, Code::Protocol, Code::Unsupported, Code::BadText];
                let code = rng.pick(&codes);
                wire.extend(session.close(code, key));
                expected.signals.push(Signal::Close(Some(code.number())));
                break;
            }
            _ if !ended => {
                let length = 1 + rng.pick(&[0, 125, 0xfffe, 0xffff, 70_000]) + rng.below(64);
                let mut payload = rng.bytes(length);
                expected.stream.extend_from_slice(&payload);
                wire.extend(session.seal(&mut payload, key).as_slice());
                wire.extend(payload);
            }
            _ => {}
        }
    }
    assert_same(&oracle(&wire, roles.1, half_close), &expected);
    assert_same(&hear(roles.1, half_close, &wire, &mut || 1 + rng.below(3000)), &expected);
    // The same bytes are refused by who would have to write them.
    if let Some(first) = wire.first() {
        let back = hear(roles.0, half_close, &wire, &mut || usize::MAX);
        assert_eq!(back.violation, Some(Violation::Mask), "{first:x}");
        assert!(back.stream.is_empty() && back.signals.is_empty());
    }
}

/// A user's headers are refused, or the request with them is granted and the answer taken.
fn both_upgrades(script: &[u8]) {
    let Ok(text) = std::str::from_utf8(script) else { return };
    let good = |line: &&str| upgrade::check_header(line).is_ok();
    let headers: Vec<_> =
        text.split('\n').filter(good).take(40).map(|line| line.to_owned().into()).collect();
    let offer = Offer::new("h:1", "/ssh?a=b", &headers, KEY);
    let asked = offer.request().as_bytes();
    assert!(gather(asked, 7).as_deref() == Some(asked), "one head: {}", offer.request());
    let request = Request::parse(asked, Some("/ssh")).expect("what we ask for is granted");
    assert!(request.half_close);
    assert_eq!(offer.accept(request.grant().as_bytes()), Ok(true));
}

/// What a new session makes of `wire`.
fn hear(role: Role, half_close: bool, wire: &[u8], cut: Cut) -> Heard {
    let mut session = Session::new(role, half_close);
    let mut heard = Heard::default();
    let (mut rest, mut held) = (wire, 0);
    while !rest.is_empty() && heard.violation.is_none() {
        let (piece, later) = rest.split_at(cut().min(rest.len()));
        rest = later;
        let (mut buffer, mut cursor) = (piece.to_vec(), Cursor::default());
        loop {
            let before = heap::held();
            let said = session.decode(&mut buffer, &mut cursor);
            held += heap::held() - before;
            match said {
                Ok(Some(signal)) => {
                    if let Signal::Ping(payload) = &signal {
                        held -= payload.capacity() as isize;
                    }
                    heard.signals.push(signal);
                }
                Ok(None) => break,
                Err(violation) => {
                    heard.violation = Some(violation);
                    break;
                }
            }
            assert!(held <= MOST_HELD, "the session holds {held} bytes");
        }
        assert!(held <= MOST_HELD, "the session holds {held} bytes");
        heard.stream.extend_from_slice(&buffer[..cursor.payload()]);
    }
    heard
}

fn assert_same(heard: &Heard, expected: &Heard) {
    assert_eq!(heard.violation, expected.violation);
    assert_eq!(heard.signals, expected.signals);
    assert!(heard.stream == expected.stream, "another stream: {}", heard.stream.len());
}
