//! What a connection is lent for its turn.
//!
//! Owns the loop's two buffers and the sizes of reads. Part of `relay.rs`; the loop makes one of
//! these for each turn.

use std::time::{Duration, Instant};

use mio::{Registry, Token};
use spiped_proto::wire::{BATCH_PACKETS, PACKET_DATA_LEN, PACKET_LEN};
use spiped_proto::{Config, Side};

use super::nonces::Nonces;
use crate::connector::Route;
use crate::token::Source;
use crate::transport::MAX_HEADROOM;

/// The most that is read from the encrypted side in one system call: a batch of packets.
const MAX_READ: usize = BATCH_PACKETS * PACKET_LEN;

/// The most that is read from the plain side: what makes a batch of packets.
const MAX_READ_PLAIN: usize = BATCH_PACKETS * PACKET_DATA_LEN;

/// The most that is read in one system call while much waits to be written already: what makes 8
/// packets, as C spiped does.
const SMALL_READ: usize = 8 * PACKET_DATA_LEN;

/// Bytes that may wait to be written, in all connections together, before reads become small. One
/// that stalls keeps what was read last, so this bounds what thousands that stall cost.
const MUCH_WAITING: usize = 4 << 20;

/// The loop's two buffers: connections own none. And what connections begin with.
pub(crate) struct Scratch {
    pub(super) inbox: Box<[u8]>,
    pub(super) outbox: Vec<u8>,
    pub(super) nonces: Nonces,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let inbox = vec![0; MAX_READ + MAX_HEADROOM].into_boxed_slice();
        let outbox = Vec::with_capacity(MAX_READ + PACKET_LEN);
        Self { inbox, outbox, nonces: Nonces::default() }
    }
}

/// What the connections of the process are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `spiped`: any number of connections. SIGTERM lets those there are come to their ends.
    Serve,
    /// `spipe`: one connection, whose user is told why it fails. SIGTERM ends it at once.
    Pipe,
    /// `spipe --check`: the same, but it is over when its handshake is.
    Check,
}

/// What all connections of the process share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) proto: Config,
    pub(crate) route: Route,
    pub(crate) keepalive: bool,
    /// `--idle-timeout`.
    pub(crate) idle_timeout: Option<Duration>,
    /// `--ack-timeout`.
    pub(crate) ack_timeout: Option<Duration>,
    pub(crate) purpose: Purpose,
}

/// What a turn needs besides the connection itself.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) slot: usize,
    pub(crate) registry: &'a Registry,
    pub(crate) shared: &'a Shared,
    pub(crate) scratch: &'a mut Scratch,
    /// Bytes that wait to be written, in all connections together.
    pub(crate) waiting: usize,
    /// Whether one more may be connected to the target.
    pub(crate) place_free: bool,
}

impl Context<'_> {
    pub(super) fn token(&self, side: Side) -> Token {
        Source::Relay(self.slot, side).into()
    }

    /// The most that may be read at once now, whatever the side.
    pub(super) fn most_read(&self) -> usize {
        if self.waiting > MUCH_WAITING { SMALL_READ } else { MAX_READ + MAX_HEADROOM }
    }
}

/// The most that is worth reading from a side at once.
pub(super) fn most_read(side: Side) -> usize {
    match side {
        Side::Plain => MAX_READ_PLAIN,
        Side::Encrypted => MAX_READ,
    }
}

/// The same of the plain side, where no more than `most` bytes are written to the other at once:
/// what makes as many whole packets.
pub(super) fn most_read_for(most: usize) -> usize {
    (most / PACKET_LEN * PACKET_DATA_LEN).min(MAX_READ_PLAIN)
}
