//! What the service manager is told: ready, stopping, how many connections, and that we live.
//!
//! Owns the socket of `NOTIFY_SOCKET` (sd_notify(3)), connected before the user changes and the
//! sandbox closes, and the times of the watchdog and of the status. Refuses to wait for the manager
//! once the loop runs: what it does not take at once is dropped, and said again later. Without the
//! variable nothing is said to anybody. Next: `signal.rs`.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::count::Count;

/// How often the status may change.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// How long the manager may take at the start and at the end, when nobody else waits for us.
const PATIENCE: Duration = Duration::from_secs(1);

/// How soon a sign of life that was not taken is tried again, as a part of the watchdog's time.
const RETRY_PART: u32 = 10;

/// What the end takes beyond the limit of a drain, on a busy machine.
const LAST_STEPS: Duration = Duration::from_secs(10);

/// What the status says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Connections of peers that have proved the key; when encrypting, all.
    pub(crate) friends: usize,
    /// Those that have not.
    pub(crate) strangers: usize,
    /// No new ones are taken any more.
    pub(crate) draining: bool,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { friends, strangers, draining } = *self;
        if draining {
            f.write_str("stopping: ")?;
        }
        Count(friends as u64, "connection").fmt(f)?;
        match (strangers, draining) {
            (_, true) => f.write_str(" left to finish"),
            (0, false) => Ok(()),
            _ => write!(f, ", {}", Count(strangers as u64, "unfinished handshake")),
        }
    }
}

/// The service manager that has started us.
#[derive(Debug)]
pub struct Supervisor {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The process that it has started; going into the background makes another of it.
    started: u32,
    /// Half of what the watchdog allows: when we say that we live.
    ping_interval: Option<Duration>,
    next_ping: Option<Instant>,
    said: Option<Counts>,
    /// The counts have changed since they were said; when they may be said.
    next_status: Option<Instant>,
    status_allowed: Instant,
    /// That we stop, which the manager has not taken yet.
    untold: Option<Stop>,
}

/// The end, as the manager is told of it.
#[derive(Clone, Copy, Debug)]
struct Stop {
    /// When what is left is cut short, if it has a limit.
    until: Option<Instant>,
}

impl Supervisor {
    /// The manager that the environment names, if it does. To be called before anything is forked,
    /// since the watchdog is for the process that was started.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        let name = env::var_os("NOTIFY_SOCKET")?;
        let watchdog = sd_notify::watchdog_enabled().filter(|time| !time.is_zero());
        match Self::connect(&name, watchdog) {
            Ok(supervisor) => Some(supervisor),
            Err(error) => {
                let name = name.to_string_lossy();
                log::warn!("NOTIFY_SOCKET {name:?}: the service manager hears nothing: {error}");
                None
            }
        }
    }

    fn connect(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = address_of(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            address,
            started: process::id(),
            ping_interval: watchdog.map(|time| time / 2),
            next_ping: None,
            said: None,
            next_status: None,
            status_allowed: Instant::now(),
            untold: None,
        })
    }

    /// The start takes longer, for this reason: it may last this much more time.
    pub fn say_waiting(&self, reason: &str, time: Duration) {
        let (status, more) = (one_line(reason), more_time(time));
        self.try_say(&[NotifyState::Status(&status), NotifyState::Custom(&more)]);
    }

    /// All is bound and set up: whoever has waited for us may go on. From now on nothing waits.
    pub fn say_ready(&mut self) {
        let counts = Counts::default();
        let status = counts.to_string();
        let mut states = vec![NotifyState::Ready, NotifyState::Status(&status)];
        if process::id() != self.started {
            states.push(NotifyState::MainPid(process::id()));
        }
        if let Err(error) = self.say(&states) {
            log::warn!("the service manager does not hear that we are ready: {error}");
        }
        self.said = Some(counts);
        self.next_ping = self.ping_interval.map(|interval| Instant::now() + interval);
        if let Err(error) = self.socket.set_nonblocking(true) {
            log::debug!("the service manager's socket may block: {error}");
        }
    }

    /// No new connections from now on; what is left is cut short at `until`. The manager is asked
    /// for that time, in case its own patience is shorter: killed by it, we could tell neither side
    /// of a connection that it was cut. Without a limit its patience is the limit.
    pub(crate) fn say_stopping(&mut self, counts: Counts, until: Option<Instant>, now: Instant) {
        let status = counts.to_string();
        let more = until.map(|until| more_time(until.saturating_duration_since(now) + LAST_STEPS));
        let mut states = vec![NotifyState::Stopping, NotifyState::Status(&status)];
        states.extend(more.as_deref().map(NotifyState::Custom));
        if self.try_say(&states) {
            (self.said, self.next_status, self.untold) = (Some(counts), None, None);
        } else {
            self.untold = Some(Stop { until });
            self.status_allowed = now + STATUS_INTERVAL;
            self.next_status = Some(self.status_allowed);
        }
    }

    /// How long it is until there may be something to say.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let next = self.next_ping.into_iter().chain(self.next_status).min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Says what is due, once a round of the loop.
    pub(crate) fn report(&mut self, counts: Counts, now: Instant) {
        if self.next_ping.is_some_and(|due| due <= now) {
            let interval = self.ping_interval.expect("there are no pings without");
            let taken = self.try_say(&[NotifyState::Watchdog]);
            self.next_ping = Some(now + if taken { interval } else { interval / RETRY_PART });
        }
        if let Some(stop) = self.untold {
            if self.status_allowed <= now {
                self.say_stopping(counts, stop.until, now);
            }
        } else if self.said == Some(counts) {
            self.next_status = None; // it has changed back
        } else if self.status_allowed <= now {
            let status = counts.to_string();
            if self.try_say(&[NotifyState::Status(&status)]) {
                self.said = Some(counts);
            }
            self.status_allowed = now + STATUS_INTERVAL;
            self.next_status = (self.said != Some(counts)).then_some(self.status_allowed);
        } else {
            self.next_status = Some(self.status_allowed);
        }
    }

    /// True if the manager has taken it; otherwise it was not important enough to wait for.
    fn try_say(&self, states: &[NotifyState<'_>]) -> bool {
        let said = self.say(states);
        if let Err(error) = &said {
            log::debug!("the service manager does not take {states:?}: {error}");
        }
        said.is_ok()
    }

    fn say(&self, states: &[NotifyState<'_>]) -> io::Result<()> {
        let lines = states.iter().map(|state| format!("{state}\n"));
        let message: String = lines.collect();
        match self.socket.send(message.as_bytes()) {
            // The manager was started again, and its socket is another one at the same place.
            Err(error) if is_gone(&error) => {
                self.socket.connect_addr(&self.address)?;
                self.socket.send(message.as_bytes())?;
            }
            result => drop(result?),
        }
        Ok(())
    }
}

/// Nobody has the other end any more.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotConnected)
}

/// A path, or with `@` in front a name in the abstract space of Linux.
fn address_of(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        #[cfg(not(target_os = "linux"))]
        Some(_) => Err(io::Error::other("this system has no abstract sockets")),
        None => SocketAddr::from_pathname(name),
    }
}

/// Asks the manager to wait this long from now on; what it would wait anyway is not shortened.
fn more_time(time: Duration) -> String {
    format!("EXTEND_TIMEOUT_USEC={}", time.as_micros())
}

/// A status has one line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
