//! What the tags of packets cost, by how many are computed together.
//!
//! `cargo bench -p spiped-lanes`. One message is what the `sha2` crate does; four fill the lanes.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use spiped_lanes::HmacKey;

/// A packet's body; its number follows.
const BODY_LEN: usize = 1028;

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 2, 3, 4, 8, 60])]
fn tags(bencher: Bencher<'_, '_>, messages: usize) {
    let key = HmacKey::new(&[7; 32]);
    let bodies = vec![0x5a; messages * BODY_LEN];
    bencher.counter(BytesCount::new(bodies.len())).bench(|| {
        let bodies = black_box(&bodies).chunks(BODY_LEN);
        key.tag_each(
            bodies,
            |i| (i as u64).to_be_bytes(),
            |_, tag| {
                black_box(tag);
            },
        );
    });
}
