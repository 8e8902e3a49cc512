//! Who has a turn in a round, and what is done when it is over.
//!
//! Owns the two queues' bounds: friends have a turn each, strangers only as many as cost little.
//! Refuses to know what a connection does with its turn (`relay.rs`) and when a round is
//! (`event_loop.rs`, which this is part of).

use std::time::Instant;

use spiped_proto::{Pfs, Role};

use super::gate::ACCEPTS_PER_ROUND;
use super::{EventLoop, say_suppressed};
use crate::relay::Pumped;

/// Turns of strangers in one round of the loop, unless one computes: each is a message read and a
/// few hashes.
pub(super) const STRANGERS_PER_ROUND: usize = 64;

/// Which turns of strangers may compute powers, or signatures, which takes as long as all the turns
/// that a round has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StrangerCost {
    /// None.
    Low,
    /// The one with which a stranger proves that it holds the key.
    HighAtProof,
    /// Any: those of TLS may, and on the encrypting side those that answer a nonce.
    HighAtAny,
}

impl StrangerCost {
    /// What it is with these settings; `tls` if the encrypted side has it, whichever end we are.
    pub(super) fn new(role: Role, pfs: Pfs, tls: bool) -> Self {
        match (role, pfs) {
            _ if tls => Self::HighAtAny,
            (_, Pfs::Refuse) => Self::Low,
            (Role::Encrypt, Pfs::Allow | Pfs::Require) => Self::HighAtAny,
            (Role::Decrypt, Pfs::Allow | Pfs::Require) => Self::HighAtProof,
        }
    }

    /// Whether no other stranger has a turn in the round, after one that has `proved` the key or
    /// has not.
    fn ends_round(self, proved: bool) -> bool {
        match self {
            Self::Low => false,
            Self::HighAtProof => proved,
            Self::HighAtAny => true,
        }
    }
}

impl EventLoop {
    pub(super) fn enqueue(&mut self, slot: usize) {
        if let Some(entry) = self.slots.get(slot) {
            let established = entry.relay.is_authenticated();
            let queue = if established { &mut self.run_queue } else { &mut self.handshake_queue };
            queue.push(slot);
        }
    }

    /// One turn for every connection that carries data. Who wants another one waits for the next
    /// round. Those that are over are removed, after the batch of events has been looked at.
    pub(super) fn pump_friends(&mut self, now: Instant) {
        for _ in 0..self.run_queue.len() {
            let Some(slot) = self.run_queue.pop() else { break };
            self.pump(slot, now);
        }
    }

    /// One turn for those that carry no data yet, but only up to the first that computes powers: so
    /// data waits for one such handshake at most.
    pub(super) fn pump_strangers(&mut self, now: Instant) {
        for _ in 0..self.handshake_queue.len().min(STRANGERS_PER_ROUND) {
            let Some(slot) = self.handshake_queue.pop() else { break };
            let proved = self.pump(slot, now);
            if self.stranger_cost.ends_round(proved) {
                break;
            }
        }
    }

    /// Whether all who may be accepted now can be so without a stranger's yielding that has sent
    /// something: what it has sent may be its proof. Otherwise the turns come first.
    pub(super) fn nobody_yields_unheard(&self) -> bool {
        let most = self.gate.most_strangers(&self.places);
        self.handshake_queue.is_empty() || self.places.strangers() + ACCEPTS_PER_ROUND <= most
    }

    /// A turn; true if it has shown that the peer holds the key.
    fn pump(&mut self, slot: usize, now: Instant) -> bool {
        let Some(entry) = self.slots.get_mut(slot) else { return false };
        let mut ctx = lend!(self, slot, now);
        let before = entry.relay.waiting();
        let pumped = entry.relay.pump(&mut ctx);
        self.waiting = self.waiting + entry.relay.waiting() - before;
        let deadline = if pumped == Pumped::Done { None } else { entry.relay.poll_timeout() };
        self.timers.set(slot, &mut entry.armed, deadline);
        let proved = entry.relay.is_authenticated() && self.places.recognise(slot);
        match pumped {
            Pumped::Wait => {}
            Pumped::Again => self.enqueue(slot),
            Pumped::Done => self.bury(slot, now),
        }
        proved
    }

    /// Logs the one line of a connection that is over, and frees its slot and its place.
    pub(super) fn bury(&mut self, slot: usize, now: Instant) {
        let relay = self.slots.remove(slot).relay;
        self.places.leave(slot);
        if relay.is_authenticated() {
            log::info!("{}", relay.summary(now));
        } else if relay.reason().is_silent_visit() {
            log::debug!("{}", relay.summary(now));
        } else if let Some(suppressed) = self.strangers.admit(now) {
            say_suppressed(suppressed);
            log::info!("{}", relay.summary(now));
        }
        self.last = Some(relay.into_reason());
        self.wipes_stack = true;
        while let Some(next) = self.places.call_next() {
            if self.slots[next].relay.take_place(&self.shared, now) {
                self.places.take_seat(next);
                self.enqueue(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_waits_for_one_computation_of_strangers_at_most() {
        use StrangerCost::{HighAtAny, HighAtProof, Low};
        let cases = [
            (Role::Decrypt, Pfs::Allow, HighAtProof),
            (Role::Decrypt, Pfs::Require, HighAtProof),
            (Role::Decrypt, Pfs::Refuse, Low),
            (Role::Encrypt, Pfs::Allow, HighAtAny),
            (Role::Encrypt, Pfs::Require, HighAtAny),
            (Role::Encrypt, Pfs::Refuse, Low),
        ];
        for (role, pfs, plain) in cases {
            assert_eq!(StrangerCost::new(role, pfs, false), plain, "{role:?} {pfs:?}");
            assert_eq!(StrangerCost::new(role, pfs, true), HighAtAny, "{role:?} {pfs:?}, TLS");
        }
        assert_eq!(
            [Low, HighAtProof, HighAtAny].map(|c| c.ends_round(false)),
            [false, false, true]
        );
        assert_eq!([Low, HighAtProof, HighAtAny].map(|c| c.ends_round(true)), [false, true, true]);
    }
}
