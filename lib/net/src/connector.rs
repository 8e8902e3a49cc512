//! Connecting to a target that may have several addresses.
//!
//! Owns the attempts of one connection: they start 250 ms apart in the order of the list (RFC 8305,
//! section 5), or at once when all before have failed; the first success wins; one deadline covers
//! all, and what has to be opened on the socket that won (`transport/dial.rs`). A proxy is asked
//! for one address of the target after the other, each on a connection of its own. A shortage of
//! descriptors or buffers pauses, it fails nothing. Next: `relay.rs`.

mod error;
mod route;

use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::addr::Endpoint;
use crate::bind::bind_socket;
use crate::limits::is_shortage;
use crate::transport::dial::{Dial, Hurdle};
use crate::transport::{Stream, Transport};
pub use error::ConnectError;
pub(crate) use route::Route;

/// Time between the starts of two attempts (RFC 8305, section 8: Connection Attempt Delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Time until something is tried again for which the system had no room.
const SHORTAGE_DELAY: Duration = Duration::from_millis(50);

/// How far the attempts are.
#[derive(Debug)]
pub(crate) enum Progress {
    Pending,
    /// Connected, and registered under the token already.
    Connected(Transport, Endpoint),
    Failed(ConnectError),
}

/// The attempts to reach one target.
#[derive(Debug)]
pub(crate) struct Connector {
    route: Route,
    next: usize,
    attempts: Vec<(usize, Stream)>,
    next_start: Instant,
    deadline: Option<Instant>,
    last_error: Option<(usize, io::Error)>,
    /// The attempt that won, while there is something to be opened on it.
    dial: Option<(Box<Dial>, Endpoint)>,
    /// Which of the destinations the proxy is asked for, if there is one.
    destination: usize,
    /// When the proxy has had its share of the time for this one, and the next one's turn comes.
    turn_ends: Option<Instant>,
}

impl Connector {
    pub(crate) fn new(route: Route, now: Instant) -> Self {
        let deadline = route.timeout.and_then(|limit| now.checked_add(limit));
        Self {
            route,
            next: 0,
            attempts: Vec::new(),
            next_start: now,
            deadline,
            last_error: None,
            dial: None,
            destination: 0,
            turn_ends: None,
        }
    }

    /// Looks at the attempts under way and starts what is due. To be called after every event of
    /// the token and no later than [`Self::poll_timeout`] says.
    pub(crate) fn advance(&mut self, now: Instant, registry: &Registry, token: Token) -> Progress {
        if self.dial.is_some() {
            return self.go_on_dialling(now, registry, token);
        }
        if let Some((index, stream)) = self.take_connected() {
            return self.win(now, index, stream, registry, token);
        }
        while self.next < self.route.targets.len()
            && (self.attempts.is_empty() || self.next_start <= now)
        {
            let index = self.next;
            let endpoint = &self.route.targets[index];
            log::debug!("connecting to {endpoint}");
            match start(endpoint, &self.route, registry, token) {
                Ok((stream, true)) => return self.win(now, index, stream, registry, token),
                Ok((stream, false)) => {
                    self.attempts.push((index, stream));
                    self.next_start = now + ATTEMPT_DELAY;
                }
                Err(error) if is_pause(&error) => {
                    log::debug!("connecting to {endpoint} is put off: {error}");
                    self.last_error = Some((index, error));
                    self.next_start = now + SHORTAGE_DELAY;
                    break;
                }
                Err(error) => self.last_error = Some((index, error)),
            }
            self.next += 1;
        }
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        if late || self.attempts.is_empty() && self.next >= self.route.targets.len() {
            return self.unreached();
        }
        Progress::Pending
    }

    /// No attempt has succeeded; where the addresses are a proxy's, that has to be said.
    fn unreached(&mut self) -> Progress {
        let target = |index: usize| self.route.targets[index].clone();
        let error = match (self.attempts.last(), self.last_error.take()) {
            (Some((index, _)), _) => ConnectError::TimedOut(target(*index)),
            (None, Some((index, error))) if is_pause(&error) => {
                ConnectError::PutOff(target(index), error)
            }
            (None, Some((index, error))) => ConnectError::Failed(target(index), error),
            (None, None) => ConnectError::NoAddress,
        };
        Progress::Failed(match &self.route.opening.via {
            Some(via) => {
                let destination = via.destinations[self.destination].to_string();
                ConnectError::Proxy(via.source, destination, Box::new(error))
            }
            None => error,
        })
    }

