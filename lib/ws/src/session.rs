//! A connection after its upgrade: frames in, the stream and signals out.
//!
//! Owns what may follow what (RFC 6455, sections 5 to 7) and the meaning of the empty message.
//! Refuses to answer by itself: the caller writes. Next: `frame.rs`.

use core::fmt;

use crate::close::{self, Code};
use crate::frame::{self, Frame, Header, HeaderReader, MAX_CONTROL, Opcode};

/// Which end of the WebSocket we are. Not of the encrypted pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It asked for the upgrade, and masks what it sends.
    Client,
    /// It granted the upgrade.
    Server,
}

/// Something in what came that the caller has to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To be answered by a Pong with the same bytes.
    Ping(Vec<u8>),
    /// An answer, or an unasked sign of life.
    Pong,
    /// The peer's stream has ended; ours goes on.
    End,
    /// Both streams have ended, with this code if one was given. To be answered by a Close, unless
    /// we have sent one.
    Close(Option<u16>),
}

/// What a peer did that it must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A bit that only an extension gives a meaning; none was agreed.
    ReservedBits,
    /// An opcode without a meaning.
    ReservedOpcode(u8),
    /// A text message.
    Text,
    /// A control frame in pieces.
    FragmentedControl,
    /// A control frame of more than 125 bytes.
    LongControl,
    /// A continuation of nothing.
    Continuation,
    /// A new message inside another.
    Nested,
    /// A client that does not mask, or a server that does.
    Mask,
    /// A length with its highest bit set.
    BadLength,
    /// A Close with half a code, or with one that is never sent.
    BadClose,
    /// A Close whose reason is not UTF-8.
    BadCloseReason,
    /// Data behind the end of the stream.
    DataAfterEnd,
}

impl Violation {
    /// What a Close says about it.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::Text => Code::Unsupported,
            Self::BadCloseReason => Code::BadText,
            _ => Code::Protocol,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "a frame with reserved bits",
            Self::ReservedOpcode(opcode) => return write!(f, "a frame of reserved type {opcode}"),
            Self::Text => "a text message",
            Self::FragmentedControl => "a control frame in pieces",
            Self::LongControl => "a control frame that is too long",
            Self::Continuation => "a continuation of no message",
            Self::Nested => "a message inside a message",
            Self::Mask => "a frame that is masked as only the other end's are",
            Self::BadLength => "a frame with an impossible length",
            Self::BadClose => "a Close with a bad code",
            Self::BadCloseReason => "a Close whose reason is not UTF-8",
            Self::DataAfterEnd => "data behind the end of its stream",
        })
    }
}

impl std::error::Error for Violation {}

/// Where decoding is in a buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    from: usize,
    to: usize,
}

impl Cursor {
    /// How many bytes of the stream are at the front of the buffer.
    #[must_use]
    pub fn payload(self) -> usize {
        self.to
    }
}

/// A frame whose payload is not here in full.
#[derive(Debug)]
struct Open {
    frame: Frame,
    /// Bytes of its payload that have come.
    come: u64,
}

/// How far the message is that data frames belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    None,
    /// More frames belong to it; whether all so far were empty.
    Unfinished {
        empty: bool,
    },
}

/// The peer's side of a connection, as far as it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Talking,
    Ended,
    Closed,
}

/// One WebSocket after its upgrade.
#[derive(Debug)]
pub struct Session {
    role: Role,
    half_close: bool,
    header: HeaderReader,
    open: Option<Open>,
    message: Message,
    /// The payload of a control frame; empty, and without an allocation, between them.
    control: Vec<u8>,
    peer: Peer,
}

impl Session {
    /// A session in which, if `half_close` was agreed, an empty message ends one direction.
    #[must_use]
    pub fn new(role: Role, half_close: bool) -> Self {
        Self {
            role,
            half_close,
            header: HeaderReader::default(),
            open: None,
            message: Message::None,
            control: Vec::new(),
            peer: Peer::Talking,
        }
    }

    /// Which end we are.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether an empty message ends one direction.
    #[must_use]
    pub fn half_close(&self) -> bool {
        self.half_close
    }

    /// Masks `payload`, if we are the client, and returns the header of its message.
    #[must_use]
    pub fn seal(&self, payload: &mut [u8], key: [u8; 4]) -> Header {
        let key = self.key(key);
        if let Some(key) = key {
            frame::mask(payload, key, 0);
        }
        Header::new(Opcode::Binary, payload.len(), key)
    }

    /// The empty message.
    #[must_use]
    pub fn end_mark(&self, key: [u8; 4]) -> Header {
        Header::new(Opcode::Binary, 0, self.key(key))
    }

    /// A Ping with nothing in it.
    #[must_use]
    pub fn ping(&self, key: [u8; 4]) -> Vec<u8> {
        self.control(Opcode::Ping, &[], key)
    }

