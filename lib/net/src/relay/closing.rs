//! The end of a connection that did not end cleanly.
//!
//! Owns the order of things after a failure: everything that was handed over for a side is still
//! delivered, then the side sees a reset. A reset overtakes what is in the send queue, so it waits
//! until the peer's system has acknowledged the last byte, as long as that makes progress. UNIX
//! sockets have no reset; their peer sees the end of the stream. Part of `relay.rs`.

use std::time::{Duration, Instant};

use spiped_proto::{CloseReason, Side};

use super::end::End;
use super::{Context, EndReason};
use crate::count::Count;

/// No event tells when a send queue is empty, so it is looked at: soon at first, then less often.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(200);

/// How long a stranger may take for what is answered to a request that is none of ours.
const STRANGERS_PATIENCE: Duration = Duration::from_secs(1);

/// A connection that is being closed.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) reason: EndReason,
    /// When the last progress was made.
    progress: Instant,
    undelivered: usize,
    interval: Duration,
    /// None while it is enough to wait for an event.
    next_look: Option<Instant>,
    deadline: Option<Instant>,
}

impl Closing {
    pub(super) fn new(reason: EndReason, now: Instant) -> Self {
        Self {
            reason,
            progress: now,
            undelivered: usize::MAX,
            interval: FIRST_LOOK,
            next_look: Some(now),
            deadline: None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_look.into_iter().chain(self.deadline).min()
    }

    /// Closes what can be closed now; true when both sides are.
    pub(super) fn advance(
        &mut self,
        plain: &mut Option<End>,
        encrypted: &mut Option<End>,
        ctx: &Context<'_>,
    ) -> bool {
        if self.reason.is_clean() {
            match finish_both(plain, encrypted, ctx) {
                Ok(true) => return true,
                Ok(false) => {
                    self.next_look = None;
                    return false;
                }
                Err(reason) => self.reason = EndReason::Core(reason),
            }
        }
        if self.reason.is_immediate() {
            abort(plain);
            // The carrier may have something to say to a stranger all the same.
            let explains = self.reason.may_be_explained();
            if !(explains && encrypted.as_ref().is_some_and(|end| end.last_words() > 0)) {
                abort(encrypted);
                return true;
            }
        }
        let left = settle(plain) + settle(encrypted);
        if plain.is_none() && encrypted.is_none() {
            return true;
        }
        if left < self.undelivered {
            (self.undelivered, self.progress) = (left, ctx.now);
            self.deadline = self.patience(ctx).and_then(|limit| ctx.now.checked_add(limit));
        }
        if self.deadline.is_some_and(|deadline| deadline <= ctx.now) {
            log::debug!("{} could not be delivered before the reset", Count(left as u64, "byte"));
            abort(plain);
            abort(encrypted);
            return true;
        }
        self.next_look = Some(ctx.now + self.interval);
        self.interval = (self.interval * 2).min(LONGEST_LOOK);
        false
    }
}

impl Closing {
    /// How long there may be no progress. A stranger gets little of it.
    fn patience(&self, ctx: &Context<'_>) -> Option<Duration> {
        let limit = ctx.shared.route.timeout;
        if !self.reason.is_immediate() {
            return limit;
        }
        Some(limit.map_or(STRANGERS_PATIENCE, |limit| limit.min(STRANGERS_PATIENCE)))
    }
}

/// Writes what waits for either side, and when the carriers have taken all of it closes each that
/// has nothing more to say or hear; they know for how long. Whether both are closed.
fn finish_both(
    plain: &mut Option<End>,
    encrypted: &mut Option<End>,
    ctx: &Context<'_>,
) -> Result<bool, CloseReason> {
    let mut written = true;
    for (side, end) in [(Side::Plain, &mut *plain), (Side::Encrypted, &mut *encrypted)] {
        let Some(end) = end else { continue };
        end.flush().map_err(|error| CloseReason::WriteFailed(side, error.kind()))?;
        written &= end.pending() == 0;
    }
    for slot in [&mut *plain, &mut *encrypted] {
        if written && slot.as_mut().is_some_and(|end| end.finish(ctx.now, ctx.shared.route.timeout))
        {
            // The kernel has every byte and the end, and delivers them after close().
            *slot = None;
        }
    }
    Ok(plain.is_none() && encrypted.is_none())
}

/// Delivers what waits for a side; resets the side when nothing is left. Returns what is left.
fn settle(side: &mut Option<End>) -> usize {
    let Some(end) = side else { return 0 };
    // A side that cannot be written to any more has nothing left, and is closed below.
    let _ = end.flush();
    let left = end.undelivered();
    if left == 0 {
        abort(side);
    }
    left
}

fn abort(side: &mut Option<End>) {
    if let Some(end) = side.take() {
        end.abort();
    }
}
