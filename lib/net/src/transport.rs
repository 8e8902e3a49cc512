//! The seam between a connection and what carries its bytes.
//!
//! Owns what a byte stream can do: be read, written, ended one way, finished, reset, and registered
//! with the loop. It is a TCP or UNIX socket (`transport/socket.rs`), or a WebSocket over one
//! (`transport/web.rs`), perhaps with TLS between the two (`transport/tls.rs`); neither the
//! protocol nor `relay.rs` notices which. A stream that has to be opened first, by a proxy, TLS or
//! an upgrade, is in `transport/dial.rs` until it is usable, or in `transport/accept.rs` if we did
//! not begin it.

mod accept;
pub(crate) mod dial;
mod link;
mod options;
mod pings;
mod socket;
mod tls;
mod web;

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Token};
use socket2::Socket;
use spiped_ws::MAX_MESSAGE;

use crate::addr::Endpoint;
use crate::web::WebServer;
pub(crate) use options::{ACCEPTED_TAKE_AFTER_LISTENER, tune_listener};
pub(crate) use socket::Stream;
use web::Web;

/// The most that [`Transport::headroom`] says.
pub(crate) const MAX_HEADROOM: usize = tls::MAX_RECORD + web::MAX_HEADER;

/// A connected, non-blocking byte stream.
#[derive(Debug)]
pub(crate) enum Transport {
    /// The socket itself.
    Socket(Stream),
    /// A WebSocket; boxed, so that others pay nothing for it.
    Web(Box<Web>),
}

impl Transport {
    /// Takes over a connected, non-blocking socket to this peer.
    pub(crate) fn new(socket: Socket, peer: &Endpoint) -> Self {
        Self::Socket(Stream::new(socket, peer))
    }

    /// Takes over one end of a pair of UNIX sockets, which becomes non-blocking.
    pub(crate) fn from_pair(end: OwnedFd) -> io::Result<Self> {
        Stream::from_pair(end).map(Self::Socket)
    }

    /// Takes over an accepted socket whose peer is to ask for a WebSocket; until it has, there is
    /// nothing to be read.
    pub(crate) fn accept(
        socket: Socket,
        peer: &Endpoint,
        server: &Arc<WebServer>,
    ) -> io::Result<Self> {
        let stream = Stream::new(socket, peer);
        Web::accept(stream, server).map(|web| Self::Web(Box::new(web)))
    }

    /// The socket beneath it all.
    fn stream(&self) -> &Stream {
        match self {
            Self::Socket(stream) => stream,
            Self::Web(web) => web.stream(),
        }
    }

    fn stream_mut(&mut self) -> &mut Stream {
        match self {
            Self::Socket(stream) => stream,
            Self::Web(web) => web.stream_mut(),
        }
    }

    /// Has the kernel tell of it from now on.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream_mut().register(registry, token)
    }

    /// After a turn: has the kernel tell when it can be written to again, if it cannot now.
    pub(crate) fn watch_for_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream_mut().watch_for_room(registry, token)
    }

    /// Sends small packets at once, lets the kernel probe a silent peer unless told not to, and
    /// gives up a peer that leaves bytes unacknowledged for the time of `ack_timeout`, if any.
    pub(crate) fn tune(&self, keepalive: bool, ack_timeout: Option<Duration>) {
        self.stream().tune(keepalive, ack_timeout);
    }

    /// Takes note of what the kernel says.
    pub(crate) fn note(&mut self, event: &Event) {
        match self {
            Self::Socket(stream) => stream.note(event),
            Self::Web(web) => web.note(event),
        }
    }

    /// Whether [`Self::read`] may have something, the end or an error included.
    pub(crate) fn readable(&self) -> bool {
        match self {
            Self::Socket(stream) => stream.readable(),
            Self::Web(web) => web.readable(),
        }
    }

    /// Reads once; at the end of the stream 0.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.read(into),
            Self::Web(web) => web.read(into),
        }
    }

    /// Room that a read needs beside that for the bytes of the stream, to be worth its while.
    pub(crate) fn headroom(&self) -> usize {
        match self {
            Self::Socket(_) => 0,
            Self::Web(web) => web.headroom(),
        }
    }

    /// The most that is worth writing at once.
    pub(crate) fn most_written(&self) -> usize {
        match self {
            Self::Socket(_) => usize::MAX,
            Self::Web(_) => MAX_MESSAGE,
        }
    }

    /// Whether [`Self::write`] may take something.
    pub(crate) fn writable(&self) -> bool {
        match self {
            Self::Socket(stream) => stream.writable(),
            Self::Web(web) => web.writable(),
        }
    }

    /// Writes once; returns how much was taken.
    ///
    /// **What was not taken is to be passed again, from there on and as it now is, with whatever
    /// more there is behind it**: a carrier may have changed the bytes in place.
    pub(crate) fn write(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.write(bytes),
            Self::Web(web) => web.write(bytes),
        }
    }

    /// Ends the stream towards the peer. A socket that is gone already needs no end.
    pub(crate) fn shutdown_write(&mut self) {
        match self {
            Self::Socket(stream) => stream.shutdown_write(),
            Self::Web(web) => web.shutdown_write(),
        }
    }

    /// Does what the carrier has to do by itself. To be called in every turn.
    pub(crate) fn advance(&mut self, now: Instant) {
        match self {
            Self::Socket(_) => {}
            Self::Web(web) => web.advance(now),
        }
    }

    /// When [`Self::advance`] is to be called without an event.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Socket(_) => None,
            Self::Web(web) => web.poll_timeout(),
        }
    }

    /// Why nothing can be written any more, if that is known.
    pub(crate) fn take_breakage(&mut self) -> Option<io::ErrorKind> {
        match self {
            Self::Socket(stream) => stream.take_breakage(),
            Self::Web(web) => web.take_breakage(),
        }
    }

    /// With what error the connection has been ended while nobody reads it, if nothing is left
    /// to be read. Of a WebSocket that cannot be said before it is read.
    pub(crate) fn take_error(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Socket(stream) => stream.take_error(),
            Self::Web(_) => None,
        }
    }

    /// Bytes that were taken and have not been passed to the system.
    pub(crate) fn waiting(&self) -> usize {
        match self {
            Self::Socket(_) => 0,
            Self::Web(web) => web.waiting(),
        }
    }

    /// Bytes that were passed to the system and that the peer's has not acknowledged yet.
    ///
    /// 0 where the system cannot tell, and for UNIX sockets, whose peer has them already.
    pub(crate) fn unsent(&self) -> usize {
        self.stream().unsent()
    }

    /// Bytes that tell the peer why the connection has failed, and are not with it yet.
    pub(crate) fn last_words(&self) -> usize {
        match self {
            Self::Socket(_) => 0,
            Self::Web(web) => web.last_words(),
        }
    }

    /// After the ends of both streams: whether all has been said and heard, so that closing loses
    /// nothing. Waits no longer than `limit` for the peer without progress; to be called in each
    /// turn.
    pub(crate) fn finish(&mut self, now: Instant, limit: Option<Duration>) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Web(web) => web.finish(now, limit),
        }
    }

    /// Where the peer claims that it comes from, if it does.
    pub(crate) fn take_claim(&mut self) -> Option<Box<str>> {
        match self {
            Self::Socket(_) => None,
            Self::Web(web) => web.take_claim(),
        }
    }

    /// Closes so that the peer cannot take it for an end: with a reset where the carrier has one.
    pub(crate) fn abort(self) {
        match self {
            Self::Socket(stream) => stream.abort(),
            Self::Web(web) => web.abort(),
        }
    }
}

#[cfg(test)]
mod tests;
