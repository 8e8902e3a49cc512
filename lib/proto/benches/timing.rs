//! Does the time of what handles secrets depend on them? (Reparaz, Balasch and Verbauwhede, "Dude,
//! is my code constant time?", DATE 2017.)
//!
//! Each line compares one fixed secret with random ones by Welch's t-test. The two classes are
//! measured in random order, and the slowest tenth of all measurements, which is the machine's
//! noise, is left out. |t| above 4.5 calls for a look, above 10 there is a leak; below, none was
//! found with this many samples, which is no proof that there is none. The last line is a
//! comparison that does leak, to show that this would be seen. `make timing` runs it.

use std::hint::black_box;
use std::time::Instant;

use spiped_group14::{power, power_of_two, without_kernel};
use spiped_proto::crypt::tags_match;

fn main() {
    // cargo passes arguments of its own harness; a number is how many samples to take.
    let samples = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(20_000);
    println!("group 14 by {}; {samples} samples each", spiped_group14::backend());
    let mut random = Random(0x5eed);

    let base = {
        let mut base = [0; 256];
        power_of_two(&[0x37; 32], &mut base);
        base
    };
    let mut out = [0; 256];
    for (name, fixed) in sparse_and_dense() {
        exponent(&format!("y^x, x = {name}"), fixed, samples, &mut random, |x| {
            power(&base, x, &mut out);
        });
        exponent(&format!("2^x, x = {name}"), fixed, samples, &mut random, |x| {
            power_of_two(x, &mut out);
        });
        exponent(&format!("portable y^x, x = {name}"), fixed, samples / 4, &mut random, |x| {
            without_kernel::power(&base, x, &mut out);
        });
        exponent(&format!("portable 2^x, x = {name}"), fixed, samples / 4, &mut random, |x| {
            without_kernel::power_of_two(x, &mut out);
        });
    }

    let tag: [u8; 32] = random.bytes();
    let mut leaky = 0;
    let compare = |ours: &[u8; 32], theirs: &[u8; 32]| {
        black_box(tags_match(black_box(ours), black_box(theirs)));
    };
    tags("MAC verification", &tag, 50 * samples, &mut random, compare);
    tags("a comparison that leaks", &tag, 50 * samples, &mut random, |ours, theirs| {
        leaky += black_box(ours).iter().zip(black_box(theirs)).take_while(|(a, b)| a == b).count();
    });
    black_box((out, leaky));
}

/// One bit set, and all but one.
fn sparse_and_dense() -> [(&'static str, [u8; 32]); 2] {
    let mut sparse = [0; 32];
    sparse[31] = 1;
    [("1", sparse), ("2^256 - 2", sparse.map(|byte| !byte))]
}

/// The fixed exponent against 64 random ones.
fn exponent(
    name: &str,
    fixed: [u8; 32],
    samples: usize,
    random: &mut Random,
    mut run: impl FnMut(&[u8; 32]),
) {
    let others: Vec<[u8; 32]> = (0..64).map(|_| random.bytes()).collect();
    let mut pick = Random(random.next());
    measure(name, samples, random, |class| {
        // Both classes come out of a copy of the same age, so that neither is warmer in the cache.
        let other = others[pick.next() as usize % others.len()];
        let secret = if class == 0 { fixed } else { other };
        let start = Instant::now();
        run(black_box(&secret));
        start.elapsed().as_nanos() as f64
    });
}

/// Tags that differ in their first byte against tags that differ in their last.
fn tags(
    name: &str,
    tag: &[u8; 32],
    samples: usize,
    random: &mut Random,
    mut run: impl FnMut(&[u8; 32], &[u8; 32]),
) {
    measure(name, samples, random, |class| {
        let mut other = *tag;
        other[if class == 0 { 0 } else { 31 }] ^= 1;
        let start = Instant::now();
        (0..16).for_each(|_| run(tag, &other));
        start.elapsed().as_nanos() as f64
    });
}

fn measure(name: &str, samples: usize, random: &mut Random, mut time: impl FnMut(usize) -> f64) {
    (0..samples / 10).for_each(|i| {
        time(i % 2);
    });
    let mut times: Vec<(usize, f64)> = (0..samples)
        .map(|_| {
            let class = random.next() as usize % 2;
            (class, time(class))
        })
        .collect();
    times.sort_by(|a, b| a.1.total_cmp(&b.1));
    times.truncate(samples * 9 / 10);
    let class = |wanted: usize| {
        let values = times.iter().filter(|(class, _)| *class == wanted).map(|(_, time)| *time);
        Sample::of(&values.collect::<Vec<f64>>())
    };
    let (a, b) = (class(0), class(1));
    let t = (a.mean - b.mean) / (a.variance / a.count + b.variance / b.count).sqrt();
    println!("{name:36} mean {:>10.1} and {:>10.1} ns   |t| = {:.2}", a.mean, b.mean, t.abs());
}

struct Sample {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Sample {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Self { count, mean, variance: squares / (count - 1.0) }
    }
}

/// SplitMix64: enough to shuffle with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }
}
