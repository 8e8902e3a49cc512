//! Small requests of many clients: redis-benchmark with 50 clients behind the tunnel.

use std::process::Command;
use std::time::Duration;

use super::ALL_PEERS;
use crate::Outcome;
use crate::pair::Pair;
use crate::peer::{Kind, Peer};
use crate::process::{Family, Process};
use crate::room::Bench;
use crate::row::{Bound, Figure, Goal, Points, Row};

const NOT_BELOW_C: &[Goal] = &[Goal::Against(Kind::C, Bound::AtLeast(1.0))];
const NOT_BELOW_EITHER: &[Goal] = &[
    Goal::Against(Kind::C, Bound::AtLeast(1.0)),
    Goal::Against(Kind::Stunnel, Bound::AtLeast(1.0)),
];

const fn figures(goals: &'static [Goal]) -> [Figure; 2] {
    [
        Figure { name: "SET requests per second", decimals: 0, goals },
        Figure { name: "GET requests per second", decimals: 0, goals },
    ]
}

pub(crate) const PIPELINE_1: Row = Row {
    name: "redis-1",
    title: "redis-benchmark, 50 clients, one request at a time (-P 1)",
    peers: ALL_PEERS,
    needs: &["redis-server", "redis-benchmark"],
    points: Points::ONE,
    figures: &figures(NOT_BELOW_C),
    max_rounds: u32::MAX,
    measure: |bench, peer, _| requests(bench, peer, 1, bench.effort.requests),
};

pub(crate) const PIPELINE_64: Row = Row {
    name: "redis-64",
    title: "redis-benchmark, 50 clients, 64 requests at a time (-P 64)",
    figures: &figures(NOT_BELOW_EITHER),
    measure: |bench, peer, _| requests(bench, peer, 64, 10 * bench.effort.requests),
    ..PIPELINE_1
};

/// SET and GET requests per second.
fn requests(bench: &Bench, peer: &Peer, pipeline: u32, count: usize) -> Outcome<Vec<f64>> {
    let port = bench.free_port()?;
    let mut server = Command::new("redis-server");
    server.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    server.args(["--save", "", "--appendonly", "no"]);
    let mut server = Process::spawn(server, bench.log("redis-server"), Family::Alone)?;
    server.await_listening(port)?;
    let pair = Pair::start(bench, peer, ([127, 0, 0, 1], port).into())?;

    let mut client = Command::new("redis-benchmark");
    client.args(["-h", "127.0.0.1", "-p", &pair.entry.port().to_string(), "-c", "50"]);
    client.args(["-P", &pipeline.to_string(), "-n", &count.to_string(), "-t", "set,get", "--csv"]);
    let client = Process::spawn(client, bench.log("redis-benchmark"), Family::Alone)?;
    let said = client.await_end(Duration::from_secs(120))?;
    ["SET", "GET"].map(|test| rate(&said, test)).into_iter().collect()
}

/// From a line like "SET","12345.67","0.1",...
fn rate(said: &str, test: &str) -> Outcome<f64> {
    let start = format!("\"{test}\",\"");
    let line = said.lines().find_map(|line| line.strip_prefix(&start));
    let number = line.and_then(|rest| rest.split('"').next()).and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("redis-benchmark reports no rate for {test}: {said}"))
}
