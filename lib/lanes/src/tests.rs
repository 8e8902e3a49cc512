//! Every kernel, and the choice between them, against the `hmac` crate.

use super::*;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::Sha256;

fn oracle(key: &[u8; 32], message: &[&[u8]]) -> [u8; TAG_LEN] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    message.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}

fn check(key: &[u8; 32], length: usize, count: usize, seed: u8) {
    let bodies: Vec<Vec<u8>> = (0..count)
        .map(|lane| (0..length).map(|i| (i * 31 + lane * 7) as u8 ^ seed).collect())
        .collect();
    let suffix = |i: usize| (i as u64 * 0x0123_4567_89ab_cdef).to_be_bytes();
    let mut seen = 0;
    HmacKey::new(key).tag_each(bodies.iter().map(Vec::as_slice), suffix, |i, tag| {
        assert_eq!(i, seen, "tags come in order");
        assert_eq!(tag, oracle(key, &[&bodies[i], &suffix(i)]), "{length} bytes, lane {i}");
        seen += 1;
    });
    assert_eq!(seen, count);
}

#[test]
fn every_length_and_lane_count_agrees_with_the_hmac_crate() {
    for length in (0..=260).chain([1023, 1024, 1027, 1028, 1029, 4096]) {
        for count in (0..=9).chain([15, 16, 17, 33]) {
            check(&[0xa5; 32], length, count, length as u8);
        }
    }
}

/// As many lanes as `L`, by one kernel and no other.
fn check_kernel<const L: usize>(kernel: impl Fn(&mut [State; L], [&[[u8; BLOCK_LEN]]; L])) {
    let key = [0x3c; 32];
    for length in (0..=260).chain([1023, 1024, 1027, 1028, 1029, 4096]) {
        let bodies: [Vec<u8>; L] =
            core::array::from_fn(|lane| (0..length).map(|i| (i * 29 + lane * 11) as u8).collect());
        let suffixes = core::array::from_fn(|lane| (lane as u64 + 1).to_be_bytes());
        let slices = bodies.each_ref().map(Vec::as_slice);
        let tags = HmacKey::new(&key).lanes_by(slices, suffixes, &kernel);
        for ((tag, body), suffix) in tags.iter().zip(&bodies).zip(suffixes) {
            assert_eq!(*tag, oracle(&key, &[body, &suffix]), "{L} lanes, {length} bytes");
        }
    }
}

#[test]
fn the_widest_lanes_agree_wherever_they_pay_or_not() {
    check_kernel::<MANY>(compress);
}

#[test]
fn the_portable_path_agrees_for_each_number_of_lanes() {
    check_kernel::<1>(compress_portably);
    check_kernel::<2>(compress_portably);
    check_kernel::<FEW>(compress_portably);
    check_kernel::<MANY>(compress_portably);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_sha_extensions_agree_for_each_number_of_lanes() {
    fn kernel<const L: usize>(states: &mut [State; L], blocks: [&[[u8; BLOCK_LEN]]; L]) {
        assert!(x86::compress(states, &blocks), "it was there just now");
    }
    if !x86::compress(&mut [], &[]) {
        return eprintln!("skipped: this processor has no SHA extensions");
    }
    check_kernel::<2>(kernel);
    check_kernel::<FEW>(kernel);
    check_kernel::<6>(kernel);
    check_kernel::<MANY>(kernel);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_widest_kernel_agrees_itself() {
    if !wide::is_available() {
        return eprintln!("skipped: this processor has no AVX-512");
    }
    check_kernel::<MANY>(|states, blocks| assert!(wide::compress(states, &blocks)));
}

/// RFC 4231, as far as its keys are no longer than ours: HMAC fills shorter ones with zeros.
#[test]
fn every_lane_is_rfc_4231s() {
    let counted: Vec<u8> = (1..=25).collect();
    let cases: [(&[u8], &[u8], &str); 5] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (&counted, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        // Of this one the RFC has only the first half of the tag.
        (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    ];
    for (short, message, expected) in cases {
        let mut key = [0; 32];
        key[..short.len()].copy_from_slice(short);
        let (body, suffix) = message.split_last_chunk().expect("8 bytes or more");
        for count in 1..=2 * MANY {
            let mut seen = 0;
            let bodies = vec![body; count];
            HmacKey::new(&key).tag_each(
                bodies.into_iter(),
                |_| *suffix,
                |i, tag| {
                    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
                    assert!(hex.starts_with(expected), "{message:?}, message {i} of {count}");
                    seen += 1;
                },
            );
            assert_eq!(seen, count);
        }
    }
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", HmacKey::new(&[1; 32])), "HmacKey(..)");
}

proptest! {
    #[test]
    fn random_keys_agree_with_the_hmac_crate(
        key: [u8; 32], length in 0usize..2000, count in 0usize..9, seed: u8,
    ) {
        check(&key, length, count, seed);
    }
}
