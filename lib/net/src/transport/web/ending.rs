//! How a WebSocket comes to its end: each stream by itself, both by a Close, or by a fault.
//!
//! Owns how far the end is, what is still allowed, and what is told to whoever reads or writes.
//! Refuses to say or to read anything: `../web.rs` does. There is no next; `../accept.rs` is how it
//! begins.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// How long the peer's Close is waited for where `-o` sets no limit.
const LONGEST_GOODBYE: Duration = Duration::from_secs(10);

/// The stream that comes from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// It has ended, which is still to be told.
    Ended,
    Told,
}

/// The stream that goes to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// The end mark is on its way, or there.
    Ended,
    /// A Close is.
    Closed,
}

/// What there still is of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Here,
    /// Its Close has come.
    Closed,
    /// Its connection has ended.
    Gone,
}

/// Why it cannot go on.
#[derive(Debug)]
struct Fault {
    kind: ErrorKind,
    text: String,
    /// The peer is told why.
    explained: bool,
}

/// The wait for the end of what is said behind the streams.
#[derive(Clone, Copy, Debug)]
struct Goodbye {
    /// How long it lasts if there is no progress.
    until: Instant,
    /// Bytes that the peer's system has not acknowledged.
    left: usize,
}

/// How far the end is.
#[derive(Debug)]
pub(super) struct Ending {
    reading: Reading,
    writing: Writing,
    peer: Peer,
    fault: Option<Box<Fault>>,
    /// Why nothing reaches a peer that has not said goodbye.
    unwritable: Option<ErrorKind>,
    goodbye: Option<Goodbye>,
}

impl Ending {
    /// Nothing has ended.
    pub(super) fn new() -> Self {
        Self {
            reading: Reading::Open,
            writing: Writing::Open,
            peer: Peer::Here,
            fault: None,
            unwritable: None,
            goodbye: None,
        }
    }

    /// It cannot go on.
    pub(super) fn fail(&mut self, kind: ErrorKind, text: impl Into<String>) {
        let fault = Fault { kind, text: text.into(), explained: false };
        self.fault.get_or_insert(Box::new(fault));
    }

    /// The same, and the peer is told why.
    pub(super) fn explain(&mut self, kind: ErrorKind, text: String) {
        self.fault.get_or_insert(Box::new(Fault { kind, text, explained: true }));
    }

    /// Nothing can be written any more. What the peer has sent before may still be there to be
    /// read, and then the reason.
    pub(super) fn broke(&mut self, error: &io::Error) {
        if self.reading == Reading::Told {
            self.fail(error.kind(), error.to_string());
        } else if self.peer == Peer::Here {
            self.unwritable.get_or_insert(error.kind());
        }
        self.writing = Writing::Closed;
    }

    /// The connection has ended while the stream had not.
    pub(super) fn cut(&mut self) {
        self.peer = Peer::Gone;
        self.fail(ErrorKind::ConnectionAborted, "the WebSocket was cut, without a Close");
    }

    /// The connection has ended behind the stream.
    pub(super) fn cut_behind_the_end(&mut self) {
        if self.peer == Peer::Here && self.writing == Writing::Open {
            self.fail(ErrorKind::ConnectionReset, "the peer has cut the WebSocket");
        }
        self.peer = Peer::Gone;
    }

    /// The peer's stream has ended; true if ours has, so that a Close is due.
    pub(super) fn peer_ended(&mut self) -> bool {
        self.reading = Reading::Ended;
        self.writing == Writing::Ended
    }

    /// The peer's Close has come. Ours is due, unless it was said.
    pub(super) fn peer_closed(&mut self, code: Option<u16>) {
        self.peer = Peer::Closed;
        if self.reading == Reading::Open {
            self.reading = Reading::Ended;
        }
        if let Some(code) = code.filter(|code| !matches!(code, 1000 | 1001)) {
            let text = format!("the peer closed the WebSocket with code {code}");
            self.explain(ErrorKind::ConnectionAborted, text);
        }
    }

    /// Our stream ends by its mark; true if the peer's has ended, so that a Close is due.
    pub(super) fn end(&mut self) -> bool {
        self.writing = Writing::Ended;
        self.reading != Reading::Open
    }

    /// We say a Close now; false if that has been done.
    pub(super) fn close(&mut self) -> bool {
        let first = self.writing != Writing::Closed;
        self.writing = Writing::Closed;
        first
    }

    /// All that we had to say is with the system. True if so has the peer, which may then close the
    /// connection as we may.
    pub(super) fn part(&mut self) -> bool {
        let closed = self.peer == Peer::Closed;
        if closed {
            self.peer = Peer::Gone;
        }
        closed
    }

    /// What who reads is told instead of bytes, if anything.
    pub(super) fn tell(&mut self) -> Option<io::Result<usize>> {
        if let Some(fault) = &self.fault {
            return Some(Err(io::Error::new(fault.kind, fault.text.clone())));
        }
        if self.reading == Reading::Open {
            return None;
        }
        self.reading = Reading::Told;
        Some(Ok(0))
    }

    /// Who reads needs not be told any more.
    pub(super) fn reads_no_more(&mut self) {
        self.reading = Reading::Told;
    }

    /// Whether there may be something to read, if the stream `has` something.
    pub(super) fn readable(&self, has: bool) -> bool {
        self.fault.is_some()
            || match self.reading {
                Reading::Open => has,
                Reading::Ended => true,
                Reading::Told => false,
            }
    }

    /// Whether more of the stream may come.
    pub(super) fn is_reading(&self) -> bool {
        self.reading == Reading::Open
    }

    /// Whether the end of the stream was told, and only control frames count.
    pub(super) fn is_read(&self) -> bool {
        self.reading == Reading::Told
    }

    /// Whether messages may be written.
    pub(super) fn may_write(&self) -> bool {
        self.writing == Writing::Open && self.fault.is_none()
    }

    /// Whether our stream has not ended.
    pub(super) fn is_writing(&self) -> bool {
        self.writing == Writing::Open
    }

    /// Whether one side has said a Close or is gone, or it cannot go on.
    pub(super) fn has_begun(&self) -> bool {
        self.writing == Writing::Closed || self.peer != Peer::Here || self.fault.is_some()
    }

    /// Whether nothing more is to be expected of the peer.
    pub(super) fn is_over(&self) -> bool {
        self.fault.is_some() || self.peer == Peer::Gone
    }

    /// Why nothing can be written any more.
    pub(super) fn take_breakage(&mut self) -> Option<ErrorKind> {
        self.fault.as_ref().map(|fault| fault.kind).or_else(|| self.unwritable.take())
    }

    /// Whether it has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.fault.is_some()
    }

    /// Whether the peer is told why it cannot go on.
    pub(super) fn is_explained(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.explained)
    }

    /// The wait for the peer has not begun, or begins anew.
    pub(super) fn wait_anew(&mut self) {
        self.goodbye = None;
    }

    /// Waits for the peer, whose system has not acknowledged `left` bytes; true when it has been
    /// long enough without progress.
    pub(super) fn wait(&mut self, now: Instant, limit: Option<Duration>, left: usize) -> bool {
        if let Some(goodbye) = self.goodbye
            && goodbye.left <= left
        {
            return goodbye.until <= now;
        }
        self.goodbye = Some(Goodbye { until: now + limit.unwrap_or(LONGEST_GOODBYE), left });
        false
    }

    /// When the wait is over.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.goodbye.map(|goodbye| goodbye.until)
    }
}
