//! Chance, as the simulation of `lib/proto/tests/pair` asks for it, but decided by the fuzzer: its
//! bytes come first, and when they are used up, numbers that follow from all of them.
//!
//! Owns nothing else; it has the interface of `pair/rng.rs`, in whose place it stands.

/// A sequence of numbers.
pub(crate) struct Rng {
    script: std::vec::IntoIter<u8>,
    state: u64,
}

impl Rng {
    pub(crate) fn new(script: &[u8]) -> Self {
        // FNV-1a, so that what comes after the script is another one for each.
        let state = script.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { script: script.to_vec().into_iter(), state }
    }

    /// A number of up to 64 bits, from as few bytes of the script as hold `most`.
    fn up_to(&mut self, most: u64) -> u64 {
        let count = (71 - (most | 1).leading_zeros() as usize) / 8;
        let mut bytes = [0; 8];
        self.fill(&mut bytes[..count]);
        u64::from_le_bytes(bytes)
    }

    fn chance(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `limit` - 1.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        assert!(limit > 0, "no number is below 0");
        let most = limit as u64 - 1;
        (self.up_to(most) % limit as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        let scripted = bytes.len().min(self.script.len());
        self.script.by_ref().zip(&mut bytes[..scripted]).for_each(|(from, to)| *to = from);
        for chunk in bytes[scripted..].chunks_mut(8) {
            chunk.copy_from_slice(&self.chance().to_le_bytes()[..chunk.len()]);
        }
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
