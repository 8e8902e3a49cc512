//! The pidfile: written at start, removed at the end if it still is ours.
//!
//! Owns its name, its content (the process id in decimal, without a newline, as C spiped writes it)
//! and the care that two daemons which follow one another on the same file never harm each other:
//! whoever writes or removes it holds a lock on it meanwhile, and a start that fails leaves the
//! file to the daemon that had it before. Refuses to hinder a start because of an old pidfile:
//! whether the daemon that it names still runs is good for a warning only, as the addresses in use
//! tell better whether there is room for both. Next: `user.rs`.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use spiped_net::addr::Address;
use spiped_net::explain::in_words;
use spiped_net::lock::Lock;

/// How long a start waits for whoever holds the lock: a predecessor needs no millisecond, but a
/// stranger (`flock x.pid spiped -p x.pid` is one) may never let go.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pidfile that holds this process's id. It is removed when this is dropped.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    /// What it held before, if that was the id of another living process.
    predecessor: Option<String>,
}

/// Where the pidfile is without `-p`: the source address as the user wrote it, and `.pid`; of a URL
/// host and port, or the path of the socket.
#[must_use]
pub fn default_path(source: &str) -> PathBuf {
    match Address::parse(source) {
        Ok(address) => PathBuf::from(format!("{}.pid", address.socket())),
        // Of a socket that is passed to us; of no address, which is never written.
        Err(_) => PathBuf::from(format!("{source}.pid")),
    }
}

impl Pidfile {
    /// Writes this process's id, in place of whatever the file held before.
    ///
    /// A new file gets mode 0666 less the umask. `/dev/null` or a FIFO will do as well; opening a
    /// FIFO waits for its reader.
    ///
    /// # Errors
    ///
    /// Names the file. One that could not be written whole is not left behind, or left as it was if
    /// it is a living daemon's.
    pub fn write(path: &Path) -> Result<Self, PidfileError> {
        Self::try_write(path).map_err(|error| PidfileError { path: path.to_owned(), error })
    }

    fn try_write(path: &Path) -> io::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Truncated only under the lock: a predecessor may be reading its own id just now.
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            if !file.metadata()?.is_file() {
                (&file).write_all(id().as_bytes())?;
                return Ok(Self { path: path.to_owned(), predecessor: None });
            }
            let _lock = Lock::wait(&file, deadline);

