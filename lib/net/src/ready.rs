//! What the kernel has said about a socket and we have not used up yet.
//!
//! mio's events are edges: each readiness is told once. [`Readiness`] latches it until a read or
//! write has met `WouldBlock`. Refuses to know what the socket is for: `relay.rs` does.

use mio::event::Event;

/// Latched readiness of one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    readable: bool,
    writable: bool,
    /// There may be an end to be read, of which no further edge will tell: the peer has ended its
    /// stream, or the socket has failed, or nobody knows yet.
    end_possible: bool,
}

impl Readiness {
    /// A socket just connected or accepted: anything may have happened before we took it over, and
    /// the edge that told may have been spent on the connection attempt. So try.
    pub(crate) fn fresh() -> Self {
        Self { readable: true, writable: true, end_possible: true }
    }

    /// Takes note of an event.
    pub(crate) fn note(&mut self, event: &Event) {
        let end = event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || end;
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.end_possible |= end;
    }

    pub(crate) fn readable(self) -> bool {
        self.readable
    }

    pub(crate) fn writable(self) -> bool {
        self.writable
    }

    /// A read of up to `wanted` bytes gave `got`.
    ///
    /// A short read of a stream socket has emptied it, and whatever comes later is a new edge
    /// (epoll(7), question 9), which saves the read that would only say `WouldBlock`. Where
    /// there may be an end to be read still, the latch stays.
    pub(crate) fn has_read(&mut self, got: usize, wanted: usize) {
        if got < wanted && !self.end_possible {
            self.readable = false;
        }
    }

    /// A write of `wanted` bytes took `taken`: a short one has filled the send buffer.
    pub(crate) fn has_written(&mut self, taken: usize, wanted: usize) {
        if taken < wanted {
            self.writable = false;
        }
    }

    /// A read met `WouldBlock`: there is nothing, and no end either.
    pub(crate) fn read_blocked(&mut self) {
        self.readable = false;
        self.end_possible = false;
    }

    pub(crate) fn write_blocked(&mut self) {
        self.writable = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_before_our_time_is_not_lost() {
        // A peer that sends, and ends, while the connection is being made: the event that says so
        // is the one that says that the connection is made.
        let mut ready = Readiness::fresh();
        assert!(ready.readable() && ready.writable());
        ready.has_read(32, 288);
        assert!(ready.readable(), "the end may be behind these bytes");
        ready.read_blocked();
        assert!(!ready.readable());
    }

    #[test]
    fn a_short_read_empties_and_a_full_one_does_not() {
        let mut ready = Readiness::fresh();
        ready.read_blocked();
        ready.readable = true;
        ready.has_read(100, 100);
        assert!(ready.readable());
        ready.has_read(99, 100);
        assert!(!ready.readable());
    }

    #[test]
    fn a_short_write_fills() {
        let mut ready = Readiness::fresh();
        ready.has_written(10, 10);
        assert!(ready.writable());
        ready.has_written(9, 10);
        assert!(!ready.writable());
    }
}
