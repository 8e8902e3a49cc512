//! Diffie-Hellman in group 14 of RFC 3526: 2048-bit modulus, base 2.
//!
//! Owns the rule that a peer's value enters only through [`PeerPublic::validate`]. The arithmetic,
//! the same steps for every exponent, is the crate `spiped-group14`. Next: `crypt/packet.rs`.

use crate::secret::Secret;
use crate::wire::{EXPONENT_LEN, PUBLIC_LEN};

const _: () = assert!(spiped_group14::ELEMENT_LEN == PUBLIC_LEN);
const _: () = assert!(spiped_group14::EXPONENT_LEN == EXPONENT_LEN);

/// A public value that stands for "no forward secrecy": 1, big-endian.
pub const ONE: [u8; PUBLIC_LEN] = {
    let mut one = [0; PUBLIC_LEN];
    one[PUBLIC_LEN - 1] = 1;
    one
};

/// A peer's public value that has been found to be below the modulus.
///
/// 0 and p - 1 are accepted, as C spiped does: only somebody who holds the key can send them.
pub struct PeerPublic([u8; PUBLIC_LEN]);

impl PeerPublic {
    /// Takes the 256 big-endian bytes of a peer's value, or `None` if it is not below the modulus.
    ///
    /// The value is public (it was on the wire), so the comparison need not be constant time.
    #[must_use]
    pub fn validate(bytes: &[u8; PUBLIC_LEN]) -> Option<Self> {
        // Big-endian bytes of one length compare as the numbers do.
        (*bytes < spiped_group14::modulus()).then_some(Self(*bytes))
    }

    /// Whether the peer has chosen to do without forward secrecy.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.0 == ONE
    }
}

/// y = 2^x mod p, as 256 big-endian bytes.
#[must_use]
pub fn public_value(exponent: &Secret<EXPONENT_LEN>) -> [u8; PUBLIC_LEN] {
    #[cfg(test)]
    POWERS.set(POWERS.get() + 1);
    let mut public = [0; PUBLIC_LEN];
    spiped_group14::power_of_two(exponent.expose(), &mut public);
    public
}

/// y_SC = y^x mod p, as 256 big-endian bytes.
#[must_use]
pub fn shared_value(peer: &PeerPublic, exponent: &Secret<EXPONENT_LEN>) -> Secret<PUBLIC_LEN> {
    #[cfg(test)]
    POWERS.set(POWERS.get() + 1);
    Secret::filled(|shared| spiped_group14::power(&peer.0, exponent.expose(), shared))
}

#[cfg(test)]
thread_local! {
    /// Powers computed so far, for tests that say when there must be none.
    pub(crate) static POWERS: core::cell::Cell<u32> = const { core::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint_dig::BigUint;
    use proptest::prelude::*;

    fn oracle_modulus() -> BigUint {
        // RFC 3526 gives the prime as 2^2048 - 2^1984 - 1 + 2^64 * { [2^1918 pi] + 124476 }: the
        // decimals of pi are not at hand, so its published hexadecimal form, regrouped, is used.
        let hex = "FFFFFFFF FFFFFFFF C90FDAA2 2168C234 C4C6628B 80DC1CD1 29024E08 8A67CC74 \
            020BBEA6 3B139B22 514A0879 8E3404DD EF9519B3 CD3A431B 302B0A6D F25F1437 4FE1356D \
            6D51C245 E485B576 625E7EC6 F44C42E9 A637ED6B 0BFF5CB6 F406B7ED EE386BFB 5A899FA5 \
            AE9F2411 7C4B1FE6 49286651 ECE45B3D C2007CB8 A163BF05 98DA4836 1C55D39A 69163FA8 \
            FD24CF5F 83655D23 DCA3AD96 1C62F356 208552BB 9ED52907 7096966D 670C354E 4ABC9804 \
            F1746C08 CA18217C 32905E46 2E36CE3B E39E772C 180E8603 9B2783A2 EC07A28F B5C55DF0 \
            6F4C52C9 DE2BCBF6 95581718 3995497C EA956AE5 15D22618 98FA0510 15728E5A 8AACAA68 \
            FFFFFFFF FFFFFFFF";
        BigUint::parse_bytes(hex.replace(' ', "").as_bytes(), 16).unwrap()
    }

    fn padded(value: &BigUint) -> [u8; PUBLIC_LEN] {
        let bytes = value.to_bytes_be();
        let mut padded = [0; PUBLIC_LEN];
        padded[PUBLIC_LEN - bytes.len()..].copy_from_slice(&bytes);
        padded
    }

    fn secret(bytes: &[u8; 32]) -> Secret<32> {
        Secret::filled(|s| s.copy_from_slice(bytes))
    }

    #[test]
    fn values_are_accepted_exactly_below_the_modulus() {
        let p = oracle_modulus();
        assert!(PeerPublic::validate(&[0; PUBLIC_LEN]).is_some());
        assert!(PeerPublic::validate(&padded(&(&p - 1u8))).is_some());
        assert!(PeerPublic::validate(&padded(&p)).is_none());
        assert!(PeerPublic::validate(&padded(&(&p + 1u8))).is_none());
        assert!(PeerPublic::validate(&[0xff; PUBLIC_LEN]).is_none());
        assert!(PeerPublic::validate(&ONE).unwrap().is_one());
        assert!(!PeerPublic::validate(&[0; PUBLIC_LEN]).unwrap().is_one());
    }

    #[test]
    fn edge_exponents_agree_with_the_oracle() {
        let p = oracle_modulus();
        for exponent in [[0; 32], [0xff; 32], {
            let mut one = [0; 32];
            one[31] = 1;
            one
        }] {
            let x = BigUint::from_bytes_be(&exponent);
            let y = BigUint::from(2u8).modpow(&x, &p);
            assert_eq!(public_value(&secret(&exponent)), padded(&y));
            for peer in [BigUint::from(0u8), BigUint::from(1u8), &p - 1u8] {
                let expected = padded(&peer.modpow(&x, &p));
                let peer = PeerPublic::validate(&padded(&peer)).unwrap();
                assert_eq!(*shared_value(&peer, &secret(&exponent)).expose(), expected);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn random_values_agree_with_the_oracle(a: [u8; 32], b: [u8; 32]) {
            let p = oracle_modulus();
            let y_a = public_value(&secret(&a));
            let y_b = public_value(&secret(&b));
            let expected = BigUint::from_bytes_be(&y_a).modpow(&BigUint::from_bytes_be(&b), &p);
            let at_a = shared_value(&PeerPublic::validate(&y_b).unwrap(), &secret(&a));
            let at_b = shared_value(&PeerPublic::validate(&y_a).unwrap(), &secret(&b));
            prop_assert_eq!(*at_a.expose(), padded(&expected));
            prop_assert_eq!(at_a.expose(), at_b.expose());
        }
    }
}
