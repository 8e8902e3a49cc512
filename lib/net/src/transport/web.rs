//! A WebSocket as a byte stream.
//!
//! Owns what a stream becomes on a WebSocket: a message for each write, the end of one direction or
//! of both, answers to what the peer asks, and Pings of our own. What RFC 6455 permits at which place
//! is `spiped_ws`'s. Payload is masked and unmasked in the caller's buffers and not kept here: the
//! rest of a message that the system did not take waits with the caller. Part of `transport.rs`;
//! next: `accept.rs`, `pings.rs`, `link.rs`.

use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use spiped_ws::{Code, Cursor, Header, MAX_MESSAGE, Role, Session, Signal};

use super::accept::{Accepting, Granted};
use super::link::Link;
use super::pings::{Due, Pings, Stalled};
use super::socket::Stream;
use super::tls::Tls;
use crate::web::WebServer;

/// Reads in one turn while nobody takes the stream, and their size: there are only control frames.
const IDLE_READS: usize = 8;
const IDLE_READ: usize = 2048;

/// Reads in one call that yield nothing of the stream, such as a flood of Pings; then others have
/// their turns.
const EMPTY_READS: usize = 8;

/// Bytes of answers to Pings that wait at most; then the latest will do for all (section 5.5.3).
const MAX_PONGS: usize = 4096;

/// Bytes of the longest header of a message.
pub(super) const MAX_HEADER: usize = 14;

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

/// A message that is being written.
#[derive(Debug)]
struct Outgoing {
    header: Header,
    /// How much of the header is written.
    written: usize,
    /// Bytes of the payload that are masked and not written: the next that the caller passes.
    owed: usize,
}

/// Why it cannot go on.
#[derive(Debug)]
struct Fault {
    kind: ErrorKind,
    text: String,
    /// The peer is told why.
    explained: bool,
}

/// One WebSocket.
#[derive(Debug)]
pub(crate) struct Web {
    link: Link,
    /// Until the peer has asked for it, if it is the peer that asks.
    accepting: Option<Box<Accepting>>,
    session: Session,
    /// What came behind the head of the upgrade; empty, and without an allocation, soon after.
    early: Vec<u8>,
    outgoing: Option<Outgoing>,
    /// What goes out before the next message, in this order.
    control: Vec<u8>,
    /// Answers to Pings.
    pongs: Vec<u8>,
    reading: Reading,
    writing: Writing,
    peer: Peer,
    fault: Option<Box<Fault>>,
    /// Why nothing reaches a peer that has not said goodbye.
    unwritable: Option<ErrorKind>,
    pings: Option<Pings>,
    claim: Option<Box<str>>,
    /// More to do without an event, since this time.
    more: Option<Instant>,
    goodbye: Option<Goodbye>,
}

/// The wait for the end of what is said behind the streams.
#[derive(Clone, Copy, Debug)]
struct Goodbye {
    /// How long it lasts if there is no progress.
    until: Instant,
    /// Bytes that the peer's system has not acknowledged.
    left: usize,
}

impl Web {
    /// A WebSocket that the peer has granted; `early` came behind the answer.
    pub(super) fn open(
        link: Link,
        session: Session,
        early: Vec<u8>,
        ping: Option<Duration>,
    ) -> Self {
        Self {
            link,
            accepting: None,
            session,
            early,
            outgoing: None,
            control: Vec::new(),
            pongs: Vec::new(),
            reading: Reading::Open,
            writing: Writing::Open,
            peer: Peer::Here,
            fault: None,
            unwritable: None,
            pings: Some(Pings::new(ping, Instant::now())),
            claim: None,
            more: None,
            goodbye: None,
        }
    }

    /// A WebSocket that the peer is to ask for.
    pub(super) fn accept(stream: Stream, server: &Arc<WebServer>) -> io::Result<Self> {
        let link = match &server.tls {
            None => Link::Plain(stream),
            Some(tls) => {
                let connection = tls.start().map_err(io::Error::other)?;
                Link::Tls(Box::new(Tls::new(stream, connection.into())))
            }
        };
        let accepting = Some(Box::new(Accepting::new(server)));
        let session = Session::new(Role::Server, false);
        Ok(Self { accepting, ..Self::open(link, session, Vec::new(), server.ping) })
    }

    pub(super) fn stream(&self) -> &Stream {
        self.link.stream()
    }

