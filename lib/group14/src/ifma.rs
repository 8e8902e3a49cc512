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
/// instructions from limb to limb. These are kept few: a multiple of p is found and added, the limbs
/// move down, one addition. All else is added up beside it, ahead of time.
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
