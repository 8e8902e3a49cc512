//! The plain side of `spipe`: standard input and output as one socket for the event loop.
//!
//! Owns a UNIX socket pair and two threads with blocking reads and writes, so that files, pipes,
//! terminals, /dev/null and sockets all work, and no descriptor shared with other processes is
//! made non-blocking. Refuses to buffer beyond one block per direction. How it ends the process:
//! `Failure::end_process` below. Next: `run.rs`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{blocking, logger};

/// Bytes per read and write.
const BLOCK_LEN: usize = 64 * 1024;

/// How long an error message may take to be written when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Bytes so far, for whoever looks on.
#[derive(Debug, Default)]
pub struct Counts {
    /// From standard input, on their way.
    pub sent: AtomicU64,
    /// Written to standard output.
    pub received: AtomicU64,
}

/// The two threads beside the event loop.
#[derive(Debug)]
pub struct Stdio {
    stdout: JoinHandle<()>,
    counts: Arc<Counts>,
}

impl Stdio {
    /// Starts both threads. The socket that is returned is the event loop's, non-blocking: what it
    /// reads is standard input, what it writes becomes standard output, and either direction ends
    /// by itself.
    ///
    /// The threads end the process on their own in two cases: with status 1 and a message when
    /// standard input or output fails, and as SIGPIPE would when nobody reads standard output any
    /// more.
    ///
    /// # Errors
    ///
    /// No more descriptors or threads.
    pub fn start() -> io::Result<(Self, UnixStream)> {
        let (ours, event_loops) = UnixStream::pair()?;
        event_loops.set_nonblocking(true)?;
        let from_stdin = ours.try_clone()?;
        // Takes the place of standard output when that is closed: nothing can be written to it.
        // Unlike /dev/null it is there in an empty root, too.
        let (closed, _) = io::pipe()?;
        let counts = Arc::<Counts>::default();
        let (output, input) = (Arc::clone(&counts), Arc::clone(&counts));
        let stdout = thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            let result = copy_to_output(&ours, io::stdout().as_fd(), &output.received);
            result.unwrap_or_else(|failure| failure.end_process());
            // The real close, at once, with the number still taken so that nothing else gets it.
            // dup2() with two open descriptors does not fail.
            let _ = nix::unistd::dup2_stdout(&closed);
        })?;
        // Not joined: it may wait for input for ever.
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let result = copy_from_input(io::stdin().as_fd(), &from_stdin, &input.sent);
            result.unwrap_or_else(|failure| failure.end_process());
        })?;
        Ok((Self { stdout, counts }, event_loops))
    }

    /// What the threads have carried.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Waits until every byte that the event loop has written is out and standard output is
    /// closed. The event loop's socket must be closed or shut down for writing by then.
    pub fn finish(self) {
        if let Err(panic) = self.stdout.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Why a thread could not go on.
#[derive(Debug)]
enum Failure {
    Input(io::Error),
    Output(io::Error),
}

impl Failure {
    /// What happens then.
    fn end_process(self) -> ! {
        match self {
            // The reader of our output has gone: end quietly, as every filter does. (Rust's
            // runtime ignores SIGPIPE, hence an error in its place.)
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => {
                let _ = signal_hook::low_level::emulate_default_handler(nix::libc::SIGPIPE);
                // Not reached: the line above ends the process.
                process::abort();
            }
            Self::Output(error) => log::error!(
                "standard output cannot be written: {error}; not all data has been delivered"
            ),
            Self::Input(error) => {
                log::error!("standard input cannot be read: {error}; not all data has been sent");
            }
        }
        logger::flush(LAST_WORDS);
        process::exit(1);
    }
}

/// Standard input to the socket, until either ends.
fn copy_from_input(
    input: BorrowedFd<'_>,
    mut socket: &UnixStream,
    count: &AtomicU64,
) -> Result<(), Failure> {
    let mut block = vec![0; BLOCK_LEN];
    loop {
        let n = blocking::read(input, &mut block).map_err(Failure::Input)?;
        if n == 0 {
            // Fails if the event loop has closed its end, and then there is nobody to be told.
            let _ = socket.shutdown(Shutdown::Write);
            return Ok(());
        }
        // An error here has one cause: the event loop has closed its end. Why, is its business.
        if socket.write_all(&block[..n]).is_err() {
            return Ok(());
        }
        count.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// The socket to standard output, until the event loop ends it.
fn copy_to_output(
    mut socket: &UnixStream,
    output: BorrowedFd<'_>,
    count: &AtomicU64,
) -> Result<(), Failure> {
    let mut block = vec![0; BLOCK_LEN];
    loop {
        let n = match socket.read(&mut block) {
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // ECONNRESET, after every byte: the event loop has closed its end with input unread.
            Err(_) => 0,
        };
        if n == 0 {
            // A socket may be open in other processes too, or be our standard input as well, so
            // closing it would not tell the other side. ENOTSOCK: nothing to shut down.
            let _ = socket2::SockRef::from(&output).shutdown(Shutdown::Write);
            return Ok(());
        }
        blocking::write_all(output, &block[..n]).map_err(Failure::Output)?;
        count.fetch_add(n as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Seek, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio as Redirect};

    use super::*;

    /// More than any buffer on the way holds.
    fn payload() -> Vec<u8> {
        (0..3_000_000u32).map(|i| (i % 251) as u8).collect()
    }

    fn count() -> AtomicU64 {
        AtomicU64::new(0)
    }

    fn read_all(mut from: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_file_is_input_and_its_end_is_seen() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&payload()).unwrap();
        file.rewind().unwrap();
        for (input, expected) in [(file, payload()), (File::open("/dev/null").unwrap(), Vec::new())]
        {
            let (ours, event_loops) = UnixStream::pair().unwrap();
            let thread = thread::spawn(move || {
                copy_from_input(input.as_fd(), &ours, &count()).map(|()| ours)
            });
            assert!(read_all(&event_loops) == expected);
            // Only one direction has ended.
            let ours = thread.join().unwrap().unwrap();
            (&event_loops).write_all(b"x").unwrap();
            assert_eq!((&ours).read(&mut [0; 2]).unwrap(), 1);
        }
    }

    #[test]
    fn output_to_a_pipe_arrives_whole() {
        let (ours, mut event_loops) = UnixStream::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let output =
            thread::spawn(move || copy_to_output(&ours, writer.as_fd(), &count()).unwrap());
        let sender = thread::spawn(move || event_loops.write_all(&payload()).unwrap());
        assert!(read_all(reader) == payload());
        sender.join().unwrap();
        output.join().unwrap();
    }

    #[test]
    fn output_to_a_socket_is_shut_down_while_it_is_open_elsewhere() {
        let (ours, event_loops) = UnixStream::pair().unwrap();
        let (peer, stdout) = UnixStream::pair().unwrap();
        (&event_loops).write_all(b"last words").unwrap();
        event_loops.shutdown(Shutdown::Write).unwrap();
        copy_to_output(&ours, stdout.as_fd(), &count()).unwrap();
        assert_eq!(read_all(&peer), b"last words");
        // The same socket may be standard input: that direction goes on.
        (&peer).write_all(b"x").unwrap();
        assert_eq!((&stdout).read(&mut [0; 2]).unwrap(), 1);
    }

    #[test]
    fn an_event_loop_that_leaves_input_unread_loses_no_output() {
        let (ours, event_loops) = UnixStream::pair().unwrap();
        (&ours).write_all(b"never read").unwrap();
        (&event_loops).write_all(b"delivered").unwrap();
        drop(event_loops);
        let mut file = tempfile::tempfile().unwrap();
        copy_to_output(&ours, file.as_fd(), &count()).unwrap();
        file.rewind().unwrap();
        assert_eq!(read_all(file), b"delivered");
        // And the other direction ends without an error.
        let zeros = File::open("/dev/zero").unwrap();
        copy_from_input(zeros.as_fd(), &ours, &count()).unwrap();
    }

    #[test]
    fn what_cannot_be_read_or_written_is_a_failure() {
        let (ours, event_loops) = UnixStream::pair().unwrap();
        let directory = File::open("/").unwrap();
        let failure = copy_from_input(directory.as_fd(), &ours, &count()).unwrap_err();
        assert!(matches!(failure, Failure::Input(e) if e.kind() == ErrorKind::IsADirectory));

        (&event_loops).write_all(b"x").unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let failure = copy_to_output(&ours, full.as_fd(), &count()).unwrap_err();
        assert!(matches!(failure, Failure::Output(e) if e.kind() == ErrorKind::StorageFull));

        (&event_loops).write_all(b"x").unwrap();
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let failure = copy_to_output(&ours, writer.as_fd(), &count()).unwrap_err();
        assert!(matches!(failure, Failure::Output(e) if e.kind() == ErrorKind::BrokenPipe));
    }

    // The rest concerns the descriptors 0 and 1 of a whole process: a test starts this test
    // program again to run `child` alone, which sends HELLO back and then waits for the rest.
    const CHILD: &str = "SPIPE_STDIO_TEST_CHILD";
    const HELLO: &[u8] = b"<<hello>>";

    #[test]
    fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        // A test that would hang fails in its place.
        nix::unistd::alarm::set(20);
        let (stdio, event_loops) = Stdio::start().unwrap();
        event_loops.set_nonblocking(false).unwrap();
        let mut hello = [0; HELLO.len()];
        (&event_loops).read_exact(&mut hello).unwrap();
        (&event_loops).write_all(&hello).unwrap();
        event_loops.shutdown(Shutdown::Write).unwrap();
        let rest = read_all(&event_loops);
        stdio.finish();
        process::exit(if rest == b"bye" { 42 } else { 43 });
    }

    fn start_child(stdin: OwnedFd, stdout: OwnedFd) -> process::Child {
        Command::new(std::env::current_exe().unwrap())
            // With two threads the harness names the test after it has run, so not between ours.
            .args(["--exact", "spipe::stdio::tests::child", "--nocapture", "--test-threads=2"])
            .env(CHILD, "1")
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Redirect::inherit())
            .spawn()
            .unwrap()
    }

    #[test]
    fn stdout_is_closed_at_once_and_stdin_goes_on() {
        let (stdin, mut to_child) = io::pipe().unwrap();
        let (from_child, stdout) = io::pipe().unwrap();
        let mut child = start_child(stdin.into(), stdout.into());
        to_child.write_all(HELLO).unwrap();
        // Reads to the end, which comes although the child has not ended: it waits for more input.
        let output = read_all(from_child);
        assert!(output.ends_with(HELLO), "{:?}", String::from_utf8_lossy(&output));
        assert_eq!(child.try_wait().unwrap(), None);
        to_child.write_all(b"bye").unwrap();
        drop(to_child);
        assert_eq!(child.wait().unwrap().code(), Some(42));
    }

    #[test]
    fn a_stdout_that_nobody_reads_ends_the_process_as_sigpipe_would() {
        let (stdin, mut to_child) = io::pipe().unwrap();
        let (mut from_child, stdout) = io::pipe().unwrap();
        let mut child = start_child(stdin.into(), stdout.into());
        // The test harness of the child writes a heading of its own first: wait until it has, as
        // it would panic. It ends with a newline, after which only our bytes come.
        let mut heading = String::new();
        while !heading.ends_with("running 1 test\n") {
            let mut byte = [0];
            from_child.read_exact(&mut byte).unwrap();
            heading.push(char::from(byte[0]));
        }
        drop(from_child);
        to_child.write_all(HELLO).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(nix::libc::SIGPIPE));
    }

    #[test]
    fn a_stdin_that_cannot_be_read_ends_the_process_with_status_1() {
        let (_from_child, stdout) = io::pipe().unwrap();
        let mut child = start_child(File::open("/").unwrap().into(), stdout.into());
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
}
