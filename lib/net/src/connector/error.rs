//! Why no address of a target could be reached, in words. Part of `connector.rs`.

use std::fmt;
use std::io;

use crate::addr::Endpoint;
use crate::explain::{unreachable, with_advice};
use crate::transport::dial::Hurdle;

/// Why no address of the target could be reached.
#[derive(Debug)]
pub enum ConnectError {
    /// The last attempt failed with this error.
    Failed(Endpoint, io::Error),
    /// The time was up while attempts were under way, or while the system had no room for one.
    TimedOut(Option<Endpoint>),
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
            Self::TimedOut(Some(endpoint)) => write!(f, "{endpoint} did not answer in time"),
            Self::TimedOut(None) => f.write_str("the system had no room for a connection in time"),
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
