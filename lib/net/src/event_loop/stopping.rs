//! What signals ask of the loop.
//!
//! Owns the drain, the end at once, and the certificate that SIGHUP reads again. Refuses to catch
//! signals (`signal.rs`) and to know how one connection ends (`relay/closing.rs`). Part of
//! `event_loop.rs`.

use std::sync::Arc;
use std::time::Instant;

use spiped_proto::Role;

use super::{EventLoop, counts, say_suppressed};
use crate::relay::{EndReason, Purpose};
use crate::signal::Signal;

impl EventLoop {
    /// Reads the certificate again; false if there is none. Connections that are there keep theirs.
    fn reload(&mut self) -> bool {
        let Some(server) = &mut self.server else { return false };
        let Some(tls) = &mut Arc::make_mut(server).tls else { return false };
        match tls.reload() {
            Ok(()) => {
                log::info!("the certificate of {} is in use now", tls.certificate().display())
            }
            Err(error) => {
                log::warn!("SIGHUP: {error}; the certificate that is in use stays in use");
            }
        }
        true
    }

    /// The first SIGTERM of a daemon starts the drain, and SIGHUP re-reads a certificate; every
    /// other signal ends the process.
    pub(super) fn take_signals(&mut self, now: Instant) -> Option<Signal> {
        let pending: Vec<Signal> = self.signals.as_mut()?.pending().collect();
        for signal in pending {
            if signal == Signal::Hangup && self.reload() {
                continue;
            }
            let drains = signal == Signal::Terminate && self.shared.purpose == Purpose::Serve;
            if !drains || self.draining {
                return Some(signal);
            }
            self.drain(now);
        }
        None
    }

    /// Stops listening at once, drops who has not proved to hold the key, and lets the rest finish.
    /// On the encrypting side every client is a friend: its connection is made or fails by itself.
    fn drain(&mut self, now: Instant) {
        self.draining = true;
        self.drain_until = self.drain_timeout.map(|limit| now + limit);
        self.gate.close();
        if self.shared.proto.role == Role::Decrypt {
            let strangers = self.slots.iter_mut().filter(|(_, s)| !s.relay.is_authenticated());
            let strangers: Vec<usize> = strangers
                .map(|(slot, entry)| {
                    entry.relay.stop(now);
                    slot
                })
                .collect();
            strangers.into_iter().for_each(|slot| self.enqueue(slot));
        }
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.say_stopping(counts(&self.places, self.draining), self.drain_until, now);
        }
        let left = self.slots.iter().filter(|(_, entry)| !entry.relay.is_closing()).count();
        let within = self.drain_timeout.map(|limit| format!(" within {} s", limit.as_secs_f64()));
        let within = within.unwrap_or_default();
        match left {
            0 => log::info!("stopping"),
            1 => log::info!(
                "stopping: 1 connection is left to finish{within}; another SIGTERM ends it"
            ),
            _ => log::info!(
                "stopping: {left} connections are left to finish{within}; another SIGTERM ends them"
            ),
        }
    }

    /// A signal ends the daemon now: what is cut short must not look finished to either side. The
    /// client goes as C's does, whose last bytes the kernel still delivers: its user has ended it.
    pub(super) fn kill_all(&mut self, signal: Signal, now: Instant) {
        if self.shared.purpose != Purpose::Serve {
            return;
        }
        if let Some(supervisor) = self.supervisor.as_mut().filter(|_| !self.draining) {
            supervisor.say_stopping(counts(&self.places, true), None, now);
        }
        say_suppressed(self.strangers.take_suppressed());
        for (_, mut entry) in std::mem::take(&mut self.slots) {
            entry.relay.kill(EndReason::Killed(signal));
            log::info!("{}", entry.relay.summary(now));
        }
    }
}
