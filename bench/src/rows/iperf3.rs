//! One stream as iperf3 sees it: the same as `one-stream`, with somebody else's client and server.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::ALL_PEERS;
use super::throughput::ONE_STREAM;
use crate::Outcome;
use crate::pair::Pair;
use crate::peer::Peer;
use crate::process::{Family, PATIENCE, Process};
use crate::room::Bench;
use crate::row::{Figure, Points, Row};

pub(crate) const IPERF3: Row = Row {
    name: "iperf3",
    title: "one stream, measured by iperf3",
    peers: ALL_PEERS,
    needs: &["iperf3"],
    points: Points::ONE,
    figures: &[Figure { name: "MB/s", decimals: 1, goals: ONE_STREAM.figures[0].goals }],
    max_rounds: u32::MAX,
    measure: |bench, peer, _| Ok(vec![speed(bench, peer)?]),
};

/// MB (10^6 bytes) per second, as the receiver counted.
fn speed(bench: &Bench, peer: &Peer) -> Outcome<f64> {
    let port = bench.free_port()?;
    let mut server = Command::new("iperf3");
    server.args(["-s", "-B", "127.0.0.1", "-p", &port.to_string()]);
    let mut server = Process::spawn(server, bench.log("iperf3-server"), Family::Alone)?;
    server.await_listening(port)?;
    let pair = Pair::start(bench, peer, ([127, 0, 0, 1], port).into())?;

    // Whole seconds are all it takes; it leaves out its own warm-up.
    let seconds = bench.effort.seconds.ceil();
    let mut client = Command::new("iperf3");
    client.args(["-c", "127.0.0.1", "-p", &pair.entry.port().to_string(), "-J"]);
    client.args(["-t", &seconds.to_string(), "-O", if bench.effort.quick { "0" } else { "1" }]);
    let client = Process::spawn(client, bench.log("iperf3"), Family::Alone)?;
    let said = client.await_end(PATIENCE + 2 * Duration::from_secs_f64(seconds))?;
    let report: Value =
        serde_json::from_str(&said).map_err(|e| format!("iperf3 said no JSON: {e}"))?;
    let bits = report["end"]["sum_received"]["bits_per_second"].as_f64();
    bits.map(|bits| bits / 8e6).ok_or_else(|| format!("iperf3 reports no speed: {said}"))
}
