//! From two nonces to the keys of a connection.
//!
//! Owns the order of the handshake's messages and what is checked when. One state per wait; each
//! state holds only what is valid then and is consumed by the message it waited for. Refuses to
//! know sockets and deadlines: `conn.rs` drives it.
//!
//! ```text
//! client (encrypts)                      server (decrypts)
//!   nonce_C            ------------->
//!                      <-------------      nonce_S            both at once, nobody waits
//!   y_C || h_C         ------------->                         288 bytes
//!                      <-------------      y_S || h_S         only after h_C was verified
//! ```

use core::fmt;
use std::sync::Arc;

use crate::crypt::dh::{self, ONE, PeerPublic};
use crate::crypt::packet::{Opener, Sealer};
use crate::crypt::{HandshakeKeys, Nonces, SessionKeys, SharedKey, tags_match};
use crate::secret::{DEEP, SHALLOW, Secret, with_wiped_stack};
use crate::wire::{EXPONENT_LEN, MAC_LEN, NONCE_LEN, PUBLIC_LEN, PUBLIC_MESSAGE_LEN};

/// Which end of the encrypted pipe we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `spiped -e` and `spipe`: the client of the handshake.
    Encrypt,
    /// `spiped -d`: the server of the handshake.
    Decrypt,
}

/// What we want of perfect forward secrecy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pfs {
    /// `-f`: send y = 1 and do without the exponentiations.
    Refuse,
    /// Offer it, and accept a peer that does without.
    Allow,
    /// `-g`: refuse a peer that sends y = 1.
    Require,
}

/// The random bytes of one connection.
#[derive(Debug)]
pub struct Entropy {
    nonce: [u8; NONCE_LEN],
    /// None only for who does without forward secrecy.
    exponent: Option<Secret<EXPONENT_LEN>>,
}

impl Entropy {
    /// How many bytes [`Self::draw`] takes, in all.
    pub const LEN: usize = NONCE_LEN + EXPONENT_LEN;

    /// Draws the nonce and the secret exponent, each by one call of `fill`.
    ///
    /// # Errors
    ///
    /// Whatever `fill` returns.
    pub fn draw<E>(mut fill: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce)?;
        Ok(Self { nonce, exponent: Some(Secret::try_filled(|x| fill(x))?) })
    }

    /// For [`Pfs::Refuse`], which has no use for an exponent; the nonce is 32 random bytes that
    /// were used for nothing else.
    #[must_use]
    pub const fn without_exponent(nonce: [u8; NONCE_LEN]) -> Self {
        Self { nonce, exponent: None }
    }
}

/// Why a handshake was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// No key of ours made the tag: the peer holds another key, or none.
    WrongKey,
    /// The tag is right but the public value is not below the modulus.
    PublicValueTooLarge,
    /// We require forward secrecy (`-g`) and the peer does without (`-f`).
    NoForwardSecrecy,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongKey => "the peer does not hold our key",
            Self::PublicValueTooLarge => "the peer's Diffie-Hellman value is not below the modulus",
            Self::NoForwardSecrecy => {
                "the peer does without forward secrecy (-f), we require it (-g)"
            }
        })
    }
}

impl core::error::Error for HandshakeError {}

/// What a verified peer has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authenticated {
    /// Index of the key that the peer holds, in the keys we were given.
    pub key: usize,
    /// Whether the connection has perfect forward secrecy.
    pub forward_secrecy: bool,
}

impl Authenticated {
    /// A peer that has shown this, as the tests of a driver need it.
    #[must_use]
    pub const fn new(key: usize, forward_secrecy: bool) -> Self {
        Self { key, forward_secrecy }
    }
}

/// A finished handshake: the only way to get a [`Sealer`] and an [`Opener`] for a connection.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) authenticated: Authenticated,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
}

/// What does not change while a handshake goes on.
#[derive(Debug)]
struct Setup {
    role: Role,
    pfs: Pfs,
    keys: Arc<[SharedKey]>,
    entropy: Entropy,
}

impl Setup {
    /// Of who does not refuse forward secrecy.
    fn exponent(&self) -> &Secret<EXPONENT_LEN> {
        self.entropy.exponent.as_ref().expect("Handshake::start has seen to it")
    }
}

/// A handshake that waits for a message of the peer.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// Our nonce is out; the peer's is awaited.
    AwaitNonce(AwaitNonce),
    /// Both nonces are known; the peer's public value is awaited.
    AwaitPublic(AwaitPublic),
}

/// The result of a message: either the next wait or the end.
#[derive(Debug)]
pub(crate) enum Progress {
    Waiting(Handshake),
    Done(Established),
}

impl Handshake {
    /// Starts: our nonce goes out at once, without waiting for the peer's.
    ///
    /// # Panics
    ///
    /// If there is no exponent, but forward secrecy is not refused.
    pub(crate) fn start(
        role: Role,
        pfs: Pfs,
        keys: Arc<[SharedKey]>,
        entropy: Entropy,
        out: &mut Vec<u8>,
    ) -> Self {
        assert!(pfs == Pfs::Refuse || entropy.exponent.is_some(), "forward secrecy needs one");
        out.extend_from_slice(&entropy.nonce);
        Self::AwaitNonce(AwaitNonce { setup: Setup { role, pfs, keys, entropy } })
    }

    /// Bytes of the message that is awaited.
    pub(crate) fn awaited_len(&self) -> usize {
        match self {
            Self::AwaitNonce(_) => NONCE_LEN,
            Self::AwaitPublic(_) => PUBLIC_MESSAGE_LEN,
        }
    }

