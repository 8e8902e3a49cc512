//! What sealing and opening cost: a full batch of 64 packets, and a single one.
//!
//! `cargo bench -p spiped-proto`. Throughput counts bytes of the stream, not of the packets.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use spiped_proto::crypt::packet::{Opener, Sealer};
use spiped_proto::wire::{BATCH_PACKETS, PACKET_DATA_LEN};

const KEYS: (&[u8; 32], &[u8; 32]) = (&[1; 32], &[2; 32]);

/// Packets at a time.
const COUNTS: [usize; 3] = [1, 8, BATCH_PACKETS];

fn main() {
    divan::main();
}

#[divan::bench(args = COUNTS)]
fn seal(bencher: Bencher<'_, '_>, packets: usize) {
    let data = vec![0x5a; packets * PACKET_DATA_LEN];
    let (mut sealer, mut out) = (Sealer::new(KEYS), Vec::new());
    bencher.counter(BytesCount::new(data.len())).bench_local(|| {
        out.clear();
        sealer.seal(black_box(&data), &mut out);
    });
}

#[divan::bench(args = COUNTS)]
fn open(bencher: Bencher<'_, '_>, packets: usize) {
    let data = vec![0x5a; packets * PACKET_DATA_LEN];
    // Packets can be opened once, in their order, so each opener starts anew with the same ones.
    let mut sealed = Vec::new();
    Sealer::new(KEYS).seal(&data, &mut sealed);
    let mut out = Vec::with_capacity(sealed.len());
    bencher
        .counter(BytesCount::new(data.len()))
        .with_inputs(|| Opener::new(KEYS))
        .bench_local_refs(|opener| {
            out.clear();
            opener.open(black_box(&sealed), &mut out).expect("sealed with the same keys");
        });
}
