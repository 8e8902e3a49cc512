//! Where lines go, without ever making the caller wait.
//!
//! Owns the three ways of writing (standard error directly, standard error through a queue and a
//! thread, syslog), the queue's bound, and the count of lost lines. Refuses to set O_NONBLOCK on
//! standard error: it is shared with other processes, hence the thread. Next: `syslog.rs`.

use std::collections::VecDeque;
use std::fmt::Arguments;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::Level;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::line::{self, Style};
use super::syslog::{self, Syslog};
use crate::blocking;

/// Makes a terminal forget the line that it is in.
const REPLACE: &str = "\r\x1b[K";

/// How long the thread lets lines gather when it is woken: nobody who reads along notices, and many
/// connections share one wake-up and one write.
const GATHER: Duration = Duration::from_millis(20);

/// What is written at once at most, so that a pipe takes it whole (POSIX: `PIPE_BUF`, on Linux
/// 4096).
const WRITE_AT_ONCE: usize = 4096;

/// Lines that wait for the thread at most: 1 MiB if all have the greatest length, 4 KiB. Later
/// lines are dropped and counted.
pub const QUEUE_LINES: usize = 256;

/// The way out for lines, shared with the thread once there is one.
#[derive(Debug)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    program: &'static str,
    style: Style,
    stderr: BorrowedFd<'static>,
    /// Something else draws a line on the terminal, which a line of the log takes the place of.
    replaces: AtomicBool,
    state: Mutex<State>,
    /// A line was queued.
    queued: Condvar,
    /// What has gathered is to be written now.
    enough: Condvar,
    /// The thread has nothing left to write.
    idle: Condvar,
}

#[derive(Debug)]
struct State {
    way: Way,
    queue: VecDeque<Entry>,
    /// The thread has taken a line from the queue and writes it, or lets more gather first.
    writing: bool,
    /// Somebody waits for all lines to be written.
    flushing: bool,
    /// Lines lost since the last line that was queued or, without queue, written.
    lost: u64,
}

#[derive(Debug)]
enum Way {
    /// For a terminal, with a non-blocking descriptor of our own for it.
    Direct(Option<File>),
    Queue,
    Syslog(Syslog),
}

/// A line in the queue.
#[derive(Debug)]
struct Entry {
    lost_before: u64,
    line: String,
}

impl Writer {
    /// Direct writing to standard error.
    pub(super) fn to_stderr(program: &'static str, style: Style) -> Self {
        // Rust's runtime opens /dev/null for a closed descriptor 0, 1 or 2 at the start, so 2 is
        // never a socket of ours.
        Self::new(program, style, stderr())
    }

    fn new(program: &'static str, style: Style, stderr: BorrowedFd<'static>) -> Self {
        let way = Way::Direct(reopen_terminal(stderr));
        let queue = VecDeque::new();
        let state = State { way, queue, writing: false, flushing: false, lost: 0 };
        Self(Arc::new(Shared {
            program,
            style,
            stderr,
            replaces: AtomicBool::new(false),
            state: Mutex::new(state),
            queued: Condvar::new(),
            enough: Condvar::new(),
            idle: Condvar::new(),
        }))
    }

    pub(super) fn write(&self, level: Level, text: &Arguments<'_>) {
        self.0.write(level, text);
    }

    pub(super) fn replace_line(&self) {
        self.0.replaces.store(true, Ordering::Relaxed);
    }

