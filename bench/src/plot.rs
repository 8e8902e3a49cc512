//! The results as SVG, for README: a panel for each figure; bars for rows, lines for series.
//!
//! Owns the arrangement. Next: `plot/svg.rs`, the shapes; `plot/panel.rs`, one panel.

mod panel;
mod svg;

use crate::peer::Kind;
use crate::row::Plot;
use crate::runner::RowResult;
use svg::Svg;

/// Width of a panel, gaps included.
const PANEL_WIDTH: f64 = 440.0;

/// Panels beside each other.
const COLUMNS: usize = 2;

const TITLE_HEIGHT: f64 = 40.0;
const LEGEND_HEIGHT: f64 = 24.0;

/// A row as an SVG document.
pub(crate) fn render(result: &RowResult) -> String {
    let lines = result.row.points.plot != Plot::Bars;
    // Bars: a panel for each figure at each point. Lines: the points share a panel.
    let panels: Vec<(usize, Option<usize>)> = if lines {
        (0..result.row.figures.len()).map(|figure| (figure, None)).collect()
    } else {
        let points = 0..result.points.len();
        let figures = 0..result.row.figures.len();
        points.flat_map(|point| figures.clone().map(move |figure| (figure, Some(point)))).collect()
    };
    let height = if lines {
        panel::LINES_HEIGHT
    } else {
        panel::bars_height(result.points.iter().map(|point| point.peers.len()).max().unwrap_or(0))
    };
    let columns = panels.len().clamp(1, COLUMNS);
    let top = TITLE_HEIGHT + if lines { LEGEND_HEIGHT } else { 0.0 };
    let rows = panels.len().div_ceil(COLUMNS);
    let mut svg = Svg::new(PANEL_WIDTH * columns as f64, top + height * rows as f64 + 8.0);
    svg.title(16.0, 26.0, result.row.title);
    if lines {
        legend(&mut svg, result);
    }
    for (place, (figure, point)) in panels.into_iter().enumerate() {
        let x = PANEL_WIDTH * (place % COLUMNS) as f64;
        let y = top + height * (place / COLUMNS) as f64;
        match point {
            Some(point) => panel::bars(&mut svg, x, y, result, figure, point),
            None => panel::lines(&mut svg, x, y, result, figure),
        }
    }
    svg.finish()
}

fn legend(svg: &mut Svg, result: &RowResult) {
    let mut x = 16.0;
    let peers = result.points.first().map(|point| point.peers.as_slice()).unwrap_or_default();
    for peer in peers {
        svg.rect(x, TITLE_HEIGHT, 12.0, 12.0, colour(peer.kind));
        let name = peer.kind.name();
        svg.text(x + 16.0, TITLE_HEIGHT + 10.0, svg::Anchor::Start, name);
        x += 36.0 + 7.0 * name.len() as f64;
    }
}

/// Ours stands out; the others keep their colours in all plots. Told apart by the colour-blind too
/// (Okabe and Ito).
fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Ours => "#d55e00",
        Kind::C => "#0072b2",
        Kind::Stunnel => "#009e73",
        Kind::Ssh => "#cc79a7",
        Kind::Monopiped | Kind::MonopipedWs => "#56b4e9",
        Kind::Ws => "#e69f00",
        Kind::Wss => "#f0e442",
        Kind::Relay => "#999999",
    }
}
