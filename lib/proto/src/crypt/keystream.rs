//! The key stream of packets: AES-256 in counter mode (NIST SP 800-38A, section 6.5).
//!
//! Owns what a counter block is: be64(packet number) || be64(block number). The cipher is the crate
//! `aes`, which is handed the counter blocks of a whole packet at once, to encrypt as many of them
//! at a time as the processor can. The mode is done here and not by the crate `ctr`, the oracle of
//! the tests: of a packet's counter blocks only the number of the packet changes, and both the
//! exclusive or and the counters are then compiled for the same processor as the cipher, which
//! takes a third of the time. Next: `crypt/packet.rs`.

use core::array;

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
    ParBlocks,
};
use aes::{Aes256Enc, Block};

use crate::wire::PACKET_BODY_LEN;

/// Blocks that a body takes, the last of which it needs only the beginning of.
const BLOCKS: usize = PACKET_BODY_LEN.div_ceil(16);

/// Those that it needs all of.
const WHOLE_BLOCKS: usize = PACKET_BODY_LEN / 16;

const _: () = assert!(BLOCKS == WHOLE_BLOCKS + 1, "the last block of a body is not a whole one");

/// What is encrypted or decrypted of a packet.
pub(super) type Body = [u8; PACKET_BODY_LEN];

/// The cipher of one direction, its key expanded.
pub(super) struct Cipher(Aes256Enc);

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Enc::new(key.into()))
    }

    /// Encrypts or decrypts, which is the same, the bodies of packets that follow each other, the
    /// first of which has this number: each becomes the key stream, combined with the bytes that
    /// come with it. Where these are fewer than a body, zeros are behind them.
    pub(super) fn apply<'a>(
        &self,
        first: u64,
        bodies: impl Iterator<Item = (&'a [u8], &'a mut Body)>,
    ) {
        self.0.encrypt_with_backend(Apply { first, bodies });
    }
}

/// What is to be done in code that is compiled for this processor.
struct Apply<I> {
    first: u64,
    bodies: I,
}

impl<I> BlockSizeUser for Apply<I> {
    type BlockSize = U16;
}

impl<'a, I: Iterator<Item = (&'a [u8], &'a mut Body)>> BlockCipherEncClosure for Apply<I> {
    // Only what is inlined into the backend is compiled for the processor.
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut counters: [Block; BLOCKS] = array::from_fn(|block| counter(0, block as u64));
        for ((from, body), number) in self.bodies.zip(self.first..) {
            for counter in &mut counters {
                counter[..8].copy_from_slice(&number.to_be_bytes());
            }
            let (whole, last) = Array::slice_as_chunks_mut(body);
            let (many, rest) = ParBlocks::<B>::slice_as_chunks_mut(whole);
            let (many_counters, rest_counters) =
                ParBlocks::<B>::slice_as_chunks(&counters[..WHOLE_BLOCKS]);
            for pair in many_counters.iter().zip(many) {
                backend.encrypt_par_blocks(pair.into());
            }
            for pair in rest_counters.iter().zip(rest) {
                backend.encrypt_block(pair.into());
            }
            let mut end = counters[WHOLE_BLOCKS];
            backend.encrypt_block((&mut end).into());
            last.copy_from_slice(&end[..last.len()]);
            for (to, from) in body.iter_mut().zip(from) {
                *to ^= from;
            }
        }
    }
}

