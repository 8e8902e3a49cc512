//! Going into the background.
//!
//! Owns the fork, the new session, the standard streams, and the pipe through which the daemon
//! tells the process that was started (and that somebody waits for) how its start went. Refuses to
//! say when the daemon is ready: its caller does. The working directory and the umask stay, because
//! paths on the command line may be relative.
//!
//! Unlike C spiped we take stdin and stdout from /dev/null, so that `$(spiped ...)` returns; log
//! lines go to stderr, which stays. Next: `pidfile.rs`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

use crate::spiped::pidfile::Pidfile;

/// First byte from the daemon: it is ready.
const READY: u8 = b'R';

/// First byte from the daemon: it failed, and the reason follows.
const FAILED: u8 = b'F';

/// What the daemon does with stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stderr {
    /// It stays as it was inherited: log lines go there.
    Keep,
    /// It becomes /dev/null: log lines go to the system log.
    Discard,
}

/// The daemon while it starts: the parent process still waits to hear how that goes.
#[derive(Debug)]
#[must_use = "the parent process waits for a word"]
pub struct Starting {
    parent: PipeWriter,
    null: File,
}

/// Forks, and writes the pidfile.
///
/// Returns in the child only, which then leads a session of its own and has /dev/null for stdin
/// and stdout. The parent waits for [`Starting::release`] and exits with status 0 at once, without
/// running destructors: everything now belongs to the child. It returns from here only with an
/// error, and then no child and no pidfile is left.
///
/// To be called before any thread is started: threads do not survive a fork.
///
/// # Errors
///
/// In the parent only: the child's reason why it did not start, or why there is no child.
pub fn daemonize(pidfile: &Path) -> Result<(Starting, Pidfile), DaemonError> {
    debug_assert!(is_single_threaded(), "threads do not survive a fork");
    fork_and_wait(pidfile)
}

fn fork_and_wait(pidfile: &Path) -> Result<(Starting, Pidfile), DaemonError> {
    let (from_child, to_parent) = io::pipe().map_err(DaemonError::Pipe)?;

    // SAFETY: no other thread exists that could hold a lock in the copy of this process, as
    // `daemonize` demands, so that the child may do whatever the parent could.
    match unsafe { fork() }.map_err(DaemonError::Fork)? {
        ForkResult::Parent { child } => {
            drop(to_parent);
            Err(wait_for(child, from_child))
        }
        ForkResult::Child => {
            drop(from_child);
            Ok(become_daemon(to_parent, pidfile))
        }
    }
}

impl Starting {
    /// Lets the parent exit with status 0: whoever started us goes on. Log lines from now on go
    /// where `stderr` says.
    ///
    /// # Errors
    ///
    /// If stderr cannot be redirected; then the parent fails as well.
    pub fn release(mut self, stderr: Stderr) -> io::Result<()> {
        if stderr == Stderr::Discard {
            dup2_stderr(&self.null)?;
        }
        // The parent may be gone by an impatient signal. The daemon is none the worse for it.
        if let Err(error) = self.parent.write_all(&[READY]) {
            log::debug!("the process that started the daemon is gone: {error}");
        }
        Ok(())
    }

    /// Ends the daemon, and the parent with status 1 and this reason, one line without a newline.
    /// The pidfile goes first, or back to whom it belonged.
    pub fn fail(self, pidfile: Pidfile, reason: &dyn fmt::Display) -> ! {
        pidfile.withdraw();
        self.give_up(reason)
    }

    fn give_up(mut self, reason: &dyn fmt::Display) -> ! {
        let mut message = vec![FAILED];
        message.extend_from_slice(reason.to_string().as_bytes());
        // Without a parent that listens the reason still belongs somewhere.
        if self.parent.write_all(&message).is_err() {
            log::error!("{reason}");
        }
        exit_at_once(1)
    }
}

/// The child's part, up to the pidfile.
fn become_daemon(parent: PipeWriter, path: &Path) -> (Starting, Pidfile) {
    // If even this fails, the pipe closes as we exit, and that tells the parent.
    let null = match OpenOptions::new().read(true).write(true).open("/dev/null") {
        Ok(null) => null,
        Err(error) => {
            log::error!("cannot open /dev/null: {error}");
            exit_at_once(1)
        }
    };
    let starting = Starting { parent, null };
    if let Err(error) = detach(&starting.null) {
        starting.give_up(&format_args!("cannot become a daemon: {}", error.desc()));
    }
    match Pidfile::write(path) {
        Ok(pidfile) => {
            // Standard error is still that of whoever started us.
            pidfile.warn_of_predecessor();
            (starting, pidfile)
        }
        Err(error) => starting.give_up(&error),
    }
}

/// Leaves the terminal and whoever reads our output.
fn detach(null: &File) -> nix::Result<()> {
    setsid()?;
    dup2_stdin(null)?;
    dup2_stdout(null)
}

/// The parent's part: exits as soon as the child is ready, or returns what went wrong.
fn wait_for(child: Pid, mut from_child: PipeReader) -> DaemonError {
    let mut first = [0];
    match from_child.read_exact(&mut first) {
        Ok(()) if first[0] == READY => exit_at_once(0),
        Ok(()) => {
            let mut reason = String::new();
            match from_child.read_to_string(&mut reason) {
                Ok(_) => DaemonError::Failed(reason),
                Err(error) => DaemonError::Pipe(error),
            }
        }
        // The pipe closed without a word: the child is ending, so that this does not wait long.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            DaemonError::Ended(waitpid(child, None).ok())
        }
        Err(error) => DaemonError::Pipe(error),
    }
}

/// Ends the process without destructors and exit handlers: what they would clean up belongs to the
/// other process of the two.
fn exit_at_once(status: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions; nothing of this process is used after it.
    unsafe { libc::_exit(status) }
}

#[cfg(target_os = "linux")]
fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1)
}

/// Elsewhere there is no simple way to ask.
#[cfg(not(target_os = "linux"))]
fn is_single_threaded() -> bool {
    true
}

/// Why there is no daemon; seen by the parent.
#[derive(Debug)]
pub enum DaemonError {
    /// No pipe to the child, or an error on it.
    Pipe(io::Error),
    /// No child.
    Fork(Errno),
    /// The child's own reason.
    Failed(String),
    /// The child ended without a reason; how, if the system told.
    Ended(Option<WaitStatus>),
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe(error) => write!(f, "cannot become a daemon: pipe: {error}"),
            Self::Fork(error) => write!(f, "cannot become a daemon: fork: {}", error.desc()),
            Self::Failed(reason) => f.write_str(reason),
            Self::Ended(Some(WaitStatus::Exited(_, status))) => {
                write!(f, "the daemon ended with status {status} before it was ready")
            }
            Self::Ended(Some(WaitStatus::Signaled(_, signal, _))) => {
                write!(f, "the daemon was ended by {signal} before it was ready")
            }
            Self::Ended(_) => f.write_str("the daemon ended before it was ready"),
        }
    }
}

impl std::error::Error for DaemonError {}

#[cfg(test)]
mod tests;
