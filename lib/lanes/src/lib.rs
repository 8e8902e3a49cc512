//! HMAC-SHA256 over several messages at once.
//!
//! SHA-256 is one long chain of dependent steps, so a processor that hashes one message mostly
//! waits. Independent messages fill the gaps: sixteen side by side in AVX-512 vectors where there
//! are that many, else four or two in turns with the SHA extensions. Owns the key's midstates and
//! the choice of the kernel at run time; the fall-back is the `sha2` crate, one message after the
//! other. Refuses to know packets. Next: `wide.rs` and `x86.rs`, the only unsafe code;
//! `break_even.rs` chooses between them.
//!
//! # Versions
//!
//! [`HmacKey`] shows nothing of what is in it, and may hold more one day. Of another crate only the
//! trait `ZeroizeOnDrop` of zeroize 1 is part of the interface.

#[cfg(target_arch = "x86_64")]
mod break_even;
#[cfg(target_arch = "x86_64")]
mod wide;
#[cfg(target_arch = "x86_64")]
mod x86;

use core::fmt;

use sha2::block_api::compress256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a tag.
pub const TAG_LEN: usize = 32;

const BLOCK_LEN: usize = 64;

/// Lanes of the kernel for many messages, and of the one for few.
const MANY: usize = 16;
const FEW: usize = 4;

/// What follows a message in its last blocks at least: 0x80 and the length in bits (FIPS 180-4,
/// 5.1.1).
const PADDING_LEN: usize = 1 + 8;

/// FIPS 180-4, section 5.3.3.
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

type State = [u32; 8];

/// A key of HMAC-SHA256 as the two midstates that follow from it (RFC 2104, section 4).
///
/// Zeroized on drop; `Debug` shows nothing.
pub struct HmacKey {
    inner: State,
    outer: State,
}

