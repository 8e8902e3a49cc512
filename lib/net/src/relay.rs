//! One connection of the slab: two transports and the protocol core between them.
//!
//! Owns what a connection does with a turn, and in which order, and what happens when a time is up.
//! Refuses to know what woke it; who calls is `event_loop.rs`. The bytes go through
//! `relay/transfer.rs`, the next file; what the core says is acted on in `relay/events.rs`; how a
//! connection comes to have two sides is in `relay/way.rs`, and how it ends in `relay/closing.rs`
//! if that is not cleanly.

mod closing;
mod context;
mod end;
mod events;
mod idle;
mod nonces;
mod reason;
mod summary;
mod transfer;
mod way;

use std::io;
use std::time::Instant;

use mio::event::Event as MioEvent;
use spiped_proto::{Authenticated, Conn, Role, Side};

use crate::addr::Endpoint;
use crate::transport::{ACCEPTED_TAKE_AFTER_LISTENER, Transport};
use closing::Closing;
pub use context::Purpose;
pub(crate) use context::{Context, Scratch, Shared};
use end::End;
use idle::Idle;
pub use reason::{Carried, EndReason, FailedHandshake, Ours};
use summary::Summary;
use way::Way;

/// What is to be done after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pumped {
    /// Wait for an event or for [`Relay::poll_timeout`].
    Wait,
    /// There is more to do: call again after the others had their turn.
    Again,
    /// Over: both transports are closed.
    Done,
}

/// One connection.
pub(crate) struct Relay {
    peer: Endpoint,
    target: Option<Endpoint>,
    started: Instant,
    plain: Option<End>,
    encrypted: Option<End>,
    /// The core; none on the encrypting side until the target is connected.
    conn: Option<Conn>,
    way: Way,
    authenticated: Option<Authenticated>,
    closing: Option<Box<Closing>>,
    /// What a carrier says about the failure that ends the connection.
    fault: Option<io::Error>,
    /// Where the peer claims that it comes from, behind a proxy.
    claim: Option<Box<str>>,
    /// From the moment on at which both sides are connected, if idleness matters at all.
    idle: Option<Box<Idle>>,
}

impl Relay {
    /// Takes over an accepted connection (or spipe's own end), and begins what its role begins
    /// with: the encrypting side connects to its target, the decrypting side shakes hands.
    pub(crate) fn new(
        mut accepted: Transport,
        peer: Endpoint,
        ctx: &mut Context<'_>,
    ) -> io::Result<Self> {
        let role = ctx.shared.proto.role;
        let side = way::accepted_side(role);
        if !ACCEPTED_TAKE_AFTER_LISTENER {
            accepted.tune(ctx.shared.keepalive, ctx.shared.ack_timeout);
        }
        if let Err(error) = accepted.register(ctx.registry, ctx.token(side)) {
            accepted.abort(); // it must not look like a clean end
            return Err(error);
        }
        let mut relay = Self {
            peer,
            target: None,
            started: ctx.now,
            plain: None,
            encrypted: None,
            conn: None,
            way: Way::None,
            authenticated: None,
            closing: None,
            fault: None,
            claim: None,
            idle: None,
        };
        *relay.end_mut(side) = Some(End::new(accepted, context::most_read(side)));
        match role {
            Role::Encrypt => relay.connect(ctx.shared, ctx.now),
            Role::Decrypt => {
                if let Err(error) = relay.shake_hands(ctx) {
                    relay.close(EndReason::System(error), ctx);
                }
            }
        }
        Ok(relay)
    }

    /// Takes note of what the kernel says about a side. The turn comes later.
    pub(crate) fn note(&mut self, side: Side, event: &MioEvent) {
        if let Some(end) = self.end_mut(side) {
            end.note(event);
        }
    }

