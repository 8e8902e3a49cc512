//! What the system lets us have: descriptors, above all.
//!
//! Owns the descriptor limit, how many connections fit below it, and which errors mean that
//! something has run short. Refuses to act on them: `event_loop.rs` pauses accepting.
//! Next: `signal.rs`.

use std::fs;
use std::io;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors of a connection: one socket to either side.
const PER_CONNECTION: usize = 2;

/// Descriptors that connections leave free: 3 for the resolver (its configuration file or hosts,
/// and a socket each for IPv4 and IPv6), 1 for a new connection to the system log, and 3 for
/// connections attempted in parallel, whose losers are closed as soon as one has won.
const RESERVE: usize = 7;

/// What we take to be open where the system cannot tell us: more than a daemon needs.
const ASSUMED_OPEN: usize = 16;

/// Raises the soft limit on descriptors to the hard one, and returns the limit that now holds.
///
/// # Errors
///
/// If the limit can be neither read nor kept. A limit that cannot be raised stays as it is.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= hard {
        return Ok(soft);
    }
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Ok(hard),
        // Some systems promise more than they allow.
        Err(error) => {
            log::debug!("cannot raise the limit of {soft} descriptors to {hard}: {error}");
            Ok(soft)
        }
    }
}

/// How many descriptors this process has open now.
///
/// # Errors
///
/// Where the system does not list them in /dev/fd, as in a bare chroot.
pub fn open_descriptors() -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/dev/fd")? {
        entry?;
        count += 1;
    }
    // The list includes the one that it was read through.
    Ok(count - 1)
}

/// How many connections fit beside what is open now, below the soft limit: possibly none.
///
/// To be asked once everything that stays open is open. A few descriptors are kept in reserve for
/// the resolver, the log and connection attempts in parallel.
///
/// # Errors
///
/// If the limit cannot be read.
pub fn descriptor_budget() -> io::Result<usize> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let open = open_descriptors().unwrap_or_else(|error| {
        log::debug!("cannot count open descriptors, assuming {ASSUMED_OPEN}: {error}");
        ASSUMED_OPEN
    });
    Ok(budget(usize::try_from(soft).unwrap_or(usize::MAX), open))
}

fn budget(limit: usize, open: usize) -> usize {
    limit.saturating_sub(open).saturating_sub(RESERVE) / PER_CONNECTION
}

/// Whether an error means that the process or the machine ran out of something, so that the same
/// call may succeed later. `ENOSPC` is what epoll says when it may watch no more (epoll_ctl(2)).
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tight_limit_leaves_room_for_twelve() {
        assert_eq!(budget(40, 9), 12);
    }

    #[test]
    fn the_budget_never_goes_below_nothing() {
        assert_eq!(budget(16, 9), 0);
        assert_eq!(budget(8, 9), 0);
        assert_eq!(budget(1 << 20, 9), ((1 << 20) - 16) / 2);
        assert_eq!(budget(usize::MAX, 9), (usize::MAX - 16) / 2);
    }

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let raised = raise_descriptor_limit().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (raised, raised));
        // Within a chroot we would only assume; here the system tells.
        let open = open_descriptors().unwrap();
        assert!(open >= 3, "{open}");
        assert!(descriptor_budget().unwrap() > 0);
    }

    #[test]
    fn shortages_are_known() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(is_shortage(&io::Error::from_raw_os_error(code)), "{code}");
        }
        for code in [libc::EAGAIN, libc::ECONNABORTED, libc::EINTR] {
            assert!(!is_shortage(&io::Error::from_raw_os_error(code)), "{code}");
        }
        assert!(!is_shortage(&io::Error::other("text")));
    }
}
