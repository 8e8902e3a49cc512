//! The two sides of an open connection, and how far the streams between them are.
//!
//! Owns what the end or a failure of one side means for either stream, and when that is the end of
//! the connection. Refuses bytes: those are the pipes'. Part of `../conn.rs`; next: `reason.rs`.

use core::fmt;
use std::io::ErrorKind;

use super::{CloseReason, Event};

/// The two sides between which a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Unencrypted: the local client of `-e`, the target of `-d`, stdin and stdout of `spipe`.
    Plain,
    /// Encrypted: the other spiped.
    Encrypted,
}

impl Side {
    /// The side across.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Plain => Self::Encrypted,
            Self::Encrypted => Self::Plain,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain side",
            Self::Encrypted => "encrypted side",
        })
    }
}

/// How far the stream towards one side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Open,
    Ended,
    /// The side towards which it goes cannot be written to.
    Undeliverable(ErrorKind),
    /// The same, but its end has not come: until then it is read and dropped.
    Dropped(ErrorKind),
}

/// Both streams.
#[derive(Debug)]
pub(super) struct Flows {
    towards_plain: Flow,
    towards_encrypted: Flow,
}

impl Flows {
    pub(super) fn new() -> Self {
        Self { towards_plain: Flow::Open, towards_encrypted: Flow::Open }
    }

    /// Whether the stream that comes from `side` may still say something, be it only its end.
    pub(super) fn is_read(&self, side: Side) -> bool {
        matches!(self.towards(side.other()), Flow::Open | Flow::Dropped(_))
    }

    /// Whether what is for `side` is read, but cannot be delivered.
    pub(super) fn is_dropped(&self, side: Side) -> bool {
        matches!(self.towards(side), Flow::Dropped(_))
    }

    /// Nothing more can be written to `side`: the reason if that is the end of it all.
    pub(super) fn write_failed(&mut self, side: Side, kind: ErrorKind) -> Option<CloseReason> {
        // Its own direction only: what the side has sent before may still be there to read.
        self.finish(
            side,
            match side {
                Side::Plain if self.towards_plain == Flow::Open => Flow::Dropped(kind),
                _ => Flow::Undeliverable(kind),
            },
        )
    }

    /// The stream that comes from `side` has ended, in the middle of a packet if there is a `cut`:
    /// the reason if that is the end of it all.
    pub(super) fn end(
        &mut self,
        side: Side,
        cut: Option<CloseReason>,
        events: &mut Vec<Event>,
    ) -> Option<CloseReason> {
        // Where a write has met a reset, the system may report the end of the stream to the reader
        // because the error is used up. A broken pipe is another matter: there the end had come
        // first.
        if let Flow::Undeliverable(kind) | Flow::Dropped(kind) = self.towards(side)
            && kind != ErrorKind::BrokenPipe
        {
            return Some(CloseReason::ReadFailed(side, kind));
        }
        if let Flow::Dropped(kind) = self.towards(side.other()) {
            return self.finish(side.other(), Flow::Undeliverable(kind));
        }
        if cut.is_some() {
            return cut;
        }
        if self.towards(side.other()) != Flow::Open {
            return None;
        }
        events.push(Event::EndOfStream(side.other()));
        self.finish(side.other(), Flow::Ended)
    }

    /// The stream towards `side` is over; when both are, so is the connection.
    fn finish(&mut self, side: Side, how: Flow) -> Option<CloseReason> {
        match side {
            Side::Plain => self.towards_plain = how,
            Side::Encrypted => self.towards_encrypted = how,
        }
        if self.towards_plain == Flow::Open || self.towards_encrypted == Flow::Open {
            return None;
        }
        let undeliverable =
            [Side::Plain, Side::Encrypted].into_iter().find_map(|side| match self.towards(side) {
                Flow::Undeliverable(kind) | Flow::Dropped(kind) => Some((side, kind)),
                Flow::Open | Flow::Ended => None,
            });
        Some(
            undeliverable
                .map_or(CloseReason::Finished, |(side, kind)| CloseReason::WriteFailed(side, kind)),
        )
    }

    fn towards(&self, side: Side) -> Flow {
        match side {
            Side::Plain => self.towards_plain,
            Side::Encrypted => self.towards_encrypted,
        }
    }
}
