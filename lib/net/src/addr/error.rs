//! What is wrong with an address, in one line that shows what would be right.

use std::fmt;

use nix::libc;

use super::Address;

/// Every form that an address can take, for error messages.
const FORMS: &str = "/absolute/path, host:port, [IPv4]:port or [IPv6]:port";

/// Bytes that a UNIX socket's path must stay below, so that its final zero fits: 108 on Linux.
pub(super) const UNIX_PATH_LIMIT: usize =
    size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path);

/// What an address is for, which decides on its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// `-s`: needs a port; 0 is any free one, but in brackets C has none either.
    Listen,
    /// `-t`: needs a port.
    Connect,
    /// `-b`: any port will do.
    Bind,
}

impl Use {
    /// The ports of a host that is named.
    pub(super) fn ports(self) -> &'static str {
        match self {
            Self::Listen => "a number from 0 to 65535 (0 is any free one), or a service's name",
            Self::Connect => "a number from 1 to 65535, or a service's name",
            Self::Bind => "a number from 0 to 65535, a service's name, or no port",
        }
    }

    /// The ports of an IP address in brackets.
    pub(super) fn ports_in_brackets(self) -> &'static str {
        match self {
            Self::Listen => "a number from 1 to 65535 (any free one is IP:0, without brackets)",
            Self::Connect => "a number from 1 to 65535",
            Self::Bind => "a number from 0 to 65535, or no port",
        }
    }
}

/// Text that is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    written: String,
    problem: Problem,
}

impl AddressError {
    pub(super) fn new(text: &str, problem: Problem) -> Self {
        Self { written: text.to_owned(), problem }
    }
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Empty,
    NoHost,
    NoPort,
    At,
    PathTooLong(usize),
    BadBrackets,
    BadIp(String),
    /// The port, and what was expected.
    BadPort(String, &'static str),
    /// An IPv6 address without brackets, and how it is written.
    NoBrackets(String),
    /// More than one colon, and no IPv6 address.
    Colons,
    /// A scheme, and no two slashes behind it.
    Slashes,
    /// `systemd:NAME` where nothing is inherited.
    Inherited,
    /// A path that does not begin with a slash.
    RelativePath,
    /// What is wrong with a URL, and what was expected.
    Url(String),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad address {:?}: ", self.written)?;
        match &self.problem {
            Problem::Empty => write!(f, "it is empty; expected {FORMS}"),
            Problem::NoHost => write!(
                f,
                "no host before the ':'; expected {FORMS} (an IPv6 address needs its brackets, \
                 all interfaces are [0.0.0.0]:port or [::]:port)"
            ),
            Problem::NoPort => write!(f, "no port; expected {FORMS}"),
            Problem::At => f.write_str(
                "no host has an '@'; expected a user and a password in a URL, behind its scheme: \
                 ws://user:password@host",
            ),
            Problem::PathTooLong(length) => write!(
                f,
                "the path of a UNIX socket is {length} bytes long; expected at most {}",
                UNIX_PATH_LIMIT - 1
            ),
            Problem::BadBrackets => {
                f.write_str("expected one IP address in brackets, then a port: [IP]:port")
            }
            Problem::BadIp(ip) => write!(
                f,
                "{ip:?} is no IP address; expected one in brackets; write a host name without"
            ),
            Problem::BadPort(port, expected) => write!(f, "bad port {port:?}; expected {expected}"),
            Problem::NoBrackets(right) => {
                write!(f, "expected brackets around an IPv6 address: {right}")
            }
            Problem::Colons => write!(f, "too many colons; expected {FORMS}"),
            Problem::Slashes => f.write_str(
                "no two slashes behind the scheme of a URL; expected ws://host:port/path, \
                 wss://host:port/path or ws+unix:///path/of/socket",
            ),
            Problem::Inherited => f.write_str(
                "systemd:NAME is for -s alone, as it stands for sockets to accept connections at; \
                 expected the address itself (behind a host of that name, a port number)",
            ),
            Problem::RelativePath => f.write_str(
                "no host has a '/'; expected the absolute path of a UNIX socket and nothing before \
                 it, such as /run/x.sock",
            ),
            Problem::Url(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for AddressError {}

/// A look-up that failed, perhaps only this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    written: String,
    reason: String,
}

impl ResolveError {
    pub(crate) fn new(address: &Address, reason: String) -> Self {
        Self { written: address.to_string(), reason }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot look up {:?}: {}", self.written, self.reason)
    }
}

impl std::error::Error for ResolveError {}
