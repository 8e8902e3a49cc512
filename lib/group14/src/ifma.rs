//! Multiplication modulo p with AVX-512 IFMA: 52-bit limbs, eight to a vector.
//!
//! Owns "almost Montgomery" multiplication (Gueron and Krasnov, "Software implementation of modular
//! exponentiation, using advanced vector instructions architectures", 2012): with R = 2^2080 > 4p,
//! factors below 2p give a product below 2p, so nothing is ever compared with p on the way. No
//! branch and no address depends on a value. Unsafe: loads and stores of vectors, and the calls
//! into code that needs the extensions; [`Ifma`] exists only where the processor has them.

use core::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512, _mm512_broadcastq_epi64,
    _mm512_castsi512_si128, _mm512_cmpeq_epu64_mask, _mm512_cmpgt_epu64_mask, _mm512_load_si512,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_add_epi64, _mm512_mask_mov_epi64,
    _mm512_maskz_srli_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64,
    _mm512_store_si512,
};

use crypto_bigint::U2048;
use crypto_bigint::modular::ConstMontyForm;

use crate::limbs::{LIMB_BITS, LIMBS, Limbs, MASK};
use crate::portable::Group14;
use crate::power::Arithmetic;
use crate::{ELEMENT_LEN, modulus};

/// Limbs in a vector, and vectors in an element.
const LANES: usize = 8;
const VECTORS: usize = LIMBS / LANES;

/// Proof that the processor has AVX-512 IFMA, with the constants that belong to it.
pub(crate) struct Ifma {
    modulus: Limbs,
    /// R mod p and R^2 mod p for R = 2^2080: 1 in Montgomery form, and what brings others there.
    r: Limbs,
    r_squared: Limbs,
}

impl Ifma {
    pub(crate) fn detect() -> Option<Self> {
        if !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")) {
            return None;
        }
        let two = ConstMontyForm::<Group14, { U2048::LIMBS }>::new(&U2048::from_u8(2));
        let power = |exponent: u32| {
            let mut bytes = [0; ELEMENT_LEN];
            let power = two.pow(&crypto_bigint::U64::from_u32(exponent)).retrieve();
            bytes.copy_from_slice(power.to_be_bytes().as_ref());
            Limbs::read(&bytes)
        };
        let bits = (LIMBS * LIMB_BITS) as u32;
        Some(Self { modulus: Limbs::read(&modulus()), r: power(bits), r_squared: power(2 * bits) })
    }
}

impl Arithmetic for Ifma {
    type Element = Limbs;

    fn one(&self) -> Limbs {
        self.r.clone()
    }

    fn read(&self, bytes: &[u8; ELEMENT_LEN]) -> Limbs {
        let mut element = Limbs::ZERO;
        self.multiply(&mut element, &Limbs::read(bytes), &self.r_squared);
        element
    }

    fn write(&self, element: &Limbs, bytes: &mut [u8; ELEMENT_LEN]) {
        let mut one = Limbs::ZERO;
        one.0[0] = 1;
        // (2p * 1 + (R - 1) p) / R < p + 1: at most p itself, which stands for 0.
        let mut value = Limbs::ZERO;
        self.multiply(&mut value, element, &one);
        value.reduce_once(&self.modulus);
        value.write(bytes);
        zeroize::Zeroize::zeroize(&mut value);
    }

    fn multiply(&self, out: &mut Limbs, a: &Limbs, b: &Limbs) {
        // SAFETY: an Ifma exists only where the processor has the features.
        unsafe { multiply(out, a, b, &self.modulus) }
    }

