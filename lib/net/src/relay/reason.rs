//! Why a connection ended, with what happened outside the core.
//!
//! Owns the list, how each entry reads in a log, and the guess at why a handshake failed. Part of
//! `relay.rs`.

use std::fmt;
use std::io;
use std::time::Duration;

use spiped_proto::{Authenticated, CloseReason, HandshakeError, Heard, Pfs, Role, Side, Words};

use crate::connector::ConnectError;
use crate::signal::Signal;

/// Why a connection ended, with what happened outside the core.
#[derive(Debug)]
pub enum EndReason {
    /// What the core says of an established connection.
    Core(CloseReason),
    /// What the core says of one that was broken before the encrypting side had got a byte.
    Fruitless(CloseReason),
    /// The handshake came to nothing.
    Handshake(FailedHandshake),
    /// The handshake succeeded, and no more was wanted (`spipe --check`).
    HandshakeDone(Authenticated),
    /// The carrier of a side has failed, as it says.
    Carrier(CloseReason, io::Error),
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
    /// `decrypted` is how many bytes the peer has sent.
    pub(super) fn from_core(reason: CloseReason, heard: Heard, ours: Ours, decrypted: u64) -> Self {
        if reason.is_handshake() {
            Self::Handshake(FailedHandshake { reason, heard, ours })
        } else if is_fruitless(reason, ours.role, decrypted) {
            Self::Fruitless(reason)
        } else {
            Self::Core(reason)
        }
    }

    pub(super) fn from_carrier(
        reason: CloseReason,
        fault: io::Error,
        heard: Heard,
        ours: Ours,
        decrypted: u64,
    ) -> Self {
        let failed = FailedHandshake { reason, heard, ours };
        let guess = match reason.is_handshake() {
            true => failed.guess(),
            false if is_fruitless(reason, ours.role, decrypted) => NO_TARGET,
            false => "",
        };
        Self::Carrier(reason, io::Error::new(fault.kind(), format!("{fault}{guess}")))
    }

    /// Whether nothing is to be delivered any more: there is nothing yet, or no time.
    pub(super) fn is_immediate(&self) -> bool {
        match self {
            Self::Handshake(_) | Self::Yielded | Self::Stopped | Self::Killed(_) => true,
            Self::Carrier(reason, _) => reason.is_handshake(),
            Self::Core(_)
            | Self::Fruitless(_)
            | Self::HandshakeDone(_)
            | Self::Unreachable(_)
            | Self::System(_)
            | Self::NoPlace
            | Self::Idle(_) => false,
        }
    }

    /// Whether a carrier may still say why, although nothing is delivered.
    pub(super) fn may_be_explained(&self) -> bool {
        matches!(self, Self::Carrier(..))
    }

    /// Whether somebody came to the decrypting side and went without a word: whoever watches over
    /// us does so again and again, and it is not worth a line.
    pub(crate) fn is_silent_visit(&self) -> bool {
        use CloseReason::{EndInHandshake, FailedInHandshake};
        let Self::Handshake(failed) = self else { return false };
        let went = matches!(
            failed.reason,
            EndInHandshake | FailedInHandshake(io::ErrorKind::ConnectionReset)
        );
        went && failed.ours.role == Role::Decrypt && failed.heard == Heard::Nothing
    }

    /// Whether all came to its end that was wanted: both streams, with every byte handed over, or
    /// the handshake.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        match self {
            Self::Core(reason) => reason.is_clean(),
            Self::HandshakeDone(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(reason) => reason.fmt(f),
            Self::Fruitless(reason) => write!(f, "{reason}{NO_TARGET}"),
            Self::Handshake(failed) => failed.fmt(f),
            Self::HandshakeDone(_) => f.write_str("the handshake was all that was wanted"),
            Self::Carrier(_, error) => error.fmt(f),
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

/// What a decrypting end does that cannot connect to its target, or has no place for one more.
const NO_TARGET: &str = " before a byte had come (perhaps the other end cannot reach its target: \
                         its log says why)";

/// Whether a peer that has proved to hold the key broke the connection without a byte.
fn is_fruitless(reason: CloseReason, role: Role, decrypted: u64) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    let (CloseReason::ReadFailed(side, kind) | CloseReason::WriteFailed(side, kind)) = reason
    else {
        return false;
    };
    let broken = matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset);
    broken && side == Side::Encrypted && role == Role::Encrypt && decrypted == 0
}

/// What we are in a handshake, as far as its failure may be due to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Which end.
    pub role: Role,
    /// What we want of forward secrecy.
    pub pfs: Pfs,
    /// What carries the encrypted side.
    pub carrier: Carried,
}

