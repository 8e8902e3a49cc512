//! Exponentiation in group 14 of RFC 3526: 2048-bit modulus, base 2, secret 256-bit exponents.
//!
//! Owns the modulus and two functions: [`power_of_two`] and [`power`]. Both take the same steps for
//! every exponent: no branch and no address depends on a secret bit. The steps are in `power.rs`;
//! the arithmetic beneath is chosen at run time: `ifma.rs` on processors with AVX-512 IFMA,
//! `portable.rs` (crypto-bigint) elsewhere. Refuses to judge a peer's value: that is the caller's.
//!
//! # Versions
//!
//! Functions over arrays of bytes, and no type of its own or of another crate: there is nothing
//! that could grow.

#[cfg(target_arch = "x86_64")]
mod ifma;
#[cfg(target_arch = "x86_64")]
mod limbs;
mod portable;
mod power;

use std::sync::LazyLock;

use crypto_bigint::{Odd, U2048};
use power::Comb;

/// Bytes of an element, big-endian.
pub const ELEMENT_LEN: usize = 256;

/// Bytes of an exponent, big-endian.
pub const EXPONENT_LEN: usize = 32;

/// RFC 3526, section 3.
const MODULUS: Odd<U2048> = Odd::<U2048>::from_be_hex(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
     020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
     4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
     98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
     9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
     3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF",
);

/// The modulus, as 256 big-endian bytes.
#[must_use]
pub fn modulus() -> [u8; ELEMENT_LEN] {
    let mut bytes = [0; ELEMENT_LEN];
    bytes.copy_from_slice(MODULUS.as_ref().to_be_bytes().as_ref());
    bytes
}

/// Writes 2^x mod p to `out`.
pub fn power_of_two(exponent: &[u8; EXPONENT_LEN], out: &mut [u8; ELEMENT_LEN]) {
    match &*BACKEND {
        #[cfg(target_arch = "x86_64")]
        Backend::Ifma(field, comb) => comb.power(&**field, exponent, out),
        Backend::Portable(field, comb) => comb.power(field, exponent, out),
    }
}

/// Writes base^x mod p to `out`. `base` is below the modulus.
pub fn power(base: &[u8; ELEMENT_LEN], exponent: &[u8; EXPONENT_LEN], out: &mut [u8; ELEMENT_LEN]) {
    match &*BACKEND {
        #[cfg(target_arch = "x86_64")]
        Backend::Ifma(field, _) => power::power(&**field, base, exponent, out),
        Backend::Portable(field, _) => power::power(field, base, exponent, out),
    }
}

/// As [`power_of_two`] and [`power`], by the portable path whatever the processor has: for tests
/// and measurements of that path.
#[doc(hidden)]
pub mod without_kernel {
    use super::*;

    static COMB: LazyLock<Comb<portable::Portable>> =
        LazyLock::new(|| Comb::new(&portable::Portable));

    /// 2^x mod p.
    pub fn power_of_two(exponent: &[u8; EXPONENT_LEN], out: &mut [u8; ELEMENT_LEN]) {
        COMB.power(&portable::Portable, exponent, out);
    }

    /// base^x mod p.
    pub fn power(
        base: &[u8; ELEMENT_LEN],
        exponent: &[u8; EXPONENT_LEN],
        out: &mut [u8; ELEMENT_LEN],
    ) {
        power::power(&portable::Portable, base, exponent, out);
    }
}

/// Which arithmetic is in use; measurements say it beside their figures.
#[must_use]
pub fn backend() -> &'static str {
    match &*BACKEND {
        #[cfg(target_arch = "x86_64")]
        Backend::Ifma(..) => "AVX-512 IFMA",
        Backend::Portable(..) => "portable",
    }
}

enum Backend {
    #[cfg(target_arch = "x86_64")]
    Ifma(Box<ifma::Ifma>, Comb<ifma::Ifma>),
    Portable(portable::Portable, Comb<portable::Portable>),
}

/// Chosen, and the table for base 2 computed, when it is needed first.
static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    if let Some(field) = ifma::Ifma::detect() {
        let comb = Comb::new(&field);
        return Backend::Ifma(Box::new(field), comb);
    }
    let field = portable::Portable;
    let comb = Comb::new(&field);
    Backend::Portable(field, comb)
});

/// The element 2, as bytes.
const TWO: [u8; ELEMENT_LEN] = {
    let mut two = [0; ELEMENT_LEN];
    two[ELEMENT_LEN - 1] = 2;
    two
};

#[cfg(test)]
mod tests;
