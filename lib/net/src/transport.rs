//! The seam between a connection and what carries its bytes.
//!
//! Owns what a byte stream can do: be read, written, ended one way, reset, and registered with the
//! loop. Today a stream is a TCP or a UNIX socket; another carrier becomes a variant here and
//! neither the protocol nor `relay.rs` notices.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::Socket;

use crate::addr::Endpoint;

/// A connected, non-blocking byte stream.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: Socket,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    /// A UNIX socket: it has no reset, and what was written is at the peer already.
    Unix,
}

impl Transport {
    /// Takes over a connected, non-blocking socket to this peer.
    pub(crate) fn new(socket: Socket, peer: &Endpoint) -> Self {
        let kind = match peer {
            Endpoint::Tcp(_) => Kind::Tcp,
            Endpoint::Unix(_) => Kind::Unix,
        };
        Self { socket, kind }
    }

    /// Takes over one end of a pair of UNIX sockets, which becomes non-blocking.
    pub(crate) fn from_pair(end: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(end);
        socket.set_nonblocking(true)?;
        Ok(Self { socket, kind: Kind::Unix })
    }

    /// Registers for both directions, once: interest is computed from state, never stored.
    pub(crate) fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        register(&self.socket, registry, token)
    }

    /// Sends small packets at once, lets the kernel probe a silent peer unless told not to, and
    /// gives up a peer that leaves bytes unacknowledged for the time of `ack_timeout`, if any.
    ///
    /// As C spiped does, failures are of no consequence: the stream works without.
    pub(crate) fn tune(&self, keepalive: bool, ack_timeout: Option<Duration>) {
        if self.kind != Kind::Tcp {
            return;
        }
        let _ = self.socket.set_tcp_nodelay(true);
        let _ = self.socket.set_keepalive(keepalive);
        // This one was asked for, so it has to be said.
        if let Some(limit) = ack_timeout
            && let Err(error) = queue::set_ack_timeout(&self.socket, limit)
        {
            log::warn!("--ack-timeout cannot be set on a connection: {error}");
        }
    }

    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.read(into)
    }

    /// Whether a read that fills only a part of its buffer has taken all there was.
    ///
    /// So it is for TCP on Linux, if events tell of urgent data; elsewhere nobody promises it, and a
    /// read of a UNIX socket stops where a descriptor was passed.
    pub(crate) fn is_drained_by_short_reads(&self) -> bool {
        cfg!(target_os = "linux") && self.kind == Kind::Tcp
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    /// Ends the stream towards the peer. A socket that is gone already needs no end.
    pub(crate) fn shutdown_write(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// The error that the socket has met, if any; asking uses it up.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.socket.take_error().unwrap_or_else(Some)
    }

    /// Bytes that were written and that the peer's system has not acknowledged yet.
    ///
    /// 0 where the system cannot tell, and for UNIX sockets, whose peer has them already.
    pub(crate) fn unsent(&self) -> usize {
        match self.kind {
            Kind::Tcp => queue::unsent(self.socket.as_raw_fd()),
            Kind::Unix => 0,
        }
    }

    /// Closes with a reset where the carrier has one, with the end of the stream elsewhere.
    pub(crate) fn abort(self) {
        if self.kind == Kind::Tcp {
            // If it fails the socket is not connected any more, and close() says all there is.
            let _ = self.socket.set_linger(Some(Duration::ZERO));
        }
    }
}

/// Registers a socket for both directions, edge-triggered, and where there is such a thing for urgent
/// data, at which reads stop.
pub(crate) fn register(socket: &Socket, registry: &Registry, token: Token) -> io::Result<()> {
    let both = Interest::READABLE | Interest::WRITABLE;
    #[cfg(target_os = "linux")]
    let both = both | Interest::PRIORITY;
    registry.register(&mut SourceFd(&socket.as_raw_fd()), token, both)
}

#[cfg(target_os = "linux")]
mod queue {
    use std::io;
    use std::os::fd::RawFd;
    use std::time::Duration;

    use socket2::Socket;

    /// The longest that the kernel takes, some 24 days.
    const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

    /// TCP_USER_TIMEOUT, tcp(7).
    pub(super) fn set_ack_timeout(socket: &Socket, limit: Duration) -> io::Result<()> {
        socket.set_tcp_user_timeout(Some(limit.min(LONGEST)))
    }

    // SIOCOUTQ has the number of TIOCOUTQ (linux/sockios.h).
    nix::ioctl_read_bad!(siocoutq, nix::libc::TIOCOUTQ, nix::libc::c_int);

    /// SIOCOUTQ, tcp(7): unacknowledged bytes in the send queue.
    #[allow(unsafe_code)]
    pub(super) fn unsent(fd: RawFd) -> usize {
        let mut bytes = 0;
        // SAFETY: the request writes one int through the pointer, which is valid for the call.
        match unsafe { siocoutq(fd, &raw mut bytes) } {
            Ok(_) => usize::try_from(bytes).unwrap_or(0),
            Err(_) => 0, // not connected any more: nothing is under way
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod queue {
    /// The option is refused before it gets here.
    pub(super) fn set_ack_timeout(
        _: &socket2::Socket,
        _: std::time::Duration,
    ) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    /// No portable way to ask: the reset does not wait there.
    pub(super) fn unsent(_: std::os::fd::RawFd) -> usize {
        0
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_every_time_for_acknowledgements() {
        let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let peer = Endpoint::Tcp(([127, 0, 0, 1], 1).into());
        let transport = Transport::new(socket, &peer);
        let set = |limit| {
            transport.tune(true, limit);
            transport.socket.tcp_user_timeout().unwrap()
        };
        assert_eq!(set(None), None);
        for milliseconds in [1, 1500, i32::MAX as u64] {
            let limit = Some(Duration::from_millis(milliseconds));
            assert_eq!(set(limit), limit);
        }
        let century = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        assert_eq!(set(Some(century)), Some(Duration::from_millis(i32::MAX as u64)));
    }
}
