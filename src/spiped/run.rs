//! The order in which `spiped` starts, and how it ends.
//!
//! Owns that order: what can be known from the command line and the key is checked first, before
//! anything is forked or opened; then names, sockets, background, privileges, the sandbox, and last
//! threads and the loop.
//! Refuses to do any of it itself: each step is a module of its own. The loop is `event_loop.rs`
//! of lib/net.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use log::{Level, LevelFilter};
use spiped_net::addr::Address;
use spiped_net::dns::{Follows, Refresher};
use spiped_net::listener::{self, Listener};
use spiped_net::signal::{self, Signal, Signals};
use spiped_net::supervisor::Supervisor;
use spiped_net::web::Carrier;
use spiped_net::{EventLoop, Outcome, Purpose, Settings, limits};
use spiped_proto::{Role, SharedKey};

use super::args::{self, Options};
use super::daemon::{self, Starting, Stderr};
use super::lookup::{Addresses, Patience, Source, check_source, look_up, look_up_heedfully};
use super::pidfile::Pidfile;
use super::user::UserSpec;
use crate::logger::{self, Logger};
use crate::options::Accepts;
use crate::route::{Route, Wanted};
use crate::sandbox::{self, Needs};
use crate::{carrier, key, memory};

/// How long the last lines of the log may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the daemon; the status of the process.
#[must_use]
pub fn main() -> ExitCode {
    let options = match args::parse_from(std::env::args_os()) {
        Ok(options) => options,
        Err(exit) => return exit.report(),
    };
    let logger = logger::init("spiped", options.log_level, LevelFilter::Info)
        .expect("nobody has installed a logger before");
    logger::report_panics();
    memory::keep_private();
    memory::lock_secrets(Level::Debug);

    let mut process =
        Process { logger, supervisor: None, starting: None, pidfile: None, has_run: false };
    let end = start_and_run(&options, &mut process);
    process.finish(end)
}

/// How the process ends.
#[derive(Debug)]
pub(super) enum End {
    /// Everything is done.
    Done,
    /// It could not start; one line for the user.
    Failed(String),
    /// A signal came.
    Signal(Signal),
}

/// An error that does not name the option it is about.
pub(super) fn of(option: &str, error: impl Display) -> End {
    End::Failed(format!("{option}: {error}"))
}

/// What else the command line and the key file say, before anything is done about it.
pub(super) struct Checked {
    pub(super) route: Route,
    carrier: Carrier,
    pub(super) bind: Option<Address>,
    user: Option<UserSpec>,
    key: SharedKey,
}

fn check(source: &Source, options: &Options) -> Result<Checked, End> {
    let bind = options.bind.as_deref().map(Address::parse_bind).transpose();
    let user = options.user.as_deref().map(UserSpec::parse).transpose();
    let target = Address::parse_target(&options.target).map_err(|error| of("-t", error))?;
    let carrier = match (options.role, source) {
        (Role::Encrypt, _) => carrier::to_target(&target, &options.web),
        (Role::Decrypt, Source::Address(source)) => {
            carrier::from_source(source.web(), &options.web)
        }
        (Role::Decrypt, Source::Inherited(_)) => carrier::from_source(None, &options.web),
    };
    Ok(Checked {
        route: Route::new(target, &options.web).map_err(End::Failed)?,
        carrier: carrier.map_err(End::Failed)?,
        bind: bind.map_err(|error| of("-b", error))?,
        user: user.map_err(|error| of("-u", error))?,
        key: key::read(&options.key_file).map_err(End::Failed)?,
    })
}

fn start_and_run(options: &Options, process: &mut Process) -> End {
    match start(options, process) {
        Ok(mut event_loop) => {
            process.has_run = true;
            match event_loop.run() {
                Ok(Outcome::Idle(_)) => End::Done,
                Ok(Outcome::Signal(signal)) => End::Signal(signal),
                Err(error) => End::Failed(format!("waiting for events failed: {error}")),
            }
        }
        Err(end) => end,
    }
}