fn counter(packet: u64, block: u64) -> Block {
    Array(((u128::from(packet) << 64) | u128::from(block)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use core::marker::PhantomData;

    use aes::cipher::ParBlocksSizeUser;
    use aes::cipher::array::ArraySize;
    use aes::cipher::consts::{U1, U3, U4, U5, U8, U21, U64, U65, U128};
    use aes::cipher::inout::InOut;
    use ctr::Ctr64BE;
    use ctr::cipher::{KeyIvInit, StreamCipher};
    use proptest::prelude::*;

    use super::*;

    /// What `apply` makes of these bytes in a packet with this number.
    fn applied(key: &[u8; 32], number: u64, bytes: &[u8]) -> Body {
        let mut body = [0x5a; PACKET_BODY_LEN]; // whatever was there before is gone
        Cipher::new(key).apply(number, std::iter::once((bytes, &mut body)));
        body
    }

    /// The same by the crate `ctr`, from any counter block on.
    fn by_oracle(key: &[u8; 32], counter: [u8; 16], bytes: &mut [u8]) {
        Ctr64BE::<aes::Aes256>::new(key.into(), &counter.into()).apply_keystream(bytes);
    }

    #[test]
    fn the_key_stream_is_nist_aes_256() {
        // Counter block 0 of packet 0 is the zero block: AES-256 of it under the zero key is the
        // first vector of NIST's AESAVS KAT (VarTxt with the zero key is listed for other blocks),
        // known as DC95C078A2408989AD48A21492842087.
        let body = applied(&[0; 32], 0, &[]);
        assert_eq!(hex::encode(&body[..16]), "dc95c078a2408989ad48a21492842087");
    }

    #[test]
    fn the_oracle_is_sp_800_38as() {
        // Section F.5.5, CTR-AES256.Encrypt, all blocks. Its counter starts where none of ours
        // does, so it is the oracle that is held against it, and we against the oracle.
        let mut key = [0; 32];
        let hex_key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
        hex::decode_to_slice(hex_key, &mut key).unwrap();
        let mut counter = [0; 16];
        hex::decode_to_slice("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", &mut counter).unwrap();
        let mut blocks = hex::decode(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        )
        .unwrap();
        by_oracle(&key, counter, &mut blocks);
        assert_eq!(
            hex::encode(blocks),
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
             2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
        );
    }

    /// A processor that takes this many blocks at a time.
    struct Several<'a, N>(&'a Aes256Enc, PhantomData<N>);

    impl<N> BlockSizeUser for Several<'_, N> {
        type BlockSize = U16;
    }

    impl<N: ArraySize> ParBlocksSizeUser for Several<'_, N> {
        type ParBlocksSize = N;
    }

    impl<N: ArraySize> BlockCipherEncBackend for Several<'_, N> {
        fn encrypt_block(&self, block: InOut<'_, '_, Block>) {
            self.0.encrypt_block_inout(block);
        }
    }

    #[test]
    fn any_number_of_blocks_at_a_time_gives_the_same() {
        fn with<N: ArraySize>() {
            let (key, text) = ([9; 32], [0xc3; 1000]);
            let mut body = [0x5a; PACKET_BODY_LEN];
            let bodies = std::iter::once((text.as_slice(), &mut body));
            Apply { first: 7, bodies }
                .call(&Several::<N>(&Aes256Enc::new(&key.into()), PhantomData));
            assert!(body == applied(&key, 7, &text), "{} at a time", N::USIZE);
        }
        with::<U1>();
        with::<U3>();
        with::<U4>();
        with::<U5>();
        with::<U8>();
        with::<U21>();
        with::<U64>();
        with::<U65>();
        with::<U128>();
    }

    proptest! {
        #[test]
        fn it_is_what_the_oracle_says(
            key: [u8; 32],
            first in prop_oneof![0..3_u64, any::<u64>(), u64::MAX - 9..u64::MAX - 4]
                .prop_filter("packets are not numbered beyond", |first| *first < u64::MAX - 4),
            texts in prop::collection::vec(
                prop::collection::vec(any::<u8>(), 0..=PACKET_BODY_LEN), 1..4),
        ) {
            let mut bodies = vec![[0x5a; PACKET_BODY_LEN]; texts.len()];
            Cipher::new(&key).apply(first, texts.iter().map(Vec::as_slice).zip(&mut bodies));
            for ((text, body), number) in texts.iter().zip(&bodies).zip(first..) {
                let mut expected = [0; PACKET_BODY_LEN];
                expected[..text.len()].copy_from_slice(text);
                by_oracle(&key, counter(number, 0).into(), &mut expected);
                prop_assert_eq!(body, &expected);
            }
        }
    }
}
