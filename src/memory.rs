//! What others may see of our memory: nothing.
//!
//! Owns the ways in which a process's memory leaves it: core dumps, and debuggers of the same user.
//! Refuses to know what is in there: secrets are wiped by lib/proto. Next: `key.rs`.

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
