//! The results as a table for people, with the goals beside them.
//!
//! Owns the layout only. For each figure of each row: median, least and most of the rounds, how
//! ours compares (ours divided by theirs, median over the rounds), and whether the goal is met.

use std::fmt::Write as _;

use crate::goals::verdict;
use crate::peer::Kind;
use crate::runner::{PointResult, RowResult};

/// The whole table.
pub(crate) fn render(results: &[RowResult]) -> String {
    let mut out = String::new();
    for result in results {
        let row = result.row;
        let rounds = result.points.iter().flat_map(|point| &point.peers);
        let rounds = rounds.map(|peer| peer.rounds.len()).max().unwrap_or(0);
        let plural = if rounds == 1 { "round" } else { "rounds" };
        line(&mut out, &format!("\n{}: {} ({rounds} {plural})", row.name, row.title));
        for point in &result.points {
            for number in 0..row.figures.len() {
                render_figure(&mut out, result, point, number);
            }
            for peer in &point.peers {
                if let Some(failure) = &peer.failure {
                    line(&mut out, &format!("  {} failed: {failure}", peer.label));
                }
            }
        }
    }
    out
}

fn render_figure(out: &mut String, result: &RowResult, point: &PointResult, number: usize) {
    let (row, figure) = (result.row, &result.row.figures[number]);
    let mut name = figure.name.to_owned();
    if !row.points.unit.is_empty() {
        name = format!("{name}, {}", row.points.name(point.point));
    }
    let [a, b, c, d] = ["median", "min", "max", "ours/this"];
    line(out, &format!("  {name:<58}{a:>11}{b:>11}{c:>11}{d:>11}  goal"));
    for peer in &point.peers {
        let Some(sorted) = peer.figure(number) else { continue };
        let show = |value: f64| format!("{value:.*}", figure.decimals);
        let ratio = point.ratio(peer, number).filter(|_| peer.kind != Kind::Ours);
        let goal = verdict(result, point, peer, number).map(|verdict| {
            format!("{}: {}", verdict.bound, if verdict.met() { "met" } else { "NOT MET" })
        });
        let text = format!(
            "    {:<56}{:>11}{:>11}{:>11}{:>11}  {}",
            peer.label,
            show(sorted.median()),
            show(sorted.min()),
            show(sorted.max()),
            ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            goal.unwrap_or_default(),
        );
        line(out, &text);
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("writing to a String cannot fail");
}
