//! What an exponentiation costs: with the fixed base 2, and with a peer's value.
//!
//! `cargo bench -p spiped-group14`, with whatever arithmetic the processor allows.

use divan::{Bencher, black_box};
use spiped_group14::{ELEMENT_LEN, EXPONENT_LEN, backend, power, power_of_two};

const EXPONENT: [u8; EXPONENT_LEN] = [0xa5; EXPONENT_LEN];

fn main() {
    println!("arithmetic: {}", backend());
    divan::main();
}

/// y = 2^x.
#[divan::bench]
fn of_two(bencher: Bencher<'_, '_>) {
    let mut out = [0; ELEMENT_LEN];
    power_of_two(&EXPONENT, &mut out); // the table is made at the first use
    bencher.bench_local(|| power_of_two(black_box(&EXPONENT), &mut out));
}

/// The shared secret.
#[divan::bench]
fn of_a_peers_value(bencher: Bencher<'_, '_>) {
    let (mut base, mut out) = ([0; ELEMENT_LEN], [0; ELEMENT_LEN]);
    power_of_two(&[0x5a; EXPONENT_LEN], &mut base);
    bencher.bench_local(|| power(black_box(&base), black_box(&EXPONENT), &mut out));
}
