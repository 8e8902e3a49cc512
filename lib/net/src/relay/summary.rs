//! The one line that the log has of a connection.
//!
//! Owns what it tells, and in which order. Refuses to be kept: it is written where it is wanted,
//! without a text in between, because a daemon does so for every connection. Part of `relay.rs`.

use std::fmt;
use std::time::Instant;

use spiped_proto::Conn;

use super::Relay;
use crate::count::Count;

/// Shows a connection that is over.
pub(crate) struct Summary<'a> {
    pub(super) relay: &'a Relay,
    /// When it was over.
    pub(super) now: Instant,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relay = self.relay;
        write!(f, "connection from {}", relay.peer)?;
        if let Some(claim) = &relay.claim {
            write!(f, " (for {claim}, as it says)")?;
        }
        if let Some(target) = &relay.target {
            write!(f, " to {target}")?;
        }
        if let Some(authenticated) = relay.authenticated {
            let (encrypted, decrypted) = relay.conn.as_ref().map_or((0, 0), Conn::bytes);
            let with = if authenticated.forward_secrecy { "with" } else { "without" };
            let [encrypted, decrypted] = [encrypted, decrypted].map(|n| Count(n, "byte"));
            write!(f, ", {with} forward secrecy, {encrypted} encrypted, {decrypted} decrypted")?;
        }
        let lasted = self.now.saturating_duration_since(relay.started);
        write!(f, ", {:.3} s: {}", lasted.as_secs_f64(), relay.reason())
    }
}
