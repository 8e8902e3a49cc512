//! Who may come in: the listeners, and when they are listened to.
//!
//! Owns the reasons not to accept: `-n`, descriptors, a shortage that is being waited out. A
//! connection is accepted only if there is room for both of its sockets; until then it waits in the
//! kernel's queue. No error of `accept` ends the daemon. Part of `event_loop.rs`.

use std::io;
use std::time::{Duration, Instant};

use mio::Registry;
use mio::unix::SourceFd;
use socket2::Socket;
use std::os::fd::AsRawFd;

use crate::addr::Endpoint;
use crate::limits;
use crate::listener::{Accepted, Listener};
use crate::rate::RateLimit;
use crate::token::{MAX_LISTENERS, Source};

/// Time until accepting is tried again after a shortage; the end of a connection does not shorten
/// it, because what is short may be short in the whole system.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// Attempts to accept that fail one after the other before it is the listener that is suspected.
const FAILURES_BEFORE_PAUSE: u32 = 16;

/// Connections accepted in one turn of the loop.
const ACCEPTS_PER_TURN: usize = 64;

struct Door {
    listener: Listener,
    ready: bool,
}

/// The listeners and the conditions under which they accept.
pub(super) struct Gate {
    doors: Vec<Door>,
    /// The door to be looked at next: each has its turn.
    next: usize,
    max_connections: usize,
    /// How many connections the descriptors suffice for; set when listening begins.
    max_by_descriptors: usize,
    accepted_in_turn: usize,
    failures: u32,
    paused_until: Option<Instant>,
    complaints: RateLimit,
}

impl Gate {
    pub(super) fn new(max_connections: usize) -> Self {
        Self {
            doors: Vec::new(),
            next: 0,
            max_connections,
            max_by_descriptors: usize::MAX,
            accepted_in_turn: 0,
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
    pub(super) fn wait(&self, open: usize, now: Instant) -> Option<Duration> {
        if open >= self.room() || !self.doors.iter().any(|door| door.ready) {
            return None;
        }
        Some(self.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)))
    }

    /// The next connection to take on while `open` are there already. `None` ends the turn.
    pub(super) fn next(&mut self, open: usize, now: Instant) -> Option<(Socket, Endpoint)> {
        let accepted = self.try_next(open, now);
        self.accepted_in_turn = if accepted.is_some() { self.accepted_in_turn + 1 } else { 0 };
        accepted
    }

    fn try_next(&mut self, open: usize, now: Instant) -> Option<(Socket, Endpoint)> {
        if self.accepted_in_turn >= ACCEPTS_PER_TURN
            || self.paused_until.is_some_and(|until| now < until)
        {
            return None;
        }
        self.paused_until = None;
        for _ in 0..self.doors.len() {
            if open >= self.room() {
                self.say_full(now);
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
                    self.next -= 1; // stay until this door has nobody left, or the turn is over
                    return Some((socket, peer));
                }
                Accepted::None => door.ready = false,
                Accepted::Failed(error) => {
                    // That connection is gone; there may be others. Should it be the listener that
                    // has failed, the turn is over all the same, and the pause keeps us from spinning.
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

    fn room(&self) -> usize {
        self.max_connections.min(self.max_by_descriptors)
    }

    fn say_full(&mut self, now: Instant) {
        if self.doors.iter().any(|door| door.ready) && self.complaints.admit(now).is_some() {
            let room = self.room();
            let why = if room == self.max_connections { "-n" } else { "the limit of descriptors" };
            log::warn!("{room} connections are open, the most that {why} allows: others wait");
        }
    }
}
