//! What a connection costs from beginning to end: accept, connect, handshake, one byte, close.
//!
//! Processor time of each end divided by the number of connections: first one after the other, then
//! several at once.

use super::DAEMONS;
use crate::Outcome;
use crate::load::{AT_ONCE, crowd};
use crate::pair::{ForwardSecrecy, Pair, cpu_between};
use crate::peer::{Kind, Peer};
use crate::room::Bench;
use crate::row::{Bound, Figure, Goal, Points, Row};
use crate::target::{Manner, Target};

const THIRD: &[Goal] = &[Goal::Against(Kind::C, Bound::AtMost(1.0 / 3.0))];
const SAME: &[Goal] = &[Goal::Against(Kind::C, Bound::AtMost(1.0))];

const fn figures(goals: &'static [Goal]) -> [Figure; 4] {
    [
        Figure { name: "CPU ms, encrypting end, sequential", decimals: 3, goals },
        Figure { name: "CPU ms, decrypting end, sequential", decimals: 3, goals },
        Figure { name: "CPU ms, encrypting end, 8 at once", decimals: 3, goals },
        Figure { name: "CPU ms, decrypting end, 8 at once", decimals: 3, goals },
    ]
}

pub(crate) const WITH_FORWARD_SECRECY: Row = Row {
    name: "connection",
    title: "CPU per connection with forward secrecy",
    peers: DAEMONS,
    needs: &[],
    points: Points::ONE,
    figures: &figures(THIRD),
    max_rounds: u32::MAX,
    measure: |bench, peer, _| cost(bench, peer, ForwardSecrecy::Yes),
};

pub(crate) const WITHOUT_FORWARD_SECRECY: Row = Row {
    name: "connection-no-pfs",
    title: "CPU per connection without forward secrecy (-f)",
    figures: &figures(SAME),
    measure: |bench, peer, _| cost(bench, peer, ForwardSecrecy::No),
    ..WITH_FORWARD_SECRECY
};

/// Milliseconds of processor time per connection, in the order of the figures.
fn cost(bench: &Bench, peer: &Peer, secrecy: ForwardSecrecy) -> Outcome<Vec<f64>> {
    let target = Target::start(Manner::Count)?;
    let pair = Pair::start_with(bench, peer, target.addr, secrecy)?;
    let count = bench.effort.connections;
    // Tables that are made for the first connection are not the cost of each.
    visit(&pair, &target, 2 * AT_ONCE, AT_ONCE)?;
    let sequential = visit(&pair, &target, count, 1)?;
    let concurrent = visit(&pair, &target, count, AT_ONCE)?;
    Ok([sequential, concurrent].concat())
}

/// Milliseconds of processor time per connection at both ends.
fn visit(pair: &Pair, target: &Target, count: usize, at_once: usize) -> Outcome<Vec<f64>> {
    let before = pair.cpu()?;
    for _ in 0..count.div_ceil(at_once) {
        drop(crowd(pair.entry, at_once)?);
    }
    target.await_quiet()?;
    let visits = (count.div_ceil(at_once) * at_once) as f64;
    Ok(cpu_between(before, pair.cpu()?).map(|seconds| seconds * 1e3 / visits).to_vec())
}
