//! A byte stream between two parties, as a socket is one: limited room, an end, and faults.
//!
//! Owns what the reader has not taken yet, and one fault and one delay that are planned for it. Who
//! reads and writes it is in `world.rs`.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// Something that goes wrong once, when the stream has come to byte `at`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) what: What,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// This bit of byte `at` arrives inverted.
    FlipBit(u32),
    /// Byte `at` and what follows is lost on the way, and the reader sees the end of the stream.
    Cut,
    /// The same, but the reader sees an error.
    Reset(ErrorKind),
    /// Byte `at` cannot be written, nor anything after it. The reader is not told.
    RefuseWrites(ErrorKind),
}

/// A silence: the reader gets byte `at`, or the end if that is there, so much later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    pub(crate) at: usize,
    pub(crate) lasts: Duration,
}

/// What comes after the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    End,
    Failed(ErrorKind),
}

/// What a read has found.
pub(crate) enum Found {
    Nothing,
    Data(Vec<u8>),
    Ending(Ending),
}

/// One direction between two parties.
pub(crate) struct Stream {
    queue: VecDeque<u8>,
    room: usize,
    /// Bytes that the writer was told to have written.
    pub(crate) written: usize,
    /// Bytes that the reader has got.
    delivered: usize,
    ending: Option<Ending>,
    ending_told: bool,
    refuses: Option<ErrorKind>,
    pub(crate) fault: Option<Fault>,
    pub(crate) stall: Option<Stall>,
    /// When the stall is over, once it has begun.
    thaws: Option<Instant>,
    /// Reads and writes of it are for 1 to twice this many bytes.
    pub(crate) grain: usize,
}

impl Stream {
    pub(crate) fn new(room: usize, grain: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            room,
            written: 0,
            delivered: 0,
            ending: None,
            ending_told: false,
            refuses: None,
            fault: None,
            stall: None,
            thaws: None,
            grain,
        }
    }

    /// About how many bytes move at a time.
    pub(crate) fn piece(&self) -> usize {
        self.grain.min(self.room)
    }

    /// Takes as much of `data` as there is room for; 0 means to try again later.
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<usize, ErrorKind> {
        if let Some(Fault { at, what: What::RefuseWrites(kind) }) = self.fault
            && at == self.written
        {
            self.refuses = Some(kind);
        }
        if let Some(kind) = self.refuses {
            return Err(kind);
        }
        let mut taken = data.len().min(self.room - self.queue.len());
        if let Some(Fault { at, what: What::RefuseWrites(_) }) = self.fault {
            taken = taken.min(at - self.written);
        }
        let start = self.written;
        self.written += taken;
        let mut arriving = data[..taken].to_vec();
        match self.fault {
            Some(Fault { at, what: What::FlipBit(bit) }) if (start..self.written).contains(&at) => {
                arriving[at - start] ^= 1 << bit;
            }
            Some(Fault { at, what: What::Cut }) if at <= self.written => {
                arriving.truncate(at.saturating_sub(start));
                self.ending = Some(Ending::End);
            }
            Some(Fault { at, what: What::Reset(kind) }) if at <= self.written => {
                arriving.truncate(at.saturating_sub(start));
                self.ending = Some(Ending::Failed(kind));
            }
            _ => {}
        }
        self.queue.extend(arriving);
        Ok(taken)
    }

    /// Nothing more will be written. A failure replaces an end that the reader has not seen yet.
    pub(crate) fn finish(&mut self, ending: Ending) {
        self.ending = match (self.ending, ending) {
            (Some(earlier), Ending::End) => Some(earlier),
            (_, later) => Some(later),
        };
    }

    /// The reader has gone away: writes fail from now on.
    pub(crate) fn refuse_writes(&mut self, kind: ErrorKind) {
        self.refuses = Some(kind);
    }

    /// When a stall that has begun is over.
    pub(crate) fn thaws(&self, now: Instant) -> Option<Instant> {
        self.thaws.filter(|thaws| *thaws > now)
    }

    /// Up to `limit` bytes, or once what comes after the last one.
    pub(crate) fn read(&mut self, mut limit: usize, now: Instant) -> Found {
        if let Some(Stall { at, lasts }) = self.stall {
            let before = at.saturating_sub(self.delivered);
            if before > 0 {
                limit = limit.min(before);
            } else if now < *self.thaws.get_or_insert(now + lasts) {
                return Found::Nothing;
            }
        }
        if !self.queue.is_empty() {
            let taken = limit.min(self.queue.len());
            self.delivered += taken;
            return Found::Data(self.queue.drain(..taken).collect());
        }
        match self.ending {
            Some(ending) if !self.ending_told => {
                self.ending_told = true;
                Found::Ending(ending)
            }
            _ => Found::Nothing,
        }
    }
}
