//! The order in which `spipe` starts, and how it ends.
//!
//! Owns that order and the exit status. Its one connection is the encrypting side of a relay, as in
//! `spiped -e`; its plain side is a socket pair that two threads join to stdin and stdout
//! (`stdio.rs`). The loop is `event_loop.rs` of lib/net.

use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use log::{Level, LevelFilter};
use spiped_net::addr::{Address, Endpoint};
use spiped_net::pause::{Pause, Woken};
use spiped_net::signal::{self, Signal, Signals};
use spiped_net::{EventLoop, Outcome, Purpose, Settings};
use spiped_proto::Role;

use super::args::{self, Options};
use super::check;
use super::progress::Progress;
use super::stdio::Stdio;
use crate::logger::{self, Logger};
use crate::route::{Route, Wanted};
use crate::sandbox::{self, Needs};
use crate::{carrier, key, memory};

/// How long the last lines of the log may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the client; the status of the process.
#[must_use]
pub fn main() -> ExitCode {
    let options = match args::parse_from(std::env::args_os()) {
        Ok(options) => options,
        Err(exit) => return exit.report(),
    };
    let logger = logger::init("spipe", options.log_level, LevelFilter::Warn)
        .expect("nobody has installed a logger before");
    logger::report_panics();
    memory::keep_private();
    // Who uses ssh through this can do little about it in the middle of a session.
    memory::lock_secrets(Level::Debug);

    match run(&options, logger) {
        Ok(End::Finished) => ExitCode::SUCCESS,
        Ok(End::Failed) => ExitCode::FAILURE,
        // As C's: told to stop, it has stopped.
        Ok(End::Signal(Signal::Terminate)) => ExitCode::SUCCESS,
        Ok(End::Signal(other)) => {
            logger::flush(LAST_WORDS);
            signal::die_of(other)
        }
        Err(reason) => {
            log::error!("{reason}");
            logger::flush(LAST_WORDS);
            ExitCode::FAILURE
        }
    }
}

/// How the connection ended.
pub(super) enum End {
    Finished,
    /// The user has been told why.
    Failed,
    Signal(Signal),
}

/// Runs until both directions have ended, a check is done, or a signal comes.
fn run(options: &Options, logger: &Logger) -> Result<End, String> {
    let (settings, route) = settings(options)?;
    let (mut event_loop, stdio) = EventLoop::new(settings)
        .and_then(|mut event_loop| {
            event_loop.watch(Signals::new()?)?;
            if options.sandbox {
                sandbox::enter(&Needs::default());
            } else {
                sandbox::stay_out();
            }
            if options.check {
                return Ok((event_loop, None));
            }
            let (stdio, plain) = Stdio::start()?;
            event_loop.adopt(plain)?;
            Ok((event_loop, Some(stdio)))
        })
        .map_err(|error| format!("cannot set up the connection: {error}"))?;
    route.log();
    let Some(stdio) = stdio else { return check::run(event_loop, route.target()) };
    // Draws until it is dropped, its last line then.
    let _progress = options.progress.then(|| Progress::start(stdio.counts(), logger)).flatten();

    let outcome =
        event_loop.run().map_err(|error| format!("waiting for events failed: {error}"))?;
    let reason = match outcome {
        Outcome::Signal(signal) => return Ok(End::Signal(signal)),
        Outcome::Idle(reason) => reason,
    };
    // The loop closes the plain side's last socket here, which is the end of what stdout gets.
    let signals = event_loop.into_signals();
    if let Some(signal) = hand_over(stdio, signals)? {
        return Ok(End::Signal(signal));
    }
    // The loop has said why, before stdout was closed.
    let failed = reason.is_some_and(|reason| !reason.is_clean());
    Ok(if failed { End::Failed } else { End::Finished })
}

/// What the loop is to do, and the way that it goes; reads files and looks up names.
fn settings(options: &Options) -> Result<(Settings, Route), String> {
    let target = Address::parse_target(&options.target).map_err(|error| format!("-t: {error}"))?;
    let bind = options.bind.as_deref().map(Address::parse_bind).transpose();
    let bind = bind.map_err(|error| format!("-b: {error}"))?;
    let carrier = carrier::to_target(&target, &options.web)?;
    let route = Route::new(target, &options.web)?;
    let key = key::read(&options.key_file)?;
    let (option, hop) = route.first_hop();
    let targets = hop.resolve().map_err(|error| format!("{option}: {error}"))?;
    let wanted = route.wanted().map_or(Ok(Vec::new()), Address::resolve);
    let proxy = route.via(&wanted.map_err(|error| format!("-t: {error}"))?);
    let bind: Vec<Endpoint> = match bind {
        Some(address) => address.resolve().map_err(|error| format!("-b: {error}"))?,
        None => Vec::new(),
    };
    route.check(&bind, &targets, Wanted::Now)?;
    let settings = Settings {
        role: Role::Encrypt,
        pfs: options.pfs,
        keys: vec![key],
        targets,
        proxy,
        carrier,
        bind,
        timeout: Some(options.timeout),
        coalesce: options.coalesce,
        keepalive: options.keepalive,
        idle_timeout: options.idle_timeout,
        ack_timeout: options.ack_timeout,
        drain_timeout: None, // SIGTERM ends it at once
        max_connections: 1,
        max_handshakes: usize::MAX, // nobody comes to us
        purpose: if options.check { Purpose::Check } else { Purpose::Pipe },
    };
    Ok((settings, route))
}

/// Waits until stdout has every byte that was received, or a signal comes: whoever reads it may
/// take its time.
fn hand_over(stdio: Stdio, signals: io::Result<Option<Signals>>) -> Result<Option<Signal>, String> {
    let describe = |error: io::Error| format!("cannot wait for standard output: {error}");
    let signals = signals.and_then(|signals| signals.map_or_else(Signals::new, Ok));
    let mut pause = signals.and_then(Pause::new).map_err(describe)?;
    let waker = pause.waker();
    let handing_over = thread::Builder::new().spawn(move || {
        stdio.finish();
        waker.wake()
    });
    handing_over.map_err(describe)?;
    loop {
        match pause.wait(None).map_err(describe)? {
            Woken::Signal(signal) => return Ok(Some(signal)),
            Woken::Called => return Ok(None),
            Woken::TimeUp => {}
        }
    }
}
