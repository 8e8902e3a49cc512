//! Frames of WebSockets (RFC 6455, section 5.2) by hand, right or wrong.
//!
//! Owns their bytes. Refuses to judge them: any first byte, masked or not, whoever sends it. Part
//! of `lib.rs`; next: `certificate.rs`.

use std::io::{self, Read};

/// A frame as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub first: u8,
    /// The key of its mask.
    pub mask: Option<[u8; 4]>,
    /// Without the mask.
    pub payload: Vec<u8>,
}

/// The bytes of a frame, its length in as few of them as there can be.
#[must_use]
pub fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![first];
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        0..=125 => bytes.push(masked | payload.len() as u8),
        126..=0xffff => {
            bytes.push(masked | 126);
            bytes.extend((payload.len() as u16).to_be_bytes());
        }
        _ => {
            bytes.push(masked | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.into_iter().flatten());
    let key = mask.unwrap_or_default();
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    bytes
}

/// Reads a frame, and not a byte more.
///
/// # Errors
///
/// Those of the reader.
pub fn read_frame(from: &mut impl Read) -> io::Result<Frame> {
    let mut start = [0; 2];
    from.read_exact(&mut start)?;
    let mut length = [0; 8];
    let bytes = match start[1] & 0x7f {
        127 => &mut length[..],
        126 => &mut length[6..],
        short => {
            length[7] = short;
            &mut length[..0]
        }
    };
    from.read_exact(bytes)?;
    let mut mask = None;
    if start[1] & 0x80 != 0 {
        from.read_exact(mask.insert([0; 4]))?;
    }
    let length = u64::from_be_bytes(length);
    let mut payload = Vec::new();
    from.take(length).read_to_end(&mut payload)?;
    if payload.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let key = mask.unwrap_or_default();
    payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= key[at % 4]);
    Ok(Frame { first: start[0], mask, payload })
}
