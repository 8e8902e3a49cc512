//! SHA-256 in sixteen lanes, with AVX-512.
//!
//! Owns the kernel for many messages: a word of each of sixteen lanes side by side in a vector, and
//! the rounds as FIPS 180-4 writes them. A vector instruction does sixteen words at a time, and
//! rotates and three-way logic are one instruction each, so that this beats the SHA extensions
//! where there are enough messages to fill the lanes. Unsafe: loading and storing vectors, and the
//! one call into code that needs the extension. Fewer lanes are in `x86.rs`.

use core::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_ror_epi32, _mm512_set1_epi32,
    _mm512_set4_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i32x4,
    _mm512_srli_epi32, _mm512_storeu_si512, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use crate::x86::K;
use crate::{BLOCK_LEN, State};

/// Lanes of this kernel.
pub(crate) const WIDE: usize = 16;

/// Whether the processor has what this kernel needs.
pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// Advances every state by as many blocks, or returns false if the processor cannot.
pub(crate) fn compress(states: &mut [State; WIDE], blocks: &[&[[u8; BLOCK_LEN]]; WIDE]) -> bool {
    if !is_available() {
        return false;
    }
    // SAFETY: the processor has the features that the function is compiled for.
    unsafe { lanes(states, blocks) };
    true
}

#[target_feature(enable = "avx512f,avx512bw")]
fn lanes(states: &mut [State; WIDE], blocks: &[&[[u8; BLOCK_LEN]]; WIDE]) {
    let mut state = [_mm512_setzero_si512(); 8];
    for (word, vector) in state.iter_mut().enumerate() {
        *vector = load(&core::array::from_fn(|lane| states[lane][word]));
    }
    let count = blocks.iter().map(|lane| lane.len()).min().unwrap_or(0);
    for at in 0..count {
        let before = state;
        let mut w = load_blocks(blocks, at);
        for (quarter, k) in K.as_chunks::<4>().0.iter().enumerate() {
            let k = k.as_flattened();
            let more = quarter < 3;
            // Written out, so that which words are meant is known when this is compiled.
            round::<0>(&mut state, &mut w, k[0], more);
            round::<1>(&mut state, &mut w, k[1], more);
            round::<2>(&mut state, &mut w, k[2], more);
            round::<3>(&mut state, &mut w, k[3], more);
            round::<4>(&mut state, &mut w, k[4], more);
            round::<5>(&mut state, &mut w, k[5], more);
            round::<6>(&mut state, &mut w, k[6], more);
            round::<7>(&mut state, &mut w, k[7], more);
            round::<8>(&mut state, &mut w, k[8], more);
            round::<9>(&mut state, &mut w, k[9], more);
            round::<10>(&mut state, &mut w, k[10], more);
            round::<11>(&mut state, &mut w, k[11], more);
            round::<12>(&mut state, &mut w, k[12], more);
            round::<13>(&mut state, &mut w, k[13], more);
            round::<14>(&mut state, &mut w, k[14], more);
            round::<15>(&mut state, &mut w, k[15], more);
        }
        for (word, old) in state.iter_mut().zip(before) {
            *word = _mm512_add_epi32(*word, old);
        }
    }
    for (word, vector) in state.into_iter().enumerate() {
        for (state, value) in states.iter_mut().zip(store(vector)) {
            state[word] = value;
        }
    }
}

