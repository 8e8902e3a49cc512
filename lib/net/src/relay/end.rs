//! One side of a connection: its transport, and what waits to be written to it.
//!
//! Owns the rest of a short write and the size of the next read. Refuses to look into the bytes.
//! `relay.rs` holds two of these.

use std::io;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Token};

use crate::transport::Transport;
use spiped_proto::wire::PACKET_DATA_LEN;

/// The first read of a side: what C spiped reads at a time, four times over.
const FIRST_READ: usize = 16 * PACKET_DATA_LEN;

/// Whether a side can still be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// The stream has ended, and is to be shut down when what waits is written.
    Ending,
    Shut,
    Failed,
}

/// One side of a connection.
#[derive(Debug)]
pub(super) struct End {
    transport: Transport,
    /// What the transport has not taken: empty, and without an allocation, while all goes well.
    pending: Vec<u8>,
    /// How much of `pending` is written.
    written: usize,
    read_size: u32,
    most_read: u32,
    writing: Writing,
    /// What [`Self::read_message`] came upon behind the message.
    ahead: Option<u8>,
}

impl End {
    /// A side of which `most_read` bytes make a full batch.
    pub(super) fn new(transport: Transport, most_read: usize) -> Self {
        Self {
            transport,
            most_read: most_read as u32,
            pending: Vec::new(),
            written: 0,
            read_size: FIRST_READ as u32,
            writing: Writing::Open,
            ahead: None,
        }
    }

    /// Takes note of what the kernel says.
    pub(super) fn note(&mut self, event: &Event) {
        self.transport.note(event);
    }

    /// After a turn: has the kernel tell when it can be written to again, if it cannot now.
    pub(super) fn watch_for_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.transport.watch_for_room(registry, token)
    }

    /// Whether there may be something to read, the end or an error included.
    pub(super) fn readable(&self) -> bool {
        self.ahead.is_some() || self.transport.readable()
    }

    /// Does what the carrier has to do by itself.
    pub(super) fn advance(&mut self, now: Instant) {
        self.transport.advance(now);
    }

    /// When [`Self::advance`] is to be called without an event.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.transport.poll_timeout()
    }

    /// Reads once, of a message of which all but the last byte of `into` is still to come.
    ///
    /// The last byte is none of the message's, and kept for the next read. It shows whether the
    /// message was all that there was: a read that is full tells nothing, and another one would be
    /// needed, as good as always for nothing, since peers who shake hands take turns.
    pub(super) fn read_message(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.read(into)?;
        if read < into.len() {
            return Ok(read);
        }
        self.ahead = into.last().copied();
        Ok(read - 1)
    }

    /// Reads once; at the end of the stream 0.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(first) = into.first_mut()
            && let Some(ahead) = self.ahead.take()
        {
            *first = ahead;
            return Ok(1);
        }
        let result = self.transport.read(into);
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::WouldBlock
        {
            // What was reset while bytes were under way counts them for ever.
            self.fail();
        }
        result
    }

    /// The room that is to be given to a read of this side.
    pub(super) fn read_size(&self) -> usize {
        self.read_size as usize + self.transport.headroom()
    }

    /// No more than this is to be read at once from now on.
    pub(super) fn limit_reads(&mut self, most_read: usize) {
        self.most_read = self.most_read.min(most_read as u32);
        self.read_size = self.read_size.min(self.most_read);
    }

    /// The most that is worth writing to this side at once.
    pub(super) fn most_written(&self) -> usize {
        self.transport.most_written()
    }

    /// After what was read has gone across: more next time if all of it was taken, no more than
    /// this much if not, so that a side that stops reading costs little memory.
    pub(super) fn adapt_read_size(&mut self, read: usize, all_taken: bool) {
        let next = if !all_taken {
            read / 2
        } else if read >= self.read_size as usize {
            2 * read
        } else {
            return;
        };
        self.read_size = next.clamp(PACKET_DATA_LEN, self.most_read as usize) as u32;
    }

    /// Whether everything has been handed to the kernel and more can be.
    pub(super) fn is_drained(&self) -> bool {
        self.waiting() == 0 && self.writing == Writing::Open
    }

    /// Bytes that were handed over for this side and have not reached its system.
    pub(super) fn undelivered(&self) -> usize {
        match self.writing {
            Writing::Failed => self.last_words(),
            Writing::Open | Writing::Ending | Writing::Shut => {
                self.waiting() + self.transport.unsent()
            }
        }
    }

    /// Bytes that tell the peer why the connection has failed, and are not with it yet.
    pub(super) fn last_words(&self) -> usize {
        self.transport.last_words()
    }

    /// After the ends of both streams: whether closing loses nothing any more.
    pub(super) fn finish(&mut self, now: Instant, limit: Option<Duration>) -> bool {
        self.transport.finish(now, limit)
    }

    /// Whether a WebSocket carries it.
    pub(super) fn is_web(&self) -> bool {
        matches!(self.transport, Transport::Web(_))
    }

    /// Where the peer claims that it comes from, if it does.
    pub(super) fn take_claim(&mut self) -> Option<Box<str>> {
        self.transport.take_claim()
    }

    /// Writes `bytes`, behind what waits already; what is not taken waits too. They may be changed.
    ///
    /// # Errors
    ///
    /// The write's error, once; whatever waits is dropped, and nothing is written any more.
    pub(super) fn write(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if self.writing != Writing::Open {
            return Ok(());
        }
        let taken = if self.pending.is_empty() { self.try_write(bytes)? } else { 0 };
        self.pending.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// Writes what waits.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        self.written += self.try_write(&mut pending[self.written..])?;
        if self.written < pending.len() {
            self.pending = pending;
        } else {
            self.written = 0;
            if self.writing == Writing::Ending {
                self.shut();
            }
        }
        Ok(())
    }

    /// Writes until all is taken or the transport takes no more; returns how much it took.
    fn try_write(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() && self.transport.writable() {
            match self.transport.write(&mut bytes[taken..]) {
                Ok(0) => break,
                Ok(written) => taken += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.fail();
                    return Err(error);
                }
            }
        }
        Ok(taken)
    }

    /// The stream towards this side has ended: shuts down writing as soon as all of it is written.
    pub(super) fn shutdown_write(&mut self) {
        if self.writing == Writing::Open {
            self.writing = Writing::Ending;
            if self.pending.is_empty() {
                self.shut();
            }
        }
    }

    fn shut(&mut self) {
        self.writing = Writing::Shut;
        self.transport.shutdown_write();
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.pending() + self.transport.waiting()
    }

    /// Bytes that the carrier has not even taken.
    pub(super) fn pending(&self) -> usize {
        self.pending.len() - self.written
    }

    /// Why nothing can be written any more, if the carrier has said that nothing can.
    pub(super) fn take_breakage(&mut self) -> Option<io::ErrorKind> {
        if self.writing == Writing::Failed {
            return None;
        }
        let kind = self.transport.take_breakage()?;
        self.fail();
        Some(kind)
    }

    /// With what error the connection has been ended while nobody reads this side, if nothing is
    /// left to be read.
    pub(super) fn take_error(&mut self) -> Option<io::ErrorKind> {
        if self.ahead.is_some() {
            return None;
        }
        let kind = self.transport.take_error()?;
        self.fail();
        Some(kind)
    }

    /// Nothing can be delivered to this side any more.
    fn fail(&mut self) {
        self.writing = Writing::Failed;
        (self.pending, self.written) = (Vec::new(), 0);
    }

    /// Closes with a reset, where there is one.
    pub(super) fn abort(self) {
        self.transport.abort();
    }
}

#[cfg(test)]
mod tests;