    /// The answer to a Ping.
    #[must_use]
    pub fn pong(&self, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        self.control(Opcode::Pong, payload, key)
    }

    /// A Close.
    #[must_use]
    pub fn close(&self, code: Code, key: [u8; 4]) -> Vec<u8> {
        self.control(Opcode::Close, &code.number().to_be_bytes(), key)
    }

    fn control(&self, opcode: Opcode, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        let key = self.key(key);
        let mut bytes = Header::new(opcode, payload.len(), key).as_slice().to_vec();
        let header = bytes.len();
        bytes.extend_from_slice(payload);
        if let Some(key) = key {
            frame::mask(&mut bytes[header..], key, 0);
        }
        bytes
    }

    fn key(&self, key: [u8; 4]) -> Option<[u8; 4]> {
        (self.role == Role::Client).then_some(key)
    }

    /// Turns what came into the stream: from where the cursor is to the first signal, or to the
    /// end. Bytes of the stream gather at the front of the buffer.
    ///
    /// # Errors
    ///
    /// What the peer did wrong; what is in front of it was right. Nothing may follow.
    pub fn decode(
        &mut self,
        bytes: &mut [u8],
        cursor: &mut Cursor,
    ) -> Result<Option<Signal>, Violation> {
        while cursor.from < bytes.len() {
            if self.peer == Peer::Closed {
                cursor.from = bytes.len(); // nothing counts any more
                break;
            }
            if self.open.is_none() {
                let (taken, frame) = self.header.read(&bytes[cursor.from..])?;
                cursor.from += taken;
                let Some(frame) = frame else { break };
                self.begin(frame)?;
                self.open = Some(Open { frame, come: 0 });
            }
            if let Some(signal) = self.take_payload(bytes, cursor)? {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }

    /// Whether a frame may begin here.
    fn begin(&self, frame: Frame) -> Result<(), Violation> {
        if frame.opcode == Opcode::Text {
            return Err(Violation::Text);
        }
        if frame.mask.is_some() != (self.role == Role::Server) {
            return Err(Violation::Mask);
        }
        let inside = self.message != Message::None;
        match frame.opcode {
            Opcode::Continuation if !inside => Err(Violation::Continuation),
            Opcode::Binary if inside => Err(Violation::Nested),
            Opcode::Continuation | Opcode::Binary if self.peer == Peer::Ended => {
                Err(Violation::DataAfterEnd)
            }
            _ => Ok(()),
        }
    }

    /// Takes what is there of the open frame's payload.
    fn take_payload(
        &mut self,
        bytes: &mut [u8],
        cursor: &mut Cursor,
    ) -> Result<Option<Signal>, Violation> {
        let Some(Open { frame, come }) = &mut self.open else { return Ok(None) };
        let here = bytes.len() - cursor.from;
        let len = usize::try_from(frame.len - *come).map_or(here, |left| left.min(here));
        let range = cursor.from..cursor.from + len;
        if let Some(key) = frame.mask {
            frame::mask(&mut bytes[range.clone()], key, (*come % 4) as usize);
        }
        cursor.from += len;
        *come += len as u64;
        let (frame, complete) = (*frame, *come == frame.len);
        if frame.opcode.is_control() {
            self.control.extend_from_slice(&bytes[range]);
            debug_assert!(self.control.len() <= MAX_CONTROL, "the header was checked");
        } else {
            if cursor.to != range.start {
                bytes.copy_within(range, cursor.to);
            }
            cursor.to += len;
        }
        if !complete {
            return Ok(None);
        }
        self.open = None;
        self.finish(frame)
    }

    /// The last byte of a frame has come.
    fn finish(&mut self, frame: Frame) -> Result<Option<Signal>, Violation> {
        match frame.opcode {
            Opcode::Ping => Ok(Some(Signal::Ping(core::mem::take(&mut self.control)))),
            Opcode::Pong => {
                self.control = Vec::new();
                Ok(Some(Signal::Pong))
            }
            Opcode::Close => {
                let code = close::parse(&core::mem::take(&mut self.control))?;
                self.peer = Peer::Closed;
                Ok(Some(Signal::Close(code)))
            }
            Opcode::Binary | Opcode::Continuation | Opcode::Text => {
                let before = match self.message {
                    Message::None => true,
                    Message::Unfinished { empty } => empty,
                };
                let empty = before && frame.len == 0;
                if !frame.fin {
                    self.message = Message::Unfinished { empty };
                    return Ok(None);
                }
                self.message = Message::None;
                if !(empty && self.half_close) {
                    return Ok(None);
                }
                self.peer = Peer::Ended;
                Ok(Some(Signal::End))
            }
        }
    }

    /// Whether nothing of a frame or a fragmented message is left open.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.open.is_none() && self.header.is_empty() && self.message == Message::None
    }
}

#[cfg(test)]
mod tests;
