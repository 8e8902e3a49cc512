//! Friends in a crowd of strangers: how many are served within a second, by how many strangers
//! come.
//!
//! The friends are 100 ms away, there and back, behind an `-e`; 2,000 strangers are there already,
//! and each comes from an address of its own, which is the hardest case: no address has more than
//! others.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::distance;
use crate::load::{connect, hear, say};
use crate::pair::Pair;
use crate::peer::{Kind, Peer};
use crate::process::check_descriptors;
use crate::room::Bench;
use crate::row::{Bound, Figure, Goal, Plot, Points, Row};
use crate::stats::Sorted;
use crate::strangers::Strangers;
use crate::target::{Manner, Target};

const EACH_WAY: Duration = Duration::from_millis(50);
/// Where friends come from.
const FRIEND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Time between two friends.
const PACE: Duration = Duration::from_millis(50);
/// What a friend is content with.
const SOON: f64 = 1.0;

pub(crate) const STRANGERS: Row = Row {
    name: "strangers",
    title: "friends 100 ms away in a crowd of strangers, each from an address of its own",
    peers: &[Kind::Ours],
    needs: &[],
    points: Points {
        unit: "strangers per second",
        full: &[200, 1_000, 5_000, 10_000, 20_000, 40_000],
        quick: &[200],
        plot: Plot::Lines,
    },
    figures: &[
        Figure {
            name: "% of friends served within 1 s",
            decimals: 1,
            goals: &[Goal::Itself(Bound::AtLeast(99.0))],
        },
        Figure { name: "seconds until a friend is served, median", decimals: 3, goals: &[] },
        Figure { name: "strangers that came per second", decimals: 0, goals: &[] },
        Figure { name: "CPU, decrypting end, %", decimals: 0, goals: &[] },
    ],
    max_rounds: 1,
    measure,
};

fn measure(bench: &Bench, peer: &Peer, rate: u64) -> Outcome<Vec<f64>> {
    check_descriptors(9_000)?;
    let target = Target::start(Manner::Count)?;
    let pair =
        Pair::start_apart(bench, peer, target.addr, |far| distance::start(far, FRIEND, EACH_WAY))?;
    let strangers = Strangers::start(pair.middle, rate);
    // Until all places are taken, where so many come.
    std::thread::sleep(Duration::from_secs_f64(6.0 * bench.effort.warm_up));

    let (start, before, cpu) = (Instant::now(), strangers.came(), pair.cpu()?);
    let friends = (4.0 * bench.effort.seconds / PACE.as_secs_f64()) as u32;
    let times: Vec<f64> = std::thread::scope(|scope| {
        let friends: Vec<_> = (0..friends)
            .map(|number| {
                std::thread::sleep(
                    (start + PACE * number).saturating_duration_since(Instant::now()),
                );
                scope.spawn(|| friend(&pair))
            })
            .collect();
        friends.into_iter().map(|friend| friend.join().unwrap_or(f64::INFINITY)).collect()
    });
    let (came, took) = (strangers.came() - before, start.elapsed().as_secs_f64());
    let cpu = crate::pair::cpu_between(cpu, pair.cpu()?)[1];
    strangers.end()?;

    let soon = times.iter().filter(|time| **time <= SOON).count();
    let share = 100.0 * soon as f64 / times.len() as f64;
    // Who is never served counts as long, so that there is a number.
    let times = Sorted::new(times.into_iter().map(|time| time.min(60.0)).collect());
    let median = times.ok_or("no friends")?.median();
    Ok(vec![share, median, came as f64 / took, 100.0 * cpu / took])
}

/// Seconds until a friend has an answer; infinite if it never has.
fn friend(pair: &Pair) -> f64 {
    let start = Instant::now();
    let served = connect(pair.entry).and_then(|mut stream| {
        say(&mut stream, b"!")?;
        hear(&mut stream)
    });
    served.map_or(f64::INFINITY, |()| start.elapsed().as_secs_f64())
}