    pub(super) fn start_thread(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        if !matches!(shared.lock().way, Way::Direct(_)) {
            return Ok(());
        }
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.run())?;
        // Lines queued before the thread runs wait for it.
        self.0.lock().way = Way::Queue;
        Ok(())
    }

    pub(super) fn switch_to_syslog(&self) {
        self.switch_to(Path::new(syslog::DEV_LOG));
    }

    fn switch_to(&self, path: &Path) {
        // Opened before the lock is taken. What is queued already still goes to standard error.
        let syslog = Syslog::open(path);
        self.0.lock().way = Way::Syslog(syslog);
    }

    pub(super) fn flush(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.lock();
        state.flushing = true;
        self.0.enough.notify_one();
        while !state.queue.is_empty() || state.writing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.idle.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.flushing = false;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements, so a panic elsewhere does not harm it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn format(&self, style: Style, level: Level, text: &Arguments<'_>) -> String {
        line::format(style, self.program, level, text)
    }

    fn loss(&self, style: Style, lost: u64) -> String {
        let (lines, were) = if lost == 1 { ("line", "was") } else { ("lines", "were") };
        let text = format_args!("{lost} {lines} of this log {were} lost: it could not be written");
        self.format(style, Level::Warn, &text)
    }

    /// Writes, queues or loses one line; never waits for anybody but a thread that holds the lock
    /// for a moment.
    fn write(&self, level: Level, text: &Arguments<'_>) {
        let mut state = self.lock();
        let State { way, queue, lost, writing, .. } = &mut *state;
        match way {
            Way::Queue if queue.len() < QUEUE_LINES => {
                let line = self.format(self.style, level, text);
                queue.push_back(Entry { lost_before: std::mem::take(lost), line });
                // A thread that is at work looks at the queue again by itself, and one that is
                // woken wants the lock: let go of it first.
                let (idle, half) = (!*writing, queue.len() == QUEUE_LINES / 2);
                drop(state);
                if idle {
                    self.queued.notify_one();
                } else if half {
                    self.enough.notify_one();
                }
            }
            Way::Queue => *lost += 1,
            Way::Direct(terminal) => {
                let fd = terminal.as_ref().map_or(self.stderr, AsFd::as_fd);
                let replace = if self.replaces.load(Ordering::Relaxed) { REPLACE } else { "" };
                let send = |line: &str| write_if_ready(fd, format!("{replace}{line}").as_bytes());
                self.write_now(self.style, level, text, lost, send);
            }
            Way::Syslog(syslog) => {
                self.write_now(Style::Syslog, level, text, lost, |line| syslog.send(line));
            }
        }
    }

    /// First how many lines were lost, then the line.
    fn write_now(
        &self,
        style: Style,
        level: Level,
        text: &Arguments<'_>,
        lost: &mut u64,
        mut send: impl FnMut(&str) -> io::Result<()>,
    ) {
        if *lost > 0 && send(&self.loss(style, *lost)).is_ok() {
            *lost = 0;
        }
        // After a failed report the line would seem to follow what was lost before it.
        if *lost > 0 || send(&self.format(style, level, text)).is_err() {
            *lost += 1;
        }
    }

    /// The thread: writes what is queued, waiting as long as standard error makes it wait.
    fn run(&self) {
        // Whether the last write worked. If not, only a new line is a reason to try again.
        let mut works = true;
        let mut state = self.lock();
        loop {
            let (mut lost, lines) = match state.queue.pop_front() {
                Some(first) => (first.lost_before, Some(take_along(first.line, &mut state.queue))),
                // Lost after the last line that was queued: report it, now that all is written.
                None if state.lost > 0 && works => (std::mem::take(&mut state.lost), None),
                None => {
                    state.writing = false;
                    self.idle.notify_all();
                    state = self.queued.wait(state).unwrap_or_else(PoisonError::into_inner);
                    // Under load the lines of many connections come one after the other: to be
                    // woken for each of them would cost more than the connections.
                    state.writing = true;
                    let gathering =
                        |state: &mut State| !state.flushing && state.queue.len() < QUEUE_LINES / 2;
                    let waited = self.enough.wait_timeout_while(state, GATHER, gathering);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
            };
            state.writing = true;
            drop(state);
            works = self.write_lines(&mut lost, lines.as_ref());
            state = self.lock();
            // It was lost before what is queued now, so the next line reports it.
            match state.queue.front_mut() {
                Some(next) => next.lost_before += lost,
                None => state.lost += lost,
            }
        }
    }

    /// First how many lines were lost, then the lines. Leaves in `lost` what is still to be
    /// reported; false if anything could not be written.
    fn write_lines(&self, lost: &mut u64, lines: Option<&Lines>) -> bool {
        if *lost > 0 && self.wait_and_write(&self.loss(self.style, *lost)) {
            *lost = 0;
        }
        // After a failed report the lines would seem to follow what was lost before them.
        if let Some(lines) = lines
            && (*lost > 0 || !self.wait_and_write(&lines.text))
        {
            *lost += lines.count;
        }
        *lost == 0
    }

    fn wait_and_write(&self, line: &str) -> bool {
        blocking::write_all(self.stderr, line.as_bytes()).is_ok()
    }
}

/// Lines that are written at once.
struct Lines {
    text: String,
    count: u64,
}

/// A line and those that follow it in the queue, unless something was lost in between, as many as
/// may be written at once. Should that write fail half-way all of them count as lost.
fn take_along(first: String, queue: &mut VecDeque<Entry>) -> Lines {
    let mut lines = Lines { text: first, count: 1 };
    while let Some(next) = queue.front()
        && next.lost_before == 0
        && lines.text.len() + next.line.len() <= WRITE_AT_ONCE
    {
        lines.text += &next.line;
        lines.count += 1;
        queue.pop_front();
    }
    lines
}

/// A descriptor of our own for the terminal behind `stderr`, non-blocking without changing the one
/// that is shared: poll() says that a terminal takes a byte, but not how many. Pipes and sockets
/// need none, since they poll as writable only with room for a line.
fn reopen_terminal(stderr: BorrowedFd<'static>) -> Option<File> {
    if !stderr.is_terminal() {
        return None;
    }
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let path = format!("/dev/fd/{}", stderr.as_raw_fd());
    // Not allowed after su, for example: then poll() has to do.
    File::options().write(true).custom_flags(flags).open(path).ok()
}

/// Writes a line to a descriptor that takes it at once; an error means that the line is lost.
fn write_if_ready(fd: BorrowedFd<'_>, line: &[u8]) -> io::Result<()> {
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    nix::poll::poll(&mut fds, PollTimeout::ZERO)?;
    if !fds[0].revents().is_some_and(|revents| revents.contains(PollFlags::POLLOUT)) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    match nix::unistd::write(fd, line)? {
        n if n == line.len() => Ok(()),
        // A disk or a terminal that filled up; the rest of the line is lost.
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn stderr() -> BorrowedFd<'static> {
    static STDERR: std::sync::OnceLock<io::Stderr> = std::sync::OnceLock::new();
    STDERR.get_or_init(io::stderr).as_fd()
}

#[cfg(test)]
mod tests;
