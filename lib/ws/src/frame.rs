//! Frame headers and masks (RFC 6455, section 5).
//!
//! Owns their bytes, and nothing about what may follow what. Next: `close.rs`.

use crate::session::Violation;

/// Payload bytes that we put into one message at most: bridges read this much at a time.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Bytes of the longest header: two, eight of the length, four of the mask.
const MAX_HEADER: usize = 14;

/// Payload bytes of a control frame at most.
pub(crate) const MAX_CONTROL: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn number(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    fn from_number(number: u8) -> Result<Self, Violation> {
        Ok(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return Err(Violation::ReservedOpcode(number)),
        })
    }

    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The bytes of a header.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl Header {
    /// The header of an unfragmented frame.
    pub(crate) fn new(opcode: Opcode, payload: usize, mask: Option<[u8; 4]>) -> Self {
        let mut header = Self { bytes: [0; MAX_HEADER], len: 0 };
        let masked = if mask.is_some() { 0x80 } else { 0 };
        header.push(&[0x80 | opcode.number()]);
        match payload {
            0..=125 => header.push(&[masked | payload as u8]),
            126..=0xffff => {
                header.push(&[masked | 126]);
                header.push(&(payload as u16).to_be_bytes());
            }
            _ => {
                header.push(&[masked | 127]);
                header.push(&(payload as u64).to_be_bytes());
            }
        }
        if let Some(mask) = mask {
            header.push(&mask);
        }
        header
    }

    fn push(&mut self, bytes: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) len: u64,
}

/// A header that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct HeaderReader {
    bytes: [u8; MAX_HEADER],
    have: u8,
}

impl HeaderReader {
    /// Takes what it needs from the front of `bytes`; returns how much that was, and the frame if
    /// its header is complete.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<Frame>), Violation> {
        let mut taken = 0;
        loop {
            let needed = self.needed()?;
            let have = usize::from(self.have);
            if have >= needed {
                let frame = self.parse()?;
                *self = Self::default();
                return Ok((taken, Some(frame)));
            }
            let more = (needed - have).min(bytes.len() - taken);
            if more == 0 {
                return Ok((taken, None));
            }
            self.bytes[have..have + more].copy_from_slice(&bytes[taken..taken + more]);
            self.have += more as u8;
            taken += more;
        }
    }

    /// True if nothing of a header has arrived.
    pub(crate) fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// How long the header is, as far as that is known. What the first two bytes forbid is refused
    /// when they are there: its rest might never come.
    fn needed(&self) -> Result<usize, Violation> {
        if self.have < 2 {
            return Ok(2);
        }
        let [first, second] = [self.bytes[0], self.bytes[1]];
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        let opcode = Opcode::from_number(first & 0x0f)?;
        if opcode.is_control() && first & 0x80 == 0 {
            return Err(Violation::FragmentedControl);
        }
        if opcode.is_control() && second & 0x7f > MAX_CONTROL as u8 {
            return Err(Violation::LongControl);
        }
        let length = match second & 0x7f {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        Ok(2 + length + if second & 0x80 != 0 { 4 } else { 0 })
    }

    fn parse(&self) -> Result<Frame, Violation> {
        let (length, rest) = match self.bytes[1] & 0x7f {
            127 => (u64::from_be_bytes(self.array(2)), 10),
            126 => (u64::from(u16::from_be_bytes(self.array(2))), 4),
            short => (u64::from(short), 2),
        };
        if length > u64::MAX / 2 {
            return Err(Violation::BadLength);
        }
        Ok(Frame {
            fin: self.bytes[0] & 0x80 != 0,
            opcode: Opcode::from_number(self.bytes[0] & 0x0f)?,
            mask: (self.bytes[1] & 0x80 != 0).then(|| self.array(rest)),
            len: length,
        })
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        core::array::from_fn(|index| self.bytes[at + index])
    }
}

/// Masks or unmasks `bytes`, which begin at this offset of the payload.
pub(crate) fn mask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let word = u64::from_ne_bytes(core::array::from_fn(|index| key[(offset + index) % 4]));
    let mut words = bytes.chunks_exact_mut(8);
    for chunk in &mut words {
        let chunk: &mut [u8; 8] = chunk.try_into().expect("chunks of 8 are arrays of 8");
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    let rest = words.into_remainder();
    rest.iter_mut().zip(word.to_ne_bytes()).for_each(|(byte, key)| *byte ^= key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_are_written_in_any_pieces() {
        for len in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, MAX_MESSAGE] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let opcode = if len <= MAX_CONTROL { Opcode::Ping } else { Opcode::Binary };
                let header = Header::new(opcode, len, mask);
                let expected = Frame { fin: true, opcode, mask, len: len as u64 };
                for split in 0..=header.as_slice().len() {
                    let (first, second) = header.as_slice().split_at(split);
                    let mut reader = HeaderReader::default();
                    let (taken, frame) = reader.read(first).unwrap();
                    assert_eq!(taken, split);
                    let frame = frame.unwrap_or_else(|| {
                        // Bytes behind the header are left alone.
                        let more = [second, b"behind"].concat();
                        let (taken, frame) = reader.read(&more).unwrap();
                        assert_eq!(taken, second.len());
                        frame.unwrap()
                    });
                    assert_eq!(frame, expected);
                    assert!(reader.is_empty());
                }
            }
        }
    }

    #[test]
    fn masks_are_those_of_the_specification_at_any_offset() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..100).collect();
        for offset in 0..9 {
            for len in 0..60 {
                let mut masked = plain[..len].to_vec();
                mask(&mut masked, key, offset);
                for (index, byte) in masked.iter().enumerate() {
                    assert_eq!(*byte, plain[index] ^ key[(offset + index) % 4]);
                }
            }
        }
    }
}
