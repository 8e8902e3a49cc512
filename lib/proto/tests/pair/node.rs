//! A core and the driver that keeps its contract, with what the driver must never see.
//!
//! Owns the bytes that are on their way out of the core and the rules that hold for every run:
//! one `Closed`, nothing after it, no end of stream towards a side that cannot be written to, and
//! never more of the heap than a connection may have. The streams it stands between are given by
//! `world.rs`.

use std::io::ErrorKind;
use std::time::Instant;

use spiped_proto::{CloseReason, Conn, Event, Input, Side, wire};

use crate::heap;
use crate::rng::Rng;
use crate::stream::{Ending, Found, Stream};

/// The most of the heap that a core may hold, in bytes, whatever comes in: keys and ciphers of both
/// directions, a packet that is not complete, bytes that wait for others.
const MOST_HEAP: isize = 4096;

/// What a node has for one of its sides.
#[derive(Default)]
struct Outgoing {
    pending: Vec<u8>,
    ending: Option<Ending>,
    ended: bool,
    refused: bool,
}

/// One end of the encrypted pipe.
pub(crate) struct Node {
    conn: Conn,
    /// What the core holds of the heap.
    held: isize,
    now: Instant,
    plain: Outgoing,
    encrypted: Outgoing,
    /// Everything the core has told, oldest first.
    pub(crate) events: Vec<Event>,
    /// What each packet that the core has made carries, in bytes.
    pub(crate) packets: Vec<usize>,
    closed: Option<CloseReason>,
}

impl Node {
    pub(crate) fn new(start: impl FnOnce(Instant) -> Conn, now: Instant) -> Self {
        let (plain, encrypted) = Default::default();
        let before = heap::held();
        let conn = start(now);
        let held = heap::held() - before;
        let (events, packets) = (vec![], vec![]);
        let mut node = Self { conn, held, now, plain, encrypted, events, packets, closed: None };
        node.transmit();
        node
    }

    /// Calls the core, which may append to a buffer, and counts what it keeps of the heap.
    fn call<T>(&mut self, work: impl FnOnce(&mut Conn, &mut Vec<u8>) -> T) -> (T, Vec<u8>) {
        let (mut out, before) = (Vec::new(), heap::held());
        let result = work(&mut self.conn, &mut out);
        self.held += heap::held() - before - out.capacity() as isize;
        assert!(self.held <= MOST_HEAP, "a core holds {} bytes of the heap", self.held);
        (result, out)
    }

    /// Fetches what the core itself wants to say.
    fn transmit(&mut self) {
        let ((), said) = self.call(Conn::poll_transmit);
        self.encrypted.pending.extend(said);
    }

    /// Why the connection ended.
    pub(crate) fn reason(&self) -> CloseReason {
        self.closed.expect("the connection has ended")
    }

