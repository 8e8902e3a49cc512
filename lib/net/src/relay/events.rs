//! What the core says of a connection, and what comes of it.
//!
//! Owns the answer to each event, and the step from a reason to the end. Refuses to find reasons in
//! words (`relay/reason.rs`) and to carry the end out (`relay/closing.rs`). Part of `relay.rs`.

use spiped_proto::{Conn, Event, Heard, Role};

use super::closing::Closing;
use super::way::Way;
use super::{Carried, Context, End, EndReason, Ours, Purpose, Relay};
use crate::addr::Endpoint;

impl Relay {
    /// Acts on what the core has to say.
    pub(super) fn handle_events(&mut self, ctx: &Context<'_>) {
        while let Some(event) = self.conn.as_mut().and_then(Conn::poll_event) {
            match event {
                Event::PeerAuthenticated(authenticated) => {
                    log::debug!("connection from {}: handshake done", self.peer);
                    self.authenticated = Some(authenticated);
                    if ctx.shared.proto.role == Role::Decrypt {
                        self.ask_for_place(ctx);
                    }
                    if ctx.shared.purpose == Purpose::Check {
                        self.close(EndReason::HandshakeDone(authenticated), ctx);
                    }
                }
                Event::EndOfStream(side) => {
                    log::trace!("connection from {}: end of stream to the {side}", self.peer);
                    if let Some(end) = self.end_mut(side) {
                        end.shutdown_write();
                    }
                }
                Event::Closed(reason) => {
                    let heard = self.conn.as_ref().map_or(Heard::Nothing, Conn::heard);
                    let ours = self.ours(ctx);
                    let (_, decrypted) = self.conn.as_ref().map_or((0, 0), Conn::bytes);
                    let reason = match self.fault.take() {
                        Some(fault) => {
                            EndReason::from_carrier(reason, fault, heard, ours, decrypted)
                        }
                        None => EndReason::from_core(reason, heard, ours, decrypted),
                    };
                    self.close(reason, ctx);
                }
            }
        }
    }

    /// What the failure of a handshake may be due to.
    fn ours(&self, ctx: &Context<'_>) -> Ours {
        let web = ctx.shared.route.opening.web.is_some()
            || self.encrypted.as_ref().is_some_and(End::is_web);
        let proto = &ctx.shared.proto;
        let other = match proto.role {
            Role::Encrypt => self.target.as_ref(),
            Role::Decrypt => Some(&self.peer),
        };
        let carrier = match other {
            _ if web => Carried::ByWebSocket,
            Some(Endpoint::Unix(_)) => Carried::Locally,
            Some(Endpoint::Tcp(_)) | None => Carried::Plainly,
        };
        Ours { role: proto.role, pfs: proto.pfs, carrier }
    }

    pub(super) fn close(&mut self, reason: EndReason, ctx: &Context<'_>) {
        if self.closing.is_some() {
            return;
        }
        // The client tells its user why it fails, and does so before its plain side hears of the
        // end: ssh ends its proxy as soon as that closes.
        if ctx.shared.purpose != Purpose::Serve && !reason.is_clean() {
            match &self.target {
                Some(target) => log::error!("{target}: {reason}"),
                None => log::error!("{reason}"),
            }
        }
        self.take_claim();
        self.way = Way::None;
        self.closing = Some(Box::new(Closing::new(reason, ctx.now)));
    }

    /// While there still is a carrier to ask.
    pub(super) fn take_claim(&mut self) {
        if let Some(end) = &mut self.encrypted {
            self.claim = end.take_claim();
        }
    }
}
