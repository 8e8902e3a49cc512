//! Listening sockets: bound at start, accepted from by the event loop.
//!
//! Owns binding every address of `-s`, the choice of what a failed bind means, and the
//! classification of what accept(2) returns. Refuses to pause, to count connections and to log
//! what it accepted: `event_loop.rs` does. Files of UNIX sockets are
//! `listener/socket_file.rs`, sockets that others have opened `listener/inherited.rs`, error
//! messages `listener/error.rs`. Next: `limits.rs`.

mod error;
pub mod inherited;
mod socket_file;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use socket2::{Protocol, SockAddr, Socket, Type};

use crate::addr::Endpoint;
use crate::limits::is_shortage;
use crate::transport;
use error::Problem;
use socket_file::SocketFile;

pub use error::BindError;

/// How long an address that is in use is tried again. A successor may start right after its
/// predecessor got SIGTERM, and that needs a moment to let go.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait between two tries. This is start-up: nobody else waits for this thread.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket, non-blocking and close-on-exec.
///
/// Dropping it stops listening. The file of a UNIX socket is removed first, while the socket still
/// answers and nobody can take it for dead, and only if it is still the file that we created.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    local: Endpoint,
    file: Option<SocketFile>,
}

/// Whether other processes may listen at the same address, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody else.
    Alone,
    /// Others of the same user that want it as well; the kernel deals connections out among them
    /// (`--reuse-port`). TCP only.
    Shared,
}

/// Whether the system can deal out connections among several processes.
pub const CAN_SHARE: bool = cfg!(any(target_os = "linux", target_os = "freebsd"));

/// What one call of accept(2) came to. None of it is a reason to end the daemon.
#[derive(Debug)]
pub enum Accepted {
    /// A new connection, non-blocking and close-on-exec, and who is at its other end.
    Connection(Socket, Endpoint),
    /// Nobody waits. The next readiness event tells when to come again.
    None,
    /// Descriptors or memory are short, or it is an error that accept(2) does not list: pause
    /// before the next call, or it fails again at once.
    Shortage(io::Error),
    /// This one connection was lost before it was ours: go on with the next.
    Failed(io::Error),
}

/// Binds all of `endpoints`, in their order.
///
/// An address that this machine does not have is only warned about if another one could be bound.
/// One that is in use is tried again for up to a second (all together), then it is an error. An
/// IPv6 wildcard leaves IPv4 alone if the list holds IPv4 addresses of the same port.
///
/// # Errors
///
/// Nothing stays bound.
pub fn bind_all(endpoints: &[Endpoint], sharing: Sharing) -> Result<Vec<Listener>, BindError> {
    bind_all_until(endpoints, sharing, Instant::now() + PATIENCE)
}

fn bind_all_until(
    endpoints: &[Endpoint],
    sharing: Sharing,
    deadline: Instant,
) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::with_capacity(endpoints.len());
    let mut unavailable = Vec::new();
    for endpoint in endpoints {
        let how = How { scope: scope(endpoint, endpoints), sharing };
        match bind_patiently(endpoint, how, deadline) {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.is_not_here() => unavailable.push(error),
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() {
        return Err(unavailable.into_iter().next().unwrap_or(BindError::nothing()));
    }
    for error in unavailable {
        log::warn!("{}; going on without it", error.reason());
    }
    Ok(listeners)
}

fn bind_patiently(endpoint: &Endpoint, how: How, deadline: Instant) -> Result<Listener, BindError> {
    loop {
        match Listener::bind_as(endpoint, how) {
            Err(error) if error.is_in_use() && Instant::now() < deadline => thread::sleep(PAUSE),
            result => return result,
        }
    }
}

/// Which connections an IPv6 socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// What the system does if not told; on Linux, [::] takes IPv4 as well.
    SystemDefault,
    /// IPv6 alone, because another socket of ours has the port on IPv4.
    OnlyV6,
}

/// How one address is bound.
#[derive(Clone, Copy, Debug)]
struct How {
    scope: Scope,
    sharing: Sharing,
}

fn scope(endpoint: &Endpoint, all: &[Endpoint]) -> Scope {
    let Endpoint::Tcp(SocketAddr::V6(v6)) = endpoint else { return Scope::SystemDefault };
    let shared_port = all
        .iter()
        .any(|other| matches!(other, Endpoint::Tcp(SocketAddr::V4(v4)) if v4.port() == v6.port()));
    if v6.ip().is_unspecified() && shared_port { Scope::OnlyV6 } else { Scope::SystemDefault }
}

