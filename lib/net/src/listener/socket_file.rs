//! The file of a UNIX socket that we listen on.
//!
//! Owns the decision whether a file in the way may be replaced, and the removal of our own. Refuses
//! to remove anything that is not a dead socket or the very file (device and inode) we created.
//! Daemons that start at the same moment take turns: whoever binds holds a lock on the directory.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::lock::Lock;

/// How long a start waits for others in the same directory, which need no millisecond.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that we created by binding to it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// None if it was gone at once: then there is nothing to remove.
    id: Option<FileId>,
}

/// A device and an inode on it. The inode is not used anew while our socket is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

/// What stands in the way.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// A process has this socket open.
    Live,
    /// The file was exchanged while we looked: another process starts or stops right now.
    Changing,
    /// It is a directory, as if somebody had left out the name of the socket.
    Directory,
    /// It is no socket, so it is none of our business.
    NotASocket,
    /// The system's word on it.
    System(io::Error),
}

impl SocketFile {
    /// Binds `socket` to `path`, replacing a dead socket's file.
    pub(super) fn bind(socket: &Socket, address: &SockAddr, path: &Path) -> Result<Self, Obstacle> {
        // Without it another one could find our socket dead between the creation of its file and
        // the end of bind(2), or remove it in place of the dead one that it has looked at.
        let directory = open_directory(path);
        let _lock = directory.as_ref().and_then(|it| Lock::wait(it, Instant::now() + PATIENCE));
        if let Err(error) = socket.bind(address) {
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(error.into());
            }
            remove_dead(path, address)?;
            socket.bind(address).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => Obstacle::Changing,
                _ => Obstacle::System(error),
            })?;
        }
        Ok(Self { path: path.to_owned(), id: FileId::of(path).ok() })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file unless it has become somebody else's. To be called while the socket is
    /// open: then no successor can have found it dead, and nothing changes under our hands.
    pub(super) fn remove_if_ours(&self) {
        if self.id.is_none() || FileId::of(&self.path).ok() != self.id {
            log::debug!("{} is not our socket any more: leaving it", self.path.display());
            return;
        }
        // After -u we may lack the right. The next start replaces the dead file in any case.
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("cannot remove {}: {error}", self.path.display());
        }
    }
}

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|found| Self::from(&found))
    }
}

impl From<&fs::Metadata> for FileId {
    fn from(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The directory of a file, to be locked. One that we may not read has to do without a lock.
fn open_directory(path: &Path) -> Option<File> {
    let directory = path.parent()?;
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(directory);
    opened.inspect_err(|error| log::debug!("no lock on {}: {error}", directory.display())).ok()
}

/// Removes a socket that no process has open; a file that is gone already is fine, too.
fn remove_dead(path: &Path, address: &SockAddr) -> Result<(), Obstacle> {
    let before = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    if before.is_dir() {
        return Err(Obstacle::Directory);
    }
    if !before.file_type().is_socket() {
        return Err(Obstacle::NotASocket);
    }

    // A stream socket would answer a stream connection, and might serve it: a daemon would go and
    // call its target. A datagram connection asks the same question and leaves no trace: EPROTOTYPE
    // tells that a process has the socket, even one that does not listen yet.
    let probe = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
            return Err(Obstacle::Live);
        }
        Err(error) => return Err(error.into()),
        Ok(()) => return Err(Obstacle::Live),
    }

    // Who knows no lock may have replaced the dead file by its own since.
    match FileId::of(path) {
        Ok(now) if now == FileId::from(&before) => {
            log::info!("replacing {}, a socket that nobody has open", path.display());
            match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => Ok(result?),
            }
        }
        _ => Err(Obstacle::Changing),
    }
}

impl From<io::Error> for Obstacle {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live | Self::Changing => {
                f.write_str("another process has this socket; stop it or choose another path")
            }
            Self::Directory => f.write_str("this is a directory; choose a path in it, or another"),
            Self::NotASocket => f.write_str(
                "there is a file that is not a socket; remove it yourself or choose another path",
            ),
            Self::System(error) => error.fmt(f),
        }
    }
}
