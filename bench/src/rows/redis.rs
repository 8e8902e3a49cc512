//! Small requests of many clients: redis-benchmark with 50 clients behind the tunnel.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::ALL_PEERS;
use crate::Outcome;
use crate::load::{connect, say};
use crate::pair::Pair;
use crate::peer::{Kind, Peer};
use crate::process::{Family, PATIENCE, Process};
use crate::room::Bench;
use crate::row::{Bound, Figure, Goal, Points, Row};

const CLIENTS: u64 = 50;

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
    measure: |bench, peer, _| requests(bench, peer, 1),
};

pub(crate) const PIPELINE_64: Row = Row {
    name: "redis-64",
    title: "redis-benchmark, 50 clients, 64 requests at a time (-P 64)",
    figures: &figures(NOT_BELOW_EITHER),
    measure: |bench, peer, _| requests(bench, peer, 64),
    ..PIPELINE_1
};

/// SET and GET requests per second.
fn requests(bench: &Bench, peer: &Peer, pipeline: u32) -> Outcome<Vec<f64>> {
    ["set", "get"].into_iter().map(|test| rate(bench, peer, pipeline, test)).collect()
}

/// Requests per second that the server has served, once all clients are there. What redis-benchmark
/// itself reports counts the handshakes too, and would be the less true the shorter it runs.
fn rate(bench: &Bench, peer: &Peer, pipeline: u32, test: &str) -> Outcome<f64> {
    let port = bench.free_port()?;
    let mut server = Command::new("redis-server");
    server.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    server.args(["--save", "", "--appendonly", "no"]);
    let mut server = Process::spawn(server, bench.log("redis-server"), Family::Alone)?;
    server.await_listening(port)?;
    let addr = ([127, 0, 0, 1], port).into();
    let pair = Pair::start(bench, peer, addr)?;

    let mut client = Command::new("redis-benchmark");
    client.args(["-h", "127.0.0.1", "-p", &pair.entry.port().to_string()]);
    client.args(["-c", &CLIENTS.to_string(), "-P", &pipeline.to_string(), "-t", test, "-q"]);
    // More than it gets done before it is killed.
    client.args(["-n", "2000000000"]);
    let mut client = Process::spawn(client, bench.log("redis-benchmark"), Family::Alone)?;
    let mut watcher = Watcher(connect(addr)?);
    watcher.await_clients(CLIENTS + 1)?;

    std::thread::sleep(Duration::from_secs_f64(bench.effort.warm_up));
    let (start, before) = (Instant::now(), watcher.value("total_commands_processed")?);
    std::thread::sleep(Duration::from_secs_f64(bench.effort.seconds));
    let (span, after) = (start.elapsed(), watcher.value("total_commands_processed")?);
    client.check_running()?;
    Ok((after - before) as f64 / span.as_secs_f64())
}

/// A client that asks the server, past the tunnel, how it is.
struct Watcher(TcpStream);

impl Watcher {
    fn await_clients(&mut self, count: u64) -> Outcome<()> {
        let end = Instant::now() + PATIENCE;
        while self.value("connected_clients")? < count {
            if Instant::now() > end {
                return Err(format!("redis-benchmark's {CLIENTS} clients do not all connect"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// A number from the answer to INFO, which is "$LENGTH", then that many bytes of "name:value"
    /// lines, then an empty line.
    fn value(&mut self, name: &str) -> Outcome<u64> {
        say(&mut self.0, b"INFO\r\n")?;
        let mut reader = BufReader::new(&self.0);
        let mut answer = || -> std::io::Result<Option<String>> {
            let mut head = String::new();
            reader.read_line(&mut head)?;
            let length = head.strip_prefix('$').and_then(|rest| rest.trim().parse::<usize>().ok());
            let Some(length) = length else { return Ok(None) };
            let mut body = vec![0; length + 2];
            reader.read_exact(&mut body)?;
            Ok(Some(String::from_utf8_lossy(&body).into_owned()))
        };
        let answer = answer().map_err(|e| format!("redis-server does not answer INFO: {e}"))?;
        let answer = answer.ok_or("redis-server answers INFO with something else")?;
        let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value
            .and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| format!("redis-server's INFO has no number {name}"))
    }
}
