//! Elements as 40 limbs of 52 bits, least significant first, and back to bytes.
//!
//! Owns the conversions, in constant time. The arithmetic on them is in `ifma.rs`.

use zeroize::Zeroize;

use crate::ELEMENT_LEN;

/// 40 * 52 = 2080 bits: 32 more than the modulus has, so that sums need no reduction.
pub(crate) const LIMBS: usize = 40;

/// Bits of a limb.
pub(crate) const LIMB_BITS: usize = 52;

/// The bits of a limb that count.
pub(crate) const MASK: u64 = (1 << LIMB_BITS) - 1;

/// An element in 52-bit limbs.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Limbs(pub(crate) [u64; LIMBS]);

impl Zeroize for Limbs {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Limbs {
    pub(crate) const ZERO: Self = Self([0; LIMBS]);

    pub(crate) fn read(bytes: &[u8; ELEMENT_LEN]) -> Self {
        let mut limbs = Self::ZERO;
        for (i, byte) in bytes.iter().rev().enumerate() {
            let (limb, shift) = (8 * i / LIMB_BITS, 8 * i % LIMB_BITS);
            let value = u64::from(*byte) << shift;
            limbs.0[limb] |= value & MASK;
            if shift > LIMB_BITS - 8 {
                limbs.0[limb + 1] |= value >> LIMB_BITS;
            }
        }
        limbs
    }

    /// Writes the 256 bytes of a value that is below 2^2048.
    pub(crate) fn write(&self, bytes: &mut [u8; ELEMENT_LEN]) {
        for (i, byte) in bytes.iter_mut().rev().enumerate() {
            let (limb, shift) = (8 * i / LIMB_BITS, 8 * i % LIMB_BITS);
            let mut value = self.0[limb] >> shift;
            if shift > LIMB_BITS - 8 {
                value |= self.0[limb + 1] << (LIMB_BITS - shift);
            }
            *byte = value as u8;
        }
    }

    /// Subtracts `modulus` if the value is not below it: both ways are computed, and a mask that
    /// the optimiser cannot see through picks one.
    pub(crate) fn reduce_once(&mut self, modulus: &Self) {
        let mut reduced = Self::ZERO;
        let mut borrow = 0;
        for ((r, a), m) in reduced.0.iter_mut().zip(&self.0).zip(&modulus.0) {
            let difference = a.wrapping_sub(*m).wrapping_sub(borrow);
            borrow = difference >> 63;
            *r = difference & MASK;
        }
        let keep = core::hint::black_box(0u64.wrapping_sub(borrow));
        for (a, r) in self.0.iter_mut().zip(&reduced.0) {
            *a = (*a & keep) | (*r & !keep);
        }
        reduced.zeroize();
    }
}
