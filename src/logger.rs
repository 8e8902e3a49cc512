//! The log: one line per message, to standard error or syslog.
//!
//! Owns the way of a message to where it is written, and the rule that **no message ever blocks or
//! ends the process**: what cannot be written is dropped and counted, and once writing works again
//! one line says how many were lost. Refuses to log elsewhere. Next: `logger/filter.rs` (which
//! messages), `logger/line.rs` (how a line looks), `logger/writer.rs` (queue, thread, loss),
//! `logger/syslog.rs`.

mod filter;
mod line;
mod syslog;
mod writer;

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use env_filter::Filter;
use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};

use filter::{build_filter, public_target};
use line::Style;
use writer::Writer;

pub use writer::QUEUE_LINES;

/// The logger of the process, once [`init`] has run.
static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts to log for `program`: directly to standard error, until [`Logger::start_thread`].
///
/// `level` (`--log-level`) beats the variable RUST_LOG, which beats `default`. RUST_LOG takes the
/// usual directives; `spiped` in it means every part of both programs, `spiped_net` one crate. A
/// directive that cannot be read is reported as a warning and ignored.
///
/// # Errors
///
/// A logger is installed already.
pub fn init(
    program: &'static str,
    level: Option<LevelFilter>,
    default: LevelFilter,
) -> Result<&'static Logger, SetLoggerError> {
    // Not UTF-8 is as unreadable as any other junk; the warning below then shows it.
    let variable = std::env::var_os("RUST_LOG").map(|text| text.to_string_lossy().into_owned());
    let (filter, complaint) = build_filter(level, variable.as_deref(), default);
    let writer = || Writer::to_stderr(program, style());
    let logger = LOGGER.get_or_init(|| Logger { filter, writer: writer() });
    log::set_logger(logger)?;
    log::set_max_level(logger.filter.filter());
    if let Some(complaint) = complaint {
        log::warn!("{complaint}");
    }
    Ok(logger)
}

/// How lines look on standard error.
fn style() -> Style {
    let journal = std::env::var("JOURNAL_STREAM").ok();
    line::style_for(std::io::stderr().as_fd(), journal.as_deref())
}

/// The line by which a program ends that has not come as far as [`init`]: as others look.
#[must_use]
pub fn error_line(program: &str, text: &str) -> String {
    line::format(style(), program, Level::Error, &format_args!("{text}"))
}

/// Waits until what was logged is written; see [`Logger::flush`]. Does nothing before [`init`].
pub fn flush(timeout: Duration) {
    if let Some(logger) = LOGGER.get() {
        logger.flush(timeout);
    }
}

/// Sends the text of a panic, which is a broken invariant, the way of all messages: standard error
/// may be a pipe that nobody reads, and even then the process must come to its end.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        log::error!("internal error, please report it: {panic}");
        flush(Duration::from_millis(500));
    }));
}

/// The implementation of [`log::Log`].
#[derive(Debug)]
pub struct Logger {
    filter: Filter,
    writer: Writer,
}

impl Logger {
    /// From now on a thread writes to standard error, from a queue of [`QUEUE_LINES`] lines.
    ///
    /// To be called after the process has gone to the background (threads do not survive fork) and
    /// before the event loop runs. Until then a line is written only if poll() says that standard
    /// error takes it.
    ///
    /// # Errors
    ///
    /// The thread could not be created; lines are then still written directly.
    pub fn start_thread(&self) -> std::io::Result<()> {
        self.writer.start_thread()
    }

    /// From now on a line written directly to standard error, a terminal, takes the place of what
    /// somebody else draws in its last line, again and again.
    pub fn replace_line(&self) {
        self.writer.replace_line();
    }

    /// Warns if [`Logger::switch_to_syslog`] would lose messages now, since nobody listens there; a
    /// server that comes later is found by the next message.
    pub fn warn_without_syslog(&self) {
        if let Err(error) = syslog::check(Path::new(syslog::DEV_LOG)) {
            log::warn!(
                "--syslog: no syslog server at {}: {error}; messages are lost until there is one, \
                 so start it, or leave --syslog out",
                syslog::DEV_LOG
            );
        }
    }

    /// Sends every later message to syslog, which is opened now and opened again whenever its
    /// server was restarted. No thread is needed: the socket never blocks.
    pub fn switch_to_syslog(&self) {
        self.writer.switch_to_syslog();
    }

    /// Waits until every queued line is written, or `timeout` has passed.
    pub fn flush(&self, timeout: Duration) {
        self.writer.flush(timeout);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = public_target(metadata.target());
        let metadata = Metadata::builder().level(metadata.level()).target(&target).build();
        self.filter.enabled(&metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let target = public_target(record.target());
        let (level, args) = (record.level(), *record.args());
        if self.filter.matches(&Record::builder().target(&target).level(level).args(args).build()) {
            self.writer.write(level, &args);
        }
    }

    fn flush(&self) {
        // The trait's flush has no time limit, so it must not wait.
    }
}
