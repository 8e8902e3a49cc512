//! Whose turn it is: slots of the slab in the order in which something happened to them.
//!
//! Owns the promise that a slot waits once at most, whoever has it by the time its turn comes: so a
//! queue is never longer than the slab, however many come and go while others have their turns. A
//! turn too many does no harm. Part of `event_loop.rs`.

use std::collections::VecDeque;

/// Slots that want a turn.
#[derive(Debug, Default)]
pub(super) struct Queue {
    order: VecDeque<usize>,
    /// By slot: whether it is in `order`.
    waits: Vec<bool>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn push(&mut self, slot: usize) {
        if self.waits.len() <= slot {
            self.waits.resize(slot + 1, false);
        }
        if !std::mem::replace(&mut self.waits[slot], true) {
            self.order.push_back(slot);
        }
    }

    pub(super) fn pop(&mut self) -> Option<usize> {
        let slot = self.order.pop_front()?;
        self.waits[slot] = false;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_waits_once_and_keeps_its_place() {
        let mut queue = Queue::default();
        [7, 3, 7, 5, 3].into_iter().for_each(|slot| queue.push(slot));
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.pop(), Some(7));
        queue.push(7);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [3, 5, 7]);
        assert!(queue.is_empty());
    }
}
