//! What carries the encrypted side, as the user wants it: a socket as it is, or WebSockets.
//!
//! Owns the settings of both ends of a WebSocket. Refuses to know options and URLs, and to move
//! bytes: `transport.rs` does, by these.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::tls::{TlsClient, TlsServer};

/// What carries the encrypted side.
#[derive(Debug, Default)]
pub enum Carrier {
    /// The socket itself, as C spiped does.
    #[default]
    Socket,
    /// WebSockets that we ask for: of the encrypting side.
    WebClient(WebClient),
    /// WebSockets that we grant: of the decrypting side.
    WebServer(WebServer),
}

impl Carrier {
    /// Whether what it carries goes through a TLS of ours.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        match self {
            Self::Socket => false,
            Self::WebClient(client) => client.tls.is_some(),
            Self::WebServer(server) => server.tls.is_some(),
        }
    }
}

/// How WebSockets are asked for.
#[derive(Clone)]
pub struct WebClient {
    /// What the `Host` header says: a name or address, with the port if it is not the usual one.
    pub host: String,
    /// What is asked for: a path, with perhaps a query.
    pub target: String,
    /// Further header lines, each checked by [`spiped_ws::upgrade::check_header`]; some are secret.
    pub headers: Vec<Zeroizing<String>>,
    /// For `wss:`.
    pub tls: Option<TlsClient>,
    /// `--ws-ping`: the time between two Pings.
    pub ping: Option<Duration>,
}

impl fmt::Debug for WebClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the headers nor the path, which may hold secrets.
        f.debug_struct("WebClient").field("host", &self.host).finish_non_exhaustive()
    }
}

/// How WebSockets are granted.
#[derive(Clone, Debug)]
pub struct WebServer {
    /// The only path that is known here, with its query if it has one; `None` for any.
    pub path: Option<String>,
    /// For `wss:`.
    pub tls: Option<TlsServer>,
    /// `--ws-ping`: the time between two Pings.
    pub ping: Option<Duration>,
}
