//! Full pipes, terminals that nobody reads, and syslog servers that come late.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use nix::fcntl::{FcntlArg, fcntl};

use super::*;

const SIZE: usize = 4096;
const DEADLINE: Duration = Duration::from_secs(20);

/// A writer whose standard error is `fd`, which stays open for good, as descriptor 2 does.
fn writer_to(fd: impl Into<OwnedFd>) -> (Writer, BorrowedFd<'static>) {
    let fd: &'static OwnedFd = Box::leak(Box::new(fd.into()));
    (Writer::new("spiped", Style::Plain, fd.as_fd()), fd.as_fd())
}

fn write(writer: &Writer, text: &str) {
    writer.write(Level::Info, &format_args!("{text}"));
}

fn lost(writer: &Writer) -> u64 {
    writer.0.lock().lost
}

/// A pipe that holds [`SIZE`] bytes and is full.
fn full_pipe() -> (File, Writer) {
    let (reader, end) = std::io::pipe().unwrap();
    fcntl(&end, FcntlArg::F_SETPIPE_SZ(SIZE as i32)).unwrap();
    let (writer, end) = writer_to(end);
    assert_eq!(nix::unistd::write(end, &[b'#'; SIZE]), Ok(SIZE));
    (File::from(OwnedFd::from(reader)), writer)
}

/// Reads what is there, waiting for something until the deadline.
fn read_some(reader: &mut File) -> String {
    let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(DEADLINE).unwrap();
    assert_eq!(nix::poll::poll(&mut fds, timeout), Ok(1), "nothing more was written");
    let mut buffer = [0; SIZE];
    let n = reader.read(&mut buffer).unwrap();
    String::from_utf8(buffer[..n].to_vec()).unwrap()
}

#[test]
fn a_full_pipe_loses_lines_and_then_says_how_many() {
    let (mut reader, writer) = full_pipe();
    write(&writer, "one");
    write(&writer, "two");
    assert_eq!(lost(&writer), 2);
    assert_eq!(read_some(&mut reader), "#".repeat(SIZE));
    write(&writer, "three");
    let report = "spiped: warning: 2 lines of this log were lost: it could not be written\n";
    // Two writes: a page is full or not, so the pipe takes the second line after a read only.
    assert_eq!(read_some(&mut reader), report);
    write(&writer, "four");
    let report = "spiped: warning: 1 line of this log was lost: it could not be written\n";
    assert_eq!(read_some(&mut reader), report);
}

#[test]
fn lines_are_joined_up_to_the_size_that_a_pipe_takes_whole_but_never_across_a_loss() {
    let entry = |lost_before, length| Entry { lost_before, line: "x".repeat(length) };
    let mut queue = VecDeque::from([entry(0, 2000), entry(0, 2000), entry(0, 95), entry(0, 2)]);
    let lines = take_along("y".into(), &mut queue);
    assert_eq!((lines.count, lines.text.len(), queue.len()), (4, WRITE_AT_ONCE, 1));

    let mut queue = VecDeque::from([entry(0, 1), entry(3, 1)]);
    let lines = take_along("y".into(), &mut queue);
    assert_eq!((lines.count, lines.text.as_str(), queue.len()), (2, "yx", 1));

    // One that is longer than that by itself goes alone.
    let lines = take_along("y".repeat(2 * WRITE_AT_ONCE), &mut VecDeque::from([entry(0, 1)]));
    assert_eq!(lines.count, 1);
}

#[test]
fn the_thread_waits_in_place_of_the_caller_and_no_loss_is_silent() {
    let (mut reader, writer) = full_pipe();
    writer.start_thread().unwrap();
    // From the moment on at which the thread is at the first line, it takes no other.
    let deadline = Instant::now() + DEADLINE;
    write(&writer, "line 0");
    while !writer.0.lock().queue.is_empty() {
        assert!(Instant::now() < deadline, "the thread has not taken the line");
        std::thread::yield_now();
    }
    let total = 1 + QUEUE_LINES + 99;
    for i in 1..total {
        write(&writer, &format!("line {i}"));
    }
    assert_eq!(lost(&writer), 99, "the thread holds one, the queue the others");
    // Nobody reads: flush gives up in time. (A hang here is the failure.)
    writer.flush(Duration::from_millis(20));

    // Everything queued comes, in order, then the loss, without a further line to trigger it.
    let mut text = read_some(&mut reader);
    while !text.ends_with("could not be written\n") {
        text.push_str(&read_some(&mut reader));
    }
    writer.flush(DEADLINE);
    let lines: Vec<_> = text.trim_start_matches('#').lines().collect();
    let (report, written) = lines.split_last().unwrap();
    for (i, line) in written.iter().enumerate() {
        assert_eq!(*line, format!("spiped: line {i}"));
    }
    assert_eq!(written.len(), total - 99);
    assert!(report.starts_with("spiped: warning: 99 lines of this log were lost"), "{report}");
    assert_eq!(self::lost(&writer), 0);
}

#[test]
fn a_stderr_that_fails_is_survived() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for fd in [OwnedFd::from(full), OwnedFd::from(closed)] {
        let (writer, _) = writer_to(fd);
        write(&writer, "direct");
        assert_eq!(lost(&writer), 1);
        writer.start_thread().unwrap();
        write(&writer, "queued");
        write(&writer, "queued");
        writer.flush(DEADLINE);
        assert_eq!(lost(&writer), 3);
    }
}

#[test]
fn a_non_blocking_stderr_loses_nothing() {
    let (mut reader, writer) = full_pipe();
    let flags = OFlag::O_NONBLOCK;
    fcntl(writer.0.stderr, FcntlArg::F_SETFL(flags)).unwrap();
    writer.start_thread().unwrap();
    write(&writer, "late");
    assert_eq!(read_some(&mut reader), "#".repeat(SIZE));
    assert_eq!(read_some(&mut reader), "spiped: late\n");
}

#[test]
fn a_terminal_that_nobody_reads_does_not_block() {
    let pty = nix::pty::openpty(None, None).unwrap();
    let (writer, terminal) = writer_to(pty.slave);
    // More than a terminal holds; a hang here is the failure.
    let total = 3000;
    for i in 0..total {
        write(&writer, &format!("direct {i}"));
    }
    assert!(lost(&writer) > 0 && lost(&writer) < total);
    // The descriptor that is shared with others still blocks.
    let flags = OFlag::from_bits_retain(fcntl(terminal, FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK));
    drop(pty.master);
}

#[test]
fn a_flush_without_anything_to_write_returns() {
    let (_reader, writer) = full_pipe();
    writer.flush(DEADLINE);
    writer.start_thread().unwrap();
    writer.flush(DEADLINE);
}

#[test]
fn after_the_switch_lines_go_to_syslog() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let (_reader, writer) = full_pipe();
    writer.switch_to(&path);
    write(&writer, "lost");
    let server = UnixDatagram::bind(&path).unwrap();
    writer.write(Level::Error, &format_args!("bad"));
    let mut buffer = [0; 200];
    let n = server.recv(&mut buffer).unwrap();
    let pid = std::process::id();
    let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
    assert!(text.starts_with(&format!("<12>spiped[{pid}]: warning: 1 line of")), "{text}");
    let n = server.recv(&mut buffer).unwrap();
    let expected = format!("<11>spiped[{pid}]: error: bad");
    assert_eq!(String::from_utf8_lossy(&buffer[..n]), expected);
}
