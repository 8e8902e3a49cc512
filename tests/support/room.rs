//! A temporary directory with a key file: everything a test leaves behind goes with it, also
//! daemons: a process that names the directory in its arguments is killed.
//! Next: `tunnel.rs`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The temporary directory of one test.
pub(crate) struct Room {
    dir: tempfile::TempDir,
}

impl Room {
    /// A new directory with a key file in it.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("spiped-").tempdir().expect("temp dir");
        let room = Self { dir };
        room.write_key(&room.key(), &room.secret());
        room.write_key(&room.wrong_key(), b"some other secret, also with 32 bytes or more");
        room
    }

    /// Writes a key file as it should be: nobody else can read it.
    pub(crate) fn write_key(&self, path: &Path, secret: &[u8]) {
        std::fs::write(path, secret).expect("key file");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, private).expect("key file");
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory itself.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The key file.
    pub(crate) fn key(&self) -> PathBuf {
        self.path("key")
    }

    /// Another key file, with another secret.
    pub(crate) fn wrong_key(&self) -> PathBuf {
        self.path("wrong-key")
    }

    /// The 32 bytes in the key file: different in every room, so that a daemon of another test
    /// can never be mistaken for ours, and to be found nowhere else.
    pub(crate) fn secret(&self) -> Vec<u8> {
        Sha256::digest(self.dir.path().as_os_str().as_encoded_bytes()).to_vec()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Nobody else's process can name a directory that is ours alone.
        for pid in super::kernel::processes_naming(self.dir()) {
            // It may have ended meanwhile.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}
