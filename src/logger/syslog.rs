//! Syslog: one datagram per line to /dev/log.
//!
//! Owns the socket: never blocking, opened again when the server was restarted. Refuses to wait or
//! to store: what the server does not take is an error, and the caller counts it. Next: `line.rs`
//! for the datagram's text.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Where syslog servers listen.
pub(super) const DEV_LOG: &str = "/dev/log";

/// A connection to the syslog server.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    /// Connects to the server at `path`. One that is not there now is tried again for each line.
    pub(super) fn open(path: &Path) -> Self {
        let socket = connect(path).ok();
        Self { path: path.to_owned(), socket }
    }

    /// Sends one line without waiting.
    pub(super) fn send(&mut self, line: &str) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            match socket.send(line.as_bytes()) {
                Ok(_) => return Ok(()),
                // A full queue: the server lives, a new connection would be no better.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // Refused or reset: the server was restarted and has a new socket.
                Err(_) => self.socket = None,
            }
        }
        let socket = connect(&self.path)?;
        socket.send(line.as_bytes())?;
        self.socket = Some(socket);
        Ok(())
    }
}

/// Whether a server listens at `path`, and why not.
pub(super) fn check(path: &Path) -> io::Result<()> {
    connect(path).map(drop)
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(server: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let n = server.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    }

    #[test]
    fn a_restarted_server_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert_eq!(check(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut syslog = Syslog::open(&path);
        assert!(syslog.send("nobody there").is_err());

        let first = UnixDatagram::bind(&path).unwrap();
        check(&path).unwrap();
        syslog.send("one").unwrap();
        assert_eq!(receive(&first), "one");

        drop(first);
        std::fs::remove_file(&path).unwrap();
        assert!(syslog.send("nobody there").is_err());
        let second = UnixDatagram::bind(&path).unwrap();
        syslog.send("two").unwrap();
        assert_eq!(receive(&second), "two");

        // Restarted between two lines, without a line in between.
        drop(second);
        std::fs::remove_file(&path).unwrap();
        let third = UnixDatagram::bind(&path).unwrap();
        syslog.send("three").unwrap();
        assert_eq!(receive(&third), "three");
    }

    #[test]
    fn a_server_that_does_not_read_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let server = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::open(&path);
        let refused = (0..100_000).find_map(|_| syslog.send("line").err());
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(receive(&server), "line");
        syslog.send("again").unwrap();
    }
}
