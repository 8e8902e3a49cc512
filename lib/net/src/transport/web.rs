//! A WebSocket as a byte stream.
//!
//! Owns what a stream becomes on a WebSocket: a message for each write, and answers to what the
//! peer asks. What RFC 6455 permits at which place is `spiped_ws`'s. Payload is masked and unmasked
//! in the caller's buffers and not kept here: the rest of a message that the system did not take
//! waits with the caller. Part of `transport.rs`; read on in `web/upkeep.rs` (what it does by
//! itself), `web/outbox.rs` (what goes out), `web/ending.rs` (how it ends), `accept.rs`,
//! `pings.rs`, `link.rs`.

mod ending;
mod outbox;
mod upkeep;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use spiped_ws::{Code, Cursor, MAX_MESSAGE, Role, Session, Signal};

use super::accept::{Accepting, Granted};
use super::link::Link;
use super::pings::Pings;
use super::socket::Stream;
use super::tls::Tls;
use crate::web::WebServer;
use ending::Ending;
use outbox::Outbox;

/// Reads in one call that yield nothing of the stream, such as a flood of Pings; then others have
/// their turns.
const EMPTY_READS: usize = 8;

/// Bytes of the longest header of a message.
pub(super) const MAX_HEADER: usize = 14;

/// One WebSocket.
#[derive(Debug)]
pub(crate) struct Web {
    link: Link,
    /// Until the peer has asked for it, if it is the peer that asks.
    accepting: Option<Box<Accepting>>,
    session: Session,
    /// What came behind the head of the upgrade; empty, and without an allocation, soon after.
    early: Vec<u8>,
    outbox: Outbox,
    ending: Ending,
    pings: Option<Pings>,
    claim: Option<Box<str>>,
    /// More to do without an event, since this time.
    more: Option<Instant>,
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
            outbox: Outbox::default(),
            ending: Ending::new(),
            pings: Some(Pings::new(ping, Instant::now())),
            claim: None,
            more: None,
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

    pub(super) fn stream_mut(&mut self) -> &mut Stream {
        self.link.stream_mut()
    }

    pub(super) fn note(&mut self, event: &Event) {
        self.link.stream_mut().note(event);
    }

    pub(super) fn readable(&self) -> bool {
        self.ending.readable(!self.early.is_empty() || self.link.readable())
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
            if let Some(told) = self.ending.tell() {
                return told;
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
                self.ending.cut();
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
                self.outbox.say(request.grant().as_bytes());
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
                self.ending.close();
                self.outbox.say(refused.response.as_bytes());
                self.ending.explain(refused.error.kind(), refused.error.to_string());
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
                    self.ending.explain(ErrorKind::InvalidData, text);
                    break;
                }
            }
        }
        cursor.payload()
    }

    fn act_on(&mut self, signal: Signal) {
        match signal {
            Signal::Ping(payload) => self.outbox.answer(&self.session.pong(&payload, self.key())),
            Signal::Pong => {}
            Signal::End => {
                if self.ending.peer_ended() {
                    self.close(Code::Normal);
                }
            }
            Signal::Close(code) => {
                self.ending.peer_closed(code);
                self.close(Code::Normal);
            }
        }
    }

    /// Says a Close, unless that has been done.
    fn close(&mut self, code: Code) {
        if self.ending.close() {
            self.outbox.say_last(&self.session.close(code, self.key()));
        }
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
            if !self.outbox.is_in_message() && !self.begin_message(&mut bytes[taken..])? {
                break;
            }
            taken += self.outbox.write(&mut self.link, &bytes[taken..])?;
            if self.outbox.is_in_message() {
                break; // the link takes no more
            }
        }
        self.push();
        Ok(taken)
    }

    /// Masks the next message; false if there is to be none now.
    fn begin_message(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        self.push();
        if !self.ending.may_write() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.outbox.words() > 0 || !self.link.writable() {
            return Ok(false);
        }
        let owed = bytes.len().min(MAX_MESSAGE);
        self.outbox.begin(self.session.seal(&mut bytes[..owed], self.key()), owed);
        Ok(true)
    }

    /// Writes what goes between two messages, if we are between two.
    fn push(&mut self) {
        if let Err(error) = self.outbox.flush(&mut self.link) {
            self.ending.broke(&error);
            self.outbox = Outbox::default();
        } else if self.is_silent() && self.ending.part() {
            self.link.end();
        }
    }

    /// Whether nothing of ours is on its way to the system.
    fn is_silent(&self) -> bool {
        !self.outbox.is_in_message() && self.outbox.words() == 0 && self.link.waiting() == 0
    }

    pub(super) fn shutdown_write(&mut self) {
        if !self.ending.is_writing() {
            return;
        }
        let both = if self.session.half_close() {
            self.outbox.say(self.session.end_mark(self.key()).as_slice());
            self.ending.end()
        } else {
            true
        };
        if both {
            self.close(Code::Normal);
        }
        self.push();
    }

    pub(super) fn take_breakage(&mut self) -> Option<ErrorKind> {
        // Behind the peer's Close its connection may end as it likes.
        if self.ending.is_reading() && !self.ending.has_failed() {
            self.link.stream_mut().take_breakage()
        } else {
            self.ending.take_breakage()
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.link.waiting()
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

    /// A new mask. It keeps scripts in browsers from choosing what proxies see; here is no script,
    /// and what is masked looks random already: without random numbers, the mask of zeros does no
    /// harm.
    fn key(&self) -> [u8; 4] {
        match self.session.role() {
            Role::Client => getrandom::u32().unwrap_or_default().to_ne_bytes(),
            Role::Server => [0; 4], // it masks nothing
        }
    }
}
