//! In which order measurements are made, and what came of them.
//!
//! Owns the results. Each round measures every peer once, A B C A B C: what disturbs the machine
//! for a while then disturbs them all. A peer that fails once in a row is left out of the rest of
//! it, with the reason. Next: `table.rs`, `report.rs` and `plot.rs`, which show the results.

use std::time::Instant;

use crate::peer::{Kind, Peer};
use crate::process::on_path;
use crate::room::Bench;
use crate::row::Row;
use crate::stats::Sorted;

/// All of one row.
pub(crate) struct RowResult {
    pub(crate) row: &'static Row,
    pub(crate) points: Vec<PointResult>,
}

/// One point of a row, all peers, ours first.
pub(crate) struct PointResult {
    pub(crate) point: u64,
    pub(crate) peers: Vec<PeerResult>,
}

/// One peer at one point.
pub(crate) struct PeerResult {
    pub(crate) kind: Kind,
    pub(crate) label: String,
    /// Rounds of figures.
    pub(crate) rounds: Vec<Vec<f64>>,
    pub(crate) failure: Option<String>,
}

impl RowResult {
    pub(crate) fn ours_failed(&self) -> bool {
        let peers = self.points.iter().flat_map(|point| &point.peers);
        peers.into_iter().any(|peer| peer.kind == Kind::Ours && peer.failure.is_some())
    }
}

impl PointResult {
    /// Ours divided by the other's, round by round, and of that the median.
    pub(crate) fn ratio(&self, other: &PeerResult, figure: usize) -> Option<f64> {
        let ours = self.peers.iter().find(|peer| peer.kind == Kind::Ours)?;
        let rounds = ours.rounds.iter().zip(&other.rounds);
        let ratios = rounds.filter(|(_, theirs)| theirs[figure] > 0.0);
        Sorted::new(ratios.map(|(ours, theirs)| ours[figure] / theirs[figure]).collect())
            .map(|ratios| ratios.median())
    }
}

impl PeerResult {
    pub(crate) fn figure(&self, figure: usize) -> Option<Sorted> {
        Sorted::new(self.rounds.iter().map(|round| round[figure]).collect())
    }
}

/// Measures all rows; says on stderr how far it is.
pub(crate) fn run(bench: &Bench, peers: &[Peer], rows: &[&'static Row]) -> Vec<RowResult> {
    let mut results = Vec::new();
    for row in rows {
        if let Some(missing) = row.needs.iter().find(|program| on_path(program).is_none()) {
            eprintln!("{}: left out, {missing} is not there", row.name);
            continue;
        }
        let points = if bench.effort.quick { row.points.quick } else { row.points.full };
        let points = points.iter().map(|point| measure_point(bench, peers, row, *point));
        results.push(RowResult { row, points: points.collect() });
    }
    results
}

fn measure_point(bench: &Bench, peers: &[Peer], row: &'static Row, point: u64) -> PointResult {
    let peers: Vec<&Peer> = peers.iter().filter(|peer| row.peers.contains(&peer.kind)).collect();
    let empty = |peer: &&Peer| PeerResult {
        kind: peer.kind,
        label: peer.label.clone(),
        rounds: Vec::new(),
        failure: None,
    };
    let mut results: Vec<PeerResult> = peers.iter().map(empty).collect();
    let rounds = bench.effort.rounds.min(row.max_rounds);
    for round in 1..=rounds {
        for (peer, result) in peers.iter().zip(&mut results) {
            if result.failure.is_some() {
                continue;
            }
            let start = Instant::now();
            let outcome = (row.measure)(bench, peer, point);
            let point = row.points.name(point);
            eprint!("{} {point} {round}/{rounds} {}: ", row.name, peer.kind.name());
            match outcome {
                Ok(figures) => {
                    debug_assert_eq!(figures.len(), row.figures.len());
                    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
                    result.rounds.push(figures);
                }
                Err(error) => {
                    eprintln!("{error}");
                    result.failure = Some(error);
                }
            }
        }
    }
    PointResult { point, peers: results }
}
