//! The sandbox: what both programs give up before they read the first byte from the network.
//!
//! Owns the list of what a program still [needs](Needs), the order of the layers, and the line of
//! the log that says which are active. Refuses to fail: a kernel or a container without a layer is
//! reported, and the program goes on with the others. Next: `sandbox/files.rs` (Landlock),
//! `sandbox/calls.rs` (seccomp).

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;

use std::path::PathBuf;

/// What is left to do in the sandbox beside serving descriptors that are open, and sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Names are looked up again: with the resolver's files and libraries.
    pub names: bool,
    /// A file that is read, the very one that is there now.
    pub reads: Option<PathBuf>,
    /// Files that are read again under their names, which may be other files by then.
    pub renewed: Vec<PathBuf>,
    /// Files that are removed at the end.
    pub removes: Vec<PathBuf>,
}

/// Enters the sandbox, for good, and logs what is active.
///
/// To be called when everything is open, when `-u` is done, and before any thread is started:
/// Landlock binds the calling thread, and those that it starts later.
pub fn enter(needs: &Needs) {
    imp::enter(needs);
}

/// Logs that there is none, at the user's wish.
pub fn stay_out() {
    log::info!("sandbox: off (--no-sandbox)");
}

#[cfg(target_os = "linux")]
mod imp {
    use super::{Needs, calls, files};

    pub(super) fn enter(needs: &Needs) {
        // Without this one, nobody but root may have the other two.
        if let Err(error) = nix::sys::prctl::set_no_new_privs() {
            log::warn!("sandbox: none, the kernel refuses no_new_privs: {}", error.desc());
            return;
        }
        // Files first: the second filter might be taken to concern what sets up the first.
        let files = files::restrict(needs).unwrap_or_else(|error| format!("no Landlock ({error})"));
        let calls = match calls::restrict() {
            Ok(()) => "seccomp".to_owned(),
            Err(error) => format!("no seccomp ({error})"),
        };
        log::info!("sandbox: {files}, {calls}, no_new_privs");
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::Needs;

    pub(super) fn enter(_needs: &Needs) {
        log::info!("sandbox: none on this system");
    }
}
