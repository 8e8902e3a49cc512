//! Why a connection ended, with what happened outside the core.
//!
//! Owns the list and how each entry reads in a log. Part of `relay.rs`.

use std::fmt;
use std::io;
use std::time::Duration;

use spiped_proto::CloseReason;

use crate::connector::ConnectError;
use crate::signal::Signal;

/// Why a connection ended, with what happened outside the core.
#[derive(Debug)]
pub enum EndReason {
    /// What the core says.
    Core(CloseReason),
    /// The target could not be reached.
    Unreachable(ConnectError),
    /// The system refused a socket or random bytes.
    System(io::Error),
    /// Not authenticated yet when there were too many of its kind.
    Yielded,
    /// Authenticated, but `-n` was full and stayed so.
    NoPlace,
    /// Not authenticated yet when the daemon was told to stop.
    Stopped,
    /// No byte was read or written for this long (`--idle-timeout`).
    Idle(Duration),
    /// A signal has ended the process.
    Killed(Signal),
}

impl EndReason {
    /// Whether nothing is to be delivered any more: there is nothing yet, or no time.
    pub(super) fn is_immediate(&self) -> bool {
        match self {
            Self::Core(reason) => reason.is_handshake(),
            Self::Yielded | Self::Stopped | Self::Killed(_) => true,
            Self::Unreachable(_) | Self::System(_) | Self::NoPlace | Self::Idle(_) => false,
        }
    }

    /// Whether both streams came to their ends, with every byte handed over.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Core(reason) if reason.is_clean())
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(reason) => reason.fmt(f),
            Self::Unreachable(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
            Self::Yielded => f.write_str(
                "dropped before it was authenticated: too many handshakes at once \
                 (--max-handshakes, or the limit of descriptors)",
            ),
            Self::NoPlace => f.write_str(
                "not connected to the target: as many connections as -n allows were open all the \
                 time that -o allows for waiting",
            ),
            Self::Stopped => f.write_str("dropped before it was authenticated: stopping"),
            Self::Idle(limit) => {
                write!(f, "no byte either way for {} s (--idle-timeout)", limit.as_secs_f64())
            }
            Self::Killed(signal) => write!(f, "cut short by {signal}"),
        }
    }
}
