//! One panel of a plot: a figure of all peers, as bars or as lines over the points.

use super::svg::{Anchor, Svg};
use super::{PANEL_WIDTH, colour};
use crate::row::Plot;
use crate::runner::RowResult;

const MARGIN: f64 = 16.0;
const HEAD: f64 = 24.0;

/// Bars: a line of text above each bar.
const BAR_HEIGHT: f64 = 14.0;
const BAR_STEP: f64 = 36.0;

pub(super) const LINES_HEIGHT: f64 = 280.0;
const PLOT_LEFT: f64 = 64.0;
const PLOT_HEIGHT: f64 = 200.0;

const INK: &str = "#333333";
const GRID: &str = "#dddddd";

pub(super) fn bars_height(peers: usize) -> f64 {
    HEAD + BAR_STEP * peers as f64 + 12.0
}

/// A bar for each peer, from 0; a thin line from the least to the most of the rounds.
pub(super) fn bars(svg: &mut Svg, x: f64, y: f64, result: &RowResult, figure: usize, point: usize) {
    let row = result.row;
    let point = &result.points[point];
    let mut head = row.figures[figure].name.to_owned();
    if !row.points.unit.is_empty() {
        head = format!("{head}, {}", row.points.name(point.point));
    }
    svg.text(x + MARGIN, y + 14.0, Anchor::Start, &head);
    let most = point.peers.iter().filter_map(|peer| peer.figure(figure)).map(|f| f.max());
    let most = most.fold(f64::MIN_POSITIVE, f64::max);
    let scale = |value: f64| (value.max(0.0) / most) * (PANEL_WIDTH - 2.0 * MARGIN);
    for (place, peer) in point.peers.iter().enumerate() {
        let y = y + HEAD + BAR_STEP * place as f64;
        let Some(sorted) = peer.figure(figure) else {
            let text = format!("{}: not measured", peer.label);
            svg.text(x + MARGIN, y + 12.0, Anchor::Start, &text);
            continue;
        };
        let value = format!("{:.*}", row.figures[figure].decimals, sorted.median());
        svg.text(x + MARGIN, y + 12.0, Anchor::Start, &format!("{}: {value}", peer.label));
        let middle = y + 16.0 + BAR_HEIGHT / 2.0;
        svg.rect(x + MARGIN, y + 16.0, scale(sorted.median()), BAR_HEIGHT, colour(peer.kind));
        if sorted.min() < sorted.max() {
            let ends = [sorted.min(), sorted.max()].map(|end| (x + MARGIN + scale(end), middle));
            svg.line(&ends, INK, 1.5);
        }
    }
}

/// The vertical axis of a panel with lines.
struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    /// Wide enough for all figures, with round ends.
    fn over(figures: &[f64], log: bool) -> Self {
        let most = figures.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        if log {
            let least = figures.iter().copied().filter(|f| *f > 0.0).fold(most, f64::min);
            let (low, high) = (least.log10().floor(), most.log10().ceil());
            return Self { low, high: high.max(low + 1.0), log };
        }
        let unit = 10f64.powf(most.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0];
        let high = steps.iter().map(|step| step * unit).find(|high| *high >= most);
        Self { low: 0.0, high: high.unwrap_or(most), log }
    }

    /// From 0 at the bottom to 1 at the top.
    fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let exponents = self.low as i32..=self.high as i32;
            exponents.map(|exponent| 10f64.powi(exponent)).collect()
        } else {
            (0..=4).map(|quarter| self.high * f64::from(quarter) / 4.0).collect()
        }
    }
}

/// A line for each peer; the points stand side by side at equal distances.
pub(super) fn lines(svg: &mut Svg, x: f64, y: f64, result: &RowResult, figure: usize) {
    let row = result.row;
    svg.text(x + MARGIN, y + 14.0, Anchor::Start, row.figures[figure].name);
    let (left, right) = (x + PLOT_LEFT, x + PANEL_WIDTH - 2.0 * MARGIN);
    let (top, bottom) = (y + HEAD, y + HEAD + PLOT_HEIGHT);

    let peers = result.points.iter().flat_map(|point| &point.peers);
    let all: Vec<f64> = peers.filter_map(|peer| peer.figure(figure)).map(|f| f.median()).collect();
    let axis = Axis::over(&all, row.points.plot == Plot::LogLines);
    let height = |value: f64| bottom - axis.place(value) * (bottom - top);
    for tick in axis.ticks() {
        svg.line(&[(left, height(tick)), (right, height(tick))], GRID, 1.0);
        svg.text(left - 6.0, height(tick) + 4.0, Anchor::End, &short(tick));
    }
    let gap = (right - left - 24.0) / (result.points.len().max(2) - 1) as f64;
    let across = |place: usize| left + 12.0 + gap * place as f64;
    for (place, point) in result.points.iter().enumerate() {
        svg.text(across(place), bottom + 16.0, Anchor::Middle, &point_name(point.point));
    }
    svg.text((left + right) / 2.0, bottom + 34.0, Anchor::Middle, row.points.unit);

    let first = result.points.first().map(|point| point.peers.as_slice()).unwrap_or_default();
    for (number, peer) in first.iter().enumerate().rev() {
        let points: Vec<(f64, f64)> = result
            .points
            .iter()
            .enumerate()
            .filter_map(|(place, point)| Some((place, point.peers.get(number)?.figure(figure)?)))
            .map(|(place, sorted)| (across(place), height(sorted.median())))
            .collect();
        svg.line(&points, colour(peer.kind), 2.0);
        points.iter().for_each(|(x, y)| svg.dot(*x, *y, colour(peer.kind)));
    }
}

/// Powers of two as such, other numbers in full.
fn point_name(point: u64) -> String {
    match point {
        mebi if mebi > 0 && mebi.is_multiple_of(1 << 20) => format!("{} Mi", mebi >> 20),
        kibi if kibi > 0 && kibi.is_multiple_of(1 << 10) => format!("{} Ki", kibi >> 10),
        other => other.to_string(),
    }
}

/// A number of at most a few characters.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        size if size >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ends() {
        let axis = Axis::over(&[3.0, 17.0], false);
        assert_eq!((axis.low, axis.high), (0.0, 20.0));
        assert_eq!(axis.place(10.0), 0.5);
        let axis = Axis::over(&[0.03, 800.0], true);
        assert_eq!(axis.ticks(), [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!((axis.place(0.01), axis.place(1000.0)), (0.0, 1.0));
    }

    #[test]
    fn numbers_are_short() {
        let points = [(0, "0"), (9_000, "9000"), (16_384, "16 Ki"), (1_048_576, "1 Mi")];
        for (point, text) in points {
            assert_eq!(point_name(point), text);
        }
        let cases = [(0.0, "0"), (12.5, "12.5"), (16_384.0, "16.384k"), (1_048_576.0, "1.049M")];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }
}
