//! Packets: a stream of bytes in, runs of 1060-byte packets out, and back.
//!
//! Owns the keys and the packet counter of one direction. [`Sealer`] pads, encrypts and tags;
//! [`Opener`] checks the tag first, then decrypts, then checks the length. Whole packets only: what
//! to do with half a packet is decided in `pipe.rs`.

use core::{fmt, iter};

use spiped_lanes::HmacKey;

use crate::crypt::keystream::{Body, Cipher};
use crate::crypt::tags_match;
use crate::wire::{
    BATCH_PACKETS, LENGTH_LEN, MAC_LEN, PACKET_BODY_LEN, PACKET_DATA_LEN, PACKET_LEN,
};

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketError {
    /// The tag does not belong to the packet: it was altered, replayed or sent out of order.
    BadTag,
    /// The tag is right but the length is 0 or above 1024: the peer breaks the protocol.
    BadLength,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadTag => "does not carry a valid MAC (altered on the way, or out of order)",
            Self::BadLength => "has a length outside 1 to 1024",
        })
    }
}

impl core::error::Error for PacketError {}

type Packet = [u8; PACKET_LEN];

/// Packets whose tags are computed together: what fills the lanes, while all of it is still in the
/// first-level cache.
const RUN: usize = 16;

const _: () = assert!(BATCH_PACKETS.is_multiple_of(RUN));

/// The keys of one direction and the number of its next packet. Boxed at once: what the cipher and
/// the MAC make of the keys stays at one address, and is wiped there when dropped.
struct Direction {
    cipher: Cipher,
    mac: HmacKey,
    next: u64,
}

impl Direction {
    fn new((cipher_key, mac_key): (&[u8; 32], &[u8; 32])) -> Box<Self> {
        let (cipher, mac) = (Cipher::new(cipher_key), HmacKey::new(mac_key));
        Box::new(Self { cipher, mac, next: 0 })
    }

    /// HMAC-SHA256(H, body || be64(packet number)) for packets that follow each other, the first of
    /// which is the next; several are hashed at a time.
    fn tags(&self, packets: &[Packet]) -> [[u8; MAC_LEN]; RUN] {
        let mut tags = [[0; MAC_LEN]; RUN];
        let bodies = packets.iter().map(|packet| &packet[..PACKET_BODY_LEN]);
        let number = |i: usize| (self.next + i as u64).to_be_bytes();
        self.mac.tag_each(bodies, number, |i, tag| tags[i] = tag);
        tags
    }

    /// Moves on by one packet.
    ///
    /// # Panics
    ///
    /// After 2^64 packets, which no connection lives to see.
    fn advance(&mut self) {
        self.next = self.next.checked_add(1).expect("fewer than 2^64 packets");
    }
}

impl fmt::Debug for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direction").field("next", &self.next).finish_non_exhaustive()
    }
}

fn body_of(packet: &mut Packet) -> &mut Body {
    packet.first_chunk_mut().expect("a packet begins with its body")
}

/// Turns the bytes of one direction into packets.
#[derive(Debug)]
pub struct Sealer(Box<Direction>);

impl Sealer {
    /// Starts with packet 0 under the direction's cipher key and MAC key.
    #[must_use]
    pub fn new(keys: (&[u8; 32], &[u8; 32])) -> Self {
        Self(Direction::new(keys))
    }

    /// Appends the packets that carry `data` to `out`: full ones, and a padded one for the rest.
    ///
    /// Nothing is appended for no data: a packet of length 0 would be a protocol error.
    pub fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) {
        out.reserve(data.len().div_ceil(PACKET_DATA_LEN) * PACKET_LEN);
        for run in data.chunks(RUN * PACKET_DATA_LEN) {
            let (chunks, start) = (run.chunks(PACKET_DATA_LEN), out.len());
            out.resize(start + chunks.len() * PACKET_LEN, 0);
            let (packets, _) = out[start..].as_chunks_mut::<PACKET_LEN>();
            let bodies = chunks.clone().zip(packets.iter_mut().map(body_of));
            self.0.cipher.apply(self.0.next, bodies);
            for (packet, chunk) in packets.iter_mut().zip(chunks) {
                let length = (chunk.len() as u32).to_be_bytes();
                packet[PACKET_DATA_LEN..].iter_mut().zip(length).for_each(|(to, from)| *to ^= from);
            }
            let tags = self.0.tags(packets);
            for (packet, tag) in packets.iter_mut().zip(tags) {
                packet[PACKET_BODY_LEN..].copy_from_slice(&tag);
                self.0.advance();
            }
        }
    }
}

/// Turns the packets of one direction back into bytes.
#[derive(Debug)]
pub struct Opener(Box<Direction>);

