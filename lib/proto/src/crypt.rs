//! The cryptographic steps of the protocol, one function per formula of the design.
//!
//! Owns K, dk_1, dk_2 and the tags of the handshake; the children own group 14 (`crypt/dh.rs`),
//! the key stream (`crypt/keystream.rs`) and the packets (`crypt/packet.rs`). Only this module and
//! its children name a cryptographic crate. Refuses to know the order of messages: that is
//! `handshake.rs`.

pub mod dh;
mod keystream;
pub mod packet;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;
use crate::wire::{DK1_LEN, DK2_LEN, MAC_LEN, NONCE_LEN, PUBLIC_LEN};

/// Bytes of a key's fingerprint: nobody finds another key with the same 80 bits.
pub const FINGERPRINT_LEN: usize = 10;

/// What keeps a fingerprint apart from everything else that is computed with K.
const FINGERPRINT_LABEL: &[u8] = b"spiped key fingerprint v1";

/// K = SHA-256 of the key file: what both ends share.
#[derive(Debug)]
pub struct SharedKey(Secret<32>);

impl SharedKey {
    /// Computes K from the key file, given piece by piece.
    ///
    /// Any length is taken, the empty file too, as C spiped does; the caller warns about short
    /// ones.
    #[must_use]
    pub fn from_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = KeyHasher::new();
        pieces.into_iter().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    /// What people compare to see that two files hold the same key: the first bytes of
    /// HMAC-SHA256(K, "spiped key fingerprint v1"). Nobody learns anything of K from it, which is
    /// why it is no plain hash: that of the file *is* K.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; FINGERPRINT_LEN] {
        let tag = tag(self.0.expose(), FINGERPRINT_LABEL);
        *tag.first_chunk().expect("a tag is longer")
    }
}

/// Computes K from a key file that is read piece by piece.
pub struct KeyHasher(Sha256);

impl KeyHasher {
    /// Starts with the empty file.
    #[must_use]
    #[allow(clippy::new_without_default)] // a default key must not be an accident
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds the next bytes of the key file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// K, after the last byte.
    #[must_use]
    pub fn finish(self) -> SharedKey {
        SharedKey(Secret::filled(|k| self.0.finalize_into(k.into())))
    }
}

/// Both nonces, in the order in which every formula takes them: the client's first.
///
/// The client is the encrypting side (`spiped -e`, `spipe`), the server the decrypting one.
#[derive(Clone, Copy, Debug)]
pub struct Nonces {
    /// Sent by the encrypting side.
    pub client: [u8; NONCE_LEN],
    /// Sent by the decrypting side.
    pub server: [u8; NONCE_LEN],
}

impl Nonces {
    fn joined(&self) -> [u8; 2 * NONCE_LEN] {
        let mut joined = [0; 2 * NONCE_LEN];
        joined[..NONCE_LEN].copy_from_slice(&self.client);
        joined[NONCE_LEN..].copy_from_slice(&self.server);
        joined
    }
}

/// dk_1 = PBKDF2-HMAC-SHA256(K, nonce_C || nonce_S, 1): the MAC keys of the handshake.
#[derive(Debug)]
pub struct HandshakeKeys(Secret<DK1_LEN>);

impl HandshakeKeys {
    /// Derives dk_1.
    #[must_use]
    pub fn derive(key: &SharedKey, nonces: &Nonces) -> Self {
        Self(Secret::filled(|dk1| stretch(key.0.expose(), &nonces.joined(), dk1)))
    }

    /// h_C: the client's tag over its public value.
    #[must_use]
    pub fn client_tag(&self, public: &[u8; PUBLIC_LEN]) -> [u8; MAC_LEN] {
        tag(&self.0.expose()[..MAC_LEN], public)
    }

    /// h_S: the server's tag over its public value.
    #[must_use]
    pub fn server_tag(&self, public: &[u8; PUBLIC_LEN]) -> [u8; MAC_LEN] {
        tag(&self.0.expose()[MAC_LEN..], public)
    }
}

/// dk_2 = PBKDF2-HMAC-SHA256(K, nonce_C || nonce_S || y_SC, 1) = E_C || H_C || E_S || H_S.
#[derive(Debug)]
pub struct SessionKeys(Secret<DK2_LEN>);

impl SessionKeys {
    /// Derives dk_2 from the value both sides have agreed on.
    #[must_use]
    pub fn derive(key: &SharedKey, nonces: &Nonces, shared: &Secret<PUBLIC_LEN>) -> Self {
        let salt = Secret::<{ 2 * NONCE_LEN + PUBLIC_LEN }>::filled(|salt| {
            salt[..2 * NONCE_LEN].copy_from_slice(&nonces.joined());
            salt[2 * NONCE_LEN..].copy_from_slice(shared.expose());
        });
        Self(Secret::filled(|dk2| stretch(key.0.expose(), salt.expose(), dk2)))
    }

