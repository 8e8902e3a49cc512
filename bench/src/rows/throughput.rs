//! Bytes per second, and what they cost, with one stream and with many.
//!
//! One direction, client to target. Data flows for a while before it is measured; then the bytes
//! that arrive within a span of time are counted, and the processor time of both ends in it.

use std::time::{Duration, Instant};

use super::{ALL_PEERS, CARRIERS as ALL_CARRIERS, DAEMONS};
use crate::Outcome;
use crate::load::{Flood, crowd};
use crate::pair::{Pair, cpu_between};
use crate::peer::{Kind, Peer};
use crate::room::Bench;
use crate::row::{Bound, Figure, Goal, Plot, Points, Row};
use crate::target::{Manner, Target};

const SPEED: Figure = Figure {
    name: "MB/s",
    decimals: 1,
    goals: &[
        Goal::Against(Kind::C, Bound::AtLeast(4.0)),
        Goal::Against(Kind::Stunnel, Bound::AtLeast(1.3)),
    ],
};

const NEAR_COST: Figure = Figure {
    name: "CPU s/GB, encrypting end",
    decimals: 2,
    goals: &[Goal::Itself(Bound::AtMost(1.0))],
};

const FAR_COST: Figure = Figure { name: "CPU s/GB, decrypting end", ..NEAR_COST };

const SHARE: Figure = Figure {
    name: "least share of a stream (1 = fair)",
    decimals: 2,
    goals: &[Goal::Itself(Bound::AtLeast(0.5))],
};

pub(crate) const ONE_STREAM: Row = Row {
    name: "one-stream",
    title: "one stream, one direction",
    peers: ALL_PEERS,
    needs: &[],
    points: Points::ONE,
    figures: &[SPEED, NEAR_COST, FAR_COST],
    max_rounds: u32::MAX,
    measure: |bench, peer, streams| {
        let flow = flow(bench, peer, streams as usize)?;
        Ok(vec![flow.speed, flow.cost[0], flow.cost[1]])
    },
};

/// At least 0.8 of plain TCP's speed over WebSockets, and 0.4 with TLS: the same, seen from there.
pub(crate) const CARRIERS: Row = Row {
    name: "carriers",
    title: "one stream, one direction, by what carries the encrypted side",
    peers: ALL_CARRIERS,
    figures: &[
        Figure {
            goals: &[
                Goal::Against(Kind::Ws, Bound::AtMost(1.0 / 0.8)),
                Goal::Against(Kind::Wss, Bound::AtMost(1.0 / 0.4)),
            ],
            ..SPEED
        },
        Figure { goals: &[], ..NEAR_COST },
        Figure { goals: &[], ..FAR_COST },
    ],
    ..ONE_STREAM
};

pub(crate) const STREAMS: Row = Row {
    name: "streams",
    title: "parallel streams, one direction",
    peers: ALL_PEERS,
    points: Points { unit: "streams", full: &[8, 64], quick: &[8], plot: Plot::Bars },
    figures: &[SPEED, SHARE],
    measure: |bench, peer, streams| {
        let flow = flow(bench, peer, streams as usize)?;
        Ok(vec![flow.speed, flow.least_share])
    },
    ..ONE_STREAM
};

pub(crate) const SCALE_STREAMS: Row = Row {
    name: "scale-streams",
    title: "cost against the number of streams",
    peers: DAEMONS,
    points: Points {
        unit: "streams",
        full: &[1, 2, 8, 64, 256, 1000],
        quick: &[1, 16],
        plot: Plot::Lines,
    },
    figures: &[
        Figure { goals: &[], ..SPEED },
        Figure { goals: &[], ..NEAR_COST },
        Figure { goals: &[], ..FAR_COST },
    ],
    max_rounds: 3,
    ..ONE_STREAM
};

/// What a flood showed.
struct Flow {
    /// MB (10^6 bytes) per second, all streams together.
    speed: f64,
    /// Seconds of processor time per GB (10^9 bytes), near end and far end.
    cost: [f64; 2],
    /// What the slowest stream got, against an equal share.
    least_share: f64,
}

fn flow(bench: &Bench, peer: &Peer, streams: usize) -> Outcome<Flow> {
    let target = Target::start(Manner::Count)?;
    let pair = Pair::start(bench, peer, target.addr)?;
    let flood = Flood::start(crowd(pair.entry, streams)?)?;
    // Many streams take longer to fill the buffers on the way, before anything even flows.
    let warm_up = bench.effort.warm_up * (1.0 + streams as f64 / 64.0);
    std::thread::sleep(Duration::from_secs_f64(warm_up));

    let (start, bytes_before, cpu_before) = (Instant::now(), target.bytes(streams), pair.cpu()?);
    std::thread::sleep(Duration::from_secs_f64(bench.effort.seconds));
    let (span, bytes_after, cpu_after) = (start.elapsed(), target.bytes(streams), pair.cpu()?);
    if !flood.runs() {
        return Err("the streams broke while data flowed".into());
    }

    let each = bytes_before.iter().zip(&bytes_after).map(|(before, after)| after - before);
    let (total, least) = (each.clone().sum::<u64>() as f64, each.min().unwrap_or(0) as f64);
    if total == 0.0 {
        return Err("no data came through".into());
    }
    Ok(Flow {
        speed: total / 1e6 / span.as_secs_f64(),
        cost: cpu_between(cpu_before, cpu_after).map(|seconds| seconds / (total / 1e9)),
        least_share: least / (total / streams as f64),
    })
}