            // While we waited, a predecessor may have removed the file that we had opened.
            if !is_still_at(&file, fs::metadata(path)) && Instant::now() < deadline {
                continue;
            }
            let predecessor = predecessor(path);
            let written = replace(&file, &id());
            if written.is_err() {
                undo(&file, path, predecessor.as_deref());
            }
            written?;
            return Ok(Self { path: path.to_owned(), predecessor });
        }
    }

    /// Warns if the file was another living daemon's, which from now on has none. Advises no
    /// signal: a predecessor that finishes its connections would cut them short.
    pub fn warn_of_predecessor(&self) {
        if let Some(pid) = self.predecessor.as_deref().map(str::trim_ascii_end)
            && is_daemon(pid)
        {
            log::warn!(
                "the pidfile {:?} was that of process {pid}, which still runs, or finishes its \
                 connections; from now on the file names this one. If both are meant to stay, \
                 give each its own -p",
                self.path
            );
        }
    }

    /// Where it is, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// At the regular end: removes the file, if it is a regular file that still holds our process
    /// id.
    pub fn remove_if_ours(self) {
        drop(self);
    }

    /// At the end of a start that failed: gives the file back to the daemon that had it before, if
    /// that one still lives, and removes it otherwise.
    pub fn withdraw(self) {
        if let Some(predecessor) = self.predecessor.as_deref().filter(|text| is_another(text))
            && let Err(kept) = self.try_give_back(predecessor)
        {
            log::debug!("cannot give {} back: {kept}", self.path.display());
        }
        // What is not ours any more now stays when this is dropped.
    }

    fn try_give_back(&self, predecessor: &str) -> Result<(), Kept> {
        // Through a link, too: that is how it was written.
        let file = self.lock_if_ours(OpenOptions::new().write(true), fs::metadata, 0)?;
        Ok(replace(&file, predecessor)?)
    }

    fn try_remove(&self) -> Result<(), Kept> {
        let options = &mut OpenOptions::new();
        let _file = self.lock_if_ours(options, fs::symlink_metadata, libc::O_NOFOLLOW)?;
        Ok(fs::remove_file(&self.path)?)
    }

    /// The file, locked, if it is a regular file that holds our id. No successor writes to it
    /// before it is closed, so all that was found stays true.
    fn lock_if_ours(
        &self,
        options: &mut OpenOptions,
        look: fn(PathBuf) -> io::Result<Metadata>,
        flags: i32,
    ) -> Result<File, Kept> {
        // Look before opening: opening a FIFO would block, and a device may do anything.
        if !look(self.path.clone())?.is_file() {
            return Err(Kept::NotAFile);
        }
        let file = options.read(true).custom_flags(flags | libc::O_NONBLOCK).open(&self.path)?;
        match file.try_lock() {
            Ok(()) => {}
            // Someone is writing to it, so it is not ours for much longer.
            Err(TryLockError::WouldBlock) => return Err(Kept::NotOurs),
            // Not every file system has locks. Then the look below has to do.
            Err(TryLockError::Error(error)) => log::debug!("cannot lock the pidfile: {error}"),
        }
        if content(&file)? != id() || !is_still_at(&file, look(self.path.clone())) {
            return Err(Kept::NotOurs);
        }
        Ok(file)
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

/// The id of another living process, if the file holds one.
fn predecessor(path: &Path) -> Option<String> {
    // Not through the descriptor that writes: we may be allowed to write only. Then, and with any
    // other content, there is nobody to give the file back to.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    content(&file).ok().filter(|text| is_another(text))
}

/// Whether this is the id of another living process.
fn is_another(text: &str) -> bool {
    // 0 and negative numbers stand for groups of processes.
    let Some(pid) = text.trim_ascii_end().parse().ok().filter(|pid: &i32| *pid > 0) else {
        return false;
    };
    // EPERM: it lives, and is another user's.
    text != id() && matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM))
}

/// Whether the living process is an spiped, or may be one: after a crash or a reboot its number may
/// be anybody's.
fn is_daemon(pid: &str) -> bool {
    let name = |pid: &str| fs::read(format!("/proc/{pid}/comm")).ok();
    let [ours, theirs] = ["self", pid].map(name);
    // Without /proc nobody knows.
    theirs.is_none_or(|theirs| theirs == b"spiped\n" || Some(theirs) == ours)
}

/// What an open file holds, as far as that can be a process id.
fn content(file: &File) -> io::Result<String> {
    let mut content = String::new();
    file.take(64).read_to_string(&mut content)?;
    Ok(content)
}

/// Writes `text` in place of whatever the file holds.
fn replace(file: &File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all_at(text.as_bytes(), 0)
}

/// A file that could not be written whole gets back what it held, if that is still needed and goes
/// in; otherwise it goes.
fn undo(file: &File, path: &Path, predecessor: Option<&str>) {
    if predecessor.is_some_and(|text| replace(file, text).is_ok()) {
        return;
    }
    // Never a link to it: that was there before us.
    if is_still_at(file, fs::symlink_metadata(path))
        && let Err(error) = fs::remove_file(path)
    {
        log::debug!("cannot remove {}: {error}", path.display());
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
        let why = match error.kind() {
            io::ErrorKind::NotFound => "its directory does not exist".to_owned(),
            _ => in_words(error),
        };
        write!(f, "cannot write the pidfile {path:?}: {why}; choose another one with -p")
    }
}

impl std::error::Error for PidfileError {}

#[cfg(test)]
mod tests;
