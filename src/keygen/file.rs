//! A new file for a key.
//!
//! Owns the promise that no file is ever overwritten, that nobody but the owner can read the new
//! one from its first moment, that none is left that does not hold all of the key, and that it is
//! still there after a loss of power. Refuses to know what is written. Next: `run.rs`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Creates the file, which must not exist, not even as a link, and writes `bytes` to it.
///
/// # Errors
///
/// One line: the file, and what to do.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let name = path.to_string_lossy();
    // create_new is O_EXCL.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!(
            "{name:?} exists already, and a key is never overwritten; choose another name, or \
             remove it first if nobody needs it any more"
        ),
        ErrorKind::NotFound => format!("{name:?}: its directory does not exist; make it first"),
        ErrorKind::PermissionDenied => {
            let uid = nix::unistd::geteuid();
            format!("{name:?}: user number {uid} may not make a file there")
        }
        _ => format!("{name:?} cannot be made: {error}"),
    })?;
    fill(&file, bytes).and_then(|()| keep_name(path)).map_err(|error| {
        let left = match fs::remove_file(path) {
            Ok(()) => "nothing is left of it".to_owned(),
            Err(error) => format!("and it is left, since it cannot be removed: {error}"),
        };
        format!("{name:?} cannot be written: {error}; {left}")
    })
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

        let error = create(&path, b"another").unwrap_err();
        assert!(error.contains("exists already, and a key is never overwritten"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        // Not even through a link that leads nowhere.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
        assert!(create(&link, b"another").unwrap_err().contains("exists already"));
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn errors_name_the_file_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = create(&dir.path().join("no/key"), b"x").unwrap_err();
        assert!(error.ends_with("/no/key\": its directory does not exist; make it first"));
    }
}
