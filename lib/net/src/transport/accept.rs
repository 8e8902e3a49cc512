//! What has to come before a WebSocket that a peer asks for: TLS, and the request.
//!
//! Owns the order of the two and their limits. Nobody has proved anything yet: the peer is a
//! stranger, whose time the handshake's deadline bounds and whose request the limit of a head.
//! Refuses to wait. Part of `web.rs`.

use std::io;
use std::sync::Arc;

use spiped_ws::upgrade::{self, Head, Request};

use super::link::Link;
use crate::web::WebServer;

/// Read at once of a request: most fit.
const PIECE: usize = 1024;

/// A peer that has not asked yet.
#[derive(Debug)]
pub(super) struct Accepting {
    server: Arc<WebServer>,
    head: Head,
}

/// A request that is granted.
pub(super) struct Granted {
    pub(super) request: Request,
    /// What came behind it.
    pub(super) early: Vec<u8>,
}

/// Why there will be no WebSocket.
pub(super) struct Refused {
    pub(super) error: io::Error,
    /// What the peer is told, if anything.
    pub(super) response: &'static str,
    /// Where it claims to come from.
    pub(super) claim: Option<String>,
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self { error, response: "", claim: None }
    }
}

impl Accepting {
    pub(super) fn new(server: &Arc<WebServer>) -> Self {
        Self { server: Arc::clone(server), head: Head::default() }
    }

    /// Goes on as far as the link lets: `WouldBlock` until the request is complete.
    pub(super) fn advance(&mut self, link: &mut Link) -> Result<Granted, Refused> {
        if !link.shake_hands()? {
            return Err(io::Error::from(io::ErrorKind::WouldBlock).into());
        }
        let mut piece = [0; PIECE];
        loop {
            let read = link.read(&mut piece)?;
            if read == 0 {
                let text = "the peer ended the connection before it had asked for a WebSocket";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text).into());
            }
            // Who sends that much has nothing to ask of us: no answer.
            let (taken, complete) = self.head.push(&piece[..read]).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, "the request has no end (8 KiB of it)")
            })?;
            // Who speaks another protocol is told at once, and does not wait for the deadline.
            if complete || !upgrade::may_be_request(self.head.bytes()) {
                let path = self.server.path.as_deref();
                let request = Request::parse(self.head.bytes(), path).map_err(|refusal| {
                    let response = refusal.response;
                    let claim = upgrade::forwarded_for(self.head.bytes());
                    let error = io::Error::new(io::ErrorKind::InvalidData, refusal);
                    Refused { error, response, claim }
                })?;
                return Ok(Granted { request, early: piece[taken..read].to_vec() });
            }
        }
    }
}
