//! How a connection comes to have two sides and a core.
//!
//! Owns the way to the target: the place that it waits for, the attempts, and the handshake that
//! begins when there is somebody to shake hands with. Refuses to know how an attempt is made
//! (`connector.rs`). Part of `relay.rs`.

use std::io::{self, Read};
use std::time::Instant;

use spiped_proto::{CloseReason, Conn, Entropy, Pfs, Role, Secret, Side};

use super::end::End;
use super::{Context, EndReason, Relay, Shared, context};
use crate::connector::{Connector, Progress};
use crate::transport::Transport;

/// How far the way to the target is.
pub(super) enum Way {
    /// Not begun yet, or done with.
    None,
    /// For a place among the connections of `-n`, up to this time.
    Waiting(Option<Instant>),
    Connecting(Box<Connector>),
}

/// The side of whoever has come to us.
pub(super) fn accepted_side(role: Role) -> Side {
    match role {
        Role::Encrypt => Side::Plain,
        Role::Decrypt => Side::Encrypted,
    }
}

impl Relay {
    /// Lets one that waits for a place have it; false if it is over already. Its next turn begins
    /// to connect to the target.
    pub(crate) fn take_place(&mut self, shared: &Shared, now: Instant) -> bool {
        let waits = self.closing.is_none();
        if waits {
            self.connect(shared, now);
        }
        waits
    }

    pub(super) fn connect(&mut self, shared: &Shared, now: Instant) {
        self.way = Way::Connecting(Box::new(Connector::new(shared.route.clone(), now)));
    }

    /// The peer has proved that it holds the key: now it may be connected to the target, unless
    /// there are as many such connections as there may be.
    pub(super) fn ask_for_place(&mut self, ctx: &Context<'_>) {
        if ctx.place_free {
            self.connect(ctx.shared, ctx.now);
        } else {
            log::debug!("connection from {}: waiting for a place (-n)", self.peer);
            let limit = ctx.shared.route.timeout;
            self.way = Way::Waiting(limit.and_then(|limit| ctx.now.checked_add(limit)));
        }
    }

    pub(super) fn shake_hands(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        let entropy = match ctx.shared.proto.pfs {
            Pfs::Refuse => Entropy::without_exponent(ctx.scratch.nonces.draw(ctx.now)?),
            Pfs::Allow | Pfs::Require => {
                // One system call for both.
                let drawn = Secret::<{ Entropy::LEN }>::try_filled(|bytes| getrandom::fill(bytes))
                    .map_err(io::Error::other)?;
                let mut drawn = drawn.expose().as_slice();
                Entropy::draw(|bytes| drawn.read_exact(bytes))?
            }
        };
        self.conn = Some(Conn::new(&ctx.shared.proto, entropy, ctx.now));
        Ok(())
    }

    /// Goes on towards the target.
    pub(super) fn advance(&mut self, ctx: &mut Context<'_>) {
        let connector = match &mut self.way {
            Way::None => return,
            Way::Waiting(until) => {
                if until.is_some_and(|until| until <= ctx.now) {
                    self.close(EndReason::NoPlace, ctx);
                }
                return;
            }
            Way::Connecting(connector) => connector,
        };
        let target_side = accepted_side(ctx.shared.proto.role).other();
        match connector.advance(ctx.now, ctx.registry, ctx.token(target_side)) {
            Progress::Pending => {}
            Progress::Failed(error) => self.close(EndReason::Unreachable(error), ctx),
            Progress::Connected(transport, endpoint) => {
                log::debug!("connection from {}: connected to {endpoint}", self.peer);
                self.way = Way::None;
                self.target = Some(endpoint);
                if let Err(error) = self.adopt(transport, target_side, ctx) {
                    self.close(EndReason::System(error), ctx);
                }
            }
        }
    }

    /// While there is no target nobody reads the other side, and only an event tells that it was
    /// reset: then there is no use in going on, unless it has sent something before, which is for
    /// the target.
    pub(super) fn end_if_deserted(&mut self, ctx: &Context<'_>) {
        if matches!(self.way, Way::None) {
            return;
        }
        let side = accepted_side(ctx.shared.proto.role);
        if let Some(kind) = self.end_mut(side).as_mut().and_then(End::take_error) {
            self.close(EndReason::Core(CloseReason::ReadFailed(side, kind)), ctx);
        }
    }

    /// The target is connected; the encrypting side can shake hands with it now.
    fn adopt(&mut self, transport: Transport, side: Side, ctx: &mut Context<'_>) -> io::Result<()> {
        transport.tune(ctx.shared.keepalive, ctx.shared.ack_timeout);
        *self.end_mut(side) = Some(End::new(transport, context::most_read(side)));
        if let (Some(plain), Some(encrypted)) = (&mut self.plain, &self.encrypted) {
            plain.limit_reads(context::most_read_for(encrypted.most_written()));
        }
        if self.conn.is_none() {
            self.shake_hands(ctx)?;
        }
        Ok(())
    }
}
