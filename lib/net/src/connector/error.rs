//! Why no address of a target could be reached, in words. Part of `connector.rs`.

use std::fmt;
use std::io;

use crate::addr::Endpoint;
use crate::explain::{in_words, unreachable, with_advice};
use crate::transport::dial::Hurdle;

/// Why no address of the target could be reached.
#[derive(Debug)]
pub enum ConnectError {
    /// The last attempt failed with this error.
    Failed(Endpoint, io::Error),
    /// The time was up while attempts were under way.
    TimedOut(Endpoint),
    /// The time was up while one was put off, for the last time because of this.
    PutOff(Endpoint, io::Error),
    /// There is no address.
    NoAddress,
    /// None of the addresses of the proxy that is to be asked for this destination; who has named
    /// it comes first.
    Proxy(&'static str, String, Box<Self>),
    /// It is connected, but of no use, for this reason.
    NotOpened(Endpoint, Hurdle, String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(endpoint, error) => {
                let why = with_advice(unreachable(endpoint, error));
                write!(f, "cannot connect to {endpoint}: {why}")
            }
            Self::TimedOut(endpoint) => write!(f, "{endpoint} did not answer in time"),
            // connect(2): EAGAIN of a UNIX socket.
            Self::PutOff(endpoint, error) if error.kind() == io::ErrorKind::WouldBlock => write!(
                f,
                "{endpoint} did not accept in time: as many wait there as it lets wait (does it \
                 hang, or is it full?)"
            ),
            Self::PutOff(_, error) => {
                let why = in_words(error);
                write!(f, "the system had no room for a connection in time: {why}")
            }
            Self::NoAddress => f.write_str("the target has no address"),
            Self::Proxy(source, destination, error) => {
                write!(f, "no way to the proxy of {source} for {destination}: {error}")
            }
            Self::NotOpened(endpoint, hurdle, reason) => {
                write!(f, "{hurdle} at {endpoint}: {reason}")
            }
        }
    }
}
