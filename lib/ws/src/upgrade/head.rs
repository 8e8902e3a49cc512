//! A head that arrives in pieces: everything up to the first empty line.
//!
//! Owns its limit, and that what is behind it is left alone. Part of `upgrade.rs`.

/// Bytes of the longest head. Web servers take about as much.
pub const MAX_HEAD: usize = 8 * 1024;

/// What has come of a head.
#[derive(Debug, Default)]
pub struct Head {
    bytes: Vec<u8>,
}

/// A head of more than [`MAX_HEAD`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooLong;

impl Head {
    /// Takes what belongs to the head from the front of `bytes`; returns how much that was, and
    /// whether the head is complete.
    ///
    /// # Errors
    ///
    /// If it is too long.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(usize, bool), TooLong> {
        let before = self.bytes.len();
        let room = (MAX_HEAD - before).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        // The end may have begun in what was there already.
        let from = before.saturating_sub(3);
        let end = self.bytes[from..].windows(4).position(|window| window == b"\r\n\r\n");
        match end {
            Some(at) => {
                self.bytes.truncate(from + at + 4);
                Ok((self.bytes.len() - before, true))
            }
            None if self.bytes.len() == MAX_HEAD => Err(TooLong),
            None => Ok((room, false)),
        }
    }

    /// What has come of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_empty_line_in_any_pieces() {
        let text = b"GET / HTTP/1.1\r\nHost: h\r\n\r\nbehind it";
        let end = text.len() - b"behind it".len();
        for piece in 1..=text.len() {
            let (mut head, mut at) = (Head::default(), 0);
            loop {
                let chunk = &text[at..text.len().min(at + piece)];
                let (taken, complete) = head.push(chunk).unwrap();
                at += taken;
                if complete {
                    break;
                }
                assert_eq!(taken, chunk.len());
            }
            assert_eq!((at, head.bytes()), (end, &text[..end]));
        }
    }

    #[test]
    fn a_head_without_an_end_is_too_long() {
        let mut head = Head::default();
        assert_eq!(head.push(&[b'x'; MAX_HEAD - 1]), Ok((MAX_HEAD - 1, false)));
        assert_eq!(head.push(b"yz"), Err(TooLong));
        let mut head = Head::default();
        let exact = [&[b'x'; MAX_HEAD - 4][..], b"\r\n\r\n"].concat();
        assert_eq!(head.push(&exact), Ok((MAX_HEAD, true)));
    }
}
