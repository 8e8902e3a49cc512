//! The rows: everything that `make bench` measures, in the order in which it does.
//!
//! Owns the list and the groups of peers. Each file below is a kind of measurement; the goals stand
//! beside the figures there.

mod connections;
mod iperf3;
mod latency;
mod memory;
mod redis;
mod strangers;
mod throughput;

use crate::peer::Kind;
use crate::row::Row;

/// Everybody.
const ALL_PEERS: &[Kind] =
    &[Kind::Ours, Kind::C, Kind::Stunnel, Kind::Ssh, Kind::Monopiped, Kind::Relay];

/// Those made for many connections.
const DAEMONS: &[Kind] = &[Kind::Ours, Kind::C, Kind::Stunnel, Kind::Relay];

/// What may carry the encrypted side.
const CARRIERS: &[Kind] = &[Kind::Ours, Kind::Ws, Kind::Wss, Kind::Monopiped, Kind::MonopipedWs];

/// All rows.
pub(crate) const ALL: &[&Row] = &[
    &throughput::ONE_STREAM,
    &iperf3::IPERF3,
    &throughput::CARRIERS,
    &throughput::STREAMS,
    &connections::WITH_FORWARD_SECRECY,
    &connections::WITHOUT_FORWARD_SECRECY,
    &memory::EMPTY,
    &memory::IDLE,
    &memory::IDLE_CARRIERS,
    &memory::STALLED,
    &latency::ROUND_TRIP,
    &latency::ROUND_TRIP_IN_STORM,
    &redis::PIPELINE_1,
    &redis::PIPELINE_64,
    &throughput::SCALE_STREAMS,
    &latency::SCALE_IDLE,
    &latency::SCALE_MESSAGE,
    &strangers::STRANGERS,
];
