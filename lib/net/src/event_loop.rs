//! The one loop of the process: the only `poll()`, and the slab of connections.
//!
//! Owns the order of a round: take note of all that the kernel says, accept new connections (only
//! now, so that no slot is reused while events for its last owner may still be at hand), then give
//! every connection concerned one turn, and bury those that are over. Refuses to know what one does
//! with its turn (`relay.rs`), who has one (`event_loop/turns.rs`), how a connection comes in
//! (`event_loop/intake.rs`), who counts as what (`event_loop/places.rs`) and what signals ask for
//! (`event_loop/stopping.rs`).

/// What the loop lends a connection for its turn. No function: it borrows these fields and no
/// others, so that the slot can be borrowed beside them.
macro_rules! lend {
    ($event_loop:expr, $slot:expr, $now:expr) => {
        $crate::relay::Context {
            now: $now,
            slot: $slot,
            registry: $event_loop.poll.registry(),
            shared: &$event_loop.shared,
            scratch: &mut $event_loop.scratch,
            waiting: $event_loop.waiting,
            place_free: $event_loop.places.is_free(),
        }
    };
}

mod crowd;
mod gate;
mod intake;
mod places;
mod queue;
mod settings;
mod stopping;
mod turns;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Waker};
use slab::Slab;
use spiped_proto::Config;

use crate::addr::Endpoint;
use crate::connector::Route;
use crate::count::Count;
use crate::dns::{Follows, Refresher};
use crate::listener::Listener;
use crate::rate::RateLimit;
use crate::relay::{EndReason, Relay, Scratch, Shared};
use crate::signal::{Signal, Signals};
use crate::supervisor::{Counts, Supervisor};
use crate::token::Source;
use crate::transport::Transport;
use crate::transport::dial::Opening;
use crate::web::{Carrier, WebServer};
use gate::Gate;
use places::Places;
use queue::Queue;
pub use settings::{Outcome, Settings};
use turns::{STRANGERS_PER_ROUND, StrangerCost};

/// Events taken from the kernel at once.
const EVENTS_PER_ROUND: usize = 512;

/// Lines about connections that ended before they were authenticated: this many at once, and then
/// one in this time. Anybody can cause them, so they must not fill a disk.
const STRANGERS_BURST: u32 = 100;
const STRANGERS_INTERVAL: Duration = Duration::from_millis(100);

struct Slot {
    relay: Relay,
    armed: Option<Instant>,
}

/// The loop, and everything it owns.
pub struct EventLoop {
    poll: Poll,
    waker: Arc<Waker>,
    shared: Shared,
    /// How those who come ask for WebSockets, if they do.
    server: Option<Arc<WebServer>>,
    stranger_cost: StrangerCost,
    scratch: Scratch,
    /// Bytes that wait to be written, in all connections together.
    waiting: usize,
    slots: Slab<Slot>,
    /// Connections that carry data and have something to do.
    run_queue: Queue,
    /// Those that are not authenticated yet: a handshake is much work, and others wait meanwhile.
    handshake_queue: Queue,
    timers: crate::timer::Timers,
    gate: Gate,
    places: Places,
    signals: Option<Signals>,
    supervisor: Option<Supervisor>,
    refreshers: Vec<(Follows, Refresher)>,
    draining: bool,
    drain_timeout: Option<Duration>,
    /// When what is left of a drain is cut short.
    drain_until: Option<Instant>,
    strangers: RateLimit,
    last: Option<EndReason>,
    /// A connection has ended in this round, and the stack is to be wiped of what it has left.
    wipes_stack: bool,
}