fn start(options: &Options, process: &mut Process) -> Result<EventLoop, End> {
    let source = check_source(&options.source)?;
    let checked = check(&source, options)?;
    process.supervisor = Supervisor::from_env();
    if options.syslog && options.foreground {
        log::warn!("--syslog does nothing with -F: the log stays on standard error");
    }
    if let Err(error) = limits::raise_descriptor_limit() {
        log::warn!("the limit of descriptors stays as it is: {error}");
    }

    // With -D whoever started us need not wait for names; without, only until all is bound.
    // Signals are caught when no fork is ahead: parent and child would share what catches them.
    let patient = options.wait_for_dns;
    if !options.foreground && patient {
        process.daemonize(options)?;
        process.release(options)?;
    }
    let early = (options.foreground || patient).then(|| catch_signals(options)).transpose()?;
    let (addresses, early) = match early {
        Some(signals) => {
            let patience = if patient { Patience::Endless } else { Patience::None };
            let supervisor = process.supervisor.as_ref();
            let (found, signals) =
                look_up_heedfully(&source, &checked, signals, supervisor, patience)?;
            (found, Some(signals))
        }
        None => (look_up(&source, &checked)?, None),
    };
    let (bind, targets) = (&addresses.bind, &addresses.targets);
    checked.route.check(bind, targets, Wanted::Later).map_err(End::Failed)?;
    let listeners = match source {
        Source::Inherited(listeners) => listeners,
        Source::Address(_) => listener::bind_all(&addresses.sources, options.sharing)
            .map_err(|error| of("-s", error))?,
    };
    let signals = match early {
        Some(signals) => signals,
        None => {
            process.daemonize(options)?;
            catch_signals(options)?
        }
    };

    // The locks of before have not survived the fork, if there was one.
    memory::lock_secrets(Level::Warn);
    if let Some(user) = &checked.user {
        user.apply().map_err(|error| of("-u", error))?;
        memory::keep_private();
    }
    let event_loop = set_up(options, checked, addresses, listeners, signals, process)?;
    process.release(options)?;
    Ok(event_loop)
}

fn catch_signals(options: &Options) -> Result<Signals, End> {
    let signals = match options.web.accepts {
        Accepts::WebSockets(Some(_)) => Signals::with_reload(),
        Accepts::WebSockets(None) | Accepts::Streams => Signals::new(),
    };
    signals.map_err(|error| End::Failed(format!("cannot react to signals: {error}")))
}

/// The loop, with all that it reacts to. The sandbox and threads begin here, in this order, so the
/// fork and -u are behind us.
fn set_up(
    options: &Options,
    checked: Checked,
    addresses: Addresses,
    listeners: Vec<Listener>,
    signals: Signals,
    process: &mut Process,
) -> Result<EventLoop, End> {
    if listeners.iter().any(|listener| addresses.targets.contains(listener.local())) {
        log::warn!(
            "-t {}: this is where we listen (-s), so connections go in circles",
            checked.route.target()
        );
    }
    let bound: Vec<String> =
        listeners.iter().map(|listener| listener.local().to_string()).collect();
    let what = match options.role {
        Role::Encrypt => "encrypting",
        Role::Decrypt => "decrypting",
    };
    let route = checked.route;
    let follow = options.resolve.map(|period| (period, route.names()));
    let follow = follow.filter(|(_, names)| !names.is_empty());
    let needs = needs(follow.is_some(), options, &listeners, process.pidfile.as_ref());

    let mut event_loop = EventLoop::new(Settings {
        role: options.role,
        pfs: options.pfs,
        keys: vec![checked.key],
        targets: addresses.targets,
        proxy: addresses.via,
        carrier: checked.carrier,
        bind: addresses.bind,
        timeout: Some(options.timeout),
        coalesce: options.coalesce,
        keepalive: options.keepalive,
        idle_timeout: options.idle_timeout,
        ack_timeout: options.ack_timeout,
        drain_timeout: options.drain_timeout,
        max_connections: options.max_connections.map_or(usize::MAX, NonZeroUsize::get),
        max_handshakes: options.max_handshakes.map_or(usize::MAX, NonZeroUsize::get),
        purpose: Purpose::Serve,
    })
    .map_err(|error| End::Failed(format!("cannot set up the event loop: {error}")))?;
    event_loop
        .watch(signals)
        .map_err(|error| End::Failed(format!("cannot react to signals: {error}")))?;
    // Last of what is opened: what is left of the descriptors is for connections.
    event_loop.listen(listeners).map_err(|error| End::Failed(format!("cannot listen: {error}")))?;

    if options.sandbox {
        sandbox::enter(&needs);
    } else {
        sandbox::stay_out();
    }
    if let Err(error) = process.logger.start_thread() {
        log::warn!("the log has no thread of its own: {error}");
    }
    if let Some((period, names)) = follow {
        follow_names(&mut event_loop, period, names)?;
    }
    // Said when it is true in full: whoever reads it may send connections, and signals.
    bound.iter().for_each(|address| log::info!("listening on {address}"));
    log::info!("{what} connections to {}", route.target());
    route.log();
    if let Some(supervisor) = &mut process.supervisor {
        supervisor.say_ready();
    }
    event_loop.inform(process.supervisor.take());
    Ok(event_loop)
}

