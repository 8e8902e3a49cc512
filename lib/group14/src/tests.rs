//! Both kinds of arithmetic against num-bigint-dig, an independent oracle.

use super::*;
use crate::power::Arithmetic;
use num_bigint_dig::BigUint;
use proptest::prelude::*;

fn oracle_power(base: &[u8], exponent: &[u8]) -> [u8; ELEMENT_LEN] {
    let p = BigUint::from_bytes_be(&modulus());
    padded(&BigUint::from_bytes_be(base).modpow(&BigUint::from_bytes_be(exponent), &p))
}

fn padded(value: &BigUint) -> [u8; ELEMENT_LEN] {
    let bytes = value.to_bytes_be();
    let mut padded = [0; ELEMENT_LEN];
    padded[ELEMENT_LEN - bytes.len()..].copy_from_slice(&bytes);
    padded
}

/// Both exponentiations with one kind of arithmetic.
fn check_with<F: Arithmetic>(field: &F, comb: &Comb<F>, base: &[u8; 256], exponent: &[u8; 32]) {
    let mut out = [0; ELEMENT_LEN];
    power::power(field, base, exponent, &mut out);
    assert_eq!(out, oracle_power(base, exponent), "base {base:02x?} exponent {exponent:02x?}");
    comb.power(field, exponent, &mut out);
    assert_eq!(out, oracle_power(&[2], exponent), "base 2, exponent {exponent:02x?}");
}

fn check(base: &[u8; 256], exponent: &[u8; 32]) {
    thread_local! {
        static PORTABLE: Comb<portable::Portable> = Comb::new(&portable::Portable);
    }
    PORTABLE.with(|comb| check_with(&portable::Portable, comb, base, exponent));
    #[cfg(target_arch = "x86_64")]
    if let Backend::Ifma(field, comb) = &*BACKEND {
        check_with(&**field, comb, base, exponent);
    }
}

/// Exponents with all bits the same, one bit set or one bit clear at every limb border and comb
/// row.
fn edge_exponents() -> Vec<[u8; 32]> {
    let mut edges = vec![[0; 32], [0xff; 32]];
    for bit in [0, 1, 3, 4, 42, 43, 85, 86, 128, 129, 171, 172, 214, 215, 252, 255] {
        let mut one = [0; 32];
        one[31 - bit / 8] = 1 << (bit % 8);
        edges.push(one);
        edges.push(one.map(|byte| !byte));
    }
    edges
}

/// 0, 1, 2, p - 1, p - 2, and values whose limbs are full or empty.
fn edge_bases() -> Vec<[u8; 256]> {
    let p = BigUint::from_bytes_be(&modulus());
    let mut edges = vec![];
    for small in [0u8, 1, 2, 3] {
        edges.push(padded(&BigUint::from(small)));
        if small > 0 {
            edges.push(padded(&(&p - small)));
        }
    }
    for bits in [51, 52, 53, 1024, 1996, 2047] {
        let power = BigUint::from(1u8) << bits;
        edges.push(padded(&(&power - 1u8)));
        edges.push(padded(&power));
    }
    edges
}

#[test]
fn edge_values_agree_with_the_oracle() {
    let exponents = edge_exponents();
    for base in edge_bases() {
        for exponent in &exponents[..6] {
            check(&base, exponent);
        }
    }
    for exponent in &exponents {
        check(&edge_bases()[2], exponent);
    }
}

#[test]
fn the_modulus_is_rfc_3526s() {
    // 2^2048 - 2^1984 - 1 + 2^64 * ([2^1918 pi] + 124476): pi's bits are recomputed here by
    // Machin's formula in fixed point, so that a digit mistyped above cannot go unnoticed.
    let bits = 1918 + 64;
    let arctan_inverse = |n: u32| {
        let (mut term, mut sum, mut k) =
            ((BigUint::from(1u8) << bits) / n, BigUint::from(0u8), 1u32);
        let mut negative = BigUint::from(0u8);
        while term != BigUint::from(0u8) {
            let part = &term / k;
            if (k / 2).is_multiple_of(2) {
                sum += part
            } else {
                negative += part
            }
            term /= n * n;
            k += 2;
        }
        sum - negative
    };
    let pi = (arctan_inverse(5) * 16u8 - arctan_inverse(239) * 4u8) >> 64usize;
    let one = BigUint::from(1u8);
    let p = (&one << 2048) - (&one << 1984) - &one + ((pi + 124_476u32) << 64usize);
    assert_eq!(padded(&p), modulus());
}

#[test]
fn the_backend_has_a_name() {
    assert!(["AVX-512 IFMA", "portable"].contains(&backend()));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn limbs_hold_every_byte_and_reduce_only_what_is_not_below() {
    let p = limbs::Limbs::read(&modulus());
    let mut bytes = [0; 256];
    for at in 0..256 {
        bytes[at] = 0xa5 ^ at as u8;
        let mut back = [0; 256];
        limbs::Limbs::read(&bytes).write(&mut back);
        assert_eq!(back, bytes);
    }
    for (offset, expected) in [(0u8, 0u8), (1, 1)] {
        let mut value = p.clone();
        value.0[0] += u64::from(offset);
        // The lowest limb of p is full, so carry by hand.
        for i in 0..limbs::LIMBS - 1 {
            value.0[i + 1] += value.0[i] >> limbs::LIMB_BITS;
            value.0[i] &= limbs::MASK;
        }
        value.reduce_once(&p);
        let mut out = [0; 256];
        value.write(&mut out);
        assert_eq!(out, padded(&BigUint::from(expected)));
    }
    let mut below = p.clone();
    below.0[0] -= 1;
    below.reduce_once(&p);
    let mut out = [0; 256];
    below.write(&mut out);
    assert_eq!(out, padded(&(BigUint::from_bytes_be(&modulus()) - 1u8)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn random_values_agree_with_the_oracle(
        base in proptest::collection::vec(any::<u8>(), 256),
        exponent: [u8; 32],
    ) {
        let p = BigUint::from_bytes_be(&modulus());
        check(&padded(&(BigUint::from_bytes_be(&base) % p)), &exponent);
    }
}
