//! Who may come in: the listeners, and when they are listened to.
//!
//! Owns the reasons not to accept: `-n`, descriptors, a shortage that is being waited out. A
//! connection is accepted only if there is room for both of its sockets; until then it waits in the
//! kernel's queue. Too many strangers are no reason: one of them yields, unless those who should
//! have come only just now. No error of `accept` ends the daemon. Part of `event_loop.rs`; who
//! counts as what is in `event_loop/places.rs`.

use std::io;
use std::time::{Duration, Instant};

use mio::Registry;
use mio::unix::SourceFd;
use socket2::Socket;
use std::os::fd::AsRawFd;

use super::places::Places;
use crate::addr::Endpoint;
use crate::count::Count;
use crate::limits;
use crate::listener::{Accepted, Listener};
use crate::rate::RateLimit;
use crate::token::{MAX_LISTENERS, Source};

/// Time until accepting is tried again after a shortage; the end of a connection does not shorten
/// it, because what is short may be short in the whole system.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// Attempts to accept that fail one after the other before it is the listener that is suspected.
const FAILURES_BEFORE_PAUSE: u32 = 16;

/// Connections accepted in one round of the loop.
pub(super) const ACCEPTS_PER_ROUND: usize = 64;

struct Door {
    listener: Listener,
    ready: bool,
}

/// The listeners and the conditions under which they accept.
pub(super) struct Gate {
    doors: Vec<Door>,
    /// The door to be looked at next: each has its turn.
    next: usize,
    max_handshakes: usize,
    /// How many connections the descriptors suffice for; set when listening begins.
    max_by_descriptors: usize,
    accepted_in_round: usize,
    failures: u32,
    paused_until: Option<Instant>,
    complaints: RateLimit,
}

impl Gate {
    pub(super) fn new(max_handshakes: usize) -> Self {
        Self {
            doors: Vec::new(),
            next: 0,
            max_handshakes,
            max_by_descriptors: usize::MAX,
            accepted_in_round: 0,
            failures: 0,
            paused_until: None,
            // One line when a limit is reached, then at most one in ten seconds.
            complaints: RateLimit::new(1, Duration::from_secs(10)),
        }
    }

    /// Adds listeners, and takes stock of the descriptors.
    pub(super) fn add(&mut self, listeners: Vec<Listener>, registry: &Registry) -> io::Result<()> {
        if self.doors.len() + listeners.len() > MAX_LISTENERS {
            let text = format!("at most {MAX_LISTENERS} addresses can be listened on");
            return Err(io::Error::other(text));
        }
        for listener in listeners {
            let token = Source::Listener(self.doors.len()).into();
            let fd = listener.as_raw_fd();
            registry.register(&mut SourceFd(&fd), token, mio::Interest::READABLE)?;
            self.doors.push(Door { listener, ready: true });
        }
        self.max_by_descriptors = limits::descriptor_budget()?;
        if self.max_by_descriptors == 0 {
            let text = "the limit of descriptors leaves no room for a connection (ulimit -n)";
            return Err(io::Error::other(text));
        }
        Ok(())
    }

    /// The kernel says that somebody is at this door.
    pub(super) fn note(&mut self, index: usize) {
        if let Some(door) = self.doors.get_mut(index) {
            door.ready = true;
        }
    }

    /// Closes all listeners; their UNIX socket files go with them.
    pub(super) fn close(&mut self) {
        self.doors.clear();
    }

    /// Whether nobody can come in any more.
    pub(super) fn is_closed(&self) -> bool {
        self.doors.is_empty()
    }

    /// How long it is until [`Self::next`] may have something; `None` if an event will tell.
    pub(super) fn wait(&self, places: &Places, now: Instant) -> Option<Duration> {
        if self.full(places).is_some() || !self.doors.iter().any(|door| door.ready) {
            return None;
        }
        let until = self.paused_until.max(self.yields_at(places));
        Some(until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)))
    }

    /// How many strangers there may be: what `--max-handshakes` allows, and no more than there are
    /// descriptors for should each turn out to be a friend. At least one, or nobody is accepted.
    pub(super) fn most_strangers(&self, places: &Places) -> usize {
        self.max_handshakes.min(self.max_by_descriptors.saturating_sub(places.friends()))
    }

    /// With too many strangers of whom none may yield yet: when that may change.
    fn yields_at(&self, places: &Places) -> Option<Instant> {
        places.yields_at().filter(|_| places.strangers() >= self.most_strangers(places))
    }

    /// The next connection to take on beside those that are there. `None` ends that for this
    /// round.
    pub(super) fn next(&mut self, places: &Places, now: Instant) -> Option<(Socket, Endpoint)> {
        let accepted = self.try_next(places, now);
        self.accepted_in_round = if accepted.is_some() { self.accepted_in_round + 1 } else { 0 };
        accepted
    }

    fn try_next(&mut self, places: &Places, now: Instant) -> Option<(Socket, Endpoint)> {
        if self.accepted_in_round >= ACCEPTS_PER_ROUND
            || self.paused_until.is_some_and(|until| now < until)
        {
            return None;
        }
        self.paused_until = None;
        for _ in 0..self.doors.len() {
            if let Some(why) = self.full(places) {
                self.say_full(places, why, now);
                return None;
            }
            if self.yields_at(places).is_some_and(|until| now < until) {
                return None;
            }
            self.next %= self.doors.len();
            let door = &mut self.doors[self.next];
            self.next += 1;
            if !door.ready {
                continue;
            }
            match door.listener.accept() {
                Accepted::Connection(socket, peer) => {
                    self.failures = 0;
                    self.next -= 1; // stay until this door has nobody left, or enough for the round
                    return Some((socket, peer));
                }
                Accepted::None => door.ready = false,
                Accepted::Failed(error) => {
                    // That connection is gone; there may be others. Should it be the listener that
                    // has failed, it is over for this round all the same, and the pause keeps us
                    // from spinning.
                    log::debug!("a connection was lost before it was accepted: {error}");
                    self.failures += 1;
                    if self.failures >= FAILURES_BEFORE_PAUSE {
                        self.pause(&error, now);
                    }
                    return None;
                }
                Accepted::Shortage(error) => {
                    self.pause(&error, now);
                    return None;
                }
            }
        }
        None
    }

    /// Stops accepting for a moment, because the system had no room for a connection.
    pub(super) fn pause(&mut self, error: &io::Error, now: Instant) {
        self.paused_until = Some(now + SHORTAGE_PAUSE);
        if self.complaints.admit(now).is_some() {
            log::warn!("accepting pauses until the system has room again: {error}");
        }
    }

    /// What keeps the next one out, if anything does: only those who do not yield.
    fn full(&self, places: &Places) -> Option<&'static str> {
        if !places.is_free() {
            Some("-n")
        } else if places.friends() >= self.max_by_descriptors {
            Some("the limit of descriptors")
        } else {
            None
        }
    }

    fn say_full(&mut self, places: &Places, why: &str, now: Instant) {
        if self.doors.iter().any(|door| door.ready) && self.complaints.admit(now).is_some() {
            let open = Count(places.friends() as u64, "open connection");
            log::warn!("{open}, the most that {why} allows: others wait");
        }
    }
}
