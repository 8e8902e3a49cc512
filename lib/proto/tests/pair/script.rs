//! What a hostile peer sends that has finished its handshake, and what must come of it.
//!
//! Owns the ways in which packets can be wrong. After the first of them the script is over. Next:
//! nothing; `hostile.rs` plays it.

use std::io::ErrorKind;

use spiped_lanes::HmacKey;
use spiped_proto::crypt::packet::Sealer;
use spiped_proto::wire::{PACKET_BODY_LEN, PACKET_DATA_LEN, PACKET_LEN};
use spiped_proto::{CloseReason, PacketError, Side};

use crate::rng::Rng;
use crate::stream::Ending;

/// What a peer with the key sends after the handshake.
pub(crate) struct Script {
    sealer: Sealer,
    mac: HmacKey,
    pub(crate) wire: Vec<u8>,
    /// Packets so far, all of them good.
    good: u64,
    /// What has to come out.
    pub(crate) data: Vec<u8>,
    /// The core's packets that are there to be reflected.
    heard: Vec<u8>,
    /// Why the connection ends, if not by both ends.
    pub(crate) end: Option<CloseReason>,
    pub(crate) ending: Option<Ending>,
}

impl Script {
    pub(crate) fn new(keys: (&[u8; 32], &[u8; 32]), heard: Vec<u8>) -> Self {
        let (sealer, mac) = (Sealer::new(keys), HmacKey::new(keys.1));
        let (wire, data) = (vec![], vec![]);
        Self { sealer, mac, wire, good: 0, data, heard, end: None, ending: None }
    }

    /// Adds something to send.
    pub(crate) fn act(&mut self, rng: &mut Rng) {
        match rng.below(12) {
            0 => {
                let length = rng.pick(&[0, 1, 1023, 1024, 1025, 1 << 16, u32::MAX]);
                self.lie(length);
            }
            1 => {
                let mut packet = self.next_packet();
                packet[rng.below(PACKET_LEN)] ^= 1 << rng.below(8);
                self.bad(&packet, PacketError::BadTag);
            }
            2 if self.good > 0 => {
                let which = rng.below(self.good as usize) * PACKET_LEN;
                let packet = self.wire[which..which + PACKET_LEN].to_vec();
                self.bad(&packet, PacketError::BadTag);
            }
            3 if self.heard.len() >= PACKET_LEN => {
                let packet = self.heard[..PACKET_LEN].to_vec();
                self.bad(&packet, PacketError::BadTag);
            }
            4 => self.bad(&rng.bytes(PACKET_LEN), PacketError::BadTag),
            5 => {
                let received = 1 + rng.below(PACKET_LEN - 1);
                let packet = self.next_packet();
                self.wire.extend_from_slice(&packet[..received]);
                self.end = Some(CloseReason::CutInPacket { number: self.good, received });
            }
            6 => {
                let kind = rng.pick(&[ErrorKind::ConnectionReset, ErrorKind::TimedOut]);
                self.ending = Some(Ending::Failed(kind));
                self.end = Some(CloseReason::ReadFailed(Side::Encrypted, kind));
            }
            _ => {
                let length = 1 + rng.below(3 * PACKET_DATA_LEN);
                let data = rng.bytes(length);
                self.sealer.seal(&data, &mut self.wire);
                self.good += data.len().div_ceil(PACKET_DATA_LEN) as u64;
                self.data.extend(data);
            }
        }
    }

    /// A good packet that takes the next number, and carries one byte.
    fn next_packet(&mut self) -> Vec<u8> {
        let mut packet = vec![];
        self.sealer.seal(&[1], &mut packet);
        packet
    }

    /// A packet with a valid MAC that says it carries `length` bytes. Where the cipher only adds a
    /// stream, whoever knows what a packet says can make it say something else.
    fn lie(&mut self, length: u32) {
        let mut packet = self.next_packet();
        let difference = (1 ^ length).to_be_bytes();
        let said = &mut packet[PACKET_DATA_LEN..PACKET_BODY_LEN];
        said.iter_mut().zip(difference).for_each(|(byte, other)| *byte ^= other);
        let tag = self.mac.tag(&packet[..PACKET_BODY_LEN], self.good.to_be_bytes());
        packet[PACKET_BODY_LEN..].copy_from_slice(&tag);
        if !(1..=PACKET_DATA_LEN as u32).contains(&length) {
            return self.bad(&packet, PacketError::BadLength);
        }
        self.wire.extend(packet);
        self.good += 1;
        self.data.push(1);
        self.data.resize(self.data.len() + length as usize - 1, 0); // the padding
    }

    /// A packet that ends the connection, and then more that nobody may look at.
    fn bad(&mut self, packet: &[u8], error: PacketError) {
        self.wire.extend_from_slice(packet);
        self.wire.extend_from_slice(&[0xab; 2 * PACKET_LEN]);
        self.end = Some(CloseReason::BadPacket { number: self.good, error });
    }
}