impl EventLoop {
    /// A loop that has nothing to do yet.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors for it.
    pub fn new(settings: Settings) -> io::Result<Self> {
        // Every connection will want random numbers.  Where they come from a file, it is opened
        // now, and stays open in the sandbox.
        getrandom::fill(&mut [0]).map_err(io::Error::other)?;
        let stranger_cost =
            StrangerCost::new(settings.role, settings.pfs, settings.carrier.has_tls());
        let (client, server) = match settings.carrier {
            Carrier::Socket => (None, None),
            Carrier::WebClient(client) => (Some(Arc::new(client)), None),
            Carrier::WebServer(server) => (None, Some(Arc::new(server))),
        };
        let opening = Opening { via: settings.proxy.map(Arc::new), web: client };
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Source::Waker.into())?);
        let mut proto = Config::new(settings.role, settings.keys);
        proto.pfs = settings.pfs;
        proto.handshake_timeout = settings.timeout;
        proto.coalesce = settings.coalesce;
        Ok(Self {
            poll,
            waker,
            shared: Shared {
                proto,
                route: Route {
                    targets: Arc::from(settings.targets),
                    bind: Arc::from(settings.bind),
                    timeout: settings.timeout,
                    opening,
                },
                keepalive: settings.keepalive,
                idle_timeout: settings.idle_timeout,
                ack_timeout: settings.ack_timeout,
                purpose: settings.purpose,
            },
            server,
            stranger_cost,
            scratch: Scratch::new(),
            waiting: 0,
            slots: Slab::new(),
            run_queue: Queue::default(),
            handshake_queue: Queue::default(),
            timers: crate::timer::Timers::default(),
            gate: Gate::new(settings.max_handshakes),
            places: Places::new(settings.role, settings.max_connections),
            signals: None,
            supervisor: None,
            refreshers: Vec::new(),
            draining: false,
            drain_timeout: settings.drain_timeout,
            drain_until: None,
            strangers: RateLimit::new(STRANGERS_BURST, STRANGERS_INTERVAL),
            last: None,
            wipes_stack: false,
        })
    }

    /// What wakes the loop from another thread.
    #[must_use]
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Accepts connections from these listeners.
    ///
    /// # Errors
    ///
    /// If one cannot be registered, or there are too many.
    pub fn listen(&mut self, listeners: Vec<Listener>) -> io::Result<()> {
        for listener in &listeners {
            listener.tune(self.shared.keepalive, self.shared.ack_timeout);
        }
        self.gate.add(listeners, self.poll.registry())
    }

    /// Reacts to these signals from now on.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn watch(&mut self, mut signals: Signals) -> io::Result<()> {
        signals.register(self.poll.registry(), Source::Signals.into())?;
        self.signals = Some(signals);
        Ok(())
    }

    /// Ends the loop, and hands the signals on to whoever still waits for something.
    ///
    /// # Errors
    ///
    /// If the system does not let go of them.
    pub fn into_signals(mut self) -> io::Result<Option<Signals>> {
        if let Some(signals) = &mut self.signals {
            signals.deregister(self.poll.registry())?;
        }
        Ok(self.signals.take())
    }

    /// Takes new addresses from this thread.
    pub fn follow(&mut self, what: Follows, refresher: Refresher) {
        self.refreshers.push((what, refresher));
    }

    /// Keeps this service manager informed.
    pub fn inform(&mut self, supervisor: Option<Supervisor>) {
        self.supervisor = supervisor;
    }

    /// Makes a connection to the target for a plain side that is there already (`spipe`).
    ///
    /// # Errors
    ///
    /// If the system refuses the socket.
    pub fn adopt(&mut self, plain: UnixStream) -> io::Result<()> {
        let transport = Transport::from_pair(OwnedFd::from(plain))?;
        self.add(transport, Endpoint::Unix(PathBuf::new()), Instant::now())
    }

    /// Runs until there is nothing left to do or a signal says so.
    ///
    /// # Errors
    ///
    /// Only if the kernel refuses to poll, which no peer and no shortage can cause.
    pub fn run(&mut self) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(EVENTS_PER_ROUND);
        loop {
            if self.gate.is_closed() && self.slots.is_empty() {
                say_suppressed(self.strangers.take_suppressed());
                return Ok(Outcome::Idle(self.last.take()));
            }
            // Who is inside goes before who is at the door: while we are behind with what strangers
            // have sent, nobody is to yield for not having been heard.
            let behind = self.handshake_queue.len() >= STRANGERS_PER_ROUND;
            let wait = self.wait(Instant::now());
            match self.poll.poll(&mut events, wait) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let now = Instant::now();
            for event in &events {
                if let Some(signal) = self.dispatch(event, now) {
                    self.kill_all(signal, now);
                    return Ok(Outcome::Signal(signal));
                }
            }
            if self.drain_until.is_some_and(|until| until <= now) {
                let left = Count(self.slots.len() as u64, "connection");
                log::warn!("--drain-timeout: the time is up, cutting {left} short");
                self.kill_all(Signal::Terminate, now);
                return Ok(Outcome::Signal(Signal::Terminate));
            }
            let due: Vec<usize> = self.timers.due(now).collect();
            due.into_iter().for_each(|slot| self.enqueue(slot));
            let early = self.nobody_yields_unheard();
            if early && !behind {
                self.accept(now);
            }
            self.pump_friends(now);
            self.pump_strangers(now);
            if !early && self.handshake_queue.len() < STRANGERS_PER_ROUND {
                self.accept(now);
            }
            if std::mem::take(&mut self.wipes_stack) {
                spiped_proto::wipe_stack();
            }
            if let Some(supervisor) = &mut self.supervisor {
                supervisor.report(counts(&self.places, self.draining), now);
            }
        }
    }

    /// How long to sleep: not at all if a connection wants another turn or one can be accepted.
    fn wait(&self, now: Instant) -> Option<Duration> {
        if !(self.run_queue.is_empty() && self.handshake_queue.is_empty()) {
            return Some(Duration::ZERO);
        }
        let drain = self.drain_until.map(|until| until.saturating_duration_since(now));
        let gate = self.gate.wait(&self.places, now);
        let report = self.supervisor.as_ref().and_then(|supervisor| supervisor.wait(now));
        self.timers.wait(now).into_iter().chain(gate).chain(drain).chain(report).min()
    }

    /// Takes note of one event. A signal is returned if it ends the process at once.
    fn dispatch(&mut self, event: &Event, now: Instant) -> Option<Signal> {
        match Source::from(event.token()) {
            Source::Listener(index) => self.gate.note(index),
            Source::Waker => self.take_addresses(),
            Source::Signals => return self.take_signals(now),
            Source::Relay(slot, side) => {
                if let Some(entry) = self.slots.get_mut(slot) {
                    entry.relay.note(side, event);
                    self.enqueue(slot);
                }
            }
        }
        None
    }

    fn take_addresses(&mut self) {
        for (what, refresher) in &self.refreshers {
            if let Some(found) = refresher.poll() {
                self.shared.route.follow(*what, found);
            }
        }
    }
}

/// What the service manager may show of us.
fn counts(places: &Places, draining: bool) -> Counts {
    Counts { friends: places.friends(), strangers: places.strangers(), draining }
}

fn say_suppressed(lines: u64) {
    if lines > 0 {
        log::info!("left out {} about failed handshakes", Count(lines, "line"));
    }
}
