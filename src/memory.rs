//! What others may see of our memory: nothing.
//!
//! Owns the ways in which a process's memory leaves it: core dumps, debuggers of the same user, and
//! swap. Refuses to know what is in there: secrets have memory of their own (`lib/vault`).
//! Next: `key.rs`.

use log::Level;

/// Forbids core dumps, and all but root to look into this process.
///
/// To be called before anything secret is read, and again after the user has changed: the system
/// then decides anew who may look (`PR_SET_DUMPABLE`, prctl(2)).
pub fn keep_private() {
    if let Err(error) = forbid_looking() {
        let error = error.desc();
        log::warn!("core dumps cannot be forbidden, and a crash may show the key: {error}");
    }
}

fn forbid_looking() -> nix::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // The limit does not hold for core dumps that go to a program; this does.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}

/// Keeps secrets from being written to swap, as far as the limit of locked memory goes; what goes
/// beyond is said once, as a message of `level`, a warning or for the curious.
///
/// To be called before the key is read, and again in the background: locks do not survive a fork.
pub fn lock_secrets(level: Level) {
    spiped_vault::lock(match level {
        Level::Warn => |error| say_unlocked(Level::Warn, error),
        _ => |error| say_unlocked(Level::Debug, error),
    });
}

fn say_unlocked(level: Level, error: &str) {
    log::log!(level, "secrets may be written to swap: {error}; raise the limit of ulimit -l");
}
