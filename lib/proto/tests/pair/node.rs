//! A core and the driver that keeps its contract, with what the driver must never see.
//!
//! Owns the bytes that are on their way out of the core and the rules that hold for every run:
//! one `Closed`, nothing after it, no end of stream towards a side that cannot be written to. The
//! streams it stands between are given by `world.rs`.

use std::io::ErrorKind;
use std::time::Instant;

use spiped_proto::{CloseReason, Conn, Event, Input, Side, wire};

use crate::rng::Rng;
use crate::stream::{Ending, Found, Stream};

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
    plain: Outgoing,
    encrypted: Outgoing,
    /// Everything the core has told, oldest first.
    pub(crate) events: Vec<Event>,
    /// What each packet that the core has made carries, in bytes.
    pub(crate) packets: Vec<usize>,
    closed: Option<CloseReason>,
}

impl Node {
    pub(crate) fn new(conn: Conn) -> Self {
        let (plain, encrypted) = Default::default();
        let mut node =
            Self { conn, plain, encrypted, events: vec![], packets: vec![], closed: None };
        node.conn.poll_transmit(&mut node.encrypted.pending);
        node
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
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.conn.handle_timeout(now);
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
        match source.read(limit.min(1 + rng.below(2 * source.grain))) {
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
                self.input(side, Input::WriteFailed(kind));
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
                let mut out = Vec::new();
                self.conn.handle_input(side, input, &mut out);
                assert!(out.is_empty(), "{} bytes after the end", out.len());
            }
        }
        assert_eq!(self.conn.poll_timeout(), None);
        assert_eq!(self.conn.poll_event(), None, "an event after the end");
        assert_eq!(self.bytes(), counted);
    }

    fn input(&mut self, side: Side, input: Input<'_>) {
        let mut out = Vec::new();
        self.conn.handle_input(side, input, &mut out);
        if self.outgoing(side.other()).refused {
            assert!(out.is_empty(), "bytes for a side that cannot be written to");
        }
        self.outgoing(side.other()).pending.extend(out);
        self.conn.poll_transmit(&mut self.encrypted.pending);
        self.drain();
    }

    /// Acts on all events.
    fn drain(&mut self) {
        while let Some(event) = self.conn.poll_event() {
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