/// Looks names up again, each on a thread of its own.
fn follow_names(
    event_loop: &mut EventLoop,
    period: Duration,
    names: Vec<(Follows, Address)>,
) -> Result<(), End> {
    for (what, name) in names {
        let refresher = Refresher::spawn(name, period, event_loop.waker()).map_err(|error| {
            End::Failed(format!("cannot start the thread that looks up names: {error}"))
        })?;
        event_loop.follow(what, refresher);
    }
    Ok(())
}

/// What is still to be done in the sandbox: following the target's name, reading the certificate
/// again, and tidying up.
fn needs(
    names: bool,
    options: &Options,
    listeners: &[Listener],
    pidfile: Option<&Pidfile>,
) -> Needs {
    let pidfile = pidfile.map(|pidfile| pidfile.path().to_owned());
    let sockets = listeners.iter().filter_map(|listener| listener.file().map(Path::to_owned));
    let renewed = match &options.web.accepts {
        Accepts::WebSockets(Some(files)) => vec![files.certificate.clone(), files.key.clone()],
        Accepts::WebSockets(None) | Accepts::Streams => Vec::new(),
    };
    Needs { names, renewed, removes: sockets.chain(pidfile.clone()).collect(), reads: pidfile }
}

/// What the process has to answer for at its end.
struct Process {
    logger: &'static Logger,
    /// The service manager, until the loop keeps it informed.
    supervisor: Option<Supervisor>,
    /// The process that started us still waits to hear how that goes.
    starting: Option<Starting>,
    pidfile: Option<Pidfile>,
    /// The start was a success; whose pidfile ours has replaced is no matter any more.
    has_run: bool,
}

impl Process {
    fn daemonize(&mut self, options: &Options) -> Result<(), End> {
        if options.syslog {
            self.logger.warn_without_syslog();
        }
        let (starting, pidfile) =
            daemon::daemonize(&options.pidfile).map_err(|error| End::Failed(error.to_string()))?;
        (self.starting, self.pidfile) = (Some(starting), Some(pidfile));
        // As in C, a daemon speaks to syslog from its first word; its start still fails aloud.
        if options.syslog {
            self.logger.switch_to_syslog();
        }
        Ok(())
    }

    /// Tells whoever started us that all is well.
    fn release(&mut self, options: &Options) -> Result<(), End> {
        let Some(starting) = self.starting.take() else { return Ok(()) };
        let stderr = if options.syslog { Stderr::Discard } else { Stderr::Keep };
        starting
            .release(stderr)
            .map_err(|error| End::Failed(format!("cannot redirect stderr: {error}")))
    }

    fn finish(mut self, end: End) -> ExitCode {
        match (&end, self.starting.take(), self.pidfile.take()) {
            (End::Failed(reason), Some(starting), Some(pidfile)) => starting.fail(pidfile, reason),
            (_, None, Some(pidfile)) if !self.has_run => pidfile.withdraw(),
            (_, _, Some(pidfile)) => pidfile.remove_if_ours(),
            (_, _, None) => {}
        }
        match &end {
            End::Done => log::info!("stopped"),
            End::Signal(signal) => log::info!("ended by {signal}"),
            End::Failed(reason) => log::error!("{reason}"),
        }
        logger::flush(LAST_WORDS);
        match end {
            End::Done => ExitCode::SUCCESS,
            End::Signal(signal) => signal::die_of(signal),
            End::Failed(_) => ExitCode::FAILURE,
        }
    }
}
