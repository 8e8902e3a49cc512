//! What is wrong with an address, in one line that shows what would be right.

use std::fmt;

use nix::libc;

use super::Address;

/// Every form that an address can take, for error messages.
const FORMS: &str = "/absolute/path, host:port, [IPv4]:port or [IPv6]:port";

/// Bytes that a UNIX socket's path must stay below, so that its final zero fits: 108 on Linux.
pub(super) const UNIX_PATH_LIMIT: usize =
    size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path);

/// Whether an address must name its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Required,
    Optional,
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
    BadPort(String, Port),
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
            Problem::BadPort(port, Port::Required) => {
                write!(f, "bad port {port:?}; expected a number from 1 to 65535")
            }
            Problem::BadPort(port, Port::Optional) => {
                write!(f, "bad port {port:?}; expected a number from 0 to 65535, or no port")
            }
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
