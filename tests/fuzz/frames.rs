//! Frames by the letter of RFC 6455, from whole streams: slow, and sharing nothing with `lib/ws`
//! but the names of what may be wrong.
//!
//! Owns the oracle of `targets/frames.rs`.

use crate::rng::Rng;
use spiped_ws::{Role, Signal, Violation};

/// What comes of a stream of frames.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) stream: Vec<u8>,
    pub(crate) signals: Vec<Signal>,
    pub(crate) violation: Option<Violation>,
    /// Whether the message so far is empty.
    empty: bool,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Close,
    Ping,
    Pong,
}

/// One frame.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) kind: Kind,
    /// Of a data frame: whether it begins and ends its message.
    pub(crate) first: bool,
    pub(crate) fin: bool,
    pub(crate) payload: Vec<u8>,
}

impl Heard {
    /// What comes of one more frame; true if nothing may follow.
    pub(crate) fn add(&mut self, sent: &Sent, half_close: bool) -> bool {
        match sent.kind {
            Kind::Ping => self.signals.push(Signal::Ping(sent.payload.clone())),
            Kind::Pong => self.signals.push(Signal::Pong),
            Kind::Close => {
                match &*sent.payload {
                    [] => self.signals.push(Signal::Close(None)),
                    [_] => self.violation = Some(Violation::BadClose),
                    [high, low, reason @ ..] => {
                        let code = u16::from(*high) * 256 + u16::from(*low);
                        if !(1000..5000).contains(&code)
                            || [1004, 1005, 1006, 1015].contains(&code)
                            || (1016..3000).contains(&code)
                        {
                            self.violation = Some(Violation::BadClose);
                        } else if String::from_utf8(reason.to_vec()).is_err() {
                            self.violation = Some(Violation::BadCloseReason);
                        } else {
                            self.signals.push(Signal::Close(Some(code)));
                        }
                    }
                }
                return true;
            }
            Kind::Data if self.ended => {
                self.violation = Some(Violation::DataAfterEnd);
                return true;
            }
            Kind::Data => {
                self.empty = (self.empty || sent.first) && sent.payload.is_empty();
                self.stream.extend_from_slice(&sent.payload);
                if half_close && sent.fin && self.empty {
                    self.signals.push(Signal::End);
                    self.ended = true;
                }
            }
        }
        false
    }
}

/// The bytes of a frame for an end in this role. Lengths need not be as short as they could be.
pub(crate) fn frame(rng: &mut Rng, to: Role, sent: &Sent) -> Vec<u8> {
    let opcode = match sent.kind {
        Kind::Data => 2 * u8::from(sent.first),
        Kind::Close => 8,
        Kind::Ping => 9,
        Kind::Pong => 10,
    };
    let masked = to == Role::Server;
    let mut bytes = vec![128 * u8::from(sent.fin) + opcode];
    let length = sent.payload.len();
    let longer = if sent.kind == Kind::Data { rng.pick(&[0, 0, 0, 126, 1 << 16]) } else { 0 };
    let (second, width) = match length.max(longer) {
        0..126 => (length as u8, 0),
        126..0x1_0000 => (126, 2),
        _ => (127, 8),
    };
    bytes.push(128 * u8::from(masked) + second);
    bytes.extend_from_slice(&(length as u64).to_be_bytes()[8 - width..]);
    let key = if masked { rng.bytes(4) } else { vec![] };
    bytes.extend_from_slice(&key);
    bytes.extend(mask(&sent.payload, if masked { &key } else { &[0] }));
    bytes
}

/// Section 5.3, in either direction.
fn mask(payload: &[u8], key: &[u8]) -> Vec<u8> {
    payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// What an end in this role hears from `wire`.
pub(crate) fn oracle(wire: &[u8], role: Role, half_close: bool) -> Heard {
    let mut heard = Heard::default();
    let (mut rest, mut inside) = (wire, false);
    while rest.len() >= 2 {
        let header = match header(rest, role, inside, heard.ended) {
            Ok(Some(header)) => header,
            Ok(None) => break,
            Err(violation) => {
                heard.violation = Some(violation);
                break;
            }
        };
        let there = &rest[header.bytes..];
        let length = header.payload.min(there.len() as u64);
        let (whole, payload) = (length == header.payload, &there[..length as usize]);
        rest = &there[payload.len()..];
        let payload = mask(payload, &header.key);
        let kind = match header.opcode {
            8 => Kind::Close,
            9 => Kind::Ping,
            10 => Kind::Pong,
            _ => Kind::Data,
        };
        if !whole {
            // What is there of it, is passed on; of a control frame nothing.
            if kind == Kind::Data {
                heard.stream.extend(payload);
            }
            break;
        }
        if kind == Kind::Data {
            inside = !header.fin;
        }
        let sent = Sent { kind, first: header.opcode == 2, fin: header.fin, payload };
        if heard.add(&sent, half_close) {
            break;
        }
    }
    heard
}

struct Header {
    bytes: usize,
    fin: bool,
    opcode: u8,
    key: [u8; 4],
    payload: u64,
}

/// The header that `rest` begins with, if it is there and may be.
fn header(rest: &[u8], role: Role, inside: bool, ended: bool) -> Result<Option<Header>, Violation> {
    let (fin, opcode) = (rest[0] >= 128, rest[0] % 16);
    let (masked, short) = (rest[1] >= 128, rest[1] % 128);
    // These two bytes may say enough.
    match opcode {
        _ if rest[0] / 16 % 8 != 0 => return Err(Violation::ReservedBits),
        3..=7 | 11.. => return Err(Violation::ReservedOpcode(opcode)),
        8..=10 if !fin => return Err(Violation::FragmentedControl),
        8..=10 if short > 125 => return Err(Violation::LongControl),
        _ => {}
    }
    let width = [0, 2, 8][usize::from(short.saturating_sub(125))];
    let bytes = 2 + width + 4 * usize::from(masked);
    if rest.len() < bytes {
        return Ok(None);
    }
    let long = rest[2..2 + width].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let payload = if width > 0 { long } else { u64::from(short) };
    let key = if masked { *rest[..bytes].last_chunk().expect("four of them") } else { [0; 4] };
    match opcode {
        _ if payload >> 63 == 1 => Err(Violation::BadLength),
        1 => Err(Violation::Text),
        _ if masked != (role == Role::Server) => Err(Violation::Mask),
        0 if !inside => Err(Violation::Continuation),
        2 if inside => Err(Violation::Nested),
        0 | 2 if ended => Err(Violation::DataAfterEnd),
        _ => Ok(Some(Header { bytes, fin, opcode, key, payload })),
    }
}
