//! What all connections of a process have in common.
//!
//! Owns the settings and their defaults. Refuses to act on them. Part of `../conn.rs`; next:
//! `flows.rs`.

use core::time::Duration;
use std::sync::Arc;

use crate::crypt::SharedKey;
use crate::handshake::{Pfs, Role};

/// How long a handshake may take unless something else is said, as in C spiped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What all connections of a process have in common.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Which end of the encrypted pipe we are.
    pub role: Role,
    /// What we want of perfect forward secrecy.
    pub pfs: Pfs,
    /// The keys that a peer may hold, at least one; the encrypting side speaks with the first.
    pub keys: Arc<[SharedKey]>,
    /// How long a handshake may take; `None` for as long as it likes.
    pub handshake_timeout: Option<Duration>,
    /// How long bytes that do not fill a packet may wait for more; zero for not at all.
    pub coalesce: Duration,
}

impl Config {
    /// What spiped does unless it is told otherwise: forward secrecy where the peer offers it, 5
    /// seconds for a handshake, and no byte waits for others. `keys` must not be empty.
    #[must_use]
    pub fn new(role: Role, keys: impl Into<Arc<[SharedKey]>>) -> Self {
        let (pfs, handshake_timeout) = (Pfs::Allow, Some(HANDSHAKE_TIMEOUT));
        Self { role, pfs, keys: keys.into(), handshake_timeout, coalesce: Duration::ZERO }
    }
}