    /// Bytes of the streams, as the core counts them.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        self.conn.bytes()
    }

    /// When the core wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.conn.poll_timeout()
    }

    /// Calls the core if it has asked for that by now.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.now = now;
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.call(|conn, _| conn.handle_timeout(now));
            self.transmit();
            self.drain();
        }
    }

    /// Reads a piece from `source`, which is on `side`; whether anything happened.
    pub(crate) fn read(&mut self, side: Side, source: &mut Stream, rng: &mut Rng) -> bool {
        let limit = self.conn.read_limit(side);
        // Back-pressure: nothing is read while what was read before is not written.
        if limit == 0 || !self.outgoing(side.other()).pending.is_empty() {
            return false;
        }
        match source.read(limit.min(1 + rng.below(2 * source.grain)), self.now) {
            Found::Nothing => return false,
            Found::Data(data) => {
                if side == Side::Plain {
                    self.packets.extend(data.chunks(wire::PACKET_DATA_LEN).map(<[u8]>::len));
                }
                self.input(side, Input::Data(&data));
            }
            Found::Ending(Ending::End) => self.input(side, Input::End),
            Found::Ending(Ending::Failed(kind)) => self.input(side, Input::ReadFailed(kind)),
        }
        true
    }

    /// Writes a piece to `sink`, which is on `side`; whether anything happened.
    pub(crate) fn write(&mut self, side: Side, sink: &mut Stream, rng: &mut Rng) -> bool {
        let outgoing = self.outgoing(side);
        if outgoing.pending.is_empty() {
            if let Some(ending) = outgoing.ending.filter(|_| !outgoing.ended) {
                outgoing.ended = true;
                // Who cannot write to a socket cannot end its stream either, only reset it.
                if ending == Ending::End && outgoing.refused {
                    return false;
                }
                sink.finish(ending);
                return true;
            }
            return false;
        }
        let piece = outgoing.pending.len().min(1 + rng.below(2 * sink.grain));
        match sink.write(&outgoing.pending[..piece]) {
            Ok(taken) => {
                outgoing.pending.drain(..taken);
                taken > 0
            }
            Err(kind) => {
                outgoing.pending.clear();
                outgoing.refused = true;
                if self.closed == Some(CloseReason::Finished) {
                    // The core has nothing to do with it any more; as relay.rs does, then.
                    self.close(CloseReason::WriteFailed(side, kind));
                } else {
                    self.input(side, Input::WriteFailed(kind));
                }
                true
            }
        }
    }

    /// Whether the node has ended; what it reads from can then not be written to any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.closed.is_some_and(|reason| !reason.is_clean())
    }

    /// Nothing can be had from a core that has ended, whatever it is given.
    pub(crate) fn assert_stays_closed(&mut self) {
        assert!(self.closed.is_some(), "nothing happens any more, but no end was told");
        let counted = self.bytes();
        for side in [Side::Plain, Side::Encrypted] {
            assert_eq!(self.conn.read_limit(side), 0);
            let kind = ErrorKind::ConnectionReset;
            let inputs = [
                Input::Data(&[1; 2000]),
                Input::End,
                Input::WriteFailed(kind),
                Input::ReadFailed(kind),
            ];
            for input in inputs {
                let now = self.now;
                let ((), out) = self.call(|conn, out| conn.handle_input(now, side, input, out));
                assert!(out.is_empty(), "{} bytes after the end", out.len());
            }
        }
        assert_eq!(self.conn.poll_timeout(), None);
        assert_eq!(self.conn.poll_event(), None, "an event after the end");
        assert!(self.held <= 0, "a core that has ended holds {} bytes of the heap", self.held);
        assert_eq!(self.bytes(), counted);
    }

    fn input(&mut self, side: Side, input: Input<'_>) {
        let now = self.now;
        let ((), out) = self.call(|conn, out| conn.handle_input(now, side, input, out));
        if self.outgoing(side.other()).refused {
            assert!(out.is_empty(), "bytes for a side that cannot be written to");
        }
        self.outgoing(side.other()).pending.extend(out);
        self.transmit();
        self.drain();
    }

    /// Acts on all events.
    fn drain(&mut self) {
        while let (Some(event), _) = self.call(|conn, _| conn.poll_event()) {
            assert_eq!(self.closed, None, "{event:?} after the connection was closed");
            assert!(!self.events.contains(&event), "{event:?} a second time");
            self.events.push(event);
            match event {
                Event::PeerAuthenticated(_) => {
                    assert_eq!(self.events.len(), 1, "the peer is authenticated before all else");
                    assert_eq!(self.conn.poll_timeout(), None, "the deadline is the handshake's");
                }
                Event::EndOfStream(side) => {
                    let outgoing = self.outgoing(side);
                    assert!(!outgoing.refused, "an end for a side that cannot be written to");
                    outgoing.ending = Some(Ending::End);
                }
                Event::Closed(reason) => self.close(reason),
            }
        }
    }

    /// After a failure both sides get what was handed over for them, and then a reset.
    fn close(&mut self, reason: CloseReason) {
        self.closed = Some(reason);
        for outgoing in [&mut self.plain, &mut self.encrypted] {
            if reason.is_clean() {
                assert_eq!(outgoing.ending, Some(Ending::End), "finished without an end");
            } else {
                outgoing.ending = Some(Ending::Failed(ErrorKind::ConnectionReset));
                outgoing.ended = false;
            }
        }
    }

    fn outgoing(&mut self, side: Side) -> &mut Outgoing {
        match side {
            Side::Plain => &mut self.plain,
            Side::Encrypted => &mut self.encrypted,
        }
    }
}
