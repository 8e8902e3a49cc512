//! Nonces for connections that need nothing else that is random (`-f`), many by one system call.
//!
//! Owns those that are drawn and not used yet. A nonce is sent in the clear, so there is nothing to
//! hide; secret exponents are drawn when they are needed, and are none of this. Part of `relay.rs`.

use std::io;

use spiped_proto::wire::NONCE_LEN;

/// Nonces that are drawn at a time.
const AT_ONCE: usize = 64;

/// Those that are left.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Vec<[u8; NONCE_LEN]>);

impl Nonces {
    /// One that nobody else gets.
    pub(super) fn draw(&mut self) -> io::Result<[u8; NONCE_LEN]> {
        if let Some(nonce) = self.0.pop() {
            return Ok(nonce);
        }
        self.0.resize(AT_ONCE, [0; NONCE_LEN]);
        if let Err(error) = getrandom::fill(self.0.as_flattened_mut()) {
            self.0.clear();
            return Err(io::Error::other(error));
        }
        Ok(self.0.pop().expect("AT_ONCE is not 0"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_nonce_comes_twice_and_none_is_left_blank() {
        let mut nonces = Nonces::default();
        let drawn: HashSet<_> = (0..3 * AT_ONCE).map(|_| nonces.draw().unwrap()).collect();
        assert_eq!(drawn.len(), 3 * AT_ONCE);
        assert!(!drawn.contains(&[0; NONCE_LEN]));
    }
}
