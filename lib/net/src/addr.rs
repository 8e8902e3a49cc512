//! Addresses: what the user wrote, and what it stands for.
//!
//! Owns the grammar of `-s`, `-t` and `-b` ([`Address`]) and the step from a name to socket
//! addresses ([`Endpoint`]) through getaddrinfo. Refuses to retry, to cache and to open sockets.
//! Looking up blocks, so only start-up and the thread in `dns.rs`, the next file, call it.
//! Plain forms are `addr/plain.rs`, URLs `addr/web.rs`, likely mistakes `addr/misread.rs`, error
//! messages `addr/error.rs`.

mod credentials;
mod error;
mod misread;
mod plain;
pub(crate) mod url;
mod web;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, getaddrinfo};
use nix::libc;
use socket2::{Domain, SockAddr};

use error::{Problem, Use};
use plain::parse_form;

pub use credentials::Credentials;
pub use error::{AddressError, ResolveError};
pub use misread::in_brackets;
pub use web::{Security, WebUrl};

/// What `-s` begins with where it names a socket that a service manager passes, instead of being an
/// address (`listener/inherited.rs`).
pub const INHERITED_PREFIX: &str = "systemd:";

/// An address as the user wrote it, checked for syntax but not yet looked up.
///
/// `Display` gives back exactly what was written, because the default pidfile is named after it;
/// of a URL all but user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    written: String,
    form: Form,
}

/// What an address turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/absolute/path` of a UNIX socket, short enough for the system.
    Unix(PathBuf),
    /// `[IPv4]:port` or `[IPv6]:port`, or an IP address and a number without the brackets; never
    /// looked up.
    Ip(SocketAddr),
    /// `host:port`, where the port may be a service name, and the host is an IP address only then,
    /// or if it has a form that the system alone knows, such as `fe80::1%eth0`.
    Name {
        /// Everything before the last colon.
        host: String,
        /// Everything after it: a number up to 65535 or a service name.
        service: String,
    },
    /// `ws://`, `wss://` or `ws+unix://`: a WebSocket.
    Web(Box<WebUrl>),
}

