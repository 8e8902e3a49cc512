//! One connection: the handshake, two pipes, a deadline, and exactly one reason for its end.
//!
//! Owns the state of a connection and decides what each input means for it. Refuses to know where
//! bytes come from, where they go and what time it is: the caller passes all three in. The contract
//! is in the crate's documentation; a caller that keeps it is `relay.rs` of the system layer. Read
//! on in `conn/flows.rs`: what the end of one side means.

mod config;
mod flows;
mod heard;
mod reason;

use core::time::Duration;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use crate::handshake::{Authenticated, Entropy, Established, Handshake, Progress};
use crate::pipe::{OpenPipe, SealPipe};
pub use config::Config;
use flows::Flows;
pub use flows::Side;
pub use heard::{Heard, Words};
pub use reason::CloseReason;

/// Something that has happened on one side.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Bytes were read. During the handshake at most [`Conn::read_limit`] of them are taken.
    Data(&'a [u8]),
    /// The side's stream has ended: nothing more will be read from it.
    End,
    /// Reading has failed (a reset, for instance): nothing more will be read.
    ReadFailed(ErrorKind),
    /// Writing has failed: nothing more can be written to it.
    WriteFailed(ErrorKind),
}

/// Something the caller has to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer has proved that it holds a key, its value is in range and `-g` is satisfied: the
    /// moment at which a decrypting side may begin to connect to its target.
    PeerAuthenticated(Authenticated),
    /// The stream towards this side has ended: shut down writing once all of it is written.
    EndOfStream(Side),
    /// The connection is over. Unless [`CloseReason::is_clean`], both sides are to be told by a
    /// reset, after what was handed over for them has been delivered.
    Closed(CloseReason),
}

/// Both pipes of an open connection.
#[derive(Debug)]
struct Pipes {
    seal: SealPipe,
    open: OpenPipe,
}

#[derive(Debug)]
enum State {
    /// `received` is the piece of the awaited message that is here.
    Handshake {
        handshake: Handshake,
        received: Vec<u8>,
    },
    Open(Box<Pipes>),
    Closed(Heard),
}

/// One connection between a plain side and an encrypted one.
#[derive(Debug)]
pub struct Conn {
    state: State,
    /// When the handshake has to be complete.
    deadline: Option<Instant>,
    coalesce: Duration,
    flows: Flows,
    /// Bytes the core itself wants to say to the peer.
    transmit: Vec<u8>,
    events: Vec<Event>,
    /// Counts of a connection that is closed; an open one asks its pipes.
    counted: (u64, u64),
}

impl Conn {
    /// Starts a handshake: our nonce is ready in [`Self::poll_transmit`] at once.
    ///
    /// # Panics
    ///
    /// With [`Entropy::without_exponent`] and another [`Config::pfs`] than `Pfs::Refuse`.
    #[must_use]
    pub fn new(config: &Config, entropy: Entropy, now: Instant) -> Self {
        let mut transmit = Vec::new();
        let keys = Arc::clone(&config.keys);
        let handshake = Handshake::start(config.role, config.pfs, keys, entropy, &mut transmit);
        Self {
            state: State::Handshake { handshake, received: Vec::new() },
            deadline: config.handshake_timeout.and_then(|limit| now.checked_add(limit)),
            coalesce: config.coalesce,
            flows: Flows::new(),
            transmit,
            events: Vec::new(),
            counted: (0, 0),
        }
    }

    /// The most bytes that may be read from `side` now and passed to [`Self::handle_input`].
    ///
    /// 0 means that the side is not to be read. During the handshake it is what is missing of the
    /// awaited message, so that what follows stays where it is until somebody can take it.
    #[must_use]
    pub fn read_limit(&self, side: Side) -> usize {
        match (&self.state, side) {
            (State::Handshake { handshake, received }, Side::Encrypted) => {
                handshake.awaited_len() - received.len()
            }
            (State::Handshake { .. }, Side::Plain) | (State::Closed(_), _) => 0,
            (State::Open(_), _) if self.flows.is_read(side) => usize::MAX,
            (State::Open(_), _) => 0,
        }
    }

    /// Whether nothing will be read from `side` any more although the connection is open: its
    /// stream has ended, or cannot be delivered. A failure of the side then shows in no read; it is
    /// to be passed in as [`Input::WriteFailed`].
    #[must_use]
    pub fn has_stopped_reading(&self, side: Side) -> bool {
        matches!(self.state, State::Open(_)) && !self.flows.is_read(side)
    }

