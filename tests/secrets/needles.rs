//! What must not be found in a daemon's memory when a connection is over.
//!
//! Owns the forms that a secret has there: its bytes, and what HMAC makes of them in each kernel.
//! Part of `../secrets.rs`.

use sha2::block_api::compress256;
use spiped_peer::Secrets;

use crate::support::memory::Needles;

/// FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What HMAC makes of a key: the key with each pad, and the state of the hash after that.
fn add_hmac(needles: &mut Needles, name: &str, key: &[u8]) {
    for (pad_name, pad) in [("ipad", 0x36), ("opad", 0x5c)] {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(block, key)| *block ^= key);
        needles.add(&format!("{name}^{pad_name}"), &block[..key.len()]);
        let mut state = INITIAL;
        compress256(&mut state, &[block]);
        let bytes = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_ne_bytes()).collect()
        };
        needles.add(&format!("{name} after {pad_name}"), &bytes(&state));
        // The same in the order of the SHA instructions of x86, and a word in each lane of AVX-512.
        let [a, b, c, d, e, f, g, h] = state;
        let shuffled = bytes(&[f, e, b, a, h, g, d, c]);
        needles.add(&format!("{name} after {pad_name}, shuffled"), &shuffled);
        let spread: Vec<u32> = state.iter().flat_map(|word| [*word; 4]).collect();
        needles.add(&format!("{name} after {pad_name}, spread"), &bytes(&spread));
    }
}

/// The keys of a handshake, dk_1.
pub(crate) fn of_handshake(dk1: &[u8]) -> Needles {
    let mut needles = Needles::default();
    for (name, key) in ["dhmac_C", "dhmac_S"].into_iter().zip(dk1.chunks(32)) {
        needles.add(name, key);
        add_hmac(&mut needles, name, key);
    }
    needles
}

/// Everything by which a connection could be read or forged later.
pub(crate) fn of_connection(secrets: &Secrets) -> Needles {
    let mut needles = of_handshake(&secrets.handshake);
    needles.add("y_SC", &secrets.common);
    let reversed: Vec<u8> = secrets.common.iter().rev().copied().collect();
    needles.add("y_SC, little-endian", &reversed);
    for (name, key) in ["E_C", "H_C", "E_S", "H_S"].into_iter().zip(secrets.session.chunks(32)) {
        // The schedule of a cipher key begins with the key.
        needles.add(name, key);
        if name.starts_with('H') {
            add_hmac(&mut needles, name, key);
        }
    }
    needles
}
