//! What the tests of the programs share: rooms, daemons, servers. A second implementation of the
//! protocol, and bytes to send, are in `tests/peer`.
//!
//! It owns: the two implementations under test ([`Implementation`]), deadlines, and the one way
//! of waiting ([`wait_until`]). It refuses: fixed ports, sleeps instead of events, and any help
//! from the crates under test. Next: `process.rs` starts and stops programs.

// Every test file compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

pub(crate) mod address;
pub(crate) mod foreign;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) mod inject;
pub(crate) mod kernel;
pub(crate) mod memory;
pub(crate) mod peer;
pub(crate) mod pipes;
pub(crate) mod process;
pub(crate) mod room;
pub(crate) mod servers;
pub(crate) mod tunnel;
pub(crate) mod web;

use std::time::{Duration, Instant};

pub(crate) use address::Address;
pub(crate) use peer::{Implementation, Program};
pub(crate) use process::Daemon;
pub(crate) use room::Room;
pub(crate) use servers::Server;

/// How long anything may take before a test gives up. Generous: the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How long we watch for something that must *not* happen.
pub(crate) const QUIET: Duration = Duration::from_millis(400);

/// Panics unless a daemon has refused a peer by ending the connection: an answer that is not as it
/// should be is an answer, too.
#[track_caller]
pub(crate) fn refused<T>(outcome: std::io::Result<T>) {
    let error = outcome.err().expect("the daemon refuses this peer");
    assert_ne!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
}

/// Waits until `condition` holds and returns true, or returns false after `limit`.
pub(crate) fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        // Polling step of a wait that has a condition and a deadline; nothing relies on its length.
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Waits until `condition` holds; panics with `what` after [`DEADLINE`].
#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(DEADLINE, condition), "still waiting after {DEADLINE:?}: {what}");
}

/// Says loudly that a test, or the rest of it, did not run, and why; panics in CI.
#[track_caller]
pub(crate) fn skip(test: &str, why: &str) {
    assert!(!in_ci(), "{test}: {why}");
    skip_even_in_ci(test, why);
}

/// The same where no package and no right would help, as it is the kernel that lacks something.
/// SECURITY.md names whatever uses this.
pub(crate) fn skip_even_in_ci(test: &str, why: &str) {
    say(&format!("\n*** SKIPPED: {test}: {why} ***\n"));
}

/// Writes a line to the real stderr: what the macros print is hidden if a test passes.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    // With no stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// True where the tests must not skip anything.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}
