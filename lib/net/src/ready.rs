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
    /// The peer has ended its stream, or the socket has failed: there is an end to be read, and no
    /// further edge may come to say so.
    hung_up: bool,
}

impl Readiness {
    /// A socket just connected or accepted: there is room to write, the first read waits for an edge.
    pub(crate) fn fresh() -> Self {
        Self { readable: false, writable: true, hung_up: false }
    }

    /// Takes note of an event.
    pub(crate) fn note(&mut self, event: &Event) {
        let hung_up = event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || hung_up;
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.hung_up |= hung_up;
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
    /// (epoll(7), question 9), which saves the read that would only say `WouldBlock`. After a
    /// hang-up there is the end to be read still, so the latch stays.
    pub(crate) fn has_read(&mut self, got: usize, wanted: usize) {
        if got < wanted && !self.hung_up {
            self.readable = false;
        }
    }

    /// A write of `wanted` bytes took `taken`: a short one has filled the send buffer.
    pub(crate) fn has_written(&mut self, taken: usize, wanted: usize) {
        if taken < wanted {
            self.writable = false;
        }
    }

    pub(crate) fn read_blocked(&mut self) {
        self.readable = false;
    }

    pub(crate) fn write_blocked(&mut self) {
        self.writable = false;
    }
}
