//! A new file for a key.
//!
//! Owns the promise that no file is ever overwritten, that nobody but the owner can read the new
//! one from its first moment, that none is left that does not hold all of the key, and that it is
//! still there after a loss of power. Refuses to know what is written. Next: `run.rs`.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why there is no new file: one line with its name and what to do.
#[derive(Debug)]
pub enum CreateError {
    /// It cannot be made, and nothing has happened.
    Make(PathBuf, io::Error),
    /// It was made, and cannot be written; why it is left, if it is.
    Write(PathBuf, io::Error, Option<io::Error>),
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Make(path, error) | Self::Write(path, error, _)) = self;
        let name = path.to_string_lossy();
        match (self, error.kind()) {
            (Self::Write(_, _, None), _) => {
                write!(f, "{name:?} cannot be written: {error}; nothing is left of it")
            }
            (Self::Write(_, _, Some(left)), _) => write!(
                f,
                "{name:?} cannot be written: {error}; and it is left, since it cannot be removed: \
                 {left}"
            ),
            (_, ErrorKind::IsADirectory) => {
                write!(f, "{name:?} is a directory; choose a name in it, such as spiped.key")
            }
            (_, ErrorKind::AlreadyExists) => write!(
                f,
                "{name:?} exists already, and a key is never overwritten; choose another name, or \
                 remove it first if nobody needs it any more"
            ),
            (_, ErrorKind::NotFound) => {
                write!(f, "{name:?}: its directory does not exist; make it first")
            }
            (_, ErrorKind::NotADirectory) => {
                write!(f, "{name:?}: a part of its path is no directory; choose another place")
            }
            (_, ErrorKind::PermissionDenied) => write!(
                f,
                "{name:?}: user number {} may not make a file there; run it as the owner of the \
                 directory, or choose another place",
                nix::unistd::geteuid()
            ),
            _ => write!(f, "{name:?} cannot be made: {error}"),
        }
    }
}

/// Creates the file, which must not exist, not even as a link, and writes `bytes` to it.
///
/// # Errors
///
/// If there is one, or none can be made or written there.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), CreateError> {
    // create_new is O_EXCL.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = opened.map_err(|error| {
        let error = if path.is_dir() { ErrorKind::IsADirectory.into() } else { error };
        CreateError::Make(path.to_owned(), error)
    })?;
    fill(&file, bytes)
        .and_then(|()| keep_name(path))
        .map_err(|error| CreateError::Write(path.to_owned(), error, fs::remove_file(path).err()))
}

fn fill(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    // The umask may have taken even the owner's rights.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    // Its copy may be at the other end already when this machine loses power.
    file.sync_all()
}

/// Sees to it that the file has its name after a loss of power, too.
fn keep_name(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        // Who may make files there need not be allowed to list them; and there are file systems
        // that cannot do this for a directory.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_alone_can_read_it_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create(&path, b"secret").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);

        let error = create(&path, b"another").unwrap_err().to_string();
        assert!(error.contains("exists already, and a key is never overwritten"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        // Not even through a link that leads nowhere.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
        assert!(create(&link, b"another").unwrap_err().to_string().contains("exists already"));
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn errors_name_the_file_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = create(&dir.path().join("no/key"), b"x").unwrap_err();
        let error = error.to_string();
        assert!(error.ends_with("/no/key\": its directory does not exist; make it first"));
        let error = create(dir.path(), b"x").unwrap_err().to_string();
        assert!(error.ends_with(" is a directory; choose a name in it, such as spiped.key"));
        fs::write(dir.path().join("file"), "").unwrap();
        let error = create(&dir.path().join("file/key"), b"x").unwrap_err().to_string();
        assert!(error.ends_with("a part of its path is no directory; choose another place"));
        let denied = ErrorKind::PermissionDenied.into();
        let error = CreateError::Make("/etc/key".into(), denied).to_string();
        let uid = nix::unistd::geteuid();
        let begin = format!("\"/etc/key\": user number {uid} may not make a file there; run it as");
        assert!(error.starts_with(&begin), "{error}");
        let full = || ErrorKind::StorageFull.into();
        let left = CreateError::Write("k".into(), full(), Some(full())).to_string();
        assert!(left.contains("it is left, since"), "{left}");
    }
}
