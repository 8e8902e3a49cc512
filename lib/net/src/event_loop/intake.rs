//! How a connection becomes one of the loop's.
//!
//! Owns the order: from the gate, past the stranger that yields to it, into a slot. Refuses to know
//! when one may be accepted (`event_loop/gate.rs`) and who yields (`event_loop/crowd.rs`). Part of
//! `event_loop.rs`.

use std::io;
use std::time::Instant;

use super::crowd::Origin;
use super::{EventLoop, Slot};
use crate::addr::Endpoint;
use crate::relay::{EndReason, Relay};
use crate::transport::Transport;

impl EventLoop {
    pub(super) fn accept(&mut self, now: Instant) {
        self.places.advance(now);
        while let Some((socket, peer)) = self.gate.next(&self.places, now) {
            let transport = match &self.server {
                None => Ok(Transport::new(socket, &peer)),
                Some(server) => Transport::accept(socket, &peer, server),
            };
            let added = transport.and_then(|transport| match self.make_room(now) {
                Ok(()) => self.add(transport, peer, now),
                Err(error) => {
                    transport.abort(); // it must not look like a clean end
                    Err(error)
                }
            });
            if let Err(error) = added {
                self.gate.pause(&error, now);
            }
        }
    }

    /// With too many strangers, one of them yields to the one that has just come.
    fn make_room(&mut self, now: Instant) -> io::Result<()> {
        if self.places.strangers() < self.gate.most_strangers(&self.places) {
            return Ok(());
        }
        let draw = getrandom::u64().map_err(io::Error::other)?;
        let Some(slot) = self.places.who_yields(draw) else { return Ok(()) };
        let entry = &mut self.slots[slot];
        self.waiting -= entry.relay.waiting();
        entry.relay.kill(EndReason::Yielded);
        self.timers.set(slot, &mut entry.armed, None);
        self.bury(slot, now);
        Ok(())
    }

    pub(super) fn add(
        &mut self,
        transport: Transport,
        peer: Endpoint,
        now: Instant,
    ) -> io::Result<()> {
        let vacant = self.slots.vacant_entry();
        let slot = vacant.key();
        let mut ctx = lend!(self, slot, now);
        log::debug!("connection from {peer}");
        let origin = Origin::from(&peer);
        let relay = Relay::new(transport, peer, &mut ctx)?;
        self.places.enter(slot, origin, now);
        vacant.insert(Slot { relay, armed: None });
        self.enqueue(slot);
        Ok(())
    }
}
