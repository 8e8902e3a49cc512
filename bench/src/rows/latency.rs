//! How long a message and its answer take: alone, in a storm of handshakes, beside idle
//! connections, and by the size of the message. The answer is always one byte.

use std::time::{Duration, Instant};

use super::{ALL_PEERS, DAEMONS};
use crate::Outcome;
use crate::load::{connect, crowd, round_trips};
use crate::pair::{Pair, cpu_between};
use crate::peer::{Kind, Peer};
use crate::process::check_descriptors;
use crate::room::Bench;
use crate::row::{Bound, Figure, Goal, Plot, Points, Row};
use crate::stats::Sorted;
use crate::storm::Storm;
use crate::target::{Manner, Target};

/// New connections per second in the storm.
const STORM: u32 = 300;

const MEDIAN: Figure = Figure { name: "round trip us, median", decimals: 1, goals: &[] };
const TAIL: Figure = Figure { name: "round trip us, 99th percentile", decimals: 1, goals: &[] };

pub(crate) const ROUND_TRIP: Row = Row {
    name: "round-trip",
    title: "round trip of one byte on an established connection",
    peers: ALL_PEERS,
    needs: &[],
    points: Points::ONE,
    figures: &[Figure { goals: &[Goal::Against(Kind::C, Bound::AtMost(1.0))], ..MEDIAN }, TAIL],
    max_rounds: u32::MAX,
    measure: |bench, peer, _| {
        let target = Target::start(Manner::Answer(1))?;
        let pair = Pair::start(bench, peer, target.addr)?;
        let cost = cost(bench, &pair, b"!", bench.effort.pings)?;
        Ok(vec![cost.times.median(), cost.times.percentile(99)])
    },
};

pub(crate) const ROUND_TRIP_IN_STORM: Row = Row {
    name: "round-trip-storm",
    title: "the same while 300 new connections a second do their handshakes",
    peers: DAEMONS,
    figures: &[
        MEDIAN,
        Figure { goals: &[Goal::Against(Kind::C, Bound::AtMost(1.0 / 3.0))], ..TAIL },
        Figure { name: "new connections per second", decimals: 0, goals: &[] },
    ],
    measure: storm,
    ..ROUND_TRIP
};

pub(crate) const SCALE_IDLE: Row = Row {
    name: "scale-idle",
    title: "cost of a wake-up against the number of idle connections",
    peers: DAEMONS,
    points: Points {
        unit: "idle connections",
        full: &[0, 1_000, 4_000, 9_000],
        quick: &[0, 64],
        plot: Plot::Lines,
    },
    figures: &[
        MEDIAN,
        TAIL,
        Figure { name: "CPU us per round trip, encrypting end", decimals: 1, goals: &[] },
        Figure { name: "CPU us per round trip, decrypting end", decimals: 1, goals: &[] },
    ],
    max_rounds: 3,
    measure: beside_idle,
    ..ROUND_TRIP
};

pub(crate) const SCALE_MESSAGE: Row = Row {
    name: "scale-message",
    title: "cost against the size of a message",
    peers: ALL_PEERS,
    points: Points {
        unit: "bytes",
        full: &[1, 64, 1024, 16_384, 131_072, 1_048_576],
        quick: &[1, 65_536],
        plot: Plot::LogLines,
    },
    figures: &[
        MEDIAN,
        Figure { name: "MB/s", decimals: 2, goals: &[] },
        Figure { name: "CPU us per message, encrypting end", decimals: 1, goals: &[] },
        Figure { name: "CPU us per message, decrypting end", decimals: 1, goals: &[] },
    ],
    max_rounds: 3,
    measure: by_size,
    ..ROUND_TRIP
};

/// What messages cost.
struct Cost {
    /// Microseconds from the first byte sent to the answer.
    times: Sorted,
    /// Microseconds of processor time of each end, per message and answer.
    cpu: [f64; 2],
}

/// Of `count` messages on a new connection, or of as many as the time allows, after some that do
/// not count.
fn cost(bench: &Bench, pair: &Pair, message: &[u8], count: usize) -> Outcome<Cost> {
    let limit = Duration::from_secs_f64(bench.effort.seconds);
    let mut stream = connect(pair.entry)?;
    round_trips(&mut stream, message, (bench.effort.pings / 10).min(count), limit / 4)?;
    let before = pair.cpu()?;
    let times = round_trips(&mut stream, message, count, limit)?;
    let count = times.len() as f64;
    let cpu = cpu_between(before, pair.cpu()?).map(|seconds| seconds * 1e6 / count);
    Ok(Cost { times: Sorted::new(times).ok_or("no round trips")?, cpu })
}

fn storm(bench: &Bench, peer: &Peer, _: u64) -> Outcome<Vec<f64>> {
    let target = Target::start(Manner::Answer(1))?;
    let pair = Pair::start(bench, peer, target.addr)?;
    let mut stream = connect(pair.entry)?;
    // As long as two measurements of throughput: 1,200 handshakes, unless told otherwise.
    let span = Duration::from_secs_f64(2.0 * bench.effort.seconds);
    round_trips(&mut stream, b"!", 10, span)?;
    let storm = Storm::start(pair.entry, STORM);
    std::thread::sleep(Duration::from_secs_f64(bench.effort.warm_up));

    let (start, before) = (Instant::now(), storm.finished());
    let times = round_trips(&mut stream, b"!", usize::MAX, span)?;
    let rate = (storm.finished() - before) as f64 / start.elapsed().as_secs_f64();
    storm.end()?;
    let times = Sorted::new(times).ok_or("no round trips")?;
    Ok(vec![times.median(), times.percentile(99), rate])
}

fn beside_idle(bench: &Bench, peer: &Peer, idle: u64) -> Outcome<Vec<f64>> {
    check_descriptors(idle)?;
    let target = Target::start(Manner::Answer(1))?;
    let pair = Pair::start(bench, peer, target.addr)?;
    let idle = crowd(pair.entry, idle as usize)?;
    let cost = cost(bench, &pair, b"!", bench.effort.pings / 2)?;
    drop(idle);
    Ok(vec![cost.times.median(), cost.times.percentile(99), cost.cpu[0], cost.cpu[1]])
}

fn by_size(bench: &Bench, peer: &Peer, size: u64) -> Outcome<Vec<f64>> {
    let target = Target::start(Manner::Answer(size))?;
    let pair = Pair::start(bench, peer, target.addr)?;
    // Not more than a few hundred megabytes each.
    let count = (300_000_000 / size as usize).clamp(10, bench.effort.pings);
    let cost = cost(bench, &pair, &vec![0x5a; size as usize], count)?;
    let median = cost.times.median();
    Ok(vec![median, size as f64 / median, cost.cpu[0], cost.cpu[1]])
}
