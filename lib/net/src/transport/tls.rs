//! TLS on a socket, by rustls.
//!
//! Owns moving records between the socket and rustls, and how much of them may wait in there: one
//! write's worth of sealed records and one record that has come in part. Refuses certificates:
//! `../tls.rs`. Part of `link.rs`.

use std::io::{self, IoSlice, Read, Write};

use rustls::Connection;

use super::socket::Stream;
use crate::tls::describe;

/// Bytes of the longest record: rustls holds less than one of these between two calls.
pub(super) const MAX_RECORD: usize = (16 << 10) + 2048 + 5;

/// A buffer for which it pays to read many records at once.
const LARGE: usize = MAX_RECORD + (8 << 10);

/// Reads of the socket in one call that yield nothing, such as a flood of tickets.
const EMPTY_READS: usize = 8;

/// A connection of rustls and its socket.
#[derive(Debug)]
pub(super) struct Tls {
    stream: Stream,
    connection: Connection,
    /// Opened bytes that nobody has read yet.
    opened: usize,
    /// About how many sealed bytes the socket has not taken.
    sealed: usize,
    /// What is wrong with the peer's records; told when all before them has been read.
    fault: Option<rustls::Error>,
    /// Why nothing can be written, found while reading; told to who writes next.
    unwritable: Option<io::Error>,
}

impl Tls {
    pub(super) fn new(stream: Stream, connection: Connection) -> Self {
        Self { stream, connection, opened: 0, sealed: 0, fault: None, unwritable: None }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Goes on with the handshake, as far as the socket lets; true when it is done.
    pub(super) fn shake_hands(&mut self) -> io::Result<bool> {
        loop {
            self.flush()?;
            if !self.connection.is_handshaking() {
                return Ok(true);
            }
            match self.pull() {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if let Some(fault) = &self.fault {
                let error = io::Error::new(io::ErrorKind::InvalidData, describe(fault));
                let _ = self.flush(); // the alert, if it can go at once
                return Err(error);
            }
        }
    }

    pub(super) fn readable(&self) -> bool {
        self.opened > 0 || self.fault.is_some() || self.stream.readable()
    }

    /// Reads once; `WouldBlock` too after several records with nothing in them, and then it is
    /// still readable.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut left = EMPTY_READS;
        loop {
            match self.connection.reader().read(into) {
                Ok(read) => {
                    self.opened = self.opened.saturating_sub(read);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if let Some(fault) = &self.fault {
                return Err(io::Error::new(io::ErrorKind::InvalidData, describe(fault)));
            }
            if left == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            left -= 1;
            if into.len() < LARGE {
                self.pull()?;
                continue;
            }
            let read = self.pull_many(into)?;
            if read > 0 {
                return Ok(read);
            }
        }
    }

    /// Reads some of the socket's bytes and opens the records that they complete. Returns how many
    /// bytes that were; 0 at the end of the socket's stream.
    fn pull(&mut self) -> io::Result<usize> {
        let read = self.connection.read_tls(&mut self.stream)?;
        self.open();
        self.answer();
        Ok(read)
    }

    /// Reads as many records as `into` has room for in one call, and opens them in it. rustls takes
    /// four kilobytes at a time, which would be as many calls of the system.
    ///
    /// What is opened is written to the front, and what is not yet stands so far behind that it is
    /// never reached: there is one unfinished record in rustls at most.
    fn pull_many(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let end = MAX_RECORD + self.stream.read(&mut into[MAX_RECORD..])?;
        let (mut at, mut filled) = (MAX_RECORD, 0);
        loop {
            let mut sealed = &into[at..end];
            let taken = self.connection.read_tls(&mut sealed)?; // 0 bytes tell it of the end
            at += taken;
            self.open();
            while self.opened > 0 && filled < at {
                let read = self.connection.reader().read(&mut into[filled..at])?;
                (self.opened, filled) = (self.opened.saturating_sub(read), filled + read);
            }
            if at == end || taken == 0 || self.fault.is_some() {
                break;
            }
        }
        self.answer();
        Ok(filled)
    }

    /// Writes what the peer's records have asked for: an answer, or new keys. If that fails, what
    /// was read is as good as ever.
    fn answer(&mut self) {
        if let Err(error) = self.flush() {
            self.unwritable = Some(error);
        }
    }

    fn open(&mut self) {
        match self.connection.process_new_packets() {
            Ok(state) => self.opened = state.plaintext_bytes_to_read(),
            Err(fault) => self.fault = Some(fault),
        }
    }

    pub(super) fn write(&mut self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.connection.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let parts = [IoSlice::new(head), IoSlice::new(body)];
        let taken = self.connection.writer().write_vectored(&parts)?;
        self.sealed += taken;
        self.flush()?;
        Ok(taken)
    }

    /// Writes sealed records until there are none, or the socket takes no more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(error) = self.unwritable.take() {
            return Err(error);
        }
        while self.connection.wants_write() && self.stream.writable() {
            match self.connection.write_tls(&mut self.stream) {
                Ok(written) => self.sealed = self.sealed.saturating_sub(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn waiting(&self) -> usize {
        if self.connection.wants_write() { self.sealed.max(1) } else { 0 }
    }

    /// TLS's own end of the stream. Everybody here knows the end by other means.
    pub(super) fn say_goodbye(&mut self) {
        self.connection.send_close_notify();
        let _ = self.flush();
    }

    pub(super) fn abort(self) {
        self.stream.abort();
    }
}
