//! Where a proxy is to connect to.
//!
//! Owns the step from an address to what proxies understand: a number for a port, and a host that
//! cannot be taken for something else. Part of `../proxy.rs`; next: `connect.rs`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use dns_lookup::{AddrInfoHints, getaddrinfo};
use nix::libc;

use crate::addr::{Address, Endpoint, Form};

/// Bytes of the longest host that SOCKS5 can name.
const MAX_HOST: usize = 255;

/// Where a proxy is to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A name that the proxy looks up.
    Name {
        /// At most 255 letters, digits, `-`, `_` and `.`.
        host: String,
        /// The port.
        port: u16,
    },
    /// An IP address.
    Ip(SocketAddr),
}

impl Destination {
    /// What a proxy can make of `address`. A service's name is looked up here.
    ///
    /// # Errors
    ///
    /// Why no proxy can reach it.
    pub fn new(address: &Address) -> Result<Self, String> {
        match address.socket().form() {
            Form::Ip(ip) => Ok(Self::Ip(*ip)),
            Form::Name { host, service } => Self::named(host, service),
            Form::Unix(_) | Form::Web(_) => {
                Err("a UNIX socket is nothing that a proxy could reach".to_owned())
            }
        }
    }

    /// The addresses of a name that was looked up here.
    #[must_use]
    pub fn all_of(found: &[Endpoint]) -> Vec<Self> {
        let ip = |endpoint: &Endpoint| match endpoint {
            Endpoint::Tcp(ip) => Some(Self::Ip(*ip)),
            Endpoint::Unix(_) => None,
        };
        found.iter().filter_map(ip).collect()
    }

    fn named(host: &str, service: &str) -> Result<Self, String> {
        let port = match service.parse() {
            Ok(port) => port,
            Err(_) => find_port(service)?,
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Self::Ip(SocketAddr::new(ip, port)));
        }
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.len() > MAX_HOST || !host.bytes().all(sound) {
            return Err(format!(
                "{host:?} is no name for a proxy; expected at most {MAX_HOST} letters, digits, '-' \
                 and '.'"
            ));
        }
        Ok(Self::Name { host: host.to_owned(), port })
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Name { port, .. } => *port,
            Self::Ip(ip) => ip.port(),
        }
    }
}

/// As CONNECT has it: an IPv6 address in brackets.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            // A zone is of no use to anybody else.
            Self::Ip(ip) => SocketAddr::new(ip.ip(), ip.port()).fmt(f),
        }
    }
}

/// The number of a service such as `ssh`.
fn find_port(service: &str) -> Result<u16, String> {
    let hints = AddrInfoHints {
        socktype: libc::SOCK_STREAM,
        protocol: libc::IPPROTO_TCP,
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(None, Some(service), Some(hints)).ok();
    let port = found.and_then(|answers| answers.flatten().next()).map(|it| it.sockaddr.port());
    port.ok_or_else(|| format!("unknown service {service:?}, use a port number"))
}