    /// E_C and H_C: the keys of the packets that the client sends.
    #[must_use]
    pub fn client(&self) -> (&[u8; 32], &[u8; 32]) {
        self.pair(0)
    }

    /// E_S and H_S: the keys of the packets that the server sends.
    #[must_use]
    pub fn server(&self) -> (&[u8; 32], &[u8; 32]) {
        self.pair(64)
    }

    fn pair(&self, at: usize) -> (&[u8; 32], &[u8; 32]) {
        let (cipher, rest) = self.0.expose()[at..].split_first_chunk().expect("DK2_LEN is 4 * 32");
        (cipher, rest.first_chunk().expect("DK2_LEN is 4 * 32"))
    }
}

/// Whether two tags are the same, in a time that does not depend on where they differ.
#[must_use]
pub fn tags_match(ours: &[u8; MAC_LEN], theirs: &[u8; MAC_LEN]) -> bool {
    // By words: byte by byte it takes 20 ns a packet, a tenth of its decryption.
    let words = |tag: &[u8; MAC_LEN]| -> [u64; MAC_LEN / 8] {
        core::array::from_fn(|i| u64::from_ne_bytes(tag.as_chunks::<8>().0[i]))
    };
    words(ours).ct_eq(&words(theirs)).into()
}

/// PBKDF2-HMAC-SHA256 with one iteration, which makes each block of 32 bytes the tag over the salt
/// and the number of the block (RFC 8018, section 5.2). The crate `pbkdf2`, the oracle of the
/// tests, hashes the salt anew for each of them; done once, a short connection costs 1 % less.
fn stretch(secret: &[u8], salt: &[u8], derived: &mut [u8]) {
    let salted = mac(secret).chain_update(salt);
    for (block, number) in derived.chunks_mut(MAC_LEN).zip(1_u32..) {
        let tag = salted.clone().chain_update(number.to_be_bytes()).finalize();
        block.copy_from_slice(&tag.into_bytes()[..block.len()]);
    }
}

fn tag(key: &[u8], message: &[u8]) -> [u8; MAC_LEN] {
    mac(key).chain_update(message).finalize().into_bytes().into()
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn k_is_sha256_of_the_pieces_together() {
        // SHA-256("abc"), FIPS 180-4's first example.
        let k = SharedKey::from_pieces([b"a".as_slice(), b"", b"bc"]);
        assert_eq!(
            hex::encode(k.0.expose()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn fingerprints_are_those_of_another_implementation() {
        // Python: hmac.digest(sha256(key), b"spiped key fingerprint v1", "sha256")[:10].
        let counted: Vec<u8> = (0..32).collect();
        let print = |key: &[u8]| hex::encode(SharedKey::from_pieces([key]).fingerprint());
        assert_eq!(print(b"abc"), "7ab36fcbcc6425d671e9");
        assert_eq!(print(&counted), "42e4287351807564cfb9");
    }

    #[test]
    fn tags_differ_in_one_bit() {
        let mut other = [7; MAC_LEN];
        assert!(tags_match(&[7; MAC_LEN], &other));
        other[31] ^= 0x80;
        assert!(!tags_match(&[7; MAC_LEN], &other));
    }

    #[test]
    fn hmac_is_rfc_4231s() {
        // All test cases; of 5 the RFC has only the first half of the tag, and so has the check.
        let counted: Vec<u8> = (1..=25).collect();
        let cases: [(&[u8], &[u8], &str); 7] = [
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
            (
                &counted,
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size \
                  data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex::encode(&tag(key, message)[..expected.len() / 2]), expected);
        }
    }

    #[test]
    fn pbkdf2_is_rfc_7914s() {
        // Section 11; as many bytes as dk_1 has. One iteration is what the protocol has; the case
        // with many is the oracle's of the next test.
        let mut derived = [0; DK1_LEN];
        pbkdf2::pbkdf2_hmac::<Sha256>(b"Password", b"NaCl", 80_000, &mut derived);
        assert_eq!(
            hex::encode(derived),
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56\
             a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"
        );
        stretch(b"passwd", b"salt", &mut derived);
        assert_eq!(
            hex::encode(derived),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
             49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
        );
    }

    proptest! {
        #[test]
        fn stretching_is_what_the_oracle_says(
            secret: [u8; 32],
            salt in prop::collection::vec(any::<u8>(), 0..400),
            length in 0..200_usize,
        ) {
            let (mut ours, mut theirs) = (vec![0; length], vec![0; length]);
            stretch(&secret, &salt, &mut ours);
            pbkdf2::pbkdf2_hmac::<Sha256>(&secret, &salt, 1, &mut theirs);
            prop_assert_eq!(ours, theirs);
        }
    }
}
