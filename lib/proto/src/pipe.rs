//! One direction of an open connection: bytes in, packets out, or back.
//!
//! Owns the piece of a packet that has arrived without its rest, the bytes that wait for others to
//! share a packet with (if they may), and the count of bytes. Refuses to hold anything else: whole
//! packets pass straight through. The keys are in `crypt/packet.rs`; both
//! directions together are in `conn.rs`.

use core::time::Duration;
use std::time::Instant;

use crate::crypt::packet::{Opener, PacketError, Sealer};
use crate::wire::{PACKET_DATA_LEN, PACKET_LEN};

/// From the plain side to the encrypted one.
#[derive(Debug)]
pub(crate) struct SealPipe {
    sealer: Sealer,
    bytes: u64,
    /// How long bytes that do not fill a packet may wait for more; zero for not at all.
    coalesce: Duration,
    /// Bytes that wait, less than a packet's; empty, and without an allocation, otherwise.
    held: Vec<u8>,
    /// Until when they wait.
    flush_at: Option<Instant>,
}

impl SealPipe {
    pub(crate) fn new(sealer: Sealer, coalesce: Duration) -> Self {
        Self { sealer, bytes: 0, coalesce, held: Vec::new(), flush_at: None }
    }

    /// Appends the packets that carry `data` to `out`; what does not fill one may be held back.
    pub(crate) fn push(&mut self, now: Instant, mut data: &[u8], out: &mut Vec<u8>) {
        self.bytes += data.len() as u64;
        if self.coalesce.is_zero() {
            return self.sealer.seal(data, out);
        }
        if !self.held.is_empty() {
            let (head, rest) = data.split_at(data.len().min(PACKET_DATA_LEN - self.held.len()));
            self.held.extend_from_slice(head);
            data = rest;
            if self.held.len() < PACKET_DATA_LEN {
                return;
            }
            self.flush(out);
        }
        let (full, rest) = data.split_at(data.len() - data.len() % PACKET_DATA_LEN);
        self.sealer.seal(full, out);
        if !rest.is_empty() {
            self.held = Vec::with_capacity(PACKET_DATA_LEN);
            self.held.extend_from_slice(rest);
            self.flush_at = now.checked_add(self.coalesce);
        }
    }

    /// Appends what is held back, if anything is.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        self.sealer.seal(&core::mem::take(&mut self.held), out);
        self.flush_at = None;
    }

    /// When [`Self::flush`] is due.
    pub(crate) fn flush_at(&self) -> Option<Instant> {
        self.flush_at
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: (&[u8; 32], &[u8; 32]) = (&[1; 32], &[2; 32]);
    const LIMIT: Duration = Duration::from_millis(5);

    #[test]
    fn without_coalescing_every_write_is_a_packet_at_once() {
        let mut pipe = SealPipe::new(Sealer::new(KEYS), Duration::ZERO);
        let mut out = Vec::new();
        pipe.push(Instant::now(), b"a", &mut out);
        pipe.push(Instant::now(), b"b", &mut out);
        assert_eq!((out.len(), pipe.flush_at()), (2 * PACKET_LEN, None));
    }

    #[test]
    fn small_writes_share_a_packet_until_it_is_full_or_the_first_has_waited_long_enough() {
        let mut pipe = SealPipe::new(Sealer::new(KEYS), LIMIT);
        let (now, mut out) = (Instant::now(), Vec::new());
        pipe.push(now, b"a", &mut out);
        pipe.push(now + LIMIT / 2, b"b", &mut out);
        assert_eq!((out.len(), pipe.flush_at()), (0, Some(now + LIMIT)));
        // One byte more than fills it: a packet, and the byte waits from now on.
        pipe.push(now + LIMIT / 2, &[b'c'; PACKET_DATA_LEN - 1], &mut out);
        assert_eq!((out.len(), pipe.flush_at()), (PACKET_LEN, Some(now + LIMIT / 2 + LIMIT)));
        pipe.flush(&mut out);
        assert_eq!((out.len(), pipe.flush_at()), (2 * PACKET_LEN, None));
        pipe.flush(&mut out);
        assert_eq!(out.len(), 2 * PACKET_LEN, "nothing waits, so nothing is said");

        let mut plain = Vec::new();
        OpenPipe::new(Opener::new(KEYS)).push(&out, &mut plain).unwrap();
        assert_eq!((&plain[..3], plain.len()), (b"abc".as_slice(), PACKET_DATA_LEN + 1));
    }
}
