//! How long a connection has carried nothing (`--idle-timeout`).
//!
//! Owns the moment of the last byte, and when that is to be looked at next. Bytes move the one and
//! not the other: a timer that was set anew for each packet would cost more than the packet. Part
//! of `relay.rs`.

use std::time::{Duration, Instant};

/// The watch over one connection.
#[derive(Debug)]
pub(super) struct Idle {
    /// When a byte was last read, or taken by the system, on either side.
    moved: Instant,
    /// No earlier than this the time can be up.
    look: Instant,
}

impl Idle {
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self { moved: now, look: now + limit }
    }

    /// A byte has moved.
    pub(super) fn moved(&mut self, now: Instant) {
        self.moved = now;
    }

    /// Whether nothing has moved for the time of `limit`.
    pub(super) fn is_up(&mut self, limit: Duration, now: Instant) -> bool {
        if now < self.look {
            return false;
        }
        self.look = self.moved + limit;
        self.look <= now
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn time_is_up_when_nothing_has_moved() {
        let start = Instant::now();
        let mut idle = Idle::new(LIMIT, start);
        assert!(!idle.is_up(LIMIT, start + LIMIT - Duration::from_nanos(1)));
        assert!(idle.is_up(LIMIT, start + LIMIT));
    }

    #[test]
    fn bytes_put_it_off_and_leave_the_timer_alone() {
        let start = Instant::now();
        let mut idle = Idle::new(LIMIT, start);
        let mut looks = 1;
        // A byte every 10 ms for 95 s, and a turn for each.
        for step in 1..=9500 {
            let now = start + Duration::from_millis(10 * step);
            let before = idle.poll_timeout();
            assert!(!idle.is_up(LIMIT, now), "{step}");
            idle.moved(now);
            looks += usize::from(idle.poll_timeout() != before);
        }
        assert_eq!(looks, 10, "one for each time that the limit fits in, not one for each byte");
        // The last byte came after 95 s.
        let last = start + Duration::from_secs(95);
        assert!(!idle.is_up(LIMIT, idle.poll_timeout()));
        assert_eq!(idle.poll_timeout(), last + LIMIT);
        assert!(idle.is_up(LIMIT, last + LIMIT));
    }
}