impl Address {
    /// Reads an address to listen on; the port is required, except in a URL.
    ///
    /// The port ends at the last colon. In brackets there is only an IP address, with a port of 1
    /// to 65535; elsewhere port 0 (any free port) and service names are allowed as well.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the text and which forms there are.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        // What begins with a slash is a path, whatever it is called.
        if let Some((scheme, rest)) = url::split_scheme(text) {
            return WebUrl::parse(&scheme, rest)
                .map(|(url, written)| Self { written, form: Form::Web(Box::new(url)) })
                .map_err(|problem| AddressError::new(&url::shown(text), Problem::Url(problem)));
        }
        Self::plain(text, Use::Listen)
    }

    /// Reads an address to connect to: one to listen on, but for port 0, where nobody is.
    ///
    /// # Errors
    ///
    /// As for [`Address::parse`].
    pub fn parse_target(text: &str) -> Result<Self, AddressError> {
        if url::split_scheme(text).is_none() {
            return Self::plain(text, Use::Connect);
        }
        let address = Self::parse(text)?;
        if address.socket().has_port_0() {
            let problem = Problem::BadPort("0".to_owned(), "a number from 1 to 65535");
            return Err(AddressError::new(&address.written, problem));
        }
        Ok(address)
    }

    /// Reads an address to connect from (`-b`): without a port, and with port 0, it means any.
    ///
    /// Unlike C spiped we accept `[IP]` without a port.
    ///
    /// # Errors
    ///
    /// As for [`Address::parse`].
    pub fn parse_bind(text: &str) -> Result<Self, AddressError> {
        if url::split_scheme(text).is_some() {
            let problem = "a URL is no local address; expected host, host:port or [IP]:port";
            return Err(AddressError::new(&url::shown(text), Problem::Url(problem.to_owned())));
        }
        Self::plain(text, Use::Bind)
    }

    /// Reads what is no URL.
    fn plain(text: &str, purpose: Use) -> Result<Self, AddressError> {
        // A password in the wrong place must not be looked up as a name, nor shown as one.
        if text.contains('@') && !text.starts_with('/') {
            return Err(AddressError::new(&url::shown(text), Problem::At));
        }
        parse_form(text, purpose)
            .map(|form| Self { written: text.to_owned(), form })
            .map_err(|problem| AddressError::new(text, problem))
    }

    /// What the address is.
    #[must_use]
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// What the address says of a WebSocket, if it is a URL.
    #[must_use]
    pub fn web(&self) -> Option<&WebUrl> {
        match &self.form {
            Form::Web(url) => Some(url),
            Form::Unix(_) | Form::Ip(_) | Form::Name { .. } => None,
        }
    }

    /// The address of the socket: the one beneath a WebSocket, or else this one.
    #[must_use]
    pub fn socket(&self) -> &Self {
        self.web().map_or(self, WebUrl::beneath)
    }

    fn has_port_0(&self) -> bool {
        match &self.form {
            Form::Ip(ip) => ip.port() == 0,
            Form::Name { service, .. } => service.parse() == Ok(0_u16),
            Form::Unix(_) | Form::Web(_) => false,
        }
    }

    /// Whether the answer of [`Address::resolve`] may change with time.
    #[must_use]
    pub fn is_name(&self) -> bool {
        matches!(self.socket().form, Form::Name { .. })
    }

    /// All endpoints behind the address: never empty, without duplicates, in the resolver's order.
    ///
    /// Blocks for as long as the system's resolver likes, unless the address is no name.
    ///
    /// # Errors
    ///
    /// The resolver's own words. The next try may succeed.
    pub fn resolve(&self) -> Result<Vec<Endpoint>, ResolveError> {
        match &self.form {
            Form::Unix(path) => Ok(vec![Endpoint::Unix(path.clone())]),
            Form::Ip(ip) => Ok(vec![Endpoint::Tcp(*ip)]),
            Form::Name { host, service } => {
                look_up(host, service).map_err(|reason| ResolveError::new(self, reason))
            }
            Form::Web(url) => url.beneath().resolve(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Something a socket can be bound or connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP port of an IP address.
    Tcp(SocketAddr),
    /// A UNIX socket; the empty path stands for a peer without a name.
    Unix(PathBuf),
}

impl Endpoint {
    /// The form that socket calls take.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a path that is too long, which [`Address`] never yields.
    pub fn to_sockaddr(&self) -> io::Result<SockAddr> {
        match self {
            Self::Tcp(address) => Ok(SockAddr::from(*address)),
            Self::Unix(path) => SockAddr::unix(path),
        }
    }

    /// The domain to create a socket in.
    #[must_use]
    pub fn domain(&self) -> Domain {
        match self {
            Self::Tcp(address) => Domain::for_address(*address),
            Self::Unix(_) => Domain::UNIX,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) if path.as_os_str().is_empty() => f.write_str("(unix)"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

fn look_up(host: &str, service: &str) -> Result<Vec<Endpoint>, String> {
    let hints = AddrInfoHints {
        socktype: libc::SOCK_STREAM,
        protocol: libc::IPPROTO_TCP,
        ..AddrInfoHints::default()
    };
    let answers = getaddrinfo(Some(host), Some(service), Some(hints))
        .map_err(|error| explain(service, error))?;

    // Entries of a family that is neither IPv4 nor IPv6 are of no use to us, whoever sent them.
    let mut found = Vec::new();
    for answer in answers.flatten() {
        let endpoint = Endpoint::Tcp(answer.sockaddr);
        if !found.contains(&endpoint) {
            log::debug!("looked up {host}:{service}: {endpoint}");
            found.push(endpoint);
        }
    }
    if found.is_empty() { Err("it has no IP address".to_owned()) } else { Ok(found) }
}

/// What gai_strerror says, made clear where it is not.
fn explain(service: &str, error: LookupError) -> String {
    let kind = error.kind();
    let text = io::Error::from(error).to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    match kind {
        LookupErrorKind::Service => {
            format!("unknown service {service:?}, use a port number ({text})")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
