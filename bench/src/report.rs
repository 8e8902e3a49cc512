//! The results as files: JSON with every single figure, and the plots.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Outcome;
use crate::goals::verdict;
use crate::machine::Machine;
use crate::options::Options;
use crate::peer::{Found, Peer};
use crate::plot;
use crate::runner::{PeerResult, PointResult, RowResult};

/// Everything: machine, command, peers, and each round's figures with their medians and ratios.
pub(crate) fn json(
    machine: &Machine,
    command: &str,
    found: &Found,
    results: &[RowResult],
) -> Value {
    let name = |peer: &Peer| json!({ "name": peer.kind.name(), "label": peer.label });
    let peers: Vec<Value> = found.peers.iter().map(name).collect();
    json!({
        "machine": {
            "processor": machine.processor,
            "cores": machine.cores,
            "kernel": machine.kernel,
        },
        "command": command,
        "peers": peers,
        "left_out": found.missing,
        "rows": results.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(result: &RowResult) -> Value {
    let figures: Vec<&str> = result.row.figures.iter().map(|figure| figure.name).collect();
    let point = |point: &PointResult| {
        let peers: Vec<Value> = point.peers.iter().map(|p| peer(result, point, p)).collect();
        json!({ "point": point.point, "peers": peers })
    };
    json!({
        "name": result.row.name,
        "title": result.row.title,
        "point_unit": result.row.points.unit,
        "figures": figures,
        "points": result.points.iter().map(point).collect::<Vec<_>>(),
    })
}

/// Lists within are by figure, in the order of the row's.
fn peer(result: &RowResult, point: &PointResult, peer: &PeerResult) -> Value {
    let figures = 0..result.row.figures.len();
    let median = |figure| peer.figure(figure).map(|sorted| sorted.median());
    let ratio = |figure| point.ratio(peer, figure);
    let goal = |figure| {
        let verdict = verdict(result, point, peer, figure)?;
        Some(json!({
            "wanted": verdict.bound.to_string(),
            "reached": verdict.reached,
            "met": verdict.met(),
        }))
    };
    json!({
        "name": peer.kind.name(),
        "rounds": peer.rounds,
        "medians": figures.clone().map(median).collect::<Vec<_>>(),
        "ours_to_this": figures.clone().map(ratio).collect::<Vec<_>>(),
        "goals": figures.map(goal).collect::<Vec<_>>(),
        "failure": peer.failure,
    })
}

/// Writes results.json below the build directory and a plot for each row; says where they are.
pub(crate) fn write(options: &Options, json: &Value, results: &[RowResult]) -> Outcome<String> {
    let (dir, plots) = (options.target_dir().join("bench"), options.plots());
    for dir in [&dir, &plots] {
        fs::create_dir_all(dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    }
    let path = dir.join("results.json");
    save(&path, &format!("{json:#}\n"))?;
    for result in results {
        save(&plots.join(format!("{}.svg", result.row.name)), &plot::render(result))?;
    }
    Ok(format!("figures: {}\nplots: {}/*.svg", path.display(), plots.display()))
}

fn save(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}
