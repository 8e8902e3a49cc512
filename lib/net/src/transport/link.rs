//! What a WebSocket lies upon: a socket, or TLS on one.
//!
//! Owns nothing but the choice. Part of `transport.rs`; next: `tls.rs`.

use std::io::{self, IoSlice, Read, Write};

use super::socket::Stream;
use super::tls::{MAX_RECORD, Tls};

/// A byte stream beneath HTTP.
#[derive(Debug)]
pub(super) enum Link {
    Plain(Stream),
    Tls(Box<Tls>),
}

impl Link {
    pub(super) fn stream(&self) -> &Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => tls.stream(),
        }
    }

    pub(super) fn stream_mut(&mut self) -> &mut Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => tls.stream_mut(),
        }
    }

    /// Goes on with TLS's handshake, if there is one; true when it is done.
    pub(super) fn shake_hands(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tls) => tls.shake_hands(),
        }
    }

    pub(super) fn readable(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.readable(),
            Self::Tls(tls) => tls.readable(),
        }
    }

    /// Room that a read needs beside that for what it yields, to be worth its while.
    pub(super) fn headroom(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(_) => MAX_RECORD,
        }
    }

    /// Reads once; 0 at the end, however it came: TLS's own word for it adds nothing to a Close.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(tls) => tls.read(into),
        }
    }

    /// Whether everything has gone to the system, and more may.
    pub(super) fn writable(&self) -> bool {
        self.stream().writable()
    }

    /// Writes both parts as if they were one; returns how much of them was taken.
    pub(super) fn write(&mut self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) if head.is_empty() => stream.write(body),
            Self::Plain(stream) => stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]),
            Self::Tls(tls) => tls.write(head, body),
        }
    }

    /// Passes on what was taken and has not gone to the system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }

    /// Bytes that were taken and have not gone to the system.
    pub(super) fn waiting(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(tls) => tls.waiting(),
        }
    }

    /// Ends the stream towards the peer, behind all that has been written.
    pub(super) fn end(&mut self) {
        if let Self::Tls(tls) = self {
            tls.say_goodbye();
        }
        self.stream_mut().shutdown_write();
    }

    /// Closes with a reset, where there is one.
    pub(super) fn abort(self) {
        match self {
            Self::Plain(stream) => stream.abort(),
            Self::Tls(tls) => tls.abort(),
        }
    }
}
