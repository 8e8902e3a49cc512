//! A soak: traffic of every kind at once, for as long as asked, every byte of it verified; and
//! memory and descriptors of all daemons, looked at whenever the traffic rests, stay what they
//! were.
//!
//! `SOAK_SECONDS` says how long (a few, if not given; `make soak` gives an hour), `SOAK_CROWD` how
//! many connections are open all the while, `SOAK_SEED` which choices are made. It owns the order
//! of things and the verdict. Next: `traffic.rs`, what is sent; `target.rs`, who receives it;
//! `crowd.rs`, connections that stay; `watch.rs`, what is measured.

#![cfg(target_os = "linux")]

mod crowd;
mod dice;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod target;
mod traffic;
mod watch;

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crowd::Crowd;
use dice::Dice;
use scene::Scene;
use watch::Watch;

/// Threads that make one connection after the other.
const WORKERS: u64 = 24;
/// Threads that look after the crowd.
const KEEPERS: usize = 4;
/// How often the traffic rests, and everything is counted: once in this time, but within limits.
const BETWEEN_RESTS: u64 = 60;
const RESTS: (u64, u64) = (4, 60);
/// Descriptors that this process needs beside two for each member of the crowd.
const SPARE_DESCRIPTORS: u64 = 2000;

/// What all threads share.
pub(crate) struct Soak {
    scene: Scene,
    /// Held for reading by whoever makes traffic, and for writing while it rests.
    rest: RwLock<()>,
    over: AtomicBool,
    connections: AtomicU64,
    bytes: AtomicU64,
}

impl Soak {
    /// Does `work` again and again until the soak is over; all work pauses while there is a rest.
    fn repeat(&self, mut work: impl FnMut()) {
        // A thread that panics must not leave the others to go on for an hour.
        let _alarm = target::Alarm(&self.over);
        while !self.over.load(Ordering::SeqCst) && !self.scene.target.has_failed() {
            let _awake = self.rest.read().expect("nobody panics while the traffic rests");
            work();
        }
    }

    /// A connection more, and so many verified bytes.
    pub(crate) fn count(&self, bytes: u64) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}"))
    })
}

/// Rests now and then, and looks at the daemons each time; then the traffic ends.
fn supervise(soak: &Soak, duration: Duration, crowd: &Crowd, watch: &mut Watch) {
    let _alarm = target::Alarm(&soak.over);
    let start = Instant::now();
    let rests = (duration.as_secs() / BETWEEN_RESTS).clamp(RESTS.0, RESTS.1);
    let rests = u32::try_from(rests).expect("not many");
    for rest in 1..=rests {
        let until = start + duration * rest / rests;
        while Instant::now() < until && !soak.over.load(Ordering::SeqCst) {
            // A step of a soak that has to last a while.
            std::thread::sleep(Duration::from_millis(20));
        }
        if soak.over.load(Ordering::SeqCst) || soak.scene.target.has_failed() {
            break;
        }
        let _asleep = soak.rest.write().expect("nobody panics while the traffic rests");
        watch.look(&soak.scene, crowd.size());
        let (connections, bytes) = (&soak.connections, &soak.bytes);
        let (connections, bytes) =
            (connections.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
        let seconds = start.elapsed().as_secs();
        let last = watch.last();
        support::say(&format!(
            "soak: {seconds} s, {connections} connections, {} MB verified; {last}",
            bytes >> 20
        ));
    }
    soak.over.store(true, Ordering::SeqCst);
}

#[test]
fn traffic_of_every_kind_leaves_nothing_behind() {
    let duration = Duration::from_secs(number("SOAK_SECONDS", 4));
    let size = usize::try_from(number("SOAK_CROWD", 200)).expect("a size");
    let seed = number("SOAK_SEED", 1);
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("RLIMIT_NOFILE");
    assert!(most > 2 * size as u64 + SPARE_DESCRIPTORS, "too few descriptors (ulimit -n {most})");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("RLIMIT_NOFILE");

    let mut soak = Soak {
        scene: Scene::start(),
        rest: RwLock::new(()),
        over: AtomicBool::new(false),
        connections: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    let mut watch = Watch::start(&soak.scene);
    let crowd = Crowd::new(size, KEEPERS);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let soak = &soak;
            let mut dice = Dice::new(seed * 1_000_000 + worker);
            scope.spawn(move || soak.repeat(|| traffic::any(soak, &mut dice)));
        }
        for (keeper, members) in crowd.shares().iter().enumerate() {
            let soak = &soak;
            let mut dice = Dice::new(seed * 1_000_000 + 500_000 + keeper as u64);
            scope.spawn(move || {
                members.enter(soak, &mut dice);
                soak.repeat(|| members.visit(soak, &mut dice));
            });
        }
        supervise(&soak, duration, &crowd, &mut watch);
    });
    assert!(!soak.scene.target.has_failed(), "the target got something else than was sent");
    drop(crowd);
    watch.look(&soak.scene, 0);
    watch.judge();
    soak.scene.stop();
}