    /// The peer's nonce, once it is here.
    pub(crate) fn peer_nonce(&self) -> Option<&[u8; NONCE_LEN]> {
        match self {
            Self::AwaitNonce(_) => None,
            Self::AwaitPublic(state) => Some(match state.setup.role {
                Role::Encrypt => &state.nonces.server,
                Role::Decrypt => &state.nonces.client,
            }),
        }
    }

    /// Takes the awaited message, of [`Self::awaited_len`] bytes, and appends our answer to `out`.
    pub(crate) fn handle_message(
        self,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress, HandshakeError> {
        let computes_powers = self.setup().pfs != Pfs::Refuse;
        let step = || match self {
            Self::AwaitNonce(state) => {
                let nonce = message.first_chunk().expect("awaited_len() is NONCE_LEN");
                Ok(Progress::Waiting(Self::AwaitPublic(state.handle(nonce, out))))
            }
            Self::AwaitPublic(state) => {
                let message = message.first_chunk().expect("awaited_len() is PUBLIC_MESSAGE_LEN");
                state.handle(message, out).map(Progress::Done)
            }
        };
        if computes_powers {
            with_wiped_stack::<DEEP, _>(step)
        } else {
            with_wiped_stack::<SHALLOW, _>(step)
        }
    }

    fn setup(&self) -> &Setup {
        match self {
            Self::AwaitNonce(state) => &state.setup,
            Self::AwaitPublic(state) => &state.setup,
        }
    }
}

/// Our nonce is out; the peer's is awaited.
#[derive(Debug)]
pub(crate) struct AwaitNonce {
    setup: Setup,
}

impl AwaitNonce {
    /// With both nonces the handshake keys follow; the client sends its value now.
    fn handle(self, theirs: &[u8; NONCE_LEN], out: &mut Vec<u8>) -> AwaitPublic {
        let ours = self.setup.entropy.nonce;
        let nonces = match self.setup.role {
            Role::Encrypt => Nonces { client: ours, server: *theirs },
            Role::Decrypt => Nonces { client: *theirs, server: ours },
        };
        let candidates = match self.setup.role {
            // We speak first, so there is one key to speak with.
            Role::Encrypt => &self.setup.keys[..1],
            // The peer speaks first, so each of our keys may turn out to be its key.
            Role::Decrypt => &self.setup.keys[..],
        };
        let candidates = candidates.iter().map(|key| HandshakeKeys::derive(key, &nonces));
        let next = AwaitPublic { candidates: candidates.collect(), nonces, setup: self.setup };
        if next.setup.role == Role::Encrypt {
            let public = next.our_public();
            out.extend_from_slice(&public);
            out.extend_from_slice(&next.candidates[0].client_tag(&public));
        }
        next
    }
}

/// Both nonces are known; the peer's public value is awaited.
#[derive(Debug)]
pub(crate) struct AwaitPublic {
    setup: Setup,
    nonces: Nonces,
    candidates: Vec<HandshakeKeys>,
}

impl AwaitPublic {
    /// MAC, then range, then `-g`; only then the exponentiations, and the server's answer.
    fn handle(
        self,
        message: &[u8; PUBLIC_MESSAGE_LEN],
        out: &mut Vec<u8>,
    ) -> Result<Established, HandshakeError> {
        let (public, tag) = message.split_at(PUBLIC_LEN);
        let public = public.first_chunk().expect("PUBLIC_MESSAGE_LEN starts with PUBLIC_LEN");
        let tag = tag.first_chunk().expect("PUBLIC_MESSAGE_LEN ends with MAC_LEN");

        let key = self.verified_key(public, tag).ok_or(HandshakeError::WrongKey)?;
        let peer = PeerPublic::validate(public).ok_or(HandshakeError::PublicValueTooLarge)?;
        if self.setup.pfs == Pfs::Require && peer.is_one() {
            return Err(HandshakeError::NoForwardSecrecy);
        }

        if self.setup.role == Role::Decrypt {
            let public = self.our_public();
            out.extend_from_slice(&public);
            out.extend_from_slice(&self.candidates[key].server_tag(&public));
        }

        // 1 to any power is 1: with `-f` at either end there is nothing to compute.
        let forward_secrecy = self.setup.pfs != Pfs::Refuse && !peer.is_one();
        let shared = if forward_secrecy {
            dh::shared_value(&peer, self.setup.exponent())
        } else {
            Secret::filled(|one| *one = ONE)
        };

        let keys = SessionKeys::derive(&self.setup.keys[key], &self.nonces, &shared);
        let (sending, receiving) = match self.setup.role {
            Role::Encrypt => (keys.client(), keys.server()),
            Role::Decrypt => (keys.server(), keys.client()),
        };
        Ok(Established {
            authenticated: Authenticated::new(key, forward_secrecy),
            sealer: Sealer::new(sending),
            opener: Opener::new(receiving),
        })
    }

    /// The key whose MAC is on the peer's message. All are tried, whichever matches first, so that
    /// the time tells nothing about which one it is.
    fn verified_key(&self, public: &[u8; PUBLIC_LEN], tag: &[u8; MAC_LEN]) -> Option<usize> {
        let expected = |keys: &HandshakeKeys| match self.setup.role {
            Role::Encrypt => keys.server_tag(public),
            Role::Decrypt => keys.client_tag(public),
        };
        let matching = self.candidates.iter().map(|keys| tags_match(&expected(keys), tag));
        matching.enumerate().fold(None, |found, (index, hit)| found.or(hit.then_some(index)))
    }

    fn our_public(&self) -> [u8; PUBLIC_LEN] {
        match self.setup.pfs {
            Pfs::Refuse => ONE,
            Pfs::Allow | Pfs::Require => dh::public_value(self.setup.exponent()),
        }
    }
}

#[cfg(test)]
mod tests;