    /// Whether the connection is over but for what is still to be delivered.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether the peer has proved that it holds the key.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated.is_some()
    }

    /// Ends the connection because the daemon stops; the next turn finishes it.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.take_claim();
        self.way = Way::None;
        self.closing = Some(Box::new(Closing::new(EndReason::Stopped, now)));
    }

    /// Ends the connection at once, with a reset to both sides.
    pub(crate) fn kill(&mut self, reason: EndReason) {
        self.take_claim();
        self.closing = Some(Box::new(Closing::new(reason, self.started)));
        for side in [Side::Plain, Side::Encrypted] {
            if let Some(end) = self.end_mut(side).take() {
                end.abort();
            }
        }
    }

    /// When [`Self::pump`] is to be called without an event.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let idle = self.idle.as_ref().map(|idle| idle.poll_timeout());
        let ends = [&self.plain, &self.encrypted].into_iter().flatten();
        let carriers = ends.filter_map(End::poll_timeout).min();
        if let Some(closing) = &self.closing {
            // What does not end cleanly waits for no carrier.
            let clean = closing.reason.is_clean();
            let (idle, carriers) = (idle.filter(|_| clean), carriers.filter(|_| clean));
            return closing.poll_timeout().into_iter().chain(idle).chain(carriers).min();
        }
        let core = self.conn.as_ref().and_then(Conn::poll_timeout);
        let way = match &self.way {
            Way::None => None,
            Way::Waiting(until) => *until,
            Way::Connecting(connector) => connector.poll_timeout(),
        };
        core.into_iter().chain(way).chain(idle).chain(carriers).min()
    }

    /// Bytes that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        [&self.plain, &self.encrypted].into_iter().flatten().map(End::waiting).sum()
    }

    /// One turn: everything that can be done now, within the budget.
    pub(crate) fn pump(&mut self, ctx: &mut Context<'_>) -> Pumped {
        let before = self.waiting();
        let pumped = self.turn(ctx);
        if self.waiting() < before
            && let Some(idle) = &mut self.idle
        {
            idle.moved(ctx.now);
        }
        if pumped != Pumped::Done
            && let Err(error) = self.watch_for_room(ctx)
        {
            // No event will tell when the rest can be written.
            if self.closing.is_some() {
                self.kill(EndReason::System(error));
                return Pumped::Done;
            }
            self.close(EndReason::System(error), ctx);
            return Pumped::Again;
        }
        pumped
    }

    fn watch_for_room(&mut self, ctx: &Context<'_>) -> io::Result<()> {
        for side in [Side::Plain, Side::Encrypted] {
            if let Some(end) = self.end_mut(side) {
                end.watch_for_room(ctx.registry, ctx.token(side))?;
            }
        }
        Ok(())
    }

    fn turn(&mut self, ctx: &mut Context<'_>) -> Pumped {
        let mut more = false;
        for end in [&mut self.plain, &mut self.encrypted].into_iter().flatten() {
            end.advance(ctx.now);
        }
        if self.closing.is_none() {
            self.end_if_deserted(ctx);
            self.advance(ctx);
            self.handle_timeout(ctx);
            self.bury_broken_sides(ctx);
            // The answers first: they free what the requests are waiting for.
            more |= self.transfer(Side::Encrypted, ctx);
            more |= self.transfer(Side::Plain, ctx);
        }
        self.end_if_idle(ctx);
        if let Some(closing) = &mut self.closing {
            let done = closing.advance(&mut self.plain, &mut self.encrypted, ctx);
            return if done { Pumped::Done } else { Pumped::Wait };
        }
        if more { Pumped::Again } else { Pumped::Wait }
    }

    /// The connection in one line, once it is over.
    pub(crate) fn summary(&self, now: Instant) -> Summary<'_> {
        Summary { relay: self, now }
    }

    /// Why the connection ended; of use only when it has.
    pub(crate) fn reason(&self) -> &EndReason {
        &self.closing.as_ref().expect("asked only after the end").reason
    }

    pub(crate) fn into_reason(self) -> EndReason {
        self.closing.expect("asked only after the end").reason
    }

    fn handle_timeout(&mut self, ctx: &Context<'_>) {
        if let Some(conn) = &mut self.conn {
            conn.handle_timeout(ctx.now);
            self.handle_events(ctx);
        }
    }

    /// Ends a connection that has carried nothing for too long (`--idle-timeout`), also one that is
    /// over but for what a side does not take.
    fn end_if_idle(&mut self, ctx: &Context<'_>) {
        let Some(limit) = ctx.shared.idle_timeout else { return };
        let Some(idle) = &mut self.idle else {
            if self.is_authenticated() && self.plain.is_some() && self.encrypted.is_some() {
                self.idle = Some(Box::new(Idle::new(limit, ctx.now)));
            }
            return;
        };
        let clean = self.closing.as_ref().is_none_or(|closing| closing.reason.is_clean());
        if clean && idle.is_up(limit, ctx.now) {
            self.closing = None;
            self.close(EndReason::Idle(limit), ctx);
        }
    }

    /// A side that is not read any more, because its stream has ended or cannot be delivered, tells
    /// only by an event that it has failed. What goes there then is undeliverable.
    fn bury_broken_sides(&mut self, ctx: &Context<'_>) {
        for side in [Side::Plain, Side::Encrypted] {
            let stopped = self.conn.as_ref().is_some_and(|conn| conn.has_stopped_reading(side));
            if let (true, Some(end)) = (stopped, self.end_mut(side))
                && let Some(kind) = end.take_breakage()
            {
                self.write_failed(side, kind, ctx.now);
                self.handle_events(ctx);
            }
        }
    }

    fn end(&self, side: Side) -> Option<&End> {
        match side {
            Side::Plain => self.plain.as_ref(),
            Side::Encrypted => self.encrypted.as_ref(),
        }
    }

    fn end_mut(&mut self, side: Side) -> &mut Option<End> {
        match side {
            Side::Plain => &mut self.plain,
            Side::Encrypted => &mut self.encrypted,
        }
    }
}
