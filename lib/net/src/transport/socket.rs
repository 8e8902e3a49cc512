//! A TCP or UNIX socket as a byte stream.
//!
//! Owns its readiness: mio's events are edges, so each is latched until a read or write has used it
//! up. Part of `transport.rs`, which says what a stream can do.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use socket2::Socket;

use super::options;
use crate::addr::Endpoint;
use crate::ready::Readiness;

/// A connected, non-blocking socket.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    kind: Kind,
    ready: Readiness,
    told: Told,
}

/// What the kernel tells of a socket by events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// What has come, and failures.
    Data,
    /// Room to write, too. Who asks for that is told so at once, as good as always for nothing, so
    /// it is asked for when there was none: most connections never are.
    DataAndRoom,
}

impl Told {
    /// Edge-triggered, as all that mio does.
    fn interest(self) -> Interest {
        let data = Interest::READABLE;
        // Where there is such a thing, of urgent data: reads stop at it.
        #[cfg(target_os = "linux")]
        let data = data | Interest::PRIORITY;
        match self {
            Self::Data => data,
            Self::DataAndRoom => data | Interest::WRITABLE,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    /// A UNIX socket: it has no reset, and what was written is at the peer already.
    Unix,
}

impl Stream {
    pub(crate) fn new(socket: Socket, peer: &Endpoint) -> Self {
        let kind = match peer {
            Endpoint::Tcp(_) => Kind::Tcp,
            Endpoint::Unix(_) => Kind::Unix,
        };
        Self { socket, kind, ready: Readiness::fresh(), told: Told::Data }
    }

    pub(super) fn from_pair(end: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(end);
        socket.set_nonblocking(true)?;
        Ok(Self { socket, kind: Kind::Unix, ready: Readiness::fresh(), told: Told::Data })
    }

    /// Has the kernel tell of what comes over a socket that is connected, and of what has come.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.tell(Told::Data, |socket, interest| registry.register(socket, token, interest))?;
        self.ready = Readiness::untold();
        Ok(())
    }

    /// The same of one that is not connected yet, or is not written to by a relay: of room, too.
    pub(crate) fn register_for_room(
        &mut self,
        registry: &Registry,
        token: Token,
    ) -> io::Result<()> {
        let register =
            |socket: &mut SourceFd<'_>, interest| registry.register(socket, token, interest);
        self.tell(Told::DataAndRoom, register)
    }

    /// Has the kernel tell of room from now on, if there was none the last time.
    pub(super) fn watch_for_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.ready.writable() || self.told == Told::DataAndRoom {
            return Ok(());
        }
        self.tell(Told::DataAndRoom, |socket, interest| {
            registry.reregister(socket, token, interest)
        })
    }

    fn tell(
        &mut self,
        told: Told,
        register: impl FnOnce(&mut SourceFd<'_>, Interest) -> io::Result<()>,
    ) -> io::Result<()> {
        register(&mut SourceFd(&self.socket.as_raw_fd()), told.interest())?;
        self.told = told;
        Ok(())
    }

    /// How an attempt to connect has ended, if it has.
    pub(crate) fn connected(&self) -> Option<io::Result<()>> {
        // POSIX: a socket that is not connected has no peer.
        match self.socket.peer_addr() {
            Ok(_) => Some(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                match self.socket.take_error() {
                    Ok(None) => None,
                    Ok(Some(error)) | Err(error) => Some(Err(error)),
                }
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Sends small writes at once; of no consequence if it fails.
    pub(super) fn hurry(&self) {
        if self.kind == Kind::Tcp {
            let _ = self.socket.set_tcp_nodelay(true);
        }
    }

    pub(super) fn tune(&self, keepalive: bool, ack_timeout: Option<Duration>) {
        if self.kind == Kind::Tcp {
            options::tune(&self.socket, keepalive, ack_timeout);
        }
    }

    pub(super) fn note(&mut self, event: &Event) {
        self.ready.note(event);
    }

    /// Nobody has listened to its events: anything may have happened.
    pub(super) fn refresh(&mut self) {
        self.ready = Readiness::fresh();
    }

    pub(super) fn readable(&self) -> bool {
        self.ready.readable()
    }

    pub(super) fn writable(&self) -> bool {
        self.ready.writable()
    }

    /// Whether a read that fills only a part of its buffer has taken all there was.
    ///
    /// So it is for TCP on Linux, if events tell of urgent data; elsewhere nobody promises it, and
    /// a read of a UNIX socket stops where a descriptor was passed.
    fn is_drained_by_short_reads(&self) -> bool {
        cfg!(target_os = "linux") && self.kind == Kind::Tcp
    }

    /// Looks at what has come, and leaves it there.
    pub(super) fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(self.socket.as_raw_fd(), into, MsgFlags::MSG_PEEK) {
                Err(Errno::EINTR) => {}
                result => return result.map_err(io::Error::from),
            }
        }
    }

    pub(super) fn shutdown_write(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Why nothing can be written any more, if the kernel has said that nothing can; asking uses
    /// the error up.
    pub(super) fn take_breakage(&mut self) -> Option<io::ErrorKind> {
        self.ready.broken().then(|| {
            let error = self.socket.take_error().unwrap_or_else(Some);
            error.map_or(io::ErrorKind::BrokenPipe, |error| error.kind())
        })
    }

    /// With what error the connection has been ended that nobody reads at present, and of which
    /// nothing is left to be read; asking uses it up.
    pub(super) fn take_error(&self) -> Option<io::ErrorKind> {
        if !self.ready.broken() {
            return None;
        }
        // What had come before a reset is told first.
        let error = self.peek(&mut [0]).err()?;
        (error.kind() != io::ErrorKind::WouldBlock).then(|| error.kind())
    }

    pub(super) fn unsent(&self) -> usize {
        match self.kind {
            Kind::Tcp => options::unsent(&self.socket),
            Kind::Unix => 0,
        }
    }

    /// With a reset where there is one, with the end of the stream elsewhere.
    pub(super) fn abort(self) {
        if self.kind == Kind::Tcp {
            // If it fails the socket is not connected any more, and close() says all there is.
            let _ = self.socket.set_linger(Some(Duration::ZERO));
        }
    }

    /// Latches what a write has told.
    fn wrote(&mut self, asked: usize, result: io::Result<usize>) -> io::Result<usize> {
        let full = match &result {
            Ok(written) => *written < asked,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if full {
            self.ready.write_blocked();
        }
        result
    }
}

impl Read for Stream {
    /// Reads once. Interruptions are tried again.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ready.read_blocked();
                    return Err(error);
                }
                Ok(read) => {
                    if read < into.len() && self.is_drained_by_short_reads() {
                        self.ready.read_short();
                    }
                    return Ok(read);
                }
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.socket.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return self.wrote(bytes.len(), result),
            }
        }
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.socket.write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    return self.wrote(parts.iter().map(|part| part.len()).sum(), result);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // it keeps nothing
    }
}
