//! Reading the key (`-k`).
//!
//! Owns the way from a file or standard input to the [`SharedKey`]: every byte to the end, through
//! one buffer that is wiped. Refuses no length of a key that is used, as C spiped (a short one is
//! warned about, and one that others can read), and to keep or show any byte of the key. Next:
//! `crypt.rs` in lib/proto, where it is used.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use spiped_net::explain::unreadable;
use spiped_proto::{KeyHasher, Secret, SharedKey};

use crate::blocking;
use crate::options::KeySource;

/// A key file with fewer bytes than this has less entropy than the protocol counts on: 256 bits.
const SAFE_LEN: u64 = 32;

/// Size of the buffer that is wiped.
const BUFFER_LEN: usize = 4096;

/// Reads the key to its end.
///
/// # Errors
///
/// One line: what could not be read, why, and what to do.
pub fn read(source: &KeySource) -> Result<SharedKey, String> {
    let name = name("-k", source);
    let (key, length) = read_any(&name, source)?;
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
    let opened = match source {
        KeySource::File(path) => File::open(path),
        // A duplicate, since io::stdin() would leave the key in its own buffer.
        KeySource::Stdin => io::stdin().as_fd().try_clone_to_owned().map(File::from),
    };
    let read = opened.and_then(|file| {
        let exposed = match source {
            // A service manager gives a service's user access by a list, which looks like the
            // group's in the mode.
            KeySource::File(path) if is_credential(path) => None,
            KeySource::File(_) => exposure(&file)?,
            KeySource::Stdin => None, // whatever it is redirected from is for its owner to know
        };
        read_to_end(&file).map(|(key, length)| (key, length, exposed))
    });
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

/// Whether the file is a credential that a service manager has passed: it sees to who reads it.
fn is_credential(path: &Path) -> bool {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_default();
    !directory.is_empty() && path.starts_with(directory)
}

/// Who but its owner can read a file, and its mode. Pipes and the like hold the key for a moment
/// only, and to their modes nobody pays attention.
fn exposure(file: &File) -> io::Result<Option<(&'static str, u32)>> {
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
    loop {
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
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    fn key_of(file: &File) -> SharedKey {
        read_to_end(file).unwrap().0
    }

    /// The handshake keys tell two shared keys apart without showing either.
    fn fingerprint(key: &SharedKey) -> [u8; 32] {
        let nonces = spiped_proto::crypt::Nonces { client: [1; 32], server: [2; 32] };
        spiped_proto::crypt::HandshakeKeys::derive(key, &nonces).client_tag(&[3; 256])
    }

    #[test]
    fn the_key_is_made_from_every_byte_to_the_end() {
        for length in [0, 1, 32, BUFFER_LEN, BUFFER_LEN + 1, 3 * BUFFER_LEN + 7] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let key = read(&KeySource::File(file.path().to_owned())).unwrap();
            let expected = SharedKey::from_pieces([bytes.as_slice()]);
            assert_eq!(fingerprint(&key), fingerprint(&expected), "{length}");
        }
    }

    #[test]
    fn a_pipe_is_read_to_its_end_even_if_it_does_not_block() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let reader = File::from(std::os::fd::OwnedFd::from(reader));
        let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(&reader, flags).unwrap();
        let thread = std::thread::spawn(move || key_of(&reader));
        writer.write_all(b"one ").unwrap();
        writer.write_all(b"key").unwrap();
        drop(writer);
        let expected = SharedKey::from_pieces([b"one key".as_slice()]);
        assert_eq!(fingerprint(&thread.join().unwrap()), fingerprint(&expected));
    }

    #[test]
    fn dev_null_is_a_key_as_in_c() {
        let key = read(&KeySource::File(PathBuf::from("/dev/null"))).unwrap();
        assert_eq!(fingerprint(&key), fingerprint(&SharedKey::from_pieces([])));
    }

    #[test]
    fn nothing_is_no_key_to_be_compared() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let source = KeySource::File(file.path().to_owned());
        let error = read_to_compare("--show", &source).unwrap_err();
        let begin = format!("--show {:?}: the key is empty", file.path());
        assert!(error.starts_with(&begin) && !error.contains('\n'), "{error}");
        file.write_all(b"1").unwrap();
        assert!(read_to_compare("--show", &source).is_ok());
    }

    #[test]
    fn who_else_can_read_the_key_is_known() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let modes = [
            (0o600, None),
            (0o400, None),
            (0o622, None),
            (0o640, Some("its group")),
            (0o604, Some("everybody")),
            (0o644, Some("everybody")),
        ];
        for (mode, who) in modes {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let expected = who.map(|who| (who, mode));
            assert_eq!(exposure(file.as_file()).unwrap(), expected, "{mode:o}");
        }
        // No regular file: everybody can read /dev/null, and nothing is to be learned from it.
        assert_eq!(exposure(&File::open("/dev/null").unwrap()).unwrap(), None);
    }

    #[test]
    fn errors_name_the_file_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = |path: &Path| read(&KeySource::File(path.to_owned())).unwrap_err();

        let missing = dir.path().join("missing");
        let text = error(&missing);
        assert!(
            text.starts_with(&format!("-k {missing:?}: there is no such file; make")),
            "{text}"
        );
        assert!(text.contains("spiped-keygen '/") && !text.contains('\n'), "{text}");

        let text = error(dir.path());
        assert!(text.ends_with(": is a directory, expected the key file itself"), "{text}");

        let denied = io::Error::from(ErrorKind::PermissionDenied);
        let text = explain(Some(&missing), &denied);
        assert!(text.starts_with("permission denied for user number"), "{text}");
        let directory = io::Error::from(ErrorKind::IsADirectory);
        assert!(explain(None, &directory).contains("redirect"));
    }
}
