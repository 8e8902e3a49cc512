//! Deadlines of connections: at most one per slot of the slab.
//!
//! Owns the order in which they pass. Refuses to know what they are for: whoever is due is pumped
//! and looks for itself. Next: `event_loop.rs`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The deadlines that are set, the earliest first. An idle connection has none and costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, usize)>);

impl Timers {
    /// Replaces the deadline of `slot`, kept by the caller in `armed`.
    pub(crate) fn set(&mut self, slot: usize, armed: &mut Option<Instant>, to: Option<Instant>) {
        if *armed == to {
            return;
        }
        if let Some(old) = *armed {
            self.0.remove(&(old, slot));
        }
        if let Some(new) = to {
            self.0.insert((new, slot));
        }
        *armed = to;
    }

    /// How long it is until the earliest deadline.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        self.0.first().map(|(deadline, _)| deadline.saturating_duration_since(now))
    }

    /// The slot with the earliest deadline that has passed. It stays set until the caller sets
    /// another one or none: asked again without that, the same slot comes back.
    pub(crate) fn due(&self, now: Instant) -> impl Iterator<Item = usize> {
        self.0.iter().take_while(move |(deadline, _)| *deadline <= now).map(|(_, slot)| *slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_pass_in_order_and_can_be_moved() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        let mut armed = [None; 3];
        for (slot, seconds) in [(0, 30), (1, 10), (2, 20)] {
            timers.set(slot, &mut armed[slot], Some(at(seconds)));
        }
        assert_eq!(timers.wait(start), Some(Duration::from_secs(10)));
        assert_eq!(timers.due(at(20)).collect::<Vec<_>>(), [1, 2]);
        timers.set(1, &mut armed[1], None);
        timers.set(2, &mut armed[2], Some(at(40)));
        assert_eq!(timers.due(at(35)).collect::<Vec<_>>(), [0]);
        timers.set(0, &mut armed[0], None);
        timers.set(2, &mut armed[2], None);
        assert_eq!(timers.wait(start), None);
    }

    #[test]
    fn two_slots_may_share_an_instant() {
        let now = Instant::now();
        let mut timers = Timers::default();
        let mut armed = [None; 2];
        timers.set(0, &mut armed[0], Some(now));
        timers.set(1, &mut armed[1], Some(now));
        timers.set(0, &mut armed[0], None);
        assert_eq!(timers.due(now).collect::<Vec<_>>(), [1]);
    }
}
