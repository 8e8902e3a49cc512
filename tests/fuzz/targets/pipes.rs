//! Pipes: two cores joined, where the fuzzer decides who reads and writes how much and when, what
//! goes wrong, and how long silences last.
//!
//! Owns nothing: the world and its promises are those of the simulation in `lib/proto/tests/pair`.
// smoke: 1000 runs
#![no_main]

#[path = "../../../lib/proto/tests/pair/chaos.rs"]
#[allow(dead_code)]
mod chaos;
#[path = "../../../lib/proto/tests/pair/heap.rs"]
mod heap;
#[path = "../../../lib/proto/tests/pair/node.rs"]
mod node;
#[path = "../rng.rs"]
#[allow(dead_code)]
mod rng;
#[path = "../../../lib/proto/tests/pair/stream.rs"]
mod stream;
#[path = "../../../lib/proto/tests/pair/world.rs"]
#[allow(dead_code)]
mod world;

use libfuzzer_sys::fuzz_target;
use rng::Rng;

fuzz_target!(|data: &[u8]| {
    // The first bytes plan, the others act.
    let (plan, acts) = data.split_at(data.len().min(64));
    chaos::run(&mut Rng::new(plan), Rng::new(acts));
});
