//! What the peer had said when a handshake came to nothing.
//!
//! Owns the difference between a silent peer, one that speaks another protocol, and one that may
//! well be an spiped, so that whoever tells a person about the failure can name the likely cause.
//! Nothing in the protocol depends on it. Part of `conn.rs`.

use core::fmt;

use crate::wire::NONCE_LEN;

/// Fewer readable bytes than this say nothing about who sent them.
const FEWEST_WORDS: usize = 4;

/// What the peer has said first, where its nonce belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// Fewer bytes than a nonce has.
    Piece(usize),
    /// Text: the peer speaks another protocol. A nonce looks like this once in 10^13 times.
    Text(Words),
    /// An alert of TLS, which is shorter than a nonce, or the hello of a client of TLS: the peer
    /// speaks that. A nonce looks like such a hello once in 10^15 times.
    Tls,
    /// A nonce.
    Nonce,
}

impl Heard {
    /// Judges what has come of the nonce so far.
    pub(super) fn from_nonce(bytes: &[u8]) -> Self {
        let readable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
        let text = bytes.len() >= FEWEST_WORDS && bytes.iter().all(readable);
        match bytes.len() {
            0 => Self::Nothing,
            _ if text => Self::Text(Words::new(bytes)),
            _ if bytes.len() < NONCE_LEN && is_tls_alert(bytes) => Self::Tls,
            NONCE_LEN if is_tls_hello(bytes) => Self::Tls,
            NONCE_LEN => Self::Nonce,
            len => Self::Piece(len),
        }
    }
}

/// Whether these are the first bytes of an alert in a record of any version of SSL 3 or TLS.
fn is_tls_alert(bytes: &[u8]) -> bool {
    matches!(bytes, [21, 3, 0..=4, 0, 2, ..])
}

/// Whether these are the first bytes of a client's hello: record, handshake and hello each have
/// their type or version, and lengths between.
fn is_tls_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [22, 3, 0..=4, _, _, 1, 0, _, _, 3, 0..=3, ..])
}

/// The beginning of a text that the peer has sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Words {
    bytes: [u8; NONCE_LEN],
    len: usize,
}

impl Words {
    fn new(text: &[u8]) -> Self {
        let mut bytes = [0; NONCE_LEN];
        bytes[..text.len()].copy_from_slice(text);
        Self { bytes, len: text.len() }
    }

    /// Its first line, as far as it is known: printable ASCII and tabs.
    #[must_use]
    pub fn first_line(&self) -> &str {
        let text = core::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default();
        text.trim_start().lines().next().unwrap_or_default().trim_end()
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.first_line(), f)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.first_line(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_nonces() {
        let heard = |bytes: &[u8]| Heard::from_nonce(bytes);
        assert_eq!(heard(b""), Heard::Nothing);
        assert_eq!(heard(b"220"), Heard::Piece(3));
        assert_eq!(heard(&[0; NONCE_LEN - 1]), Heard::Piece(NONCE_LEN - 1));
        assert_eq!(heard(b"\x15\x03\x01\x00\x02\x02\x46"), Heard::Tls);
        assert_eq!(heard(b"\x15\x03\x01\x00"), Heard::Piece(4));
        let mut hello = [b'x'; NONCE_LEN];
        hello[..11].copy_from_slice(b"\x16\x03\x01\x00\xf0\x01\x00\x00\xec\x03\x03");
        assert_eq!(heard(&hello), Heard::Tls);
        assert_eq!(heard(&hello[1..]), Heard::Piece(NONCE_LEN - 1));
        for which in [0, 1, 2, 5, 6, 9, 10] {
            let mut nonce = hello;
            nonce[which] ^= 0x80;
            assert_eq!(heard(&nonce), Heard::Nonce, "byte {which} is no TLS client's");
        }
        let mut nonce = [b'x'; NONCE_LEN];
        nonce[17] = 0x80;
        assert_eq!(heard(&nonce), Heard::Nonce);
        for (bytes, shown) in [
            (b"HTTP/1.1 400 Bad Request\r\nServer".as_slice(), r#""HTTP/1.1 400 Bad Request""#),
            (b"\r\n-ERR \"what\"\r\n", r#""-ERR \"what\"""#),
            (b"SSH-", r#""SSH-""#),
        ] {
            let Heard::Text(words) = heard(bytes) else { panic!("{bytes:?} is text") };
            assert_eq!(words.to_string(), shown);
        }
    }
}