    fn select(&self, out: &mut Limbs, table: &[Limbs], index: u8) {
        // SAFETY: an Ifma exists only where the processor has the features.
        unsafe { select(out, table, index) }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(limbs: &Limbs) -> [__m512i; VECTORS] {
    let at = limbs.0.as_ptr().cast::<__m512i>();
    // SAFETY: Limbs are five vectors long and aligned to one.
    core::array::from_fn(|i| unsafe { _mm512_load_si512(at.add(i)) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(limbs: &mut Limbs, vectors: [__m512i; VECTORS]) {
    let at = limbs.0.as_mut_ptr().cast::<__m512i>();
    for (i, vector) in vectors.into_iter().enumerate() {
        // SAFETY: Limbs are five vectors long and aligned to one.
        unsafe { _mm512_store_si512(at.add(i), vector) }
    }
}

/// out = a * b / R modulo p, below 2p if a and b are.
///
/// Each step needs the lowest limb of the one before, so what a step takes is the time of the
/// instructions from limb to limb. These are kept few: a multiple of p is found and added, the
/// limbs move down, one addition. All else is added up beside it, ahead of time.
///
/// No limb overflows: a step adds four halves of products to it, each below 2^52, and after 40
/// steps at most it has moved down to the lowest place, where one carry of less than 2^12 comes to
/// it and it leaves its own. So it stays below 161 * 2^52 < 2^60.
#[target_feature(enable = "avx512f,avx512ifma")]
fn multiply(out: &mut Limbs, a: &Limbs, b: &Limbs, modulus: &Limbs) {
    let (a, p) = (load(a), load(modulus));
    let zero = _mm512_setzero_si512();
    let mut sum = [zero; VECTORS];
    let mut b_here = _mm512_set1_epi64(b.0[0] as i64);
    for j in 0..VECTORS {
        sum[j] = _mm512_madd52lo_epu64(zero, a[j], b_here);
    }
    for limb in b.0[1..].iter().chain(&[0]) {
        let b_next = _mm512_set1_epi64(*limb as i64);
        // p is -1 modulo 2^52, so the multiple of p that clears the lowest limb is that limb; the
        // instruction looks at its lowest 52 bits only.
        let m = _mm512_broadcastq_epi64(_mm512_castsi512_si128(sum[0]));
        // What the next step finds: the high halves of this one's products, which belong one limb
        // up, where the limbs will have come from, and the low halves of its own.
        let mut beside = [zero; VECTORS];
        for j in 0..VECTORS {
            beside[j] = _mm512_madd52hi_epu64(zero, a[j], b_here);
            beside[j] = _mm512_madd52lo_epu64(beside[j], a[j], b_next);
            beside[j] = _mm512_madd52hi_epu64(beside[j], p[j], m);
            sum[j] = _mm512_madd52lo_epu64(sum[j], p[j], m);
        }
        // Divide by 2^52: every limb moves down by one, and the lowest leaves its carry behind.
        let carry = _mm512_maskz_srli_epi64::<{ LIMB_BITS as u32 }>(1, sum[0]);
        beside[0] = _mm512_add_epi64(beside[0], carry);
        for j in 0..VECTORS {
            let above = if j + 1 < VECTORS { sum[j + 1] } else { zero };
            sum[j] = _mm512_add_epi64(_mm512_alignr_epi64::<1>(above, sum[j]), beside[j]);
        }
        b_here = b_next;
    }
    store(out, carried(sum));
}

/// Brings limbs of up to 64 bits back to 52.
#[inline]
#[target_feature(enable = "avx512f")]
fn carried(mut sum: [__m512i; VECTORS]) -> [__m512i; VECTORS] {
    let mask = _mm512_set1_epi64(MASK as i64);
    // Everything above 52 bits moves to the next limb: less than 2^12, so what may be left over
    // after this is a carry of one.
    let mut below = _mm512_setzero_si512();
    for vector in &mut sum {
        let carry = _mm512_srli_epi64::<{ LIMB_BITS as u32 }>(*vector);
        let moved = _mm512_alignr_epi64::<7>(carry, below);
        *vector = _mm512_add_epi64(_mm512_and_si512(*vector, mask), moved);
        below = carry;
    }
    // Which limbs overflow, and which would if a carry came in, as numbers with a bit per limb:
    // their sum ripples the carries through all limbs at once.
    let (mut over, mut full) = (0u64, 0u64);
    for (i, vector) in sum.iter().enumerate() {
        over |= u64::from(_mm512_cmpgt_epu64_mask(*vector, mask)) << (LANES * i);
        full |= u64::from(_mm512_cmpeq_epu64_mask(*vector, mask)) << (LANES * i);
    }
    let carries = ((over << 1) + full) ^ full;
    let one = _mm512_set1_epi64(1);
    for (i, vector) in sum.iter_mut().enumerate() {
        let here = (carries >> (LANES * i)) as u8;
        *vector = _mm512_and_si512(_mm512_mask_add_epi64(*vector, here, *vector, one), mask);
    }
    sum
}

#[target_feature(enable = "avx512f")]
fn select(out: &mut Limbs, table: &[Limbs], index: u8) {
    let wanted = _mm512_set1_epi64(i64::from(index));
    let mut selected = [_mm512_setzero_si512(); VECTORS];
    for (i, entry) in table.iter().enumerate() {
        let here = _mm512_cmpeq_epu64_mask(wanted, _mm512_set1_epi64(i as i64));
        let entry = load(entry);
        for j in 0..VECTORS {
            selected[j] = _mm512_mask_mov_epi64(selected[j], here, entry[j]);
        }
    }
    store(out, selected);
}

#[cfg(test)]
mod tests {
    use num_bigint_dig::BigUint;

    use super::*;

    /// Runs `carried` on limbs in memory.
    #[target_feature(enable = "avx512f")]
    fn carry(limbs: &Limbs) -> Limbs {
        let mut out = Limbs::ZERO;
        store(&mut out, carried(load(limbs)));
        out
    }

    fn number(limbs: &Limbs) -> BigUint {
        let zero = BigUint::from(0u8);
        limbs.0.iter().rev().fold(zero, |sum, limb| (sum << LIMB_BITS) + *limb)
    }

    fn limbs(number: &BigUint) -> Limbs {
        let mut limbs = Limbs::ZERO;
        for (at, byte) in number.to_bytes_le().into_iter().enumerate() {
            for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                let at = 8 * at + bit;
                limbs.0[at / LIMB_BITS] |= 1 << (at % LIMB_BITS);
            }
        }
        limbs
    }

    fn are_52_bits(limbs: &Limbs) -> bool {
        limbs.0.iter().all(|limb| *limb <= MASK)
    }

    #[test]
    fn carries_ripple_through_all_vectors() {
        if Ifma::detect().is_none() {
            return eprintln!("skipped: this processor has no AVX-512 IFMA");
        }
        let mut cases = vec![
            [0; LIMBS],
            [MASK; LIMBS],
            [MASK + 1; LIMBS],
            [u64::MAX >> 4; LIMBS],
            [u64::MAX; LIMBS],
            core::array::from_fn(|i| i as u64),
        ];
        for start in 0..LIMBS {
            for first in [MASK + 1, u64::MAX >> 4] {
                // To the end, and stopped by a limb in between that has room for one more.
                let mut case: [u64; LIMBS] =
                    core::array::from_fn(|i| if i < start { 7 } else { MASK });
                case[start] = first;
                cases.push(case);
                for stop in start + 1..LIMBS {
                    let mut stopped = case;
                    stopped[stop] = MASK - 1;
                    cases.push(stopped);
                    // Two chains, the second from where the first ends.
                    stopped[stop] = MASK + 1;
                    cases.push(stopped);
                }
            }
        }
        for case in cases {
            let case = Limbs(case);
            // SAFETY: the processor has the features; asked above.
            let out = unsafe { carry(&case) };
            assert!(are_52_bits(&out), "{:x?}", case.0);
            // What the highest limb leaves over is dropped.
            let expected = number(&case) % (BigUint::from(1u8) << (LIMBS * LIMB_BITS));
            assert_eq!(number(&out), expected, "{:x?}", case.0);
        }
    }

    #[test]
    fn factors_up_to_twice_the_modulus_give_such_a_product() {
        let Some(field) = Ifma::detect() else {
            return eprintln!("skipped: this processor has no AVX-512 IFMA");
        };
        let p = BigUint::from_bytes_be(&modulus());
        let (twice, one) = (&p * 2u8, BigUint::from(1u8));
        let r = &one << (LIMBS * LIMB_BITS);
        let mut factors = vec![BigUint::from(0u8), one.clone(), &twice - 1u8, &twice - 2u8];
        factors.extend([&p - 1u8, p.clone(), &p + 1u8, &r % &p, (&one << 2048) - 1u8]);
        // One limb full and all others empty, and the other way round.
        for limb in [0, 1, 7, 8, 31, 32, 38] {
            let full = BigUint::from(MASK) << (limb * LIMB_BITS);
            factors.push((&one << 2048) - 1u8 - &full);
            factors.push(full);
        }
        assert!(factors.iter().all(|factor| *factor < twice));
        for a in &factors {
            for b in &factors {
                let mut out = Limbs::ZERO;
                field.multiply(&mut out, &limbs(a), &limbs(b));
                assert!(are_52_bits(&out));
                let product = number(&out);
                assert!(product < twice, "{a:x} * {b:x}");
                assert_eq!(product * &r % &p, a * b % &p, "{a:x} * {b:x}");
            }
        }
    }
}
