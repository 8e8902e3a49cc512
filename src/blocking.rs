//! Reading and writing that waits, on descriptors that are shared with other processes.
//!
//! Owns the loops around read() and write(): interrupted calls are repeated, and where somebody
//! else has made the descriptor non-blocking, poll() waits in its place; also the word to a person
//! who may not know what is waited for. Refuses to change such a descriptor. Used by `key.rs`,
//! `logger/writer.rs` and `spipe/stdio.rs`, never by the event loop.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

/// Does `work`; if that takes longer than `patience`, calls `say` meanwhile, once.
pub fn with_a_word<T>(
    patience: Duration,
    say: impl FnOnce() + Send,
    work: impl FnOnce() -> T,
) -> T {
    let (working, done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = move || {
            if done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                say();
            }
        };
        // Without a thread nothing is said, and that is all.
        let _ = thread::Builder::new().spawn_scoped(scope, watch);
        let result = work();
        drop(working);
        result
    })
}

/// Reads what there is, waiting for at least one byte; 0 is the end.
///
/// # Errors
///
/// Whatever read() reports but EINTR and EAGAIN.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match nix::unistd::read(fd, buffer) {
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait(fd, PollFlags::POLLIN)?,
            result => return Ok(result?),
        }
    }
}

/// Writes all of `bytes`, however long it takes.
///
/// # Errors
///
/// Whatever write() reports but EINTR and EAGAIN; part of the bytes may be written then.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => wait(fd, PollFlags::POLLOUT)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until the next call has something to report, an error too.
fn wait(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
    match nix::poll::poll(&mut [PollFd::new(fd, flags)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    fn non_blocking(fd: impl Into<OwnedFd>) -> OwnedFd {
        let fd = fd.into();
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        fd
    }

    #[test]
    fn a_non_blocking_pipe_is_waited_for() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (reader, writer) = (non_blocking(reader), non_blocking(writer));
        // Far more than a pipe holds, so both sides have to wait.
        let sent: Vec<u8> = (0..1_000_000).map(|i| (i % 251) as u8).collect();
        let expected = sent.clone();
        let thread = std::thread::spawn(move || write_all(writer.as_fd(), &sent).unwrap());
        let (mut received, mut buffer) = (Vec::new(), [0; 5000]);
        loop {
            match read(reader.as_fd(), &mut buffer).unwrap() {
                0 => break,
                n => received.extend_from_slice(&buffer[..n]),
            }
        }
        thread.join().unwrap();
        assert!(received == expected);
    }

    #[test]
    fn a_word_is_said_only_while_there_is_waiting() {
        let hour = Duration::from_secs(3600);
        assert_eq!(with_a_word(hour, || panic!("it is done at once"), || 1), 1);
        let (say, said) = mpsc::channel();
        let work = || said.recv().unwrap();
        assert_eq!(with_a_word(Duration::ZERO, move || say.send(2).unwrap(), work), 2);
    }

    #[test]
    fn errors_are_reported() {
        let (reader, writer) = std::io::pipe().unwrap();
        let error = read(writer.as_fd(), &mut [0]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EBADF as i32));
        drop(reader);
        let error = write_all(writer.as_fd(), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
