//! Locks on files and directories that several daemons write to or remove things from.
//!
//! Owns the patience: a lock is waited for, but not for ever. Refuses to make a lock a condition:
//! they keep daemons that start and end at the same moment from harming each other, which lasts
//! microseconds, while a stranger may hold one for ever. Users: `listener/socket_file.rs`, and the
//! pidfile of `spiped`.

use std::fs::{File, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// A lock on an open file or directory, given back when this is dropped.
///
/// Closing the file would do as well, were there not copies of the descriptor in a process that
/// somebody forks just now.
#[derive(Debug)]
pub struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    /// Waits for the lock until `deadline`. `None` if somebody else still has it then, or if there
    /// are no locks on this file system: the caller goes on without.
    #[must_use]
    pub fn wait(file: &'a File, deadline: Instant) -> Option<Self> {
        loop {
            match file.try_lock() {
                Ok(()) => return Some(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(error) => {
                    log::debug!("going on without a lock: {error}");
                    return None;
                }
            }
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            log::debug!("cannot give a lock back: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_until_it_is_dropped() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (ours, theirs) = (File::open(file.path()).unwrap(), File::open(file.path()).unwrap());
        let lock = Lock::wait(&ours, Instant::now()).unwrap();
        assert!(Lock::wait(&theirs, Instant::now()).is_none());
        drop(lock);
        assert!(Lock::wait(&theirs, Instant::now()).is_some());
    }
}
