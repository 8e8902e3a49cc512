//! What goes out on a WebSocket, in its order.
//!
//! Owns that order: a message is finished before anything else, then come the words of our own,
//! then the answers to Pings. Refuses to keep payload: what the link did not take of a message
//! stays with the caller. Part of `../web.rs`; next: `ending.rs`.

use std::io::{self, ErrorKind};
use std::mem;

use spiped_ws::Header;

use crate::transport::link::Link;

/// Bytes of answers to Pings that wait at most; then the latest will do for all (section 5.5.3).
const MAX_PONGS: usize = 4096;

/// Everything that is to be written and has not gone to the link.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    message: Option<Message>,
    /// Whole frames, but for the first, of which the beginning may have gone.
    words: Vec<u8>,
    /// Answers to Pings.
    pongs: Vec<u8>,
}

/// A message that is being written.
#[derive(Debug)]
struct Message {
    header: Header,
    /// How much of the header is written.
    written: usize,
    /// Bytes of the payload that are masked and not written: the next that the caller passes.
    owed: usize,
}

impl Outbox {
    /// Says `frame` before the next message.
    pub(super) fn say(&mut self, frame: &[u8]) {
        self.words.extend_from_slice(frame);
    }

    /// Says the last word, a Close: no answer may follow it.
    pub(super) fn say_last(&mut self, close: &[u8]) {
        self.pongs = Vec::new();
        self.say(close);
    }

    /// Answers a Ping.
    pub(super) fn answer(&mut self, pong: &[u8]) {
        if self.pongs.len() >= MAX_PONGS {
            self.pongs.clear();
        }
        self.pongs.extend_from_slice(pong);
    }

    /// Begins a message with the first `owed` bytes of what the caller passes next.
    pub(super) fn begin(&mut self, header: Header, owed: usize) {
        self.message = Some(Message { header, written: 0, owed });
    }

    /// Whether a message has begun, and is not written in full.
    pub(super) fn is_in_message(&self) -> bool {
        self.message.is_some()
    }

    /// Bytes of words that have not gone to the link.
    pub(super) fn words(&self) -> usize {
        self.words.len()
    }

    /// Writes of the message what the link takes; how much of its payload that was.
    pub(super) fn write(&mut self, link: &mut Link, bytes: &[u8]) -> io::Result<usize> {
        let Some(message) = &mut self.message else { return Ok(0) };
        let head = &message.header.as_slice()[message.written..];
        let body = &bytes[..message.owed];
        let asked = head.len() + body.len();
        let written = match link.write(head, body) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            result => result?,
        };
        let of_body = written.saturating_sub(head.len());
        message.written += written - of_body;
        message.owed -= of_body;
        if written == asked {
            self.message = None;
        }
        Ok(of_body)
    }

    /// Writes what goes between two messages, if we are between two.
    pub(super) fn flush(&mut self, link: &mut Link) -> io::Result<()> {
        link.flush()?;
        while self.message.is_none() {
            if self.words.is_empty() {
                self.words = mem::take(&mut self.pongs);
            }
            if self.words.is_empty() || !link.writable() {
                break;
            }
            match link.write(&[], &self.words) {
                Ok(written) if written == self.words.len() => self.words = Vec::new(),
                Ok(written) => drop(self.words.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
