//! Nonces for connections that need nothing else that is random (`-f`), many by one system call.
//!
//! Owns those that are drawn and not used yet. A nonce is sent in the clear, so there is nothing to
//! hide; secret exponents are drawn when they are needed, and are none of this. But with `-f` the
//! keys depend on nothing else that is fresh, and a machine may be set back to a snapshot: so those
//! that are not used within a second are never used. Part of `relay.rs`.

use std::io;
use std::time::{Duration, Instant};

use spiped_proto::wire::NONCE_LEN;

/// Nonces that are drawn at a time.
const AT_ONCE: usize = 64;

/// How long they may be used.
const FRESH: Duration = Duration::from_secs(1);

/// Those that are left.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    left: Vec<[u8; NONCE_LEN]>,
    stale: Option<Instant>,
}

impl Nonces {
    /// One that nobody else gets.
    pub(super) fn draw(&mut self, now: Instant) -> io::Result<[u8; NONCE_LEN]> {
        if self.stale.is_none_or(|stale| stale <= now) {
            self.left.clear();
        }
        if let Some(nonce) = self.left.pop() {
            return Ok(nonce);
        }
        self.left.resize(AT_ONCE, [0; NONCE_LEN]);
        if let Err(error) = getrandom::fill(self.left.as_flattened_mut()) {
            self.left.clear();
            return Err(io::Error::other(error));
        }
        self.stale = Some(now + FRESH);
        Ok(self.left.pop().expect("AT_ONCE is not 0"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_nonce_comes_twice_and_none_is_left_blank() {
        let (mut nonces, now) = (Nonces::default(), Instant::now());
        let drawn: HashSet<_> = (0..3 * AT_ONCE).map(|_| nonces.draw(now).unwrap()).collect();
        assert_eq!(drawn.len(), 3 * AT_ONCE);
        assert!(!drawn.contains(&[0; NONCE_LEN]));
    }

    #[test]
    fn what_has_become_stale_is_not_used() {
        let (mut nonces, now) = (Nonces::default(), Instant::now());
        nonces.draw(now).unwrap();
        let left = nonces.left.clone();
        let later = now + FRESH - Duration::from_millis(1);
        assert_eq!(Some(&nonces.draw(later).unwrap()), left.last());
        let drawn = nonces.draw(now + FRESH).unwrap();
        assert!(!left.contains(&drawn) && !nonces.left.iter().any(|nonce| left.contains(nonce)));
    }
}
