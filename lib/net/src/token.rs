//! What a mio token stands for.
//!
//! Owns the one mapping between numbers and things: a few fixed tokens, the listeners, and two
//! tokens (one per side) for each slot of the connection slab. Next: `event_loop.rs`.

use mio::Token;
use spiped_proto::Side;

/// The most listeners one process has: one per address of `-s`.
pub(crate) const MAX_LISTENERS: usize = 64;

const SIGNALS: usize = 0;
const WAKER: usize = 1;
const FIRST_LISTENER: usize = 2;
const FIRST_RELAY: usize = FIRST_LISTENER + MAX_LISTENERS;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Signals,
    /// Another thread has news: the name look-ups.
    Waker,
    /// The listener with this index.
    Listener(usize),
    /// One side of the connection in this slot of the slab.
    Relay(usize, Side),
}

impl From<Source> for Token {
    fn from(source: Source) -> Self {
        Self(match source {
            Source::Signals => SIGNALS,
            Source::Waker => WAKER,
            Source::Listener(index) => {
                assert!(index < MAX_LISTENERS, "listeners are counted when they are added");
                FIRST_LISTENER + index
            }
            Source::Relay(slot, Side::Plain) => FIRST_RELAY + 2 * slot,
            Source::Relay(slot, Side::Encrypted) => FIRST_RELAY + 2 * slot + 1,
        })
    }
}

impl From<Token> for Source {
    fn from(Token(number): Token) -> Self {
        match number {
            SIGNALS => Self::Signals,
            WAKER => Self::Waker,
            FIRST_LISTENER..FIRST_RELAY => Self::Listener(number - FIRST_LISTENER),
            _ if (number - FIRST_RELAY).is_multiple_of(2) => {
                Self::Relay((number - FIRST_RELAY) / 2, Side::Plain)
            }
            _ => Self::Relay((number - FIRST_RELAY) / 2, Side::Encrypted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_its_own_token() {
        let mut sources = vec![Source::Signals, Source::Waker];
        sources.extend((0..MAX_LISTENERS).map(Source::Listener));
        sources.extend((0..9).flat_map(|slot| {
            [Source::Relay(slot, Side::Plain), Source::Relay(slot, Side::Encrypted)]
        }));
        for (index, source) in sources.iter().enumerate() {
            assert_eq!(Token::from(*source), Token(index));
            assert_eq!(Source::from(Token(index)), *source);
        }
    }
}
