//! The log: one line per message, to standard error or syslog.
//!
//! Owns which messages are written (level and RUST_LOG), how a line looks, and the rule that **no
//! message ever blocks or ends the process**: what cannot be written is dropped and counted, and
//! once writing works again one line says how many were lost. Refuses to log elsewhere. Next:
//! `logger/line.rs` (how a line looks), `logger/writer.rs` (queue, thread, loss),
//! `logger/syslog.rs`.

mod line;
mod syslog;
mod writer;

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use env_filter::{Builder, Filter};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

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
    let journal = std::env::var("JOURNAL_STREAM").ok();
    let style = line::style_for(std::io::stderr().as_fd(), journal.as_deref());
    let logger =
        LOGGER.get_or_init(|| Logger { filter, writer: Writer::to_stderr(program, style) });
    log::set_logger(logger)?;
    log::set_max_level(logger.filter.filter());
    if let Some(complaint) = complaint {
        log::warn!("{complaint}");
    }
    Ok(logger)
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

/// The name under which RUST_LOG knows a target: the crates' names all begin with `spiped`, except
/// that of the program `spipe`.
fn public_target(target: &str) -> std::borrow::Cow<'_, str> {
    match target.strip_prefix("spipe") {
        Some(rest) if rest.is_empty() || rest.starts_with(':') => format!("spiped{rest}").into(),
        _ => target.into(),
    }
}

/// What is logged, and a complaint about RUST_LOG if it cannot be read.
fn build_filter(
    level: Option<LevelFilter>,
    variable: Option<&str>,
    default: LevelFilter,
) -> (Filter, Option<String>) {
    let ours = |level: LevelFilter| {
        let mut builder = Builder::new();
        // Libraries beneath us are of interest only if something is wrong with them.
        builder.filter_level(level.min(LevelFilter::Warn)).filter_module("spiped", level);
        builder
    };
    if let Some(level) = level {
        return (ours(level).build(), None);
    }
    let Some(variable) = variable.filter(|text| !text.is_empty()) else {
        return (ours(default).build(), None);
    };
    // A level without a name in RUST_LOG replaces this one; without such a level, the default
    // holds for what RUST_LOG does not name.
    let mut builder = Builder::new();
    builder.filter_level(default);
    match builder.try_parse(variable) {
        Ok(builder) => (builder.build(), None),
        Err(_) => {
            let complaint = format!(
                "RUST_LOG {variable:?} is ignored: expected directives such as debug or \
                 spiped_net=trace,warn"
            );
            (ours(default).build(), Some(complaint))
        }
    }
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    fn enabled(filter: &Filter, target: &str, level: Level) -> bool {
        let target = public_target(target);
        filter.enabled(&Metadata::builder().level(level).target(&target).build())
    }

    #[test]
    fn the_option_beats_the_variable_which_beats_the_default() {
        use LevelFilter::{Debug, Error, Info};
        let level = |option, variable| {
            let (filter, complaint) = build_filter(option, variable, Info);
            assert_eq!(complaint, None);
            filter.filter()
        };
        assert_eq!(level(Some(Error), Some("debug")), Error);
        assert_eq!(level(None, Some("debug")), Debug);
        assert_eq!(level(None, None), Info);
        assert_eq!(level(None, Some("")), Info);
    }

    #[test]
    fn spiped_names_every_part_of_ours_and_nothing_else() {
        let (filter, _) = build_filter(None, Some("spiped=debug"), LevelFilter::Error);
        for target in ["spiped", "spipe", "spipe::x", "spiped_net::dns", "spiped_programs::key"] {
            assert!(enabled(&filter, target, Level::Debug), "{target}");
        }
        assert!(!enabled(&filter, "mio::poll", Level::Warn));
        let (filter, _) = build_filter(None, Some("spiped_net=trace,warn"), LevelFilter::Info);
        assert!(enabled(&filter, "spiped_net::dns", Level::Trace));
        assert!(!enabled(&filter, "spiped", Level::Info));
    }

    #[test]
    fn the_option_does_not_open_the_libraries() {
        let (filter, _) = build_filter(Some(LevelFilter::Trace), None, LevelFilter::Info);
        assert!(enabled(&filter, "spipe", Level::Trace));
        assert!(!enabled(&filter, "mio::poll", Level::Info));
        assert!(enabled(&filter, "mio::poll", Level::Warn));
    }

    #[test]
    fn an_unreadable_variable_is_reported_and_ignored() {
        let (filter, complaint) = build_filter(None, Some("spiped=loud"), LevelFilter::Info);
        assert_eq!(filter.filter(), LevelFilter::Info);
        assert!(complaint.unwrap().starts_with("RUST_LOG \"spiped=loud\" is ignored: expected"));
    }
}
