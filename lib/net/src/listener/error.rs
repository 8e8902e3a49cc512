//! Why an address cannot be listened on.
//!
//! Owns the classes that `listener.rs` decides by (not here, in use) and the line the user reads.
//! Refuses to decide itself.

use std::fmt;
use std::io;

use nix::libc;

use super::socket_file::Obstacle;
use crate::addr::Endpoint;
use crate::explain::{unbindable, with_advice};

/// Why an address cannot be listened on, in one line.
#[derive(Debug)]
pub struct BindError {
    /// None if there was no address at all.
    endpoint: Option<Endpoint>,
    problem: Problem,
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum Problem {
    /// The list was empty.
    NoAddress,
    /// A system call failed.
    System(io::Error),
    /// The file of a UNIX socket is in the way.
    File(Obstacle),
}

impl BindError {
    pub(super) fn new(endpoint: &Endpoint, problem: Problem) -> Self {
        Self { endpoint: Some(endpoint.clone()), problem }
    }

    /// For a list without any address.
    pub(super) fn nothing() -> Self {
        Self { endpoint: None, problem: Problem::NoAddress }
    }

    /// What is wrong, without what would help.
    pub(super) fn reason(&self) -> String {
        match (&self.endpoint, &self.problem) {
            (Some(endpoint), Problem::System(error)) => {
                format!("cannot listen on {endpoint}: {}", unbindable(endpoint, error).0)
            }
            _ => self.to_string(),
        }
    }

    /// The address, or its whole family, is not one of this machine.
    pub(super) fn is_not_here(&self) -> bool {
        let Problem::System(error) = &self.problem else { return false };
        matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT))
    }

    /// Someone else has it, perhaps not for long.
    pub(super) fn is_in_use(&self) -> bool {
        match &self.problem {
            Problem::System(error) => error.kind() == io::ErrorKind::AddrInUse,
            Problem::File(obstacle) => matches!(obstacle, Obstacle::Live | Obstacle::Changing),
            Problem::NoAddress => false,
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Obstacle> for Problem {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::System(error) => Self::System(error),
            other => Self::File(other),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "cannot listen on {endpoint}: ")?,
            None => f.write_str("cannot listen: ")?,
        }
        match (&self.endpoint, &self.problem) {
            (_, Problem::NoAddress) => f.write_str("there is no address to listen on"),
            (Some(endpoint), Problem::System(error)) => {
                f.write_str(&with_advice(unbindable(endpoint, error)))
            }
            (None, Problem::System(error)) => error.fmt(f),
            (_, Problem::File(obstacle)) => obstacle.fmt(f),
        }
    }
}

impl std::error::Error for BindError {}
