//! Which kernel is the faster one here, found out by trying.
//!
//! Owns the number of messages from which sixteen lanes beat fours. Processors differ: where the
//! SHA extensions are slow the wide vectors win by half, where wide vectors are two halves they
//! lose, and no feature bit tells. So both kernels hash the same few messages once, when there is
//! first a choice to make. Decides speed only: every kernel computes the same tags.

use core::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::{FEW, HmacKey, MANY};

/// Bytes of each message tried, about as many as a packet has.
const LENGTH: usize = 1024;

/// Both kernels are tried so often, in turns, and the best time of each counts: others may be using
/// the processor. All of it takes about 100 microseconds.
const TRIES: usize = 6;

/// From how many messages on it is worth while to fill [`MANY`] lanes, some of them in vain;
/// `usize::MAX` if it never is.
pub(crate) fn messages() -> usize {
    static FOUND: OnceLock<usize> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let key = HmacKey::new(&[0; 32]);
        let (mut many, mut few) = (Duration::MAX, Duration::MAX);
        for _ in 0..TRIES {
            many = many.min(time::<MANY>(&key));
            few = few.min(time::<FEW>(&key));
        }
        from_times(many, few)
    })
}

/// From the time that [`MANY`] and that [`FEW`] messages at once take.
fn from_times(many: Duration, few: Duration) -> usize {
    let worth = (many.as_nanos() * FEW as u128).div_ceil(few.as_nanos().max(1)) as usize;
    if worth > MANY { usize::MAX } else { worth.max(FEW + 1) }
}

fn time<const L: usize>(key: &HmacKey) -> Duration {
    static MESSAGE: [u8; LENGTH] = [0x5a; LENGTH];
    let start = Instant::now();
    black_box(key.lanes(black_box([&MESSAGE[..]; L]), [[0; 8]; L]));
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_lanes_are_filled_where_that_takes_less_time_than_fours() {
        let ns = Duration::from_nanos;
        // Intel with AVX-512 in full: 4.9 us for sixteen, 1.95 us for four.
        assert_eq!(from_times(ns(4900), ns(1950)), 11);
        // AMD with vectors of two halves: 6.4 us and 1.26 us.
        assert_eq!(from_times(ns(6400), ns(1260)), usize::MAX);
        // Without the SHA extensions even five messages are worth it; a clock may stand still.
        assert_eq!(from_times(ns(4900), ns(6000)), 5);
        assert_eq!(from_times(ns(0), ns(0)), 5);
        assert_eq!(from_times(ns(100), ns(0)), usize::MAX);
    }
}