impl Listener {
    /// Listens on one endpoint; one attempt. [`bind_all`] is what a daemon wants.
    ///
    /// The file of a dead UNIX socket is replaced; a live one, or any other file, is an error.
    ///
    /// # Errors
    ///
    /// Names the endpoint and the reason.
    pub fn bind(endpoint: &Endpoint) -> Result<Self, BindError> {
        let how = How { scope: Scope::SystemDefault, sharing: Sharing::Alone };
        Self::bind_as(endpoint, how)
    }

    fn bind_as(endpoint: &Endpoint, how: How) -> Result<Self, BindError> {
        Self::try_bind(endpoint, how).map_err(|problem| BindError::new(endpoint, problem))
    }

    fn try_bind(endpoint: &Endpoint, how: How) -> Result<Self, Problem> {
        let address = endpoint.to_sockaddr()?;
        let protocol = match endpoint {
            Endpoint::Tcp(_) => Some(Protocol::TCP),
            Endpoint::Unix(_) => None,
        };
        let socket = Socket::new(endpoint.domain(), Type::STREAM, protocol)?;
        socket.set_nonblocking(true)?;

        let file = match endpoint {
            Endpoint::Tcp(_) => {
                socket.set_reuse_address(true)?;
                if how.scope == Scope::OnlyV6 {
                    socket.set_only_v6(true)?;
                }
                if how.sharing == Sharing::Shared {
                    share(&socket)?;
                }
                socket.bind(&address)?;
                None
            }
            Endpoint::Unix(path) => Some(SocketFile::bind(&socket, &address, path)?),
        };

        // From here on an error drops the listener, and with it our file.
        let mut listener = Self { socket, local: endpoint.clone(), file };
        listener.socket.listen(libc::SOMAXCONN)?;
        if let Some(bound) = listener.socket.local_addr()?.as_socket() {
            listener.local = Endpoint::Tcp(bound);
        }
        Ok(listener)
    }

    /// Where it listens, with the port that the system chose if 0 was asked for.
    #[must_use]
    pub fn local(&self) -> &Endpoint {
        &self.local
    }

    /// The file that goes with the listener, if there is one and we have made it.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(SocketFile::path)
    }

    /// Sets the options of the connections to come: once here is cheaper than each time there.
    pub(crate) fn tune(&self, keepalive: bool, ack_timeout: Option<Duration>) {
        if matches!(self.local, Endpoint::Tcp(_)) {
            transport::tune_listener(&self.socket, keepalive, ack_timeout);
        }
    }

    /// Takes the next connection, if there is one. Never blocks.
    #[must_use]
    pub fn accept(&self) -> Accepted {
        loop {
            match accept_nonblocking(&self.socket) {
                Ok((socket, peer)) => return Accepted::Connection(socket, endpoint_of(&peer)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return classify(error),
            }
        }
    }
}

/// Lets other sockets listen at the address, too, each with a queue of its own.
#[cfg(target_os = "linux")]
fn share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(target_os = "freebsd")]
fn share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port_lb(true)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn share(_socket: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// accept(2), with both flags set from the first moment where the system can do that.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn accept_nonblocking(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    socket.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn accept_nonblocking(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    let (connection, peer) = socket.accept()?;
    connection.set_nonblocking(true)?;
    Ok((connection, peer))
}

/// A UNIX peer rarely has a name; then its path is empty.
fn endpoint_of(peer: &SockAddr) -> Endpoint {
    match peer.as_socket() {
        Some(address) => Endpoint::Tcp(address),
        None => Endpoint::Unix(peer.as_pathname().map_or_else(PathBuf::new, PathBuf::from)),
    }
}

fn classify(error: io::Error) -> Accepted {
    if error.kind() == io::ErrorKind::WouldBlock {
        return Accepted::None;
    }
    if is_shortage(&error) || !is_lost_connection(&error) {
        return Accepted::Shortage(error);
    }
    Accepted::Failed(error)
}

/// Errors of the connection rather than of the call, as accept(2) lists them: Linux passes pending
/// network errors of the new socket on, and a firewall may answer EPERM.
fn is_lost_connection(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    if error.raw_os_error() == Some(libc::ENONET) {
        return true;
    }
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EPERM
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ETIMEDOUT
        )
    )
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Before the socket closes, which is after this body: once it is closed, a successor may
        // replace the file, and between our look at it and its removal it would be the wrong one.
        if let Some(file) = &self.file {
            file.remove_if_ours();
        }
    }
}

#[cfg(test)]
mod tests;
