//! What a WebSocket does beside carrying the stream: in each turn, and behind the stream's end.
//!
//! Owns control frames that nobody reads for, Pings that are due, and how long the peer is waited
//! for at the end. Refuses to touch the stream: `../web.rs` does. Part of it; next: `outbox.rs`.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use spiped_ws::Code;

use super::super::pings::{Due, Stalled};
use super::Web;

/// Reads in one turn while nobody takes the stream, and their size: there are only control frames.
const IDLE_READS: usize = 8;
const IDLE_READ: usize = 2048;

impl Web {
    pub(in crate::transport) fn advance(&mut self, now: Instant) {
        self.more = None;
        if self.accepting.is_some() {
            // What TLS has to say so far; that it cannot be said is found by reading.
            let _ = self.link.flush();
            return;
        }
        self.push();
        if self.ending.is_read() {
            self.read_on(now);
        }
        self.watch(now);
    }

    /// Reads control frames behind the end of the stream.
    fn read_on(&mut self, now: Instant) {
        let mut piece = [0; IDLE_READ];
        for _ in 0..IDLE_READS {
            if self.ending.is_over() || !self.link.readable() {
                return self.push();
            }
            match self.link.read(&mut piece) {
                Ok(0) => self.ending.cut_behind_the_end(),
                Ok(read) => drop(self.take_in(&mut piece[..read])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => self.ending.fail(error.kind(), error.to_string()),
            }
        }
        self.more = Some(now);
        self.push();
    }

    /// Asks whether the peer is still there, when that is due.
    fn watch(&mut self, now: Instant) {
        if self.ending.has_begun() {
            self.pings = None;
            return;
        }
        let stalled = self.stalled();
        let Some(pings) = &mut self.pings else { return };
        match pings.handle_timeout(now, stalled) {
            Due::Nothing => return,
            Due::Ping => self.outbox.say(&self.session.ping(self.key())),
            Due::Pong => self.outbox.say(&self.session.pong(&[], self.key())),
            Due::Gone => {
                self.ending.fail(ErrorKind::TimedOut, "two Pings in a row were not answered");
            }
        }
        self.push();
    }

    fn stalled(&self) -> Stalled {
        Stalled {
            sending: !self.is_silent() || !self.link.writable(),
            receiving: self.ending.is_reading() && self.link.readable(),
        }
    }

    pub(in crate::transport) fn poll_timeout(&self) -> Option<Instant> {
        if self.accepting.is_some() {
            return self.more;
        }
        let ping = self.pings.as_ref().and_then(|pings| pings.poll_timeout(self.stalled()));
        [self.more, ping, self.ending.poll_timeout()].into_iter().flatten().min()
    }

    pub(in crate::transport) fn last_words(&self) -> usize {
        // In the middle of a message there is no place for them.
        if self.ending.is_explained() && !self.outbox.is_in_message() { self.unheard() } else { 0 }
    }

    /// Bytes of words that the peer's system has not acknowledged.
    fn unheard(&self) -> usize {
        self.outbox.words() + self.link.waiting() + self.stream().unsent()
    }

    pub(in crate::transport) fn finish(&mut self, now: Instant, limit: Option<Duration>) -> bool {
        self.close(Code::Normal);
        self.ending.reads_no_more();
        self.more = None;
        self.push();
        self.read_on(now);
        if self.ending.is_over() {
            return true;
        }
        if self.outbox.words() > 0 && self.link.waiting() > 0 {
            // The end of the stream itself is still here, and has all the time that it wants.
            self.ending.wait_anew();
            return false;
        }
        self.ending.wait(now, limit, self.unheard())
    }
}
