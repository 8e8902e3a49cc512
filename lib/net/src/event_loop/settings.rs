//! What the loop is told to do, and what it says at its end. Part of `event_loop.rs`.

use std::time::Duration;

use spiped_proto::{Pfs, Role, SharedKey};

use crate::addr::Endpoint;
use crate::proxy::Via;
use crate::relay::{EndReason, Purpose};
use crate::signal::Signal;
use crate::web::Carrier;

/// What the loop is to do.
#[derive(Debug)]
pub struct Settings {
    /// Which end of the encrypted pipe we are.
    pub role: Role,
    /// What we want of perfect forward secrecy.
    pub pfs: Pfs,
    /// The keys that a peer may hold, at least one.
    pub keys: Vec<SharedKey>,
    /// `-t`: addresses of the target, the preferred one first.
    pub targets: Vec<Endpoint>,
    /// What carries the encrypted side.
    pub carrier: Carrier,
    /// The proxy between us and the target; then `targets` are where the proxy is.
    pub proxy: Option<Via>,
    /// `-b`: what outgoing sockets are bound to; empty for the system's choice.
    pub bind: Vec<Endpoint>,
    /// `-o`: how long connecting, and how long the handshake, may take; `None` for ever.
    pub timeout: Option<Duration>,
    /// `--coalesce`: how long bytes that do not fill a packet may wait for more; zero for not at
    /// all.
    pub coalesce: Duration,
    /// Unless `-j`: let the kernel probe peers that are silent.
    pub keepalive: bool,
    /// `--idle-timeout`: how long an established connection may carry nothing; `None` for ever.
    pub idle_timeout: Option<Duration>,
    /// `--ack-timeout`: how long a peer may leave bytes unacknowledged; `None` for as long as the
    /// system likes.
    pub ack_timeout: Option<Duration>,
    /// `--drain-timeout`: how long connections may go on after SIGTERM; `None` for ever.
    pub drain_timeout: Option<Duration>,
    /// `-n`: how many connections there may be at a time; on the decrypting side those of peers
    /// that have proved that they hold the key.
    pub max_connections: usize,
    /// `--max-handshakes`: how many others there may be on the decrypting side, at least one.
    pub max_handshakes: usize,
    /// What it is all for.
    pub purpose: Purpose,
}

/// Why the loop has ended.
#[derive(Debug)]
pub enum Outcome {
    /// No listener and no connection is left; how the last connection ended, if there was one.
    Idle(Option<EndReason>),
    /// A signal that ends the process at once.
    Signal(Signal),
}
