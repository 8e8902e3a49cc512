//! Resident memory: of a process without connections, per idle connection, and of connections whose
//! receiver has stopped reading.

use super::{ALL_PEERS, CARRIERS, DAEMONS};
use crate::Outcome;
use crate::load::{AT_ONCE, crowd, fill};
use crate::pair::Pair;
use crate::peer::{Kind, Peer};
use crate::process::check_descriptors;
use crate::room::Bench;
use crate::row::{Bound, Figure, Goal, Plot, Points, Row};
use crate::target::{Manner, Target};

const MIB: f64 = 1024.0 * 1024.0;

const fn figures(names: [&'static str; 2], decimals: usize, goals: &'static [Goal]) -> [Figure; 2] {
    [Figure { name: names[0], decimals, goals }, Figure { name: names[1], decimals, goals }]
}

const PROCESS: [&str; 2] = ["MiB, encrypting end", "MiB, decrypting end"];
const EACH: [&str; 2] =
    ["KiB per connection, encrypting end", "KiB per connection, decrypting end"];

pub(crate) const EMPTY: Row = Row {
    name: "empty-memory",
    title: "resident memory of a process that has had no connection yet",
    peers: ALL_PEERS,
    needs: &[],
    points: Points::ONE,
    figures: &figures(PROCESS, 2, &[Goal::Itself(Bound::AtMost(4.0))]),
    max_rounds: u32::MAX,
    measure: |bench, peer, _| {
        let target = Target::start(Manner::Count)?;
        let pair = Pair::start(bench, peer, target.addr)?;
        Ok(pair.resident()?.map(|bytes| bytes as f64 / MIB).to_vec())
    },
};

pub(crate) const IDLE: Row = Row {
    name: "idle-memory",
    title: "resident memory per idle connection",
    peers: DAEMONS,
    points: Points { unit: "connections", full: &[2_000, 9_000], quick: &[64], plot: Plot::Bars },
    figures: &figures(EACH, 2, &[Goal::Itself(Bound::AtMost(2.0))]),
    max_rounds: 3,
    measure: idle,
    ..EMPTY
};

pub(crate) const IDLE_CARRIERS: Row = Row {
    name: "idle-memory-carriers",
    title: "resident memory per idle connection, by what carries the encrypted side",
    peers: CARRIERS,
    points: Points { full: &[2_000], ..IDLE.points },
    figures: &figures(
        EACH,
        2,
        &[Goal::Of(Kind::Ws, Bound::AtMost(8.0)), Goal::Of(Kind::Wss, Bound::AtMost(40.0))],
    ),
    ..IDLE
};

pub(crate) const STALLED: Row = Row {
    name: "stalled-memory",
    title: "resident memory with connections whose receiver has stopped reading",
    peers: DAEMONS,
    points: Points { unit: "connections", full: &[2_000], quick: &[32], plot: Plot::Bars },
    figures: &figures(PROCESS, 1, &[Goal::Against(Kind::C, Bound::AtMost(1.0))]),
    max_rounds: 3,
    measure: stalled,
    ..EMPTY
};

/// KiB per connection at both ends.
fn idle(bench: &Bench, peer: &Peer, connections: u64) -> Outcome<Vec<f64>> {
    check_descriptors(connections)?;
    let target = Target::start(Manner::Count)?;
    let pair = Pair::start(bench, peer, target.addr)?;
    // What the first connections touch stays, however many come after them.
    drop(crowd(pair.entry, AT_ONCE)?);
    target.await_quiet()?;
    let before = pair.resident()?;
    let crowd = crowd(pair.entry, connections as usize)?;
    let after = pair.resident()?;
    drop(crowd);
    let each = |end: usize| (after[end] as f64 - before[end] as f64) / connections as f64 / 1024.0;
    Ok(vec![each(0), each(1)])
}

/// MiB of both ends.
fn stalled(bench: &Bench, peer: &Peer, connections: u64) -> Outcome<Vec<f64>> {
    check_descriptors(connections)?;
    let target = Target::start(Manner::Stall)?;
    let pair = Pair::start(bench, peer, target.addr)?;
    let mut crowd = crowd(pair.entry, connections as usize)?;
    fill(&mut crowd)?;
    Ok(pair.resident()?.map(|bytes| bytes as f64 / MIB).to_vec())
}