    /// Takes what has happened on `side`; appends what is now to be written to the *other* side to
    /// `out`. Then drain [`Self::poll_transmit`] and [`Self::poll_event`].
    pub fn handle_input(&mut self, now: Instant, side: Side, input: Input<'_>, out: &mut Vec<u8>) {
        match (&mut self.state, side, input) {
            (State::Closed(_), _, _) => {}
            (State::Handshake { .. }, Side::Encrypted, Input::Data(data)) => self.shake(data),
            (State::Handshake { .. }, Side::Encrypted, Input::End) => {
                self.close(CloseReason::EndInHandshake);
            }
            // Before the peer is authenticated nothing of the plain side matters but a failure.
            (State::Handshake { .. }, Side::Plain, Input::Data(_) | Input::End) => {}
            (State::Open(pipes), Side::Plain, Input::Data(data)) => pipes.seal.push(now, data, out),
            // The peer cannot be told that nobody wants it. Were it left unread, its program would
            // wait for ever, and so would we for that program's end, if it is as deaf as ours.
            (State::Open(_), Side::Encrypted, Input::Data(_))
                if self.flows.is_dropped(Side::Plain) => {}
            (State::Open(pipes), Side::Encrypted, Input::Data(data)) => {
                if let Err(error) = pipes.open.push(data, out) {
                    let number = pipes.open.next_packet();
                    self.close(CloseReason::BadPacket { number, error });
                }
            }
            (State::Open(pipes), _, Input::End) => {
                if side == Side::Plain {
                    pipes.seal.flush(out);
                }
                self.end(side);
            }
            (State::Open(_), _, Input::WriteFailed(kind)) => {
                if let Some(reason) = self.flows.write_failed(side, kind) {
                    self.close(reason);
                }
            }
            (
                State::Handshake { .. },
                Side::Encrypted,
                Input::ReadFailed(kind) | Input::WriteFailed(kind),
            ) => self.close(CloseReason::FailedInHandshake(kind)),
            (State::Handshake { .. }, Side::Plain, Input::WriteFailed(kind)) => {
                self.close(CloseReason::WriteFailed(side, kind));
            }
            (_, _, Input::ReadFailed(kind)) => self.close(CloseReason::ReadFailed(side, kind)),
        }
    }

    /// Takes the time: closes the connection if its handshake took too long, and says what has
    /// waited long enough for other bytes to share its packet with.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.close(CloseReason::HandshakeTimeout);
        }
        if let State::Open(pipes) = &mut self.state
            && pipes.seal.flush_at().is_some_and(|due| due <= now)
        {
            pipes.seal.flush(&mut self.transmit);
        }
    }

    /// Appends to `out` what the core itself has to say to the encrypted side.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.transmit);
        self.transmit = Vec::new();
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Handshake { .. } => self.deadline,
            State::Open(pipes) => pipes.seal.flush_at(),
            State::Closed(_) => None,
        }
    }

    /// The next thing to act on, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            return None;
        }
        let event = self.events.remove(0);
        if self.events.is_empty() {
            self.events = Vec::new(); // an idle connection keeps no allocation for it
        }
        Some(event)
    }

    /// Bytes of the streams so far: plain to encrypted, and encrypted to plain.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        match &self.state {
            State::Open(pipes) => (pipes.seal.bytes(), pipes.open.bytes()),
            State::Handshake { .. } | State::Closed(_) => self.counted,
        }
    }

    /// What the peer has said at the beginning, also after the end. See
    /// [`CloseReason::is_handshake`].
    #[must_use]
    pub fn heard(&self) -> Heard {
        match &self.state {
            State::Handshake { handshake, received } => {
                Heard::from_nonce(handshake.peer_nonce().map_or(received, |nonce| nonce))
            }
            State::Open(_) => Heard::Nonce,
            State::Closed(heard) => *heard,
        }
    }

    fn shake(&mut self, data: &[u8]) {
        let State::Handshake { handshake, received } = &mut self.state else { return };
        received.extend_from_slice(data);
        let awaited = handshake.awaited_len();
        assert!(received.len() <= awaited, "more was passed in than read_limit() allows");
        if received.len() < awaited {
            return;
        }
        let closed = State::Closed(self.heard());
        let State::Handshake { handshake, received } = core::mem::replace(&mut self.state, closed)
        else {
            return;
        };
        match handshake.handle_message(&received, &mut self.transmit) {
            Ok(Progress::Waiting(handshake)) => {
                self.state = State::Handshake { handshake, received: Vec::new() };
            }
            Ok(Progress::Done(established)) => self.open(established),
            Err(error) => {
                self.events.push(Event::Closed(CloseReason::Handshake(error)));
                self.deadline = None;
            }
        }
    }

    fn open(&mut self, established: Established) {
        let Established { authenticated, sealer, opener } = established;
        self.deadline = None;
        self.events.push(Event::PeerAuthenticated(authenticated));
        let pipes =
            Pipes { seal: SealPipe::new(sealer, self.coalesce), open: OpenPipe::new(opener) };
        self.state = State::Open(Box::new(pipes));
    }

    /// The stream that comes from `side` has ended.
    fn end(&mut self, side: Side) {
        let State::Open(pipes) = &mut self.state else { return };
        let cut = (side == Side::Encrypted && pipes.open.partial_len() > 0).then(|| {
            let (number, received) = (pipes.open.next_packet(), pipes.open.partial_len());
            CloseReason::CutInPacket { number, received }
        });
        if let Some(reason) = self.flows.end(side, cut, &mut self.events) {
            self.close(reason);
        }
    }

    fn close(&mut self, reason: CloseReason) {
        self.counted = self.bytes();
        self.state = State::Closed(self.heard());
        self.deadline = None;
        self.events.push(Event::Closed(reason));
    }
}
