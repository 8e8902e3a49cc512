//! When to ask a peer whether it is still there, and when to believe that it is not.
//!
//! Owns the count of Pings without an answer. Whatever comes is an answer: a Pong may stand behind
//! much else. Who is stalled by back-pressure cannot answer, or not be heard, and is not counted
//! out; but while it can still send it shows that it lives, often enough for who asks more often
//! than itself. Part of `web.rs`.

use std::time::{Duration, Instant};

/// Pings without an answer after which a peer is held to be gone.
const MOST_UNANSWERED: u32 = 2;

/// How often who does not read, and so does not answer, shows that it lives.
const BEAT: Duration = Duration::from_secs(10);

/// What a side of a connection is doing when a Ping is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stalled {
    /// What is to be sent is not taken.
    pub(super) sending: bool,
    /// What has come is not read.
    pub(super) receiving: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// A Pong that nobody asked for: we live.
    Pong,
    /// The peer is gone.
    Gone,
}

/// The watch over one connection.
#[derive(Debug)]
pub(super) struct Pings {
    /// None: it asks nothing.
    period: Option<Duration>,
    next: Option<Instant>,
    /// When a sign of life is due, should it not read then.
    beat: Instant,
    unanswered: u32,
}

impl Pings {
    pub(super) fn new(period: Option<Duration>, now: Instant) -> Self {
        let next = period.map(|period| now + period);
        Self { period, next, beat: now + BEAT, unanswered: 0 }
    }

    /// Something has come.
    pub(super) fn heard(&mut self) {
        self.unanswered = 0;
    }

    pub(super) fn poll_timeout(&self, stalled: Stalled) -> Option<Instant> {
        let beat = (stalled.receiving && !stalled.sending).then_some(self.beat);
        self.next.into_iter().chain(beat).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, stalled: Stalled) -> Due {
        let (Some(period), Some(_)) = (self.period, self.next.filter(|next| *next <= now)) else {
            if !stalled.receiving || stalled.sending || now < self.beat {
                return Due::Nothing;
            }
            self.beat = now + BEAT;
            return Due::Pong;
        };
        self.next = Some(now + period);
        if stalled.sending || stalled.receiving {
            self.unanswered = 0;
            if stalled.sending {
                return Due::Nothing;
            }
            self.beat = now + BEAT;
            return Due::Ping;
        }
        if self.unanswered >= MOST_UNANSWERED {
            return Due::Gone;
        }
        self.unanswered += 1;
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(30);
    const FREE: Stalled = Stalled { sending: false, receiving: false };

    #[test]
    fn who_does_not_read_shows_that_it_lives_also_if_it_asks_seldom_or_never() {
        let start = Instant::now();
        let stalled = Stalled { receiving: true, ..FREE };
        for period in [None, Some(Duration::from_secs(100))] {
            let mut pings = Pings::new(period, start);
            // While it reads it answers, and nothing is to be said without being asked.
            assert_eq!(pings.poll_timeout(FREE), period.map(|period| start + period));
            assert_eq!(pings.handle_timeout(start + 2 * BEAT, FREE), Due::Nothing);
            for number in 2..8 {
                let now = start + number * BEAT;
                assert!(pings.poll_timeout(stalled).is_some_and(|due| due <= now));
                assert_eq!(pings.handle_timeout(now, stalled), Due::Pong);
                assert_eq!(pings.handle_timeout(now, stalled), Due::Nothing);
                assert_eq!(pings.poll_timeout(stalled), Some(now + BEAT));
            }
            let both = Stalled { sending: true, receiving: true };
            let now = start + 9 * BEAT;
            assert!(pings.poll_timeout(both).is_none_or(|due| due > now));
            assert_eq!(pings.handle_timeout(now, both), Due::Nothing);
        }
    }

    #[test]
    fn the_second_ping_without_an_answer_is_the_last() {
        let start = Instant::now();
        let mut pings = Pings::new(Some(PERIOD), start);
        assert_eq!(pings.handle_timeout(start, FREE), Due::Nothing);
        let answers = [Due::Ping, Due::Ping, Due::Gone];
        for (number, expected) in (1..).zip(answers) {
            assert_eq!(pings.poll_timeout(FREE), Some(start + number * PERIOD));
            assert_eq!(pings.handle_timeout(start + number * PERIOD, FREE), expected);
        }
    }

    #[test]
    fn anything_that_comes_is_an_answer() {
        let start = Instant::now();
        let mut pings = Pings::new(Some(PERIOD), start);
        for number in 1..20 {
            assert_eq!(pings.handle_timeout(start + number * PERIOD, FREE), Due::Ping);
            if number % 2 == 0 {
                pings.heard();
            }
        }
    }

    #[test]
    fn a_stalled_peer_is_never_given_up() {
        let start = Instant::now();
        let mut pings = Pings::new(Some(PERIOD), start);
        let mut number = 0;
        let mut next = |pings: &mut Pings, stalled| {
            number += 1;
            pings.handle_timeout(start + number * PERIOD, stalled)
        };
        for _ in 0..5 {
            // What cannot be sent is not asked for; what is not read does not keep us from asking.
            let sending = Stalled { sending: true, ..FREE };
            assert_eq!(next(&mut pings, sending), Due::Nothing);
            assert_eq!(next(&mut pings, Stalled { receiving: true, ..FREE }), Due::Ping);
            assert_eq!(next(&mut pings, Stalled { sending: true, receiving: true }), Due::Nothing);
        }
        // The count begins anew when the stall is over.
        let after: Vec<Due> = (0..3).map(|_| next(&mut pings, FREE)).collect();
        assert_eq!(after, [Due::Ping, Due::Ping, Due::Gone]);
    }
}
