//! What a row of the benchmark is: a measurement at one or several points, figures, and goals.
//!
//! Owns the vocabulary only. Next: `rows.rs`, the rows themselves.

use std::fmt;

use crate::Outcome;
use crate::peer::{Kind, Peer};
use crate::room::Bench;

/// One measurement, of every peer, at every point.
pub(crate) struct Row {
    /// For the command line and for files.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Who can do this.
    pub(crate) peers: &'static [Kind],
    /// Programs without which the row is left out.
    pub(crate) needs: &'static [&'static str],
    /// What is varied: streams, connections, bytes. A single point has no name for it.
    pub(crate) points: Points,
    /// The figures, in the order in which `measure` returns them.
    pub(crate) figures: &'static [Figure],
    /// Rounds at most, because they take long.
    pub(crate) max_rounds: u32,
    pub(crate) measure: fn(&Bench, &Peer, u64) -> Outcome<Vec<f64>>,
}

/// What is varied within a row.
#[derive(Clone, Copy)]
pub(crate) struct Points {
    pub(crate) unit: &'static str,
    pub(crate) full: &'static [u64],
    pub(crate) quick: &'static [u64],
    /// How they are plotted.
    pub(crate) plot: Plot,
}

/// How a row is plotted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plot {
    /// A bar for each peer.
    Bars,
    /// A line for each peer over the points, side by side as they are named; the figures from 0.
    Lines,
    /// The same, the figures in powers of ten.
    LogLines,
}

impl Points {
    pub(crate) const ONE: Self = Self { unit: "", full: &[1], quick: &[1], plot: Plot::Bars };

    /// "64 streams", or nothing if there is only one point.
    pub(crate) fn name(&self, point: u64) -> String {
        let unit = if point == 1 { self.unit.trim_end_matches('s') } else { self.unit };
        if unit.is_empty() { String::new() } else { format!("{point} {unit}") }
    }
}

/// One figure of a row.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) decimals: usize,
    pub(crate) goals: &'static [Goal],
}

/// What ours should reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// The figure itself.
    Itself(Bound),
    /// Its ratio to the figure of another in the same round.
    Against(Kind, Bound),
    /// The figure of another way that ours can be set up.
    Of(Kind, Bound),
}

/// Where a figure should lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub(crate) fn met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound:.2}"),
            Self::AtMost(bound) => write!(f, "at most {bound:.2}"),
        }
    }
}

impl Figure {
    /// What is wanted of the figure itself.
    pub(crate) fn own_goal(&self) -> Option<Bound> {
        self.goals.iter().find_map(|goal| match goal {
            Goal::Itself(bound) => Some(*bound),
            Goal::Against(..) | Goal::Of(..) => None,
        })
    }

    /// What is wanted of the figure of ours, set up as `kind`.
    pub(crate) fn goal_of(&self, kind: Kind) -> Option<Bound> {
        self.goals.iter().find_map(|goal| match goal {
            Goal::Of(other, bound) if *other == kind => Some(*bound),
            _ => None,
        })
    }

    /// What is wanted of its ratio to `kind`'s.
    pub(crate) fn goal_against(&self, kind: Kind) -> Option<Bound> {
        self.goals.iter().find_map(|goal| match goal {
            Goal::Against(other, bound) if *other == kind => Some(*bound),
            _ => None,
        })
    }
}
