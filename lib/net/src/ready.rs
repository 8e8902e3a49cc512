//! What the kernel has said about a socket and we have not used up yet.
//!
//! mio's events are edges: each readiness is told once. [`Readiness`] latches it until a read or
//! write has used it up. Refuses to know what the socket is for: `relay.rs` does.

use mio::event::Event;

/// Latched readiness of one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    readable: bool,
    writable: bool,
    broken: bool,
    /// There is, or may be, more to come after a short read that no event will tell.
    read_on: bool,
}

impl Readiness {
    /// A socket just connected or accepted: anything may have happened before we took it over, and
    /// the edge that told may have been spent on the connection attempt, an end of the stream
    /// included. So try, until `WouldBlock` says that all has been seen.
    pub(crate) fn fresh() -> Self {
        Self { readable: true, writable: true, broken: false, read_on: true }
    }

    /// A socket that was connected when the kernel was asked to tell of it: what had come by then
    /// it tells first, so there is nothing to be tried before.
    pub(crate) fn untold() -> Self {
        Self { readable: false, writable: true, broken: false, read_on: false }
    }

    /// Takes note of an event.
    pub(crate) fn note(&mut self, event: &Event) {
        let broken = event.is_error() || event.is_write_closed();
        self.readable |= event.is_readable() || event.is_read_closed() || broken;
        self.writable |= event.is_writable() || broken;
        self.broken |= broken;
        self.read_on |= event.is_read_closed() || event.is_priority() || broken;
    }

    pub(crate) fn readable(self) -> bool {
        self.readable
    }

    pub(crate) fn writable(self) -> bool {
        self.writable
    }

    /// The kernel has said that nothing can be written any more. While the side is read, reading
    /// comes upon the reason; where it is not, this is all that will ever be heard of it.
    pub(crate) fn broken(self) -> bool {
        self.broken
    }

    /// A read met `WouldBlock`: nothing is left that an event has told, or was to tell.
    pub(crate) fn read_blocked(&mut self) {
        (self.readable, self.read_on) = (false, false);
    }

    /// A read got less than it could have taken, from a socket where that means that nothing was
    /// left: what comes later has an event of its own (epoll(7), question 9). Not so once the end
    /// of the stream has been told, whose edge is spent, or urgent data, at which a read stops
    /// (tcp(7)) with more behind it: then only `WouldBlock` tells.
    pub(crate) fn read_short(&mut self) {
        self.readable &= self.read_on;
    }

    /// A write met `WouldBlock`, or was short: the send buffer is full.
    pub(crate) fn write_blocked(&mut self) {
        self.writable = false;
    }
}
