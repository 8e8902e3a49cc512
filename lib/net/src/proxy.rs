//! Proxies: what a user says of one, and the talk with it until it passes bytes on.
//!
//! Owns the grammar of proxy URLs ([`Proxy`]) and that talk ([`Negotiation`]), a pure state
//! machine: whoever has the socket feeds it and sends what it says. Refuses sockets, clocks and
//! look-ups. Read on in `proxy/connect.rs` (HTTP), `proxy/socks.rs` (SOCKS5),
//! `proxy/destination.rs` (where to) and `proxy/select.rs` (whether there is a proxy at all).
//!
//! **Send what [`Negotiation::poll_transmit`] yields, and pass what arrives to
//! [`Negotiation::handle_input`], until [`Negotiation::is_done`]. From then on all bytes, and those
//! that `handle_input` has left, are the destination's.**

mod connect;
mod destination;
mod select;
mod socks;

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::addr::url::{self, Authority};
use crate::addr::{Address, Credentials, Endpoint};

use connect::Connect;
use socks::Socks;

pub use destination::Destination;
pub use select::{Choice, Selected, select};

/// The protocol that a proxy speaks, and who looks the destination's name up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `http://`: the CONNECT method; the proxy looks names up.
    Http,
    /// `socks5://`: names are looked up here.
    Socks5,
    /// `socks5h://`: the proxy looks names up.
    Socks5h,
}

impl Kind {
    fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }

    /// Whether the destination's name has to be looked up before the proxy is asked.
    #[must_use]
    pub fn resolves_here(self) -> bool {
        self == Self::Socks5
    }
}

/// A proxy. `Display` shows it without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    address: Address,
    credentials: Option<Credentials>,
}

/// Text that names no proxy we could use; never shows user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyError {
    written: String,
    problem: String,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad proxy {:?}: {}", self.written, self.problem)
    }
}

impl std::error::Error for ProxyError {}

impl Proxy {
    /// Reads `http://`, `socks5://` or `socks5h://` with `[user:password@]host[:port]`; without a
    /// scheme it is `http://`, as curl has it.
    ///
    /// # Errors
    ///
    /// What is wrong, and what was expected.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let split = url::split_scheme(text);
        let (scheme, rest) = split.as_ref().map_or(("http", text), |(name, rest)| (name, *rest));
        Self::parse_rest(scheme, rest)
            .map_err(|problem| ProxyError { written: url::shown(text), problem })
    }

    fn parse_rest(scheme: &str, rest: &str) -> Result<Self, String> {
        let kind = match scheme {
            "http" => Kind::Http,
            "socks5" => Kind::Socks5,
            "socks5h" => Kind::Socks5h,
            _ => {
                return Err(format!(
                    "unknown scheme {scheme}://; expected http://, socks5:// or socks5h://"
                ));
            }
        };
        let (userinfo, host, path) = url::split_authority(rest);
        let authority = Authority::parse(userinfo, host, path)?;
        if authority.port(kind.default_port()) == 0 {
            return Err("bad port \"0\"; expected a number from 1 to 65535".to_owned());
        }
        if !path.is_empty() && path != "/" {
            return Err("expected nothing after host and port".to_owned());
        }
        if let (Kind::Socks5 | Kind::Socks5h, Some(credentials)) = (kind, &authority.credentials) {
            socks::check(credentials)?;
        }
        Ok(Self {
            kind,
            address: authority.address(kind.default_port()),
            credentials: authority.credentials,
        })
    }

    /// What it speaks.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens: a name or an IP address, with a port.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.address)
    }
}

/// A proxy, and where it is to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The proxy.
    pub proxy: Proxy,
    /// The destination: never none; if it is several addresses, they are tried in turn.
    pub destinations: Vec<Destination>,
    /// Who has named the proxy: `--proxy`, or a variable of the environment.
    pub source: &'static str,
}

impl Via {
    /// Takes the addresses that were found for the destination; false if they are no news.
    pub(crate) fn redirect(&mut self, found: &[Endpoint]) -> bool {
        let destinations = Destination::all_of(found);
        let other = !destinations.is_empty() && destinations != self.destinations;
        if other {
            self.destinations = destinations;
        }
        other
    }

    /// The destinations as the log shows them.
    pub(crate) fn shown(&self) -> String {
        let shown: Vec<String> = self.destinations.iter().map(ToString::to_string).collect();
        shown.join(", ")
    }
}

/// Why a proxy does not let us through: one line, printable whatever the proxy has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// The talk with a proxy, up to the first byte that is for the destination.
#[derive(Debug)]
pub struct Negotiation {
    machine: Machine,
    /// What is to be sent now.
    pending: Pending,
}

#[derive(Debug)]
enum Machine {
    Connect(Connect),
    Socks(Socks),
}

/// Bytes that may hold a password: wiped, never shown.
#[derive(Default)]
struct Pending(Zeroizing<Vec<u8>>);

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending({} bytes)", self.0.len())
    }
}

impl Negotiation {
    /// Begins to ask `proxy` for a connection to `destination`.
    #[must_use]
    pub fn new(proxy: &Proxy, destination: &Destination) -> Self {
        let credentials = proxy.credentials.as_ref();
        let (machine, first) = match proxy.kind {
            Kind::Http => {
                let (machine, first) = Connect::new(destination, credentials);
                (Machine::Connect(machine), first)
            }
            Kind::Socks5 | Kind::Socks5h => {
                let (machine, first) = Socks::new(destination.clone(), credentials.cloned());
                (Machine::Socks(machine), first)
            }
        };
        Self { machine, pending: Pending(first) }
    }

    /// Appends what is to be sent now; it may hold a password, so the caller wipes `out`.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.pending.0);
        self.pending.0.zeroize();
    }

    /// Takes what the proxy has sent; returns how much of it was the proxy's, and never more. Once
    /// it is less than all, [`Negotiation::is_done`] is true.
    ///
    /// # Errors
    ///
    /// Why the proxy does not let us through. The connection is of no use then.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        match &mut self.machine {
            Machine::Connect(connect) => connect.handle_input(input),
            Machine::Socks(socks) => socks.handle_input(input, &mut self.pending.0),
        }
    }

    /// Whether the proxy is trying an address, so that it may have more luck with another one.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        match &self.machine {
            Machine::Connect(_) => false, // it looks names up by itself
            Machine::Socks(socks) => socks.has_asked(),
        }
    }

    /// Whether the connection to the destination is there.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.machine {
            Machine::Connect(connect) => connect.is_done(),
            Machine::Socks(socks) => socks.is_done(),
        }
    }
}

#[cfg(test)]
mod tests;
