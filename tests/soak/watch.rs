//! Memory and descriptors of the daemons, whenever the traffic rests. Next: nothing; this is all.

use std::fmt::Write;
use std::time::Duration;

use crate::scene::Scene;
use crate::support::{holds_within, kernel};

/// By how much a daemon may grow after the first third of the soak, in KiB. What it needs for the
/// most connections it ever had at once it has had by then; a leak goes on growing.
const GROWTH_KIB: u64 = 1024;
/// Until the last connection of before a rest is over: the daemons' -o, and some.
const SETTLING: Duration = Duration::from_secs(100);

/// What a daemon has.
struct Daemon {
    name: &'static str,
    /// Descriptors before the first connection.
    descriptors: usize,
    resident: Vec<u64>,
}

/// What all daemons have had.
pub(crate) struct Watch(Vec<Daemon>);

impl Watch {
    /// Before the first connection.
    pub(crate) fn start(scene: &Scene) -> Self {
        let daemon = |(name, pid)| Daemon {
            name,
            descriptors: kernel::descriptors(pid),
            resident: Vec::new(),
        };
        Self(scene.processes().map(daemon).collect())
    }

    /// While the traffic rests: nobody is left but `crowd` clients of the tunnel over TCP.
    #[track_caller]
    pub(crate) fn look(&mut self, scene: &Scene, crowd: usize) {
        for (daemon, (name, pid)) in self.0.iter_mut().zip(scene.processes()) {
            let members = if matches!(name, "-e" | "-d") { crowd } else { 0 };
            let expected = daemon.descriptors + 2 * members;
            let settled = || kernel::descriptors(pid) == expected;
            assert!(
                holds_within(SETTLING, settled),
                "{name} has {} descriptors, not {expected}",
                kernel::descriptors(pid)
            );
            daemon.resident.push(kernel::resident_kib(pid));
        }
    }

    /// What was seen last.
    pub(crate) fn last(&self) -> String {
        let mut text = "KiB".to_owned();
        for Daemon { name, resident, .. } in &self.0 {
            let kib = resident.last().expect("somebody has looked");
            write!(text, " {name}: {kib}").expect("a string takes everything");
        }
        text
    }

    /// Panics if a daemon's memory went on growing.
    #[track_caller]
    pub(crate) fn judge(&self) {
        for Daemon { name, resident, .. } in &self.0 {
            let (early, late) = resident.split_at(resident.len().div_ceil(3));
            let most = |some: &[u64]| some.iter().copied().max().expect("the soak had rests");
            assert!(most(late) <= most(early) + GROWTH_KIB, "{name} grew: {resident:?} KiB");
        }
    }
}
