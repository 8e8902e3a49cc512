//! How often something may happen, the writing of a log line above all.
//!
//! Owns a token bucket that counts what it refused. Refuses to read a clock: the time is passed in,
//! so that tests replay exactly. Next: `event_loop.rs`, which asks it before it logs what strangers
//! can cause.

use std::time::{Duration, Instant};

/// A token bucket: so many at once, then one per interval.
#[derive(Clone, Debug)]
pub struct RateLimit {
    burst: u32,
    interval: Duration,
    tokens: u32,
    /// When the next token is due; `None` while the bucket is full.
    next_token: Option<Instant>,
    suppressed: u64,
}

impl RateLimit {
    /// Admits `burst` at once, and one more for each `interval` that passes.
    ///
    /// # Panics
    ///
    /// If `burst` or `interval` is zero: that would admit nothing, or everything.
    #[must_use]
    pub fn new(burst: u32, interval: Duration) -> Self {
        assert!(burst > 0 && !interval.is_zero(), "a rate limit needs a burst and an interval");
        Self { burst, interval, tokens: burst, next_token: None, suppressed: 0 }
    }

    /// Whether it may happen at `now`: if so, how many were refused since the last that was
    /// admitted; if not, `None`, and one more is refused. A `now` before an earlier one counts as
    /// that.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        self.refill(now);
        if self.tokens == 0 {
            self.suppressed += 1;
            return None;
        }
        self.tokens -= 1;
        self.next_token = self.next_token.or_else(|| now.checked_add(self.interval));
        Some(std::mem::take(&mut self.suppressed))
    }

    /// How many were refused since the last that was admitted, for a last word.
    pub fn take_suppressed(&mut self) -> u64 {
        std::mem::take(&mut self.suppressed)
    }

    fn refill(&mut self, now: Instant) {
        let Some(due) = self.next_token else { return };
        let Some(late) = now.checked_duration_since(due) else { return };
        // The one that is due, and one for each interval since.
        let more = 1 + late.as_nanos() / self.interval.as_nanos();
        let missing = self.burst - self.tokens;
        match u32::try_from(more) {
            Ok(more) if more < missing => {
                self.tokens += more;
                // `more` intervals after `due` is at most one after `now`.
                self.next_token = due.checked_add(self.interval * more);
            }
            _ => {
                self.tokens = self.burst;
                self.next_token = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let start = Instant::now();
        let mut limit = RateLimit::new(3, SECOND);
        assert_eq!(
            [0; 5].map(|_: i32| limit.admit(start)),
            [Some(0), Some(0), Some(0), None, None]
        );
        assert_eq!(limit.admit(start + SECOND - Duration::from_nanos(1)), None);
        assert_eq!(limit.admit(start + SECOND), Some(3));
        assert_eq!(limit.admit(start + SECOND), None);
        assert_eq!(limit.admit(start + SECOND * 2), Some(1));
    }

    #[test]
    fn time_unused_is_saved_up_to_the_burst() {
        let start = Instant::now();
        let mut limit = RateLimit::new(2, SECOND);
        assert_eq!(limit.admit(start), Some(0));
        let later = start + SECOND * 1_000_000;
        assert_eq!([0; 3].map(|_: i32| limit.admit(later)), [Some(0), Some(0), None]);
        // The bucket was full, so the interval starts when it was first used again.
        assert_eq!(limit.admit(later + SECOND / 2), None);
        assert_eq!(limit.admit(later + SECOND), Some(2));
    }

    #[test]
    fn fractions_of_an_interval_are_not_lost() {
        let start = Instant::now();
        let mut limit = RateLimit::new(1, SECOND);
        assert_eq!(limit.admit(start), Some(0));
        // 1.5 s later the bucket is full; the half second is not credited beyond the burst.
        assert_eq!(limit.admit(start + SECOND * 3 / 2), Some(0));
        assert_eq!(limit.admit(start + SECOND * 2), None);
        // With a larger bucket that is not full, the half second counts.
        let mut limit = RateLimit::new(10, SECOND);
        (0..10).for_each(|_| assert_eq!(limit.admit(start), Some(0)));
        assert_eq!(limit.admit(start + SECOND * 3 / 2), Some(0));
        assert_eq!(limit.admit(start + SECOND * 2), Some(0));
        assert_eq!(limit.admit(start + SECOND * 2), None);
    }

    #[test]
    fn a_clock_that_steps_back_admits_nothing_extra() {
        let start = Instant::now() + SECOND * 10;
        let mut limit = RateLimit::new(1, SECOND);
        assert_eq!(limit.admit(start), Some(0));
        assert_eq!(limit.admit(start - SECOND * 5), None);
        assert_eq!(limit.admit(start + SECOND), Some(1));
    }

    #[test]
    fn over_a_long_time_the_rate_holds() {
        let start = Instant::now();
        let mut limit = RateLimit::new(5, SECOND);
        let admitted = (0..100_000u32)
            .filter(|ms| limit.admit(start + Duration::from_millis(u64::from(*ms))).is_some())
            .count();
        // The burst, and one each second from 1 to 99.
        assert_eq!(admitted, 5 + 99);
    }
}