impl HmacKey {
    /// Prepares a key of 32 bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let midstate = |pad: u8| {
            let mut block = [pad; BLOCK_LEN];
            block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
            let mut state = INITIAL;
            compress256(&mut state, &[block]);
            block.zeroize();
            state
        };
        Self { inner: midstate(0x36), outer: midstate(0x5c) }
    }

    /// The tag of one message, which is `body` followed by `suffix`.
    #[must_use]
    pub fn tag(&self, body: &[u8], suffix: [u8; 8]) -> [u8; TAG_LEN] {
        self.lanes([body], [suffix])[0]
    }

    /// The tags of up to any number of messages of the same length: `bodies[i]` followed by
    /// `suffix(i)`. `each` is called once for every message, in order.
    ///
    /// # Panics
    ///
    /// If the bodies differ in length.
    pub fn tag_each<'a>(
        &self,
        bodies: impl ExactSizeIterator<Item = &'a [u8]>,
        suffix: impl Fn(usize) -> [u8; 8],
        mut each: impl FnMut(usize, [u8; TAG_LEN]),
    ) {
        let mut bodies = bodies.enumerate();
        // Only then there is a choice, which costs a moment when it is made first.
        while bodies.len() > FEW && bodies.len() >= wide_from() {
            self.tag_group::<MANY>(&mut bodies, &suffix, &mut each);
        }
        // Three take as long as four.
        while bodies.len() >= 3 {
            self.tag_group::<FEW>(&mut bodies, &suffix, &mut each);
        }
        while bodies.len() >= 2 {
            self.tag_group::<2>(&mut bodies, &suffix, &mut each);
        }
        bodies.for_each(|(i, body)| each(i, self.tag(body, suffix(i))));
    }

    /// The tags of the next L messages, or of those that are left: then the last one fills the rest
    /// of the lanes.
    fn tag_group<'a, const L: usize>(
        &self,
        bodies: &mut impl ExactSizeIterator<Item = (usize, &'a [u8])>,
        suffix: &impl Fn(usize) -> [u8; 8],
        each: &mut impl FnMut(usize, [u8; TAG_LEN]),
    ) {
        let count = bodies.len().min(L);
        let Some(mut last) = bodies.next() else { return };
        let group: [(usize, &[u8]); L] = core::array::from_fn(|lane| {
            if lane > 0 {
                last = bodies.next().unwrap_or(last);
            }
            last
        });
        let tags = self.lanes(group.map(|(_, body)| body), group.map(|(i, _)| suffix(i)));
        group.iter().zip(tags).take(count).for_each(|((i, _), tag)| each(*i, tag));
    }

    fn lanes<const L: usize>(
        &self,
        bodies: [&[u8]; L],
        suffixes: [[u8; 8]; L],
    ) -> [[u8; TAG_LEN]; L] {
        self.lanes_by(bodies, suffixes, compress)
    }

    /// With a kernel of the caller's choice.
    #[inline]
    fn lanes_by<const L: usize>(
        &self,
        bodies: [&[u8]; L],
        suffixes: [[u8; 8]; L],
        compress: impl Fn(&mut [State; L], [&[[u8; BLOCK_LEN]]; L]),
    ) -> [[u8; TAG_LEN]; L] {
        assert!(bodies.iter().all(|body| body.len() == bodies[0].len()), "lanes of one length");
        let whole = bodies.map(|body| body.as_chunks::<BLOCK_LEN>().0);
        let mut states = [self.inner; L];
        compress(&mut states, whole);

        // What is left of each body, its suffix and the padding make one more block, or two.
        let rest = bodies[0].len() % BLOCK_LEN;
        let blocks = (rest + 8 + PADDING_LEN).div_ceil(BLOCK_LEN);
        let bits = 8 * (BLOCK_LEN + bodies[0].len() + 8) as u64;
        let mut tails = [[[0; BLOCK_LEN]; 2]; L];
        for ((tail, body), suffix) in tails.iter_mut().zip(bodies).zip(suffixes) {
            let tail = &mut tail.as_flattened_mut()[..blocks * BLOCK_LEN];
            tail[..rest].copy_from_slice(&body[body.len() - rest..]);
            tail[rest..rest + 8].copy_from_slice(&suffix);
            tail[rest + 8] = 0x80;
            tail[blocks * BLOCK_LEN - 8..].copy_from_slice(&bits.to_be_bytes());
        }
        compress(&mut states, tails.each_ref().map(|tail| &tail[..blocks]));

        // The outer hash is one block: the inner one, 0x80, and the length of ipad block and hash.
        let mut last = [[0; BLOCK_LEN]; L];
        for (block, state) in last.iter_mut().zip(&states) {
            block[..TAG_LEN].copy_from_slice(&to_bytes(state));
            block[TAG_LEN] = 0x80;
            let bits = 8 * (BLOCK_LEN + TAG_LEN) as u64;
            block[BLOCK_LEN - 8..].copy_from_slice(&bits.to_be_bytes());
        }
        let mut states = [self.outer; L];
        compress(&mut states, last.each_ref().map(core::slice::from_ref));
        states.each_ref().map(to_bytes)
    }
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl ZeroizeOnDrop for HmacKey {}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(..)")
    }
}

fn to_bytes(state: &State) -> [u8; TAG_LEN] {
    let mut bytes = [0; TAG_LEN];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(state) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// How many messages make it worth while to fill [`MANY`] lanes: none, where four at a time are
/// faster.
fn wide_from() -> usize {
    #[cfg(target_arch = "x86_64")]
    if wide::is_available() {
        return break_even::messages();
    }
    MANY
}

/// Advances every state by as many blocks; all lanes have the same number.
fn compress<const L: usize>(states: &mut [State; L], blocks: [&[[u8; BLOCK_LEN]]; L]) {
    #[cfg(target_arch = "x86_64")]
    if compress_x86(states, &blocks) {
        return;
    }
    compress_portably(states, blocks);
}

/// One lane after the other, with the `sha2` crate.
fn compress_portably<const L: usize>(states: &mut [State; L], blocks: [&[[u8; BLOCK_LEN]]; L]) {
    for (state, blocks) in states.iter_mut().zip(blocks) {
        compress256(state, blocks);
    }
}

/// By the kernel for as many lanes, if the processor has what it needs.
#[cfg(target_arch = "x86_64")]
fn compress_x86(states: &mut [State], blocks: &[&[[u8; BLOCK_LEN]]]) -> bool {
    if let (Ok(states), Ok(blocks)) =
        (<&mut [State; MANY]>::try_from(&mut *states), blocks.try_into())
        && wide::compress(states, blocks)
    {
        return true;
    }
    states.len() > 1 && x86::compress(states, blocks)
}

#[cfg(test)]
mod tests;
