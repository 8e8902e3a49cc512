//! Reading the key (`-k`).
//!
//! Owns the way from a file or standard input to the [`SharedKey`]: every byte to the end, through
//! one buffer that is wiped. Refuses what has no end, but no length of a file, as C spiped (a short
//! key is warned about, and one that others can read), and to keep or show any byte of the key.
//! Next: `crypt.rs` in lib/proto, where it is used.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use spiped_net::explain::unreadable;
use spiped_proto::{KeyHasher, Secret, SharedKey};

use crate::blocking;
use crate::options::KeySource;

/// A key file with fewer bytes than this has less entropy than the protocol counts on: 256 bits.
const SAFE_LEN: u64 = 32;

/// Size of the buffer that is wiped.
const BUFFER_LEN: usize = 4096;

/// The most that is read from what is no regular file: pipes hold keys, and devices have no end.
const MAX_UNENDING: u64 = 16 << 20;

/// How long a key that is no regular file may take until a warning says what is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads the key to its end.
///
/// # Errors
///
/// One line: what could not be read, why, and what to do.
pub fn read(source: &KeySource) -> Result<SharedKey, String> {
    let name = name("-k", source);
    let (key, length) = read_any(&name, source)?;
    if looks_like_yaml(source) {
        log::warn!(
            "{name}: the file is used as it is; if it is wormhole's, its key is another: \
             spiped-keygen --from-yaml takes that out"
        );
    }
    if length == 0 {
        // As C spiped we go on; but whoever runs spipe must not miss it.
        log::error!(
            "{name}: the key is empty: it is used, but anybody has it; make it 32 random bytes"
        );
    }
    Ok(key)
}

/// Reads a key that is not to be used, but looked at, as `option` says.
///
/// # Errors
///
/// As for [`read`], and if there is nothing in it: nobody wants to compare that.
pub fn read_to_compare(option: &str, source: &KeySource) -> Result<SharedKey, String> {
    let name = name(option, source);
    match read_any(&name, source)? {
        (_, 0) => Err(format!(
            "{name}: the key is empty: anybody has that; copy it again, or make one with: \
             spiped-keygen FILE"
        )),
        (key, _) => Ok(key),
    }
}

/// What messages call the key.
fn name(option: &str, source: &KeySource) -> String {
    match source {
        KeySource::File(path) => format!("{option} {:?}", path.to_string_lossy()),
        KeySource::Stdin => format!("{option} - (standard input)"),
    }
}

/// Any key, and its length; one that is short, or that others can read, is warned about.
fn read_any(name: &str, source: &KeySource) -> Result<(SharedKey, u64), String> {
    let read = if may_wait(source) {
        let say =
            || log::warn!("{name}: waiting for the key and its end, as it is no regular file");
        blocking::with_a_word(PATIENCE, say, || open_and_read(source))
    } else {
        open_and_read(source)
    };
    let (key, length, exposed) = read.map_err(|error| {
        let path = match source {
            KeySource::File(path) => Some(path.as_path()),
            KeySource::Stdin => None,
        };
        format!("{name}: {}", explain(path, &error))
    })?;
    // The hash has worked on the key's bytes in variables of its own.
    spiped_proto::wipe_stack();
    if let Some((who, mode)) = exposed {
        log::warn!(
            "{name}: {who} can read the key (mode {mode:04o}); keep it to its owner: chmod go-rwx"
        );
    }
    if (1..SAFE_LEN).contains(&length) {
        log::warn!("{name}: the key has {length} of the 32 random bytes that it should have");
    }
    Ok((key, length))
}

/// Who but its owner can read a key, and the mode that says so.
type Exposed = (&'static str, u32);

fn open_and_read(source: &KeySource) -> io::Result<(SharedKey, u64, Option<Exposed>)> {
    let file = match source {
        KeySource::File(path) => File::open(path)?,
        // A duplicate, since io::stdin() would leave the key in its own buffer.
        KeySource::Stdin => File::from(io::stdin().as_fd().try_clone_to_owned()?),
    };
    let exposed = match source {
        // A service manager gives a service's user access by a list, which looks like the group's
        // in the mode.
        KeySource::File(path) if is_credential(path) => None,
        KeySource::File(_) => exposure(&file)?,
        KeySource::Stdin => None, // whatever it is redirected from is for its owner to know
    };
    read_to_end(&file).map(|(key, length)| (key, length, exposed))
}

/// Whether it is named as wormhole names its keys, whose text is not the key.
fn looks_like_yaml(source: &KeySource) -> bool {
    match source {
        KeySource::File(path) => path.extension().is_some_and(|end| end == "yaml" || end == "yml"),
        KeySource::Stdin => false,
    }
}

/// Whether the key may be long in coming, so that whoever waits for us should know why: it is there
/// already in a file.
fn may_wait(source: &KeySource) -> bool {
    let metadata = match source {
        KeySource::File(path) => fs::metadata(path),
        KeySource::Stdin => {
            let duplicate = io::stdin().as_fd().try_clone_to_owned();
            duplicate.and_then(|stdin| File::from(stdin).metadata())
        }
    };
    metadata.is_ok_and(|metadata| !metadata.is_file())
}

/// Whether the file is a credential that a service manager has passed: it sees to who reads it.
fn is_credential(path: &Path) -> bool {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_default();
    !directory.is_empty() && path.starts_with(directory)
}

/// Who but its owner can read a file, and its mode. Pipes and the like hold the key for a moment
/// only, and to their modes nobody pays attention.
fn exposure(file: &File) -> io::Result<Option<Exposed>> {
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode() & 0o7777;
    Ok(match mode {
        _ if !metadata.is_file() => None,
        _ if mode & 0o004 != 0 => Some(("everybody", mode)),
        _ if mode & 0o040 != 0 => Some(("its group", mode)),
        _ => None,
    })
}

/// The key, and the number of bytes that it was made from.
fn read_to_end(file: &File) -> io::Result<(SharedKey, u64)> {
    let mut buffer = Secret::<BUFFER_LEN>::zeroed();
    let mut hasher = KeyHasher::new();
    let mut length = 0;
    let limit = if file.metadata()?.is_file() { u64::MAX } else { MAX_UNENDING };
    loop {
        if length > limit {
            let megabytes = MAX_UNENDING >> 20;
            return Err(io::Error::other(format!(
                "after {megabytes} MiB it still has no end; expected the key, such as 32 random \
                 bytes"
            )));
        }
        match blocking::read(file.as_fd(), buffer.expose_mut())? {
            0 => return Ok((hasher.finish(), length)),
            n => {
                hasher.update(&buffer.expose()[..n]);
                length += n as u64;
            }
        }
    }
}

/// Why the key could not be read and what to do; `path` is `None` for standard input.
fn explain(path: Option<&Path>, error: &io::Error) -> String {
    let Some(path) = path else {
        return match error.kind() {
            ErrorKind::IsADirectory => "is a directory, redirect it from the key file".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
    };
    match error.kind() {
        ErrorKind::NotFound => {
            let path = path.display();
            format!(
                "there is no such file; make one key for both ends with: spiped-keygen '{path}'"
            )
        }
        _ => unreadable(error, "the key file itself"),
    }
}

#[cfg(test)]
mod tests;
