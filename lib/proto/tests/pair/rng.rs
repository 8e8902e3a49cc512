//! Random numbers that a seed repeats: splitmix64.
//!
//! Owns the seed of a run, and tells it when the run fails. Nothing here is secret or secure.

/// A sequence of random numbers.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `limit` - 1.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        assert!(limit > 0, "no number is below 0");
        usize::try_from(self.next() % limit as u64).expect("it is below a usize")
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
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Runs `scenario` once for each seed from 0 to `count` - 1, or only for that of `SPIPED_SEED`.
pub(crate) fn for_each_seed(count: u64, scenario: impl Fn(u64, Rng)) {
    let seeds = match std::env::var("SPIPED_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SPIPED_SEED is the decimal number that a failure told");
            seed..=seed
        }
        Err(_) => 0..=count - 1,
    };
    for seed in seeds {
        let told = TellSeed(seed);
        scenario(seed, Rng::new(seed));
        drop(told);
    }
}

/// Dropped by a panic, it says how to repeat it.
struct TellSeed(u64);

impl Drop for TellSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat this run alone: SPIPED_SEED={} and the name of the test", self.0);
        }
    }
}
