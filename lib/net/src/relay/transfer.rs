//! The way of the bytes through a connection: read one side, let the core turn them, write the
//! other.
//!
//! Owns how much is read when, and what waits: while something waits for a side, nothing is read
//! for it, and that is the whole of back-pressure. Refuses to act on what the core says about the
//! connection; `relay.rs`, which this is part of, does.

use std::io;
use std::time::Instant;

use spiped_proto::{Input, Side};

use super::{Context, End, Relay};

/// Reads of one direction in one turn, so that one busy connection starves nobody.
const READS_PER_TURN: usize = 2;

impl Relay {
    /// Moves bytes from one side to the other until there are none, they cannot be written, or the
    /// budget is used up: true for the latter.
    pub(super) fn transfer(&mut self, from: Side, ctx: &mut Context<'_>) -> bool {
        for _ in 0..READS_PER_TURN {
            self.flush(ctx.now);
            self.handle_events(ctx);
            let limit = self.read_limit(from).min(ctx.most_read());
            if limit == 0 {
                return false;
            }
            let awaits_message = !self.is_authenticated();
            let Some(end) = self.end_mut(from) else { return false };
            let inbox = &mut ctx.scratch.inbox;
            let result = if awaits_message {
                end.read_message(&mut inbox[..=limit])
            } else {
                end.read(&mut inbox[..limit])
            };
            let (read, input) = match result {
                Ok(0) => (0, Input::End),
                Ok(read) => (read, Input::Data(&inbox[..read])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    let kind = error.kind();
                    // What the system says is in the kind.
                    self.fault = Some(error).filter(|error| error.get_ref().is_some());
                    (0, Input::ReadFailed(kind))
                }
            };
            if let (1.., Some(idle)) = (read, &mut self.idle) {
                idle.moved(ctx.now);
            }
            let outbox = &mut ctx.scratch.outbox;
            outbox.clear();
            let Some(conn) = &mut self.conn else { return false };
            conn.handle_input(ctx.now, from, input, outbox);
            self.write_across(from, read, outbox, ctx.now);
            self.handle_events(ctx);
            if self.closing.is_some() {
                return false;
            }
            // Just authenticated: connect to the target in this turn, not in the next.
            self.advance(ctx);
        }
        self.read_limit(from) > 0
    }

    /// How much may be read from a side now; 0 unless there is something to read and the way ahead
    /// is free. During the handshake the core takes what it waits for, whatever the way ahead.
    fn read_limit(&self, from: Side) -> usize {
        let (Some(conn), Some(end)) = (&self.conn, self.end(from)) else { return 0 };
        if !end.readable() {
            return 0;
        }
        let limit = conn.read_limit(from);
        if limit == usize::MAX && !self.end(from.other()).is_some_and(End::is_drained) {
            return 0;
        }
        limit.min(end.read_size())
    }

    /// Writes what waits for either side, the core's own messages included.
    fn flush(&mut self, now: Instant) {
        let mut own = Vec::new();
        if let Some(conn) = &mut self.conn {
            conn.poll_transmit(&mut own);
        }
        self.write(Side::Encrypted, &mut own, now);
        for side in [Side::Plain, Side::Encrypted] {
            if let Some(end) = self.end_mut(side)
                && let Err(error) = end.flush()
            {
                self.write_failed(side, error.kind(), now);
            }
        }
    }

    /// Writes what has become of the `read` bytes of one side to the other.
    fn write_across(&mut self, from: Side, read: usize, bytes: &mut [u8], now: Instant) {
        if bytes.is_empty() {
            return;
        }
        self.write(from.other(), bytes, now);
        let all_taken = self.end(from.other()).is_some_and(End::is_drained);
        if let Some(end) = self.end_mut(from) {
            end.adapt_read_size(read, all_taken);
        }
    }

    fn write(&mut self, side: Side, bytes: &mut [u8], now: Instant) {
        if let Some(end) = self.end_mut(side)
            && let Err(error) = end.write(bytes)
        {
            self.write_failed(side, error.kind(), now);
        }
    }

    /// Its own direction only: what the side has sent before may still be there to be read.
    pub(super) fn write_failed(&mut self, side: Side, kind: io::ErrorKind, now: Instant) {
        if let Some(conn) = &mut self.conn {
            conn.handle_input(now, side, Input::WriteFailed(kind), &mut Vec::new());
        }
    }
}
