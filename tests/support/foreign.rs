//! Programs that other people wrote, such as web servers and proxies: found, started and ended.
//!
//! Where they are missing, or may not do what is needed, tests that want them are skipped loudly,
//! and fail where `CI=true`.
//! Next: `web.rs`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};

use super::process::{self, Log};
use super::{Address, DEADLINE, holds_within, wait_until};

/// The variables that name proxies: none of the machine's may reach a program under test.
const PROXIES: [&str; 7] =
    ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/// Takes the machine's proxies out of a command's environment.
pub(crate) fn without_proxies(command: &mut Command) -> &mut Command {
    for name in PROXIES {
        command.env_remove(name);
    }
    command
}

/// Where a program is: on PATH, or where daemons live, which is not on everybody's PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    dirs.extend(["/usr/sbin".into(), "/usr/local/sbin".into(), "/sbin".into()]);
    dirs.into_iter().map(|dir| dir.join(program)).find(|found| found.is_file())
}

/// True if all of `programs` are there; otherwise says so, or panics in CI.
pub(crate) fn have(test: &str, programs: &[&str]) -> bool {
    let Some(missing) = programs.iter().find(|program| find(program).is_none()) else {
        return true;
    };
    super::skip(test, &format!("{missing} is not installed"));
    false
}

/// Whether this user may have mounts of its own; otherwise says so, or panics in CI.
pub(crate) fn may_mount(test: &str) -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    if tried.is_ok_and(|output| output.status.success()) {
        return true;
    }
    super::skip(test, "only root may mount, outside of most containers");
    false
}

/// Whether strace is there and may trace; otherwise says so, or panics in CI.
pub(crate) fn have_strace(test: &str) -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if works.is_ok_and(|status| status.success()) {
        return true;
    }
    super::skip(test, "strace is not installed, or may not trace");
    false
}

/// Another program in the foreground. Killed when dropped.
pub(crate) struct Foreign {
    child: Child,
    log: Log,
    name: String,
}

impl Foreign {
    /// Starts it, and waits until it can be reached at each of `addresses`.
    #[track_caller]
    pub(crate) fn start(program: &str, command: &mut Command, addresses: &[&Address]) -> Self {
        without_proxies(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let log = Log::read(child.stderr.take().expect("stderr is piped"));
        let mut foreign = Self { child, log, name: program.to_owned() };
        wait_until(&format!("{program} listens"), || {
            let ended = foreign.child.try_wait().expect("wait");
            assert!(ended.is_none(), "{program}: {}", foreign.log.text());
            // At whatever address: some listen at all of them.
            addresses.iter().all(|address| address.connect().is_ok())
        });
        foreign
    }

    /// What it has written to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // Told to end, a server of several processes ends them all; killed, it may not.
        let _ = kill(process::pid_of(&self.child), Signal::SIGTERM);
        holds_within(DEADLINE, || matches!(self.child.try_wait(), Ok(Some(_))));
        process::end(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log.text());
        }
    }
}
