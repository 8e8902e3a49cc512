//! Socket addresses, and sockets of both kinds under one type.
//!
//! Every socket that is made here has read and write timeouts, so that no test can hang.
//! Next: `servers.rs`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// Receive buffer of a slow reader: what it has not read is in the hands of the sender.
pub(crate) const SMALL_BUFFER: usize = 16 * 1024;

/// Where a program listens or connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a UNIX socket.
    Unix(PathBuf),
}

impl Address {
    /// The IPv4 loopback address with a port for the kernel to choose.
    pub(crate) fn any_v4() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The IPv6 loopback address with a port for the kernel to choose.
    pub(crate) fn any_v6() -> Self {
        Self::Tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)))
    }

    /// As an argument of -s or -t. Port 0 is only accepted without brackets.
    pub(crate) fn spec(&self) -> String {
        match self {
            Self::Tcp(SocketAddr::V4(v4)) if v4.port() == 0 => format!("{}:0", v4.ip()),
            Self::Tcp(tcp) => format!("[{}]:{}", tcp.ip(), tcp.port()),
            Self::Unix(path) => path.to_str().expect("temporary paths are UTF-8").to_owned(),
        }
    }

    /// A connected socket.
    pub(crate) fn connect(&self) -> io::Result<Socket> {
        let (domain, address) = self.for_socket()?;
        let socket = Socket::new(domain, Type::STREAM, None)?;
        limit(&socket)?;
        socket.connect(&address)?;
        Ok(socket)
    }

    /// A connected socket that takes little in advance: see [`SMALL_BUFFER`].
    pub(crate) fn connect_slow(&self) -> io::Result<Socket> {
        let (domain, address) = self.for_socket()?;
        let socket = Socket::new(domain, Type::STREAM, None)?;
        limit(&socket)?;
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
        socket.connect(&address)?;
        Ok(socket)
    }

    /// A listening socket, and its address with the port that the kernel chose.
    pub(crate) fn listen(&self) -> io::Result<(Socket, Self)> {
        let (domain, address) = self.for_socket()?;
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.bind(&address)?;
        socket.listen(1024)?;
        let bound = match self {
            Self::Tcp(_) => Self::Tcp(tcp_address(&socket.local_addr()?)),
            Self::Unix(path) => Self::Unix(path.clone()),
        };
        Ok((socket, bound))
    }

    /// A TCP socket that listens and whose queue is full, its address, and who is in the queue: the
    /// system answers nobody else.
    pub(crate) fn listen_to_nobody(&self) -> io::Result<(Socket, Self, Vec<Socket>)> {
        let (domain, address) = self.for_socket()?;
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.bind(&address)?;
        socket.listen(0)?;
        let bound = socket.local_addr()?;
        let mut queue = Vec::new();
        loop {
            let waiting = Socket::new(domain, Type::STREAM, None)?;
            let joined = waiting.connect_timeout(&bound, Duration::from_millis(200));
            queue.push(waiting);
            match joined {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(error) => return Err(error),
            }
        }
        Ok((socket, Self::Tcp(tcp_address(&bound)), queue))
    }

    /// A loopback address on which nothing listens.
    pub(crate) fn unused() -> Self {
        unused_at(Ipv4Addr::LOCALHOST.into())
    }

    /// The port number; panics for a UNIX socket.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Tcp(tcp) => tcp.port(),
            Self::Unix(path) => panic!("{} has no port", path.display()),
        }
    }

    fn for_socket(&self) -> io::Result<(Domain, SockAddr)> {
        Ok(match self {
            Self::Tcp(tcp) => (Domain::for_address(*tcp), (*tcp).into()),
            Self::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        })
    }
}

/// The TCP address in a socket address of the kernel.
pub(crate) fn tcp_address(address: &SockAddr) -> SocketAddr {
    address.as_socket().expect("a TCP address")
}

/// Sets the timeouts that keep a test from hanging.
pub(crate) fn limit(socket: &Socket) -> io::Result<()> {
    socket.set_read_timeout(Some(super::DEADLINE))?;
    socket.set_write_timeout(Some(super::DEADLINE))
}

/// Closes a socket such that a TCP peer sees a reset.
pub(crate) fn reset(socket: Socket) {
    socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    drop(socket);
}

/// True if this machine has IPv6 on loopback.
pub(crate) fn have_ipv6() -> bool {
    Address::any_v6().listen().is_ok()
}

/// An IPv6 loopback address on which nothing listens.
pub(crate) fn unused_v6() -> Address {
    unused_at(Ipv6Addr::LOCALHOST.into())
}

/// Drawn from below the ports that the kernel gives away by itself: until somebody listens at it,
/// no connection of another test begins there.
fn unused_at(ip: IpAddr) -> Address {
    let mut ports = std::iter::repeat_with(|| {
        let drawn = RandomState::new().build_hasher().finish();
        10_000 + (drawn % 20_000) as u16
    });
    let mut free = ports.by_ref().take(1000).filter_map(|port| {
        Address::Tcp(SocketAddr::new(ip, port)).listen().ok().map(|(_, address)| address)
    });
    free.next().expect("a free port")
}