    pub(super) fn note(&mut self, event: &Event) {
        self.link.stream_mut().note(event);
    }

    pub(super) fn readable(&self) -> bool {
        self.fault.is_some()
            || match self.reading {
                Reading::Open => !self.early.is_empty() || self.link.readable(),
                Reading::Ended => true,
                Reading::Told => false,
            }
    }

    /// Reads once; `WouldBlock` too after several reads without a byte of the stream, and then the
    /// next turn is due at once.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let result = self.read_some(into);
        if let Err(error) = &result
            && error.kind() == ErrorKind::WouldBlock
            && self.readable()
        {
            self.more = Some(Instant::now());
        }
        result
    }

    fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.accepting.is_some() {
            self.go_on_accepting()?;
        }
        for _ in 0..EMPTY_READS {
            if let Some(fault) = &self.fault {
                return Err(io::Error::new(fault.kind, fault.text.clone()));
            }
            if self.reading != Reading::Open {
                self.reading = Reading::Told;
                return Ok(0);
            }
            let read = if self.early.is_empty() {
                self.link.read(into)?
            } else {
                let read = self.early.len().min(into.len());
                into[..read].copy_from_slice(&self.early[..read]);
                self.early.drain(..read);
                self.early.shrink_to_fit();
                read
            };
            if read == 0 {
                self.peer = Peer::Gone;
                self.fail(ErrorKind::ConnectionAborted, "the WebSocket was cut, without a Close");
                continue;
            }
            let payload = self.take_in(&mut into[..read]);
            self.push();
            if payload > 0 {
                return Ok(payload);
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    pub(super) fn headroom(&self) -> usize {
        MAX_HEADER + self.link.headroom()
    }

    /// What the peer sends before there is a WebSocket.
    fn go_on_accepting(&mut self) -> io::Result<()> {
        let Some(accepting) = &mut self.accepting else { return Ok(()) };
        match accepting.advance(&mut self.link) {
            Ok(Granted { request, early }) => {
                self.control.extend_from_slice(request.grant().as_bytes());
                self.session = Session::new(Role::Server, request.half_close);
                self.claim = request.forwarded_for.map(String::into_boxed_str);
                self.early = early;
                self.accepting = None;
                self.push();
                Ok(())
            }
            Err(refused) if refused.error.kind() == ErrorKind::WouldBlock => Err(refused.error),
            Err(refused) => {
                self.accepting = None;
                self.claim = refused.claim.map(String::into_boxed_str);
                self.writing = Writing::Closed;
                self.control.extend_from_slice(refused.response.as_bytes());
                self.explain(refused.error.kind(), refused.error.to_string());
                self.push();
                Err(refused.error)
            }
        }
    }

    /// Looks at what has come: how much of the stream is at the front of `bytes` now.
    fn take_in(&mut self, bytes: &mut [u8]) -> usize {
        if let Some(pings) = &mut self.pings {
            pings.heard();
        }
        let mut cursor = Cursor::default();
        loop {
            match self.session.decode(bytes, &mut cursor) {
                Ok(None) => break,
                Ok(Some(signal)) => self.act_on(signal),
                Err(violation) => {
                    self.close(violation.code());
                    let text = format!("the peer broke the rules of WebSockets: {violation}");
                    self.explain(ErrorKind::InvalidData, text);
                    break;
                }
            }
        }
        cursor.payload()
    }

    fn act_on(&mut self, signal: Signal) {
        match signal {
            Signal::Ping(payload) => {
                if self.pongs.len() >= MAX_PONGS {
                    self.pongs.clear();
                }
                self.pongs
                    .extend_from_slice(&self.session.pong(&payload, key(self.session.role())));
            }
            Signal::Pong => {}
            Signal::End => {
                self.reading = Reading::Ended;
                if self.writing == Writing::Ended {
                    self.close(Code::Normal);
                }
            }
            Signal::Close(code) => {
                self.peer = Peer::Closed;
                if self.reading == Reading::Open {
                    self.reading = Reading::Ended;
                }
                self.close(Code::Normal);
                if let Some(code) = code.filter(|code| !matches!(code, 1000 | 1001)) {
                    let text = format!("the peer closed the WebSocket with code {code}");
                    self.explain(ErrorKind::ConnectionAborted, text);
                }
            }
        }
    }

    /// Says a Close, unless that has been done.
    fn close(&mut self, code: Code) {
        if self.writing != Writing::Closed {
            self.writing = Writing::Closed;
            self.pongs = Vec::new(); // nothing may follow a Close
            self.control.extend_from_slice(&self.session.close(code, key(self.session.role())));
        }
    }

    fn fail(&mut self, kind: ErrorKind, text: impl Into<String>) {
        let fault = Fault { kind, text: text.into(), explained: false };
        self.fault.get_or_insert(Box::new(fault));
    }

    /// The same, and the peer is told why.
    fn explain(&mut self, kind: ErrorKind, text: String) {
        self.fault.get_or_insert(Box::new(Fault { kind, text, explained: true }));
    }

    pub(super) fn writable(&self) -> bool {
        self.accepting.is_none() && self.link.writable()
    }

    pub(super) fn write(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.accepting.is_some() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        while taken < bytes.len() {
            if self.outgoing.is_none() && !self.begin_message(&mut bytes[taken..])? {
                break;
            }
            let Some(outgoing) = &mut self.outgoing else { break };
            let head = &outgoing.header.as_slice()[outgoing.written..];
            let body = &bytes[taken..taken + outgoing.owed];
            let asked = head.len() + body.len();
            let written = match self.link.write(head, body) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                result => result?,
            };
            let of_body = written.saturating_sub(head.len());
            outgoing.written += written - of_body;
            outgoing.owed -= of_body;
            taken += of_body;
            if written < asked {
                break;
            }
            self.outgoing = None;
        }
        self.push();
        Ok(taken)
    }

    /// Masks the next message; false if there is to be none now.
    fn begin_message(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        self.push();
        if self.writing != Writing::Open || self.fault.is_some() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if !(self.control.is_empty() && self.link.writable()) {
            return Ok(false);
        }
        let owed = bytes.len().min(MAX_MESSAGE);
        let header = self.session.seal(&mut bytes[..owed], key(self.session.role()));
        self.outgoing = Some(Outgoing { header, written: 0, owed });
        Ok(true)
    }

    /// Writes what goes between two messages, if we are between two.
    fn push(&mut self) {
        let Err(error) = self.try_push() else { return };
        if self.reading == Reading::Told {
            self.fail(error.kind(), error.to_string());
        } else if self.peer == Peer::Here {
            self.unwritable.get_or_insert(error.kind());
        }
        // What the peer has sent before may still be there to be read, and then the reason.
        self.writing = Writing::Closed;
        (self.outgoing, self.control, self.pongs) = (None, Vec::new(), Vec::new());
    }

    fn try_push(&mut self) -> io::Result<()> {
        self.link.flush()?;
        if self.outgoing.is_some() {
            return Ok(());
        }
        loop {
            if self.control.is_empty() {
                self.control = mem::take(&mut self.pongs);
            }
            if self.control.is_empty() || !self.link.writable() {
                break;
            }
            match self.link.write(&[], &self.control) {
                Ok(written) if written == self.control.len() => self.control = Vec::new(),
                Ok(written) => drop(self.control.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        // Both have said a Close: nothing more will be said, and each may close the connection.
        if self.peer == Peer::Closed && self.is_silent() {
            self.peer = Peer::Gone;
            self.link.end();
        }
        Ok(())
    }

    /// Whether nothing of ours is on its way to the system.
    fn is_silent(&self) -> bool {
        self.outgoing.is_none() && self.control.is_empty() && self.link.waiting() == 0
    }

    pub(super) fn shutdown_write(&mut self) {
        if self.writing != Writing::Open {
            return;
        }
        if self.session.half_close() && self.reading == Reading::Open {
            self.writing = Writing::Ended;
            self.control
                .extend_from_slice(self.session.end_mark(key(self.session.role())).as_slice());
        } else if self.session.half_close() {
            self.control
                .extend_from_slice(self.session.end_mark(key(self.session.role())).as_slice());
            self.close(Code::Normal);
        } else {
            self.close(Code::Normal);
        }
        self.push();
    }

    pub(super) fn advance(&mut self, now: Instant) {
        self.more = None;
        if self.accepting.is_some() {
            // What TLS has to say so far; that it cannot be said is found by reading.
            let _ = self.link.flush();
            return;
        }
        self.push();
        if self.reading == Reading::Told {
            self.read_on(now);
        }
        self.watch(now);
    }

    /// Reads control frames behind the end of the stream.
    fn read_on(&mut self, now: Instant) {
        let mut piece = [0; IDLE_READ];
        for _ in 0..IDLE_READS {
            if self.fault.is_some() || self.peer == Peer::Gone || !self.link.readable() {
                return self.push();
            }
            match self.link.read(&mut piece) {
                Ok(0) => {
                    if self.peer == Peer::Here && self.writing == Writing::Open {
                        let text = "the peer has cut the WebSocket";
                        self.fail(ErrorKind::ConnectionReset, text);
                    }
                    self.peer = Peer::Gone;
                }
                Ok(read) => drop(self.take_in(&mut piece[..read])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => self.fail(error.kind(), error.to_string()),
            }
        }
        self.more = Some(now);
        self.push();
    }

    /// Asks whether the peer is still there, when that is due.
    fn watch(&mut self, now: Instant) {
        if self.writing == Writing::Closed || self.peer != Peer::Here || self.fault.is_some() {
            self.pings = None;
            return;
        }
        let stalled = self.stalled();
        let Some(pings) = &mut self.pings else { return };
        match pings.handle_timeout(now, stalled) {
            Due::Nothing => {}
            Due::Ping => {
                self.control.extend_from_slice(&self.session.ping(key(self.session.role())));
                self.push();
            }
            Due::Pong => {
                self.control.extend_from_slice(&self.session.pong(&[], key(self.session.role())));
                self.push();
            }
            Due::Gone => self.fail(ErrorKind::TimedOut, "two Pings in a row were not answered"),
        }
    }

    fn stalled(&self) -> Stalled {
        Stalled {
            sending: !self.is_silent() || !self.link.writable(),
            receiving: self.reading == Reading::Open && self.link.readable(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.accepting.is_some() {
            return self.more;
        }
        let ping = self.pings.as_ref().and_then(|pings| pings.poll_timeout(self.stalled()));
        let goodbye = self.goodbye.map(|goodbye| goodbye.until);
        [self.more, ping, goodbye].into_iter().flatten().min()
    }

    pub(super) fn take_breakage(&mut self) -> Option<ErrorKind> {
        if let Some(fault) = &self.fault {
            return Some(fault.kind);
        }
        // Behind the peer's Close its connection may end as it likes.
        match self.reading {
            Reading::Open => self.link.stream_mut().take_breakage(),
            Reading::Ended | Reading::Told => self.unwritable.take(),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.link.waiting()
    }

    pub(super) fn last_words(&self) -> usize {
        match &self.fault {
            // In the middle of a message there is no place for them.
            Some(fault) if fault.explained && self.outgoing.is_none() => {
                self.control.len() + self.link.waiting() + self.stream().unsent()
            }
            _ => 0,
        }
    }

    pub(super) fn finish(&mut self, now: Instant, limit: Option<Duration>) -> bool {
        self.close(Code::Normal);
        self.reading = Reading::Told;
        self.more = None;
        self.push();
        self.read_on(now);
        if self.fault.is_some() || self.peer == Peer::Gone {
            return true;
        }
        if !self.control.is_empty() && self.link.waiting() > 0 {
            // The end of the stream itself is still here, and has all the time that it wants.
            self.goodbye = None;
            return false;
        }
        let left = self.control.len() + self.link.waiting() + self.stream().unsent();
        if let Some(goodbye) = self.goodbye
            && goodbye.left <= left
        {
            return goodbye.until <= now;
        }
        self.goodbye = Some(Goodbye { until: now + limit.unwrap_or(LONGEST_GOODBYE), left });
        false
    }

    pub(super) fn take_claim(&mut self) -> Option<Box<str>> {
        self.claim.take()
    }

    /// A connection that ends without a Close or an end mark cannot be taken for finished, and its
    /// end comes behind all that was sent; a reset would make a proxy throw that away. Who has not
    /// even got as far as a WebSocket gets one.
    pub(super) fn abort(self) {
        if self.accepting.is_some() {
            self.link.abort();
        }
    }
}

/// A new mask. It keeps scripts in browsers from choosing what proxies see; here is no script, and
/// what is masked looks random already: without random numbers, the mask of zeros does no harm.
fn key(role: Role) -> [u8; 4] {
    match role {
        Role::Client => getrandom::u32().unwrap_or_default().to_ne_bytes(),
        Role::Server => [0; 4], // it masks nothing
    }
}
