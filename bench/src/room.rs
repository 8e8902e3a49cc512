//! Where a run takes place: a temporary directory with a key, ports that are free, and the effort.
//!
//! Owns all three; the directory is gone when the run ends. Next: `pair.rs`, which starts daemons
//! in it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::Outcome;
use crate::options::Effort;

/// Ports below those that the system gives to clients, so that between our choice of a port and
/// the daemon's bind() no connection takes it.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What every measurement is given.
pub(crate) struct Bench {
    pub(crate) effort: Effort,
    dir: TempDir,
    next_port: AtomicU16,
    next_log: AtomicU16,
}

impl Bench {
    pub(crate) fn new(effort: Effort) -> Outcome<Self> {
        let dir = tempfile::Builder::new()
            .prefix("spiped-bench-")
            .tempdir()
            .map_err(|e| format!("cannot create a temporary directory: {e}"))?;
        let span = u32::from(PORTS.end - PORTS.start);
        // Two runs at the same time begin in different places.
        let start = PORTS.start + u16::try_from(std::process::id() * 97 % span).unwrap_or(0);
        let bench =
            Self { effort, dir, next_port: AtomicU16::new(start), next_log: AtomicU16::new(0) };
        bench.make_key()?;
        Ok(bench)
    }

    /// A file of this name in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The key file of spiped and monopiped.
    pub(crate) fn key(&self) -> PathBuf {
        self.path("key")
    }

    /// A new file for what a program says.
    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.path(&format!("{program}.{}.log", self.next_log.fetch_add(1, Ordering::Relaxed)))
    }

    /// Writes a file that only we can read.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Outcome<PathBuf> {
        let path = self.path(name);
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content))
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        Ok(path)
    }

    /// A port of 127.0.0.1 on which nobody listens.
    pub(crate) fn free_port(&self) -> Outcome<u16> {
        for _ in PORTS {
            let port = self.next_port.fetch_add(1, Ordering::Relaxed);
            if port + 1 >= PORTS.end {
                self.next_port.store(PORTS.start, Ordering::Relaxed);
            }
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(format!("no port from {} to {} of 127.0.0.1 is free", PORTS.start, PORTS.end))
    }

    fn make_key(&self) -> Outcome<()> {
        let mut key = [0; 32];
        File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut key))
            .map_err(|e| format!("cannot read 32 bytes from /dev/urandom: {e}"))?;
        self.write("key", &key)?;
        // stunnel wants the same as a name and hexadecimal digits.
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write("psk", format!("bench:{digits}\n").as_bytes())?;
        Ok(())
    }
}