    /// An attempt has succeeded, and the others are over.
    fn win(
        &mut self,
        now: Instant,
        index: usize,
        stream: Stream,
        registry: &Registry,
        token: Token,
    ) -> Progress {
        self.attempts = Vec::new();
        let endpoint = self.route.targets[index].clone();
        if self.route.opening.is_none() {
            return Progress::Connected(Transport::Socket(stream), endpoint);
        }
        let opening = self.route.opening.clone();
        match Dial::new(opening, stream, self.destination) {
            Ok(dial) => self.dial = Some((Box::new(dial), endpoint)),
            Err(reason) => {
                let error = ConnectError::NotOpened(endpoint, Hurdle::Upgrade, reason);
                return Progress::Failed(error);
            }
        }
        let turns = self.more_destinations() + 1;
        let share = |deadline: Instant| now + deadline.saturating_duration_since(now) / turns;
        self.turn_ends = self.deadline.map(share);
        self.go_on_dialling(now, registry, token)
    }

    fn go_on_dialling(&mut self, now: Instant, registry: &Registry, token: Token) -> Progress {
        let Some((dial, endpoint)) = &mut self.dial else { return Progress::Pending };
        let outcome = dial.advance();
        // Its share of the time is for a proxy that is asked for several destinations.
        let asked = dial.has_asked_proxy();
        let limit = if asked { self.turn_ends } else { self.deadline };
        let late = limit.is_some_and(|limit| limit <= now);
        let reason = match outcome {
            Ok(Some(transport)) => {
                log::debug!("{endpoint} has let us in, as a proxy, by TLS or to a WebSocket");
                return Progress::Connected(transport, endpoint.clone());
            }
            Ok(None) if late => dial.out_of_time(),
            Ok(None) => return Progress::Pending,
            Err(reason) => reason,
        };
        let error = ConnectError::NotOpened(endpoint.clone(), dial.hurdle(), reason);
        if !asked || self.more_destinations() == 0 {
            return Progress::Failed(error);
        }
        // Who has refused talks no more: the next one is asked for on a new connection.
        log::debug!("{error}; the next address is tried");
        self.destination += 1;
        self.dial = None;
        (self.next, self.next_start, self.last_error) = (0, now, None);
        self.advance(now, registry, token)
    }

    /// How many destinations the proxy has not been asked for yet.
    fn more_destinations(&self) -> u32 {
        let all = self.route.opening.via.as_ref().map_or(1, |via| via.destinations.len());
        u32::try_from(all - 1 - self.destination).unwrap_or(u32::MAX - 1)
    }

    /// When [`Self::advance`] has something to do without an event.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let more = self.dial.is_none() && self.next < self.route.targets.len();
        let start = more.then_some(self.next_start);
        let asked = self.dial.as_ref().is_some_and(|(dial, _)| dial.has_asked_proxy());
        let turn = self.turn_ends.filter(|_| asked);
        [start, turn, self.deadline].into_iter().flatten().min()
    }

    /// The first attempt that has succeeded; those that have failed are dropped.
    fn take_connected(&mut self) -> Option<(usize, Stream)> {
        let mut at = 0;
        while at < self.attempts.len() {
            match self.attempts[at].1.connected() {
                None => at += 1,
                Some(Ok(())) => return Some(self.attempts.swap_remove(at)),
                Some(Err(error)) => {
                    let (index, _) = self.attempts.remove(at);
                    log::debug!("cannot connect to {}: {error}", self.route.targets[index]);
                    self.last_error = Some((index, error));
                }
            }
        }
        None
    }
}

/// Errors after which the same attempt may succeed a little later: the system is short of
/// something, or the queue of a UNIX listener is full (`EAGAIN`, connect(2)).
fn is_pause(error: &io::Error) -> bool {
    is_shortage(error) || error.kind() == io::ErrorKind::WouldBlock
}

/// Starts one attempt, and registers it under the token; true if it has succeeded at once, as on
/// one's own host.
fn start(
    endpoint: &Endpoint,
    route: &Route,
    registry: &Registry,
    token: Token,
) -> io::Result<(Stream, bool)> {
    let address = endpoint.to_sockaddr()?;
    let domain = address.domain();
    let protocol = (domain != Domain::UNIX).then_some(Protocol::TCP);
    let socket = nonblocking_socket(domain, protocol)?;
    bind_socket(&socket, domain, &route.bind)?;
    let connecting = match socket.connect(&address) {
        Ok(()) => false,
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => true,
        Err(error) => return Err(error),
    };
    let mut stream = Stream::new(socket, endpoint);
    // On one's own host it may be done already, which then needs no event.
    let at_once = !connecting || stream.connected().transpose()?.is_some();
    if at_once && route.opening.is_none() {
        stream.register(registry, token)?;
    } else {
        stream.register_for_room(registry, token)?;
    }
    Ok((stream, at_once))
}

/// Non-blocking and close-on-exec; the latter is what socket2 does by itself.
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]
fn nonblocking_socket(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), protocol)
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
fn nonblocking_socket(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
