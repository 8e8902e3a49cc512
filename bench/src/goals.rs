//! The goals that were set, beside what was reached.
//!
//! Owns the comparison: a goal is about the median of a figure of ours, or about the median of its
//! ratios to another's. Refuses to draw conclusions; `table.rs` and `report.rs` show them.

use std::fmt::Write as _;

use crate::peer::Kind;
use crate::row::Bound;
use crate::runner::{PeerResult, PointResult, RowResult};

/// A goal and how far we are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) bound: Bound,
    pub(crate) reached: f64,
}

impl Verdict {
    pub(crate) fn met(self) -> bool {
        self.bound.met(self.reached)
    }
}

/// The goal that belongs beside this peer's figure: in a line of ours the one about the figure
/// itself, in another's line the one about the ratio to it.
pub(crate) fn verdict(
    result: &RowResult,
    point: &PointResult,
    peer: &PeerResult,
    figure: usize,
) -> Option<Verdict> {
    let goals = &result.row.figures[figure];
    let own = if peer.kind == Kind::Ours { goals.own_goal() } else { goals.goal_of(peer.kind) };
    if let Some(bound) = own {
        return Some(Verdict { bound, reached: peer.figure(figure)?.median() });
    }
    let (bound, reached) = goals.goal_against(peer.kind).zip(point.ratio(peer, figure))?;
    Some(Verdict { bound, reached })
}

/// All goals in a line each, those that are not met first.
pub(crate) fn summary(results: &[RowResult]) -> String {
    let mut lines: Vec<(bool, String)> = Vec::new();
    for result in results {
        for point in &result.points {
            for (number, figure) in result.row.figures.iter().enumerate() {
                for peer in &point.peers {
                    let Some(verdict) = verdict(result, point, peer, number) else { continue };
                    let mut what = format!("{}: {}", result.row.name, figure.name);
                    let whose = match figure.goal_of(peer.kind) {
                        Some(_) => peer.kind.name().to_owned(),
                        None => against(peer),
                    };
                    for part in [result.row.points.name(point.point), whose] {
                        if !part.is_empty() {
                            what = format!("{what}, {part}");
                        }
                    }
                    let text = format!("{what}: {:.2}, wanted {}", verdict.reached, verdict.bound);
                    lines.push((verdict.met(), text));
                }
            }
        }
    }
    let met = lines.iter().filter(|(met, _)| *met).count();
    lines.sort_by_key(|(met, _)| *met); // stable: otherwise in the order of the rows
    let mut out = format!("\ngoals: {met} of {} met\n", lines.len());
    for (met, text) in lines {
        let mark = if met { "met    " } else { "NOT MET" };
        writeln!(out, "  {mark} {text}").expect("writing to a String cannot fail");
    }
    out
}

fn against(peer: &PeerResult) -> String {
    if peer.kind == Kind::Ours { String::new() } else { format!("ratio to {}", peer.kind.name()) }
}
