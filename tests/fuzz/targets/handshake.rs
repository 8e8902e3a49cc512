//! The handshake in either role, with and without the key, past the MAC and into the packets.
//!
//! Owns nothing: the hostile peer and what must come of it are those of the simulation in
//! `lib/proto/tests/pair`; here the fuzzer decides what it tries. Next: `pipes.rs`.
// smoke: 1000 runs
#![no_main]

#[path = "../../../lib/proto/tests/pair/heap.rs"]
mod heap;
#[path = "../../../lib/proto/tests/pair/hostile.rs"]
mod hostile;
#[path = "../../../lib/proto/tests/pair/node.rs"]
#[allow(dead_code)]
mod node;
#[path = "../rng.rs"]
#[allow(dead_code)]
mod rng;
#[path = "../../../lib/proto/tests/pair/script.rs"]
mod script;
#[path = "../../../lib/proto/tests/pair/stream.rs"]
#[allow(dead_code)]
mod stream;
#[path = "../../../lib/proto/tests/pair/world.rs"]
#[allow(dead_code)]
mod world;

use libfuzzer_sys::fuzz_target;
use rng::Rng;

fuzz_target!(|data: &[u8]| hostile::run(&mut Rng::new(data)));
