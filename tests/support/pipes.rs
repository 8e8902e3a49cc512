//! Pipes to and from a child, with the deadline that sockets have by themselves.
//! Next: `tunnel.rs`.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{ChildStdin, ChildStdout};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A poll that says "writable" promises this many bytes: POSIX's PIPE_BUF on Linux.
const PROMISED: usize = 4096;

/// The standard input of a child.
pub(crate) struct Stdin(pub(crate) ChildStdin);

/// The standard output of a child.
pub(crate) struct Stdout(pub(crate) ChildStdout);

impl Write for Stdin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ready(self.0.as_fd(), PollFlags::POLLOUT)?;
        self.0.write(&bytes[..bytes.len().min(PROMISED)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stdout {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        ready(self.0.as_fd(), PollFlags::POLLIN)?;
        self.0.read(buffer)
    }
}

/// Waits until a read or write on `fd` does not block.
fn ready(fd: BorrowedFd<'_>, what: PollFlags) -> io::Result<()> {
    let limit = PollTimeout::try_from(super::DEADLINE).expect("less than 24 days");
    match poll(&mut [PollFd::new(fd, what)], limit)? {
        0 => Err(io::Error::new(ErrorKind::TimedOut, "nothing happens on the pipe")),
        _ => Ok(()),
    }
}
