//! One direction of an open connection: bytes in, packets out, or back.
//!
//! Owns the piece of a packet that has arrived without its rest, and the count of bytes. Refuses to
//! hold anything else: whole packets pass straight through. The keys are in `crypt/packet.rs`; both
//! directions together are in `conn.rs`.

use crate::crypt::packet::{Opener, PacketError, Sealer};
use crate::wire::PACKET_LEN;

/// From the plain side to the encrypted one.
#[derive(Debug)]
pub(crate) struct SealPipe {
    sealer: Sealer,
    bytes: u64,
}

impl SealPipe {
    pub(crate) fn new(sealer: Sealer) -> Self {
        Self { sealer, bytes: 0 }
    }

    /// Appends the packets that carry `data` to `out`.
    pub(crate) fn push(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.bytes += data.len() as u64;
        self.sealer.seal(data, out);
    }

    /// Bytes of the stream so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// From the encrypted side to the plain one.
#[derive(Debug)]
pub(crate) struct OpenPipe {
    opener: Opener,
    /// Less than one packet; empty, and without an allocation, at every packet border.
    partial: Vec<u8>,
    bytes: u64,
}

impl OpenPipe {
    pub(crate) fn new(opener: Opener) -> Self {
        Self { opener, partial: Vec::new(), bytes: 0 }
    }

    /// Appends the data of all packets that are now complete to `out`.
    pub(crate) fn push(&mut self, mut wire: &[u8], out: &mut Vec<u8>) -> Result<(), PacketError> {
        let before = out.len();
        let result = self.open_all(&mut wire, out);
        self.bytes += (out.len() - before) as u64;
        result
    }

    fn open_all(&mut self, wire: &mut &[u8], out: &mut Vec<u8>) -> Result<(), PacketError> {
        // First complete the packet of which a piece is here ...
        if !self.partial.is_empty() {
            let missing = (PACKET_LEN - self.partial.len()).min(wire.len());
            let (head, rest) = wire.split_at(missing);
            self.partial.extend_from_slice(head);
            *wire = rest;
            if self.partial.len() < PACKET_LEN {
                return Ok(());
            }
            let packet = core::mem::take(&mut self.partial);
            self.opener.open(&packet, out)?;
        }
        // ... then open what is complete, and keep the piece that is not.
        let (whole, piece) = wire.split_at(wire.len() - wire.len() % PACKET_LEN);
        self.opener.open(whole, out)?;
        if !piece.is_empty() {
            self.partial = Vec::with_capacity(PACKET_LEN);
            self.partial.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Bytes of an incomplete packet that are here: more than 0 at the end of the stream is a cut.
    pub(crate) fn partial_len(&self) -> usize {
        self.partial.len()
    }

    /// The number of the packet that is awaited, or that was at fault.
    pub(crate) fn next_packet(&self) -> u64 {
        self.opener.next_packet()
    }

    /// Bytes of the stream so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