/// What carries the encrypted side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Nothing: it is a TCP connection's own stream.
    Plainly,
    /// Nothing: it is a UNIX socket's own stream.
    Locally,
    /// A WebSocket.
    ByWebSocket,
}

/// A handshake that came to nothing.
#[derive(Debug)]
pub struct FailedHandshake {
    /// What the core says.
    pub reason: CloseReason,
    /// What the peer had said until then.
    pub heard: Heard,
    /// What we are.
    pub ours: Ours,
}

impl FailedHandshake {
    /// The likely cause where the reason alone does not tell it, as the end of a sentence.
    fn guess(&self) -> &'static str {
        match self.ours.role {
            Role::Encrypt => self.guess_at_server(),
            // A client that goes away has its reasons, and one with another key shows it.
            Role::Decrypt => match (self.heard, self.ours.carrier) {
                (Heard::Tls, Carried::Plainly) => {
                    " (the peer speaks TLS: if it wants a WebSocket, -s needs wss://)"
                }
                (Heard::Tls, Carried::Locally) => {
                    " (the peer speaks TLS: if it wants a WebSocket, -w and --tls-cert are needed)"
                }
                _ => "",
            },
        }
    }

    fn guess_at_server(&self) -> &'static str {
        let hung_up =
            matches!(self.reason, CloseReason::EndInHandshake | CloseReason::FailedInHandshake(_));
        let late = self.reason == CloseReason::HandshakeTimeout;
        match (self.heard, self.ours.carrier) {
            // A decrypting end with another key hangs up, since it has to be shown ours first.
            (Heard::Nonce, _)
                if self.reason == CloseReason::Handshake(HandshakeError::WrongKey) =>
            {
                " (or is it no spiped -d, but an spiped -e, or a service that echoes?)"
            }
            // A server says nothing, whether it finds our key wrong or misses forward secrecy: this
            // is what both look like from here.
            (Heard::Nonce, _) if hung_up && self.ours.pfs == Pfs::Refuse => {
                " (is the key the same at both ends, and does the peer do without -g, as our -f \
                 needs it?)"
            }
            (Heard::Nonce, _) if hung_up => {
                " (is the key the same at both ends? or is it a C spiped that cannot reach its \
                 target?)"
            }
            (Heard::Nonce | Heard::Text(_), _) => "",
            (Heard::Tls, Carried::Plainly) => {
                " (the peer speaks TLS: if it takes WebSockets, -t needs wss://)"
            }
            (Heard::Nothing, Carried::Plainly) if late => {
                ": the peer said nothing (is it an spiped -d, with room for one more connection? \
                 if it takes WebSockets, -t needs ws://)"
            }
            (Heard::Nothing, Carried::Locally) if late => {
                ": the peer said nothing (is it an spiped -d, with room for one more connection? \
                 if it takes WebSockets, -t needs ws+unix://)"
            }
            (Heard::Nothing, Carried::ByWebSocket) if late => {
                ": the peer said nothing (is it an spiped -d, with room for one more connection?)"
            }
            (_, Carried::Plainly) => {
                " (is it an spiped -d? if it takes WebSockets, -t needs ws:// or wss://)"
            }
            (Heard::Tls, Carried::Locally) => " (the peer speaks TLS: is it an spiped -d?)",
            (_, Carried::Locally) => {
                " (is it an spiped -d? if it takes WebSockets, -t needs ws+unix://)"
            }
            (_, Carried::ByWebSocket) => " (is it an spiped -d?)",
        }
    }

    /// What text tells about who has sent it.
    fn judge(&self, words: Words) -> &'static str {
        let begins = |with: &[&str]| with.iter().any(|word| words.first_line().starts_with(word));
        match (self.ours.role, self.ours.carrier) {
            (Role::Encrypt, Carried::Plainly) if begins(&["HTTP/"]) => {
                "; if it takes WebSockets, -t needs ws://"
            }
            (Role::Encrypt, Carried::Locally) if begins(&["HTTP/"]) => {
                "; if it takes WebSockets, -t needs ws+unix://"
            }
            (Role::Decrypt, Carried::Plainly) if begins(&["GET "]) => {
                "; for WebSockets -s needs ws://"
            }
            (Role::Decrypt, Carried::Locally) if begins(&["GET "]) => {
                "; for WebSockets -s needs ws+unix://"
            }
            _ => "",
        }
    }
}

impl fmt::Display for FailedHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.reason, self.guess())?;
        match self.heard {
            Heard::Text(words) => {
                let more = self.judge(words);
                write!(f, " (the peer is no spiped: it says {words}{more})")
            }
            _ => Ok(()),
        }
    }
}
