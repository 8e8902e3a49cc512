//! The pidfile: written at start, removed at the end if it still is ours.
//!
//! Owns its name, its content (the process id in decimal, without a newline, as C spiped writes it)
//! and the care that two daemons which follow one another on the same file never harm each other:
//! whoever writes or removes it holds a lock on it meanwhile. Refuses to tell from an old pidfile
//! whether a daemon runs; the addresses in use tell that better. Next: `user.rs`.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;

/// How long a start waits for whoever holds the lock: a predecessor needs no millisecond, but a
/// stranger (`flock x.pid spiped -p x.pid` is one) may never let go.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// A pidfile that holds this process's id. It is removed when this is dropped.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
}

/// Where the pidfile is without `-p`: the source address as the user wrote it, and `.pid`.
#[must_use]
pub fn default_path(source: &impl fmt::Display) -> PathBuf {
    PathBuf::from(format!("{source}.pid"))
}

impl Pidfile {
    /// Writes this process's id, in place of whatever the file held before.
    ///
    /// A new file gets mode 0666 less the umask. `/dev/null` or a FIFO will do as well; opening a
    /// FIFO waits for its reader.
    ///
    /// # Errors
    ///
    /// Names the file. A file that could not be written whole is not left behind.
    pub fn write(path: &Path) -> Result<Self, PidfileError> {
        Self::try_write(path).map_err(|error| PidfileError { path: path.to_owned(), error })
    }

    fn try_write(path: &Path) -> io::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Truncated only under the lock: a predecessor may be reading its own id just now.
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            if !file.metadata()?.is_file() {
                file.write_all(id().as_bytes())?;
                return Ok(Self { path: path.to_owned() });
            }
            lock_until(&file, deadline);

            // While we waited, a predecessor may have removed the file that we had opened.
            if !is_still_at(&file, fs::metadata(path)) && Instant::now() < deadline {
                continue;
            }
            let written = file.set_len(0).and_then(|()| file.write_all(id().as_bytes()));
            // Never a link to it: that was there before us.
            if written.is_err()
                && is_still_at(&file, fs::symlink_metadata(path))
                && let Err(error) = fs::remove_file(path)
            {
                log::debug!("cannot remove {}: {error}", path.display());
            }
            // Closing would do as well, were there not copies of the descriptor in a process that
            // somebody forks just now.
            if let Err(error) = file.unlock() {
                log::debug!("cannot unlock {}: {error}", path.display());
            }
            written?;
            return Ok(Self { path: path.to_owned() });
        }
    }

    /// Removes the file, if it is a regular file that still holds our process id.
    pub fn remove_if_ours(self) {
        drop(self);
    }

    fn try_remove(&self) -> Result<(), Kept> {
        // Look before opening: opening a FIFO would block, and a device may do anything.
        if !fs::symlink_metadata(&self.path)?.is_file() {
            return Err(Kept::NotAFile);
        }
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        match file.try_lock() {
            Ok(()) => {}
            // Someone is writing to it, so it is not ours for much longer.
            Err(TryLockError::WouldBlock) => return Err(Kept::NotOurs),
            // Not every file system has locks. Then the look below has to do.
            Err(TryLockError::Error(error)) => log::debug!("cannot lock the pidfile: {error}"),
        }

        // Under the lock no successor writes, so what we see now holds until the file is gone.
        let mut content = String::new();
        (&file).take(64).read_to_string(&mut content)?;
        if content != id() || !is_still_at(&file, fs::symlink_metadata(&self.path)) {
            return Err(Kept::NotOurs);
        }
        Ok(fs::remove_file(&self.path)?)
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // After -u we often may not remove it. That is how it is, and no reason to worry anyone.
        if let Err(kept) = self.try_remove() {
            log::debug!("leaving the pidfile {}: {kept}", self.path.display());
        }
    }
}

/// What the file holds while it is ours.
fn id() -> String {
    process::id().to_string()
}

/// Locks the file, or goes on without the lock if nobody lets us have it in time: a start must not
/// hang for the sake of a race that lasts microseconds.
fn lock_until(file: &File, deadline: Instant) {
    loop {
        match file.try_lock() {
            Ok(()) => return,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(error) => {
                log::debug!("writing the pidfile without a lock: {error}");
                return;
            }
        }
    }
}