impl Opener {
    /// Starts with packet 0 under the direction's cipher key and MAC key.
    #[must_use]
    pub fn new(keys: (&[u8; 32], &[u8; 32])) -> Self {
        Self(Direction::new(keys))
    }

    /// The number of the next packet, which is the one at fault after an error.
    #[must_use]
    pub fn next_packet(&self) -> u64 {
        self.0.next
    }

    /// Appends what the packets carry to `out`.
    ///
    /// `packets` is a whole number of packets; a rest is not looked at.
    ///
    /// # Errors
    ///
    /// The first packet that is not as it should be ends the direction: the data of those before it
    /// has been appended, no byte of its own has.
    pub fn open(&mut self, packets: &[u8], out: &mut Vec<u8>) -> Result<(), PacketError> {
        let (packets, _) = packets.as_chunks::<PACKET_LEN>();
        for run in packets.chunks(RUN) {
            let tags = self.0.tags(run);
            for (packet, expected) in run.iter().zip(&tags) {
                self.open_one(packet, expected, out)?;
            }
        }
        Ok(())
    }

    /// Tag first, then decryption, then the length.
    fn open_one(
        &mut self,
        packet: &Packet,
        expected: &[u8; MAC_LEN],
        out: &mut Vec<u8>,
    ) -> Result<(), PacketError> {
        let (body, tag) = packet.split_at(PACKET_BODY_LEN);
        if !tags_match(expected, tag.first_chunk().expect("a packet ends with its tag")) {
            return Err(PacketError::BadTag);
        }
        let start = out.len();
        out.resize(start + PACKET_BODY_LEN, 0);
        let plain = out[start..].first_chunk_mut().expect("as long as a body");
        self.0.cipher.apply(self.0.next, iter::once((body, plain)));
        let length = out.last_chunk::<LENGTH_LEN>().expect("a body ends with its length");
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > PACKET_DATA_LEN {
            out.truncate(start);
            return Err(PacketError::BadLength);
        }
        out.truncate(start + length);
        self.0.advance();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: (&[u8; 32], &[u8; 32]) = (&[1; 32], &[2; 32]);

    fn sealed(data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Sealer::new(KEYS).seal(data, &mut out);
        out
    }

    #[test]
    fn packets_carry_up_to_1024_bytes_each() {
        for (length, packets) in
            [(0, 0), (1, 1), (1024, 1), (1025, 2), (64 * 1024, 64), (65 * 1024, 65)]
        {
            let data: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let wire = sealed(&data);
            assert_eq!(wire.len(), packets * PACKET_LEN);
            let mut back = Vec::new();
            Opener::new(KEYS).open(&wire, &mut back).unwrap();
            assert_eq!(back, data);
        }
    }

    #[test]
    fn any_flipped_bit_is_found_and_only_earlier_data_comes_out() {
        let data = [7; 3 * 1024];
        for bit in (0..PACKET_LEN * 8).step_by(41) {
            let mut wire = sealed(&data);
            wire[PACKET_LEN + bit / 8] ^= 1 << (bit % 8);
            let mut back = Vec::new();
            let mut opener = Opener::new(KEYS);
            assert_eq!(opener.open(&wire, &mut back), Err(PacketError::BadTag));
            assert_eq!((back.as_slice(), opener.next_packet()), (&data[..1024], 1));
        }
    }

    #[test]
    fn packets_out_of_order_or_repeated_are_refused() {
        let wire = sealed(&[3; 2048]);
        let (first, second) = wire.split_at(PACKET_LEN);
        for order in [[second, first], [first, first]] {
            let mut opener = Opener::new(KEYS);
            assert_eq!(opener.open(&order.concat(), &mut Vec::new()), Err(PacketError::BadTag));
        }
    }

    #[test]
    fn a_length_of_0_or_above_1024_is_refused() {
        for length in [0u32, 1025, u32::MAX] {
            let direction = Direction::new(KEYS);
            let mut body = [0; PACKET_BODY_LEN];
            body[PACKET_DATA_LEN..].copy_from_slice(&length.to_be_bytes());
            let mut packet = [0; PACKET_LEN];
            direction.cipher.apply(0, iter::once((body.as_slice(), body_of(&mut packet))));
            let tag = direction.tags(&[packet])[0];
            packet[PACKET_BODY_LEN..].copy_from_slice(&tag);
            let mut back = b"before".to_vec();
            let opened = Opener::new(KEYS).open(&packet, &mut back);
            assert_eq!((opened, back.as_slice()), (Err(PacketError::BadLength), &b"before"[..]));
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", Sealer::new(KEYS)), "Sealer(Direction { next: 0, .. })");
    }
}
