//! Why a connection ended.
//!
//! Owns the list of reasons that the core knows, and how each reads in a log. Part of `conn.rs`,
//! which decides which of them it is.

use core::fmt;
use std::io::ErrorKind;

use super::Side;
use crate::crypt::packet::PacketError;
use crate::handshake::HandshakeError;

/// Why a connection ended. Each connection ends with exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// Both streams came to their ends.
    Finished,
    /// The handshake was refused.
    Handshake(HandshakeError),
    /// The handshake took longer than its limit.
    HandshakeTimeout,
    /// The peer ended its stream before the handshake was complete.
    EndInHandshake,
    /// The connection failed before the handshake was complete.
    FailedInHandshake(ErrorKind),
    /// A packet is not as it should be.
    BadPacket {
        /// Its number, from 0, in its direction.
        number: u64,
        /// What is wrong with it.
        error: PacketError,
    },
    /// The encrypted stream ended inside a packet.
    CutInPacket {
        /// The number of the packet that is not complete.
        number: u64,
        /// How much of it arrived, in bytes.
        received: usize,
    },
    /// A side could not be read.
    ReadFailed(Side, ErrorKind),
    /// A side could not be written to, so what was on its way there is lost.
    WriteFailed(Side, ErrorKind),
}

impl CloseReason {
    /// Whether everything that was sent either way has been handed over, and both ends came.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::Finished
    }

    /// Whether the connection ended before the peer had proved that it holds the key.
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        matches!(
            self,
            Self::Handshake(_)
                | Self::HandshakeTimeout
                | Self::EndInHandshake
                | Self::FailedInHandshake(_)
        )
    }
}

impl core::error::Error for CloseReason {}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Handshake(error) => write!(f, "handshake refused: {error}"),
            Self::HandshakeTimeout => f.write_str("handshake not completed in time"),
            Self::EndInHandshake => {
                f.write_str("the peer ended the connection during the handshake")
            }
            Self::FailedInHandshake(kind) => write!(f, "the handshake failed: {kind}"),
            Self::BadPacket { number, error } => write!(f, "packet {number} {error}"),
            Self::CutInPacket { number, received } => {
                write!(
                    f,
                    "the encrypted stream was cut inside packet {number} (after {received} bytes)"
                )
            }
            Self::ReadFailed(side, kind) => write!(f, "reading from the {side} failed: {kind}"),
            Self::WriteFailed(side, kind) => write!(f, "writing to the {side} failed: {kind}"),
        }
    }
}