/// Whether what was found at the file's path is the open file itself.
fn is_still_at(file: &File, found: io::Result<Metadata>) -> bool {
    match (file.metadata(), found) {
        (Ok(open), Ok(found)) => (open.dev(), open.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// Why a pidfile stays.
enum Kept {
    NotAFile,
    NotOurs,
    System(io::Error),
}

impl From<io::Error> for Kept {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile => f.write_str("it is no regular file"),
            Self::NotOurs => f.write_str("it is another process's by now"),
            Self::System(error) => error.fmt(f),
        }
    }
}

/// A pidfile that could not be written.
#[derive(Debug)]
pub struct PidfileError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for PidfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, error } = self;
        write!(f, "cannot write the pidfile {path:?}: {error}; choose another one with -p")
    }
}

impl std::error::Error for PidfileError {}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;

    fn in_a_directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pid");
        (dir, path)
    }

    #[test]
    fn the_default_is_named_after_the_source() {
        assert_eq!(default_path(&"[127.0.0.1]:8025"), Path::new("[127.0.0.1]:8025.pid"));
        assert_eq!(default_path(&"/run/s"), Path::new("/run/s.pid"));
    }

    #[test]
    fn it_holds_the_id_alone_and_goes_at_the_end() {
        let (_dir, path) = in_a_directory();
        fs::write(&path, "an old and longer content\n").unwrap();
        let pidfile = Pidfile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), process::id().to_string());
        pidfile.remove_if_ours();
        assert!(!path.exists());
    }

    #[test]
    fn a_successors_pidfile_stays() {
        let (_dir, path) = in_a_directory();
        for theirs in ["1", "", "12345678901234567890"] {
            let pidfile = Pidfile::write(&path).unwrap();
            fs::write(&path, theirs).unwrap();
            pidfile.remove_if_ours();
            assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
        }
    }

    #[test]
    fn a_pidfile_that_is_being_written_stays() {
        let (_dir, path) = in_a_directory();
        let pidfile = Pidfile::write(&path).unwrap();
        let successor = File::open(&path).unwrap();
        successor.lock().unwrap();
        pidfile.remove_if_ours();
        assert!(path.exists());
    }

    #[test]
    fn a_pidfile_removed_while_we_wait_for_it_is_made_anew() {
        let (_dir, path) = in_a_directory();
        let predecessor = File::create(&path).unwrap();
        predecessor.lock().unwrap();
        let (written, result) = mpsc::channel();
        let writer = {
            let path = path.clone();
            thread::spawn(move || written.send(Pidfile::write(&path).unwrap()))
        };
        fs::remove_file(&path).unwrap();
        drop(predecessor);
        let pidfile = result.recv_timeout(Duration::from_secs(30)).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), process::id().to_string());
        drop(pidfile);
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_that_nobody_gives_back_does_not_stop_us() {
        let (_dir, path) = in_a_directory();
        let stranger = File::create(&path).unwrap();
        stranger.lock().unwrap();
        let pidfile = Pidfile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), process::id().to_string());
        drop((pidfile, stranger));
    }

    #[test]
    fn what_is_no_regular_file_is_written_but_never_removed() {
        let (dir, target) = in_a_directory();
        Pidfile::write(Path::new("/dev/null")).unwrap().remove_if_ours();
        assert!(Path::new("/dev/null").exists());

        let link = dir.path().join("link");
        symlink(&target, &link).unwrap();
        Pidfile::write(&link).unwrap().remove_if_ours();
        assert_eq!(fs::read_to_string(&target).unwrap(), process::id().to_string());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

        let fifo = dir.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let reader = {
            let fifo = fifo.clone();
            thread::spawn(move || fs::read_to_string(fifo).unwrap())
        };
        Pidfile::write(&fifo).unwrap().remove_if_ours();
        assert_eq!(reader.join().unwrap(), process::id().to_string());
        assert!(fifo.exists());
    }

    #[test]
    fn what_cannot_be_written_is_an_error_that_names_it() {
        let (dir, _) = in_a_directory();
        for path in [Path::new("/dev/full"), dir.path(), &dir.path().join("none/x.pid")] {
            let text = Pidfile::write(path).unwrap_err().to_string();
            assert!(text.starts_with(&format!("cannot write the pidfile {path:?}: ")), "{text}");
            assert!(text.ends_with("-p"), "{text}");
        }
        assert!(Path::new("/dev/full").exists());
    }
}
