//! One transport that sends back what comes, in a thread of its own: what a relay does, in small.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

use super::super::dial::{Dial, Opening};
use super::super::{Stream, Transport};
use crate::addr::Endpoint;
use crate::web::{WebClient, WebServer};

/// How long anything may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// What a test tells the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Read no more, until [`Self::Resume`].
    Stall,
    Resume,
    /// End the stream towards the peer, whatever still comes.
    End,
    /// Do not end it, even if the peer's has ended.
    Keep,
}

/// How an echo ended: `Ok` after both streams came to their ends.
pub(super) type Outcome = Result<(), io::Error>;

/// The thread's handle.
pub(super) struct Echo {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    outcome: Receiver<Outcome>,
}

/// What the transport is before it is one.
pub(super) enum Side {
    Accepts(WebServer),
    Asks(WebClient),
}

impl Echo {
    /// Starts with our end of a connection.
    pub(super) fn start(socket: TcpStream, side: Side) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).unwrap());
        let (commands, orders) = channel();
        let (report, outcome) = channel();
        thread::spawn(move || {
            let ended = Loop::new(poll, orders).run(socket, side);
            let _ = report.send(ended);
        });
        Self { commands, waker, outcome }
    }

    pub(super) fn tell(&self, command: Command) {
        self.commands.send(command).unwrap();
        self.waker.wake().unwrap();
    }

    /// How it ended, if it does within this time.
    pub(super) fn ended_within(&self, limit: Duration) -> Option<Outcome> {
        self.outcome.recv_timeout(limit).ok()
    }

    /// How it ended.
    #[track_caller]
    pub(super) fn outcome(self) -> Outcome {
        self.outcome.recv_timeout(DEADLINE).expect("it comes to an end")
    }
}

struct Loop {
    poll: Poll,
    events: Events,
    orders: Receiver<Command>,
    stalled: bool,
    /// What waits to be written.
    pending: Vec<u8>,
    shut: bool,
    kept: bool,
    ended: bool,
}

impl Loop {
    fn new(poll: Poll, orders: Receiver<Command>) -> Self {
        let events = Events::with_capacity(8);
        Self {
            poll,
            events,
            orders,
            stalled: false,
            pending: Vec::new(),
            shut: false,
            kept: false,
            ended: false,
        }
    }

    fn run(&mut self, socket: TcpStream, side: Side) -> Outcome {
        socket.set_nonblocking(true).unwrap();
        socket.set_nodelay(true).unwrap();
        let peer = Endpoint::Tcp(socket.peer_addr().unwrap());
        let socket = socket2::Socket::from(socket);
        let mut transport = match side {
            Side::Accepts(server) => {
                let mut transport = Transport::accept(socket, &peer, &Arc::new(server))?;
                transport.register(self.poll.registry(), SOCKET)?;
                transport
            }
            Side::Asks(client) => {
                let opening = Opening { via: None, web: Some(Arc::new(client)) };
                let mut stream = Stream::new(socket, &peer);
                stream.register_for_room(self.poll.registry(), SOCKET).unwrap();
                let mut dial = Dial::new(opening, stream, 0).map_err(io::Error::other)?;
                loop {
                    match dial.advance().map_err(io::Error::other)? {
                        Some(transport) => break transport,
                        None => self.wait(None, Some(DEADLINE)),
                    }
                }
            }
        };
        loop {
            match self.turn(&mut transport) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    transport.watch_for_room(self.poll.registry(), SOCKET)?;
                    self.wait_for(&mut transport);
                }
                Err(error) => {
                    self.explain(&mut transport);
                    transport.abort();
                    return Err(error);
                }
            }
        }
    }

    /// One turn; true when all is over.
    fn turn(&mut self, transport: &mut Transport) -> io::Result<bool> {
        let now = Instant::now();
        transport.advance(now);
        let mut buffer = vec![0; 70_000];
        loop {
            // After what was read, so that an order is never behind what the peer sends after it.
            self.take_orders();
            self.flush(transport)?;
            let free = self.pending.is_empty() && transport.waiting() == 0;
            if self.ended && self.pending.is_empty() && !self.kept {
                transport.shutdown_write();
                return Ok(transport.finish(now, Some(DEADLINE)));
            }
            if self.shut {
                transport.shutdown_write();
            }
            if let (true, Some(kind)) = (self.ended, transport.take_breakage()) {
                return Err(kind.into());
            }
            if !free || self.stalled || self.ended || !transport.readable() {
                return Ok(false);
            }
            match transport.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(_) if self.shut => {}
                Ok(read) => self.pending.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Command::Stall => self.stalled = true,
                Command::Resume => self.stalled = false,
                Command::End => self.shut = true,
                Command::Keep => self.kept = true,
            }
        }
    }

    fn flush(&mut self, transport: &mut Transport) -> io::Result<()> {
        while !self.pending.is_empty() && transport.writable() {
            match transport.write(&mut self.pending) {
                Ok(0) => break,
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the peer is to be told is with it before the connection goes.
    fn explain(&mut self, transport: &mut Transport) {
        let deadline = Instant::now() + DEADLINE;
        while transport.last_words() > 0 && Instant::now() < deadline {
            self.wait(Some(transport), Some(Duration::from_millis(1)));
            transport.advance(Instant::now());
        }
    }

    fn wait_for(&mut self, transport: &mut Transport) {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let limit = transport.poll_timeout().map(left);
        self.wait(Some(transport), limit);
    }

    fn wait(&mut self, transport: Option<&mut Transport>, limit: Option<Duration>) {
        self.poll.poll(&mut self.events, limit).unwrap();
        if let Some(transport) = transport {
            let events = self.events.iter().filter(|event| event.token() == SOCKET);
            events.for_each(|event| transport.note(event));
        }
    }
}
