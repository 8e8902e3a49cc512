//! The options of TCP sockets, and what their send queues hold: all of it that differs by system.
//!
//! Refuses to know connections: a socket is all it is given. Part of `transport.rs`.

use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::Socket;

/// Sets the options that every TCP connection has.
///
/// As C spiped does, failures are of no consequence: the stream works without.
pub(super) fn tune(socket: &Socket, keepalive: bool, ack_timeout: Option<Duration>) {
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_keepalive(keepalive);
    // This one was asked for, so it has to be said.
    if ack_timeout.is_some()
        && let Err(error) = system::set_ack_timeout(socket, ack_timeout)
    {
        log::warn!("--ack-timeout cannot be set on a connection: {error}");
    }
}

/// Sets those of the connections that a listener accepts, where they take after it
/// ([`ACCEPTED_TAKE_AFTER_LISTENER`]).
pub(crate) fn tune_listener(socket: &Socket, keepalive: bool, ack_timeout: Option<Duration>) {
    tune(socket, keepalive, ack_timeout);
    // Whoever has passed the socket to us may have passed it to another before, who asked for one.
    if ack_timeout.is_none() {
        let _ = system::set_ack_timeout(socket, None);
    }
}

/// Bytes that the peer has not acknowledged; 0 where there is no way to ask.
pub(super) fn unsent(socket: &Socket) -> usize {
    system::unsent(socket.as_raw_fd())
}

/// Whether accepted connections have the listener's options from the start. POSIX leaves it open.
pub(crate) const ACCEPTED_TAKE_AFTER_LISTENER: bool = cfg!(target_os = "linux");

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::RawFd;
    use std::time::Duration;

    use socket2::Socket;

    /// The longest that the kernel takes, some 24 days.
    const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

    /// TCP_USER_TIMEOUT, tcp(7).
    pub(super) fn set_ack_timeout(socket: &Socket, limit: Option<Duration>) -> io::Result<()> {
        socket.set_tcp_user_timeout(limit.map(|limit| limit.min(LONGEST)))
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
mod system {
    /// The option is refused before it gets here.
    pub(super) fn set_ack_timeout(
        _: &socket2::Socket,
        _: Option<std::time::Duration>,
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
        let set = |limit| {
            tune(&socket, true, limit);
            socket.tcp_user_timeout().unwrap()
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