/// One round of every lane (FIPS 180-4, section 6.2.2, step 3), and if there is `more` to come the
/// word of the schedule that takes the place of the one used.
///
/// The working variables stay where they are and change names: in round I, a is at -I modulo 8.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn round<const I: usize>(s: &mut [__m512i; 8], w: &mut [__m512i; 16], k: u32, more: bool) {
    const XOR: i32 = 0x96;
    const CHOOSE: i32 = 0xca;
    const MAJORITY: i32 = 0xe8;
    let at = |name: usize| (name + 16 - I) % 8;
    let [a, b, c, d] = [s[at(0)], s[at(1)], s[at(2)], s[at(3)]];
    let [e, f, g, h] = [s[at(4)], s[at(5)], s[at(6)], s[at(7)]];

    let constant = _mm512_add_epi32(w[I], _mm512_set1_epi32(k as i32));
    let choice = _mm512_ternarylogic_epi32::<CHOOSE>(e, f, g);
    let sigma_e = _mm512_ternarylogic_epi32::<XOR>(
        _mm512_ror_epi32::<6>(e),
        _mm512_ror_epi32::<11>(e),
        _mm512_ror_epi32::<25>(e),
    );
    let t1 = _mm512_add_epi32(_mm512_add_epi32(h, constant), _mm512_add_epi32(choice, sigma_e));
    let majority = _mm512_ternarylogic_epi32::<MAJORITY>(a, b, c);
    let sigma_a = _mm512_ternarylogic_epi32::<XOR>(
        _mm512_ror_epi32::<2>(a),
        _mm512_ror_epi32::<13>(a),
        _mm512_ror_epi32::<22>(a),
    );
    s[at(3)] = _mm512_add_epi32(d, t1);
    s[at(7)] = _mm512_add_epi32(t1, _mm512_add_epi32(majority, sigma_a));

    if more {
        let (early, late) = (w[(I + 1) % 16], w[(I + 14) % 16]);
        let early = _mm512_ternarylogic_epi32::<XOR>(
            _mm512_ror_epi32::<7>(early),
            _mm512_ror_epi32::<18>(early),
            _mm512_srli_epi32::<3>(early),
        );
        let late = _mm512_ternarylogic_epi32::<XOR>(
            _mm512_ror_epi32::<17>(late),
            _mm512_ror_epi32::<19>(late),
            _mm512_srli_epi32::<10>(late),
        );
        let sum = _mm512_add_epi32(w[I], w[(I + 9) % 16]);
        w[I] = _mm512_add_epi32(sum, _mm512_add_epi32(early, late));
    }
}

/// The sixteen words of block `at` of every lane, big-endian, a word of each lane side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_blocks(blocks: &[&[[u8; BLOCK_LEN]]; WIDE], at: usize) -> [__m512i; 16] {
    let big_endian = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let mut rows = [_mm512_setzero_si512(); WIDE];
    for (row, lane) in rows.iter_mut().zip(blocks) {
        *row = _mm512_shuffle_epi8(load_block(&lane[at]), big_endian);
    }
    transposed(rows)
}

/// Sixteen rows of sixteen words become sixteen columns: first within quarters of a vector, then
/// the quarters.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut quarters = rows;
    for i in 0..4 {
        let r = [rows[4 * i], rows[4 * i + 1], rows[4 * i + 2], rows[4 * i + 3]];
        let (ab, cd) = (_mm512_unpacklo_epi32(r[0], r[1]), _mm512_unpacklo_epi32(r[2], r[3]));
        let (ef, gh) = (_mm512_unpackhi_epi32(r[0], r[1]), _mm512_unpackhi_epi32(r[2], r[3]));
        quarters[4 * i] = _mm512_unpacklo_epi64(ab, cd);
        quarters[4 * i + 1] = _mm512_unpackhi_epi64(ab, cd);
        quarters[4 * i + 2] = _mm512_unpacklo_epi64(ef, gh);
        quarters[4 * i + 3] = _mm512_unpackhi_epi64(ef, gh);
    }
    let mut columns = quarters;
    for i in 0..4 {
        let q = [quarters[i], quarters[4 + i], quarters[8 + i], quarters[12 + i]];
        let even = _mm512_shuffle_i32x4::<0x88>(q[0], q[1]);
        let even_high = _mm512_shuffle_i32x4::<0x88>(q[2], q[3]);
        let odd = _mm512_shuffle_i32x4::<0xdd>(q[0], q[1]);
        let odd_high = _mm512_shuffle_i32x4::<0xdd>(q[2], q[3]);
        columns[i] = _mm512_shuffle_i32x4::<0x88>(even, even_high);
        columns[8 + i] = _mm512_shuffle_i32x4::<0xdd>(even, even_high);
        columns[4 + i] = _mm512_shuffle_i32x4::<0x88>(odd, odd_high);
        columns[12 + i] = _mm512_shuffle_i32x4::<0xdd>(odd, odd_high);
    }
    columns
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_block(block: &[u8; BLOCK_LEN]) -> __m512i {
    // SAFETY: a block is one unaligned vector long.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[u32; WIDE]) -> __m512i {
    // SAFETY: sixteen words are one unaligned vector.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(vector: __m512i) -> [u32; WIDE] {
    let mut words = [0; WIDE];
    // SAFETY: sixteen words are one unaligned vector.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
    words
}
