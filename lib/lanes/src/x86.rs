//! SHA-256 in interleaved lanes, with the SHA extensions of x86-64.
//!
//! Owns the kernel and the check that the processor has it. Intel's instructions keep the state as
//! two vectors, A B E F and C D G H, and do two rounds at a time; see the Intel SDM, volume 2,
//! SHA256RNDS2, SHA256MSG1 and SHA256MSG2. Unsafe: loading vectors, and the one call into code that
//! needs the extensions.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi64x,
    _mm_setr_epi32, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_storeu_si128,
};

use crate::{BLOCK_LEN, State};

/// FIPS 180-4, section 4.2.2, four to a row as the rounds take them.
pub(crate) const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// Advances an even number of states by as many blocks, four lanes at a time and then two, or
/// returns false if the processor cannot.
pub(crate) fn compress(states: &mut [State], blocks: &[&[[u8; BLOCK_LEN]]]) -> bool {
    if !(is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1"))
    {
        return false;
    }
    let (states, states_left) = states.as_chunks_mut::<4>();
    let (blocks, blocks_left) = blocks.as_chunks::<4>();
    for (states, blocks) in states.iter_mut().zip(blocks) {
        // SAFETY: the processor has the features that the function is compiled for.
        unsafe { lanes(states, blocks) };
    }
    let (states, odd) = states_left.as_chunks_mut::<2>();
    assert!(odd.is_empty(), "one lane is no business of this kernel");
    for (states, blocks) in states.iter_mut().zip(blocks_left.as_chunks::<2>().0) {
        // SAFETY: as above.
        unsafe { lanes(states, blocks) };
    }
    true
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn lanes<const L: usize>(states: &mut [State; L], blocks: &[&[[u8; BLOCK_LEN]]; L]) {
    let mut abef = [_mm_set_epi64x(0, 0); L];
    let mut cdgh = abef;
    for l in 0..L {
        (abef[l], cdgh[l]) = load_state(&states[l]);
    }
    let count = blocks.iter().map(|lane| lane.len()).min().unwrap_or(0);
    #[allow(clippy::needless_range_loop)] // `at` is a row across all lanes, not a place in one list
    for at in 0..count {
        let before = (abef, cdgh);
        // w[l] holds the last sixteen words of lane l's schedule.
        let mut w = [[_mm_set_epi64x(0, 0); 4]; L];
        for l in 0..L {
            w[l] = load_block(&blocks[l][at]);
        }
        // Written out, so that which words are meant is known when this is compiled.
        row::<L, 0>(&mut abef, &mut cdgh, &mut w);
        row::<L, 1>(&mut abef, &mut cdgh, &mut w);
        row::<L, 2>(&mut abef, &mut cdgh, &mut w);
        row::<L, 3>(&mut abef, &mut cdgh, &mut w);
        row::<L, 4>(&mut abef, &mut cdgh, &mut w);
        row::<L, 5>(&mut abef, &mut cdgh, &mut w);
        row::<L, 6>(&mut abef, &mut cdgh, &mut w);
        row::<L, 7>(&mut abef, &mut cdgh, &mut w);
        row::<L, 8>(&mut abef, &mut cdgh, &mut w);
        row::<L, 9>(&mut abef, &mut cdgh, &mut w);
        row::<L, 10>(&mut abef, &mut cdgh, &mut w);
        row::<L, 11>(&mut abef, &mut cdgh, &mut w);
        row::<L, 12>(&mut abef, &mut cdgh, &mut w);
        row::<L, 13>(&mut abef, &mut cdgh, &mut w);
        row::<L, 14>(&mut abef, &mut cdgh, &mut w);
        row::<L, 15>(&mut abef, &mut cdgh, &mut w);
        for l in 0..L {
            abef[l] = _mm_add_epi32(abef[l], before.0[l]);
            cdgh[l] = _mm_add_epi32(cdgh[l], before.1[l]);
        }
    }
    for l in 0..L {
        store_state(&mut states[l], abef[l], cdgh[l]);
    }
}

/// Four rounds of every lane before the next four of any: that is the interleaving.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn row<const L: usize, const R: usize>(
    abef: &mut [__m128i; L],
    cdgh: &mut [__m128i; L],
    w: &mut [[__m128i; 4]; L],
) {
    let k = const { K[R] };
    let k = _mm_setr_epi32(k[0] as i32, k[1] as i32, k[2] as i32, k[3] as i32);
    for l in 0..L {
        if R >= 4 {
            w[l][R % 4] = next_words(&w[l], R % 4);
        }
        let sum = _mm_add_epi32(w[l][R % 4], k);
        cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], sum);
        abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(sum, 0x0e));
    }
}

/// The four words of the schedule that take the place of the oldest four, at `at`.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn next_words(w: &[__m128i; 4], at: usize) -> __m128i {
    let (w0, w1, w2, w3) = (w[at], w[(at + 1) % 4], w[(at + 2) % 4], w[(at + 3) % 4]);
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    _mm_sha256msg2_epu32(sum, w3)
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_block(block: &[u8; BLOCK_LEN]) -> [__m128i; 4] {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let at = block.as_ptr().cast::<__m128i>();
    // SAFETY: a block is four unaligned vectors long.
    let words = unsafe {
        [
            _mm_loadu_si128(at),
            _mm_loadu_si128(at.add(1)),
            _mm_loadu_si128(at.add(2)),
            _mm_loadu_si128(at.add(3)),
        ]
    };
    words.map(|word| _mm_shuffle_epi8(word, big_endian))
}

/// From words A to H to the vectors A B E F and C D G H (highest word first).
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_state(state: &State) -> (__m128i, __m128i) {
    let at = state.as_ptr().cast::<__m128i>();
    // SAFETY: a state is two unaligned vectors long.
    let (dcba, hgfe) = unsafe { (_mm_loadu_si128(at), _mm_loadu_si128(at.add(1))) };
    let cdab = _mm_shuffle_epi32(dcba, 0xb1);
    let efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    (_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0))
}

/// And back.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store_state(state: &mut State, abef: __m128i, cdgh: __m128i) {
    let feba = _mm_shuffle_epi32(abef, 0x1b);
    let dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    let at = state.as_mut_ptr().cast::<__m128i>();
    // SAFETY: a state is two unaligned vectors long.
    unsafe {
        _mm_storeu_si128(at, _mm_blend_epi16(feba, dchg, 0xf0));
        _mm_storeu_si128(at.add(1), _mm_alignr_epi8(dchg, feba, 8));
    }
}
