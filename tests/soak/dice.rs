//! Choices that a seed determines. Next: `scene.rs`.

use spiped_peer::pattern::Pattern;

/// A source of choices.
pub(crate) struct Dice(Pattern);

impl Dice {
    /// The choices of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Pattern::new(seed))
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.any() % limit
    }

    /// A number from 1 to `most`; small ones as often as large ones.
    pub(crate) fn size(&mut self, most: u64) -> u64 {
        let bits = self.below(u64::from(most.ilog2()) + 1) + 1;
        (self.any() % (1 << bits)).clamp(1, most)
    }
}
