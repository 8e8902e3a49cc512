//! Signals that end the daemon, as events of the poll loop.
//!
//! Owns the handlers for SIGTERM, SIGINT and SIGHUP and the manner of dying of one. Refuses to
//! decide what ends when: the loop drains on SIGTERM, the programs clean up. This is the last of
//! the files beneath `event_loop.rs`.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::process;
use std::ptr;

use mio::{Interest, Registry, Token};
use nix::libc;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use signal_hook_mio::v1_0 as signal_hook_mio;

/// A signal that asks us to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: finish what is going on, then end. A second one means now.
    Terminate,
    /// SIGINT: end now.
    Interrupt,
    /// SIGHUP: end now, or read a certificate again.
    Hangup,
}

impl Signal {
    fn number(self) -> i32 {
        match self {
            Self::Terminate => SIGTERM,
            Self::Interrupt => SIGINT,
            Self::Hangup => SIGHUP,
        }
    }

    fn from_number(number: i32) -> Option<Self> {
        match number {
            SIGTERM => Some(Self::Terminate),
            SIGINT => Some(Self::Interrupt),
            SIGHUP => Some(Self::Hangup),
            _ => None,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Hangup => "SIGHUP",
        })
    }
}

/// Signals that have arrived but were not looked at yet.
pub struct Signals(signal_hook_mio::Signals);

impl Signals {
    /// Installs the handlers. From now on these signals do nothing by themselves, so one and the
    /// same `Signals` is to be looked at until the process ends.
    ///
    /// SIGINT and SIGHUP stay ignored if they were at start, as nohup and shells without job
    /// control arrange for programs in the background.
    ///
    /// # Errors
    ///
    /// When no descriptors are left for the pipe in between.
    pub fn new() -> io::Result<Self> {
        Self::heeding(&[SIGTERM])
    }

    /// The same for who takes SIGHUP as a request to read something again: it is heeded even if it
    /// was ignored at start, since it ends nothing.
    ///
    /// # Errors
    ///
    /// As for [`Signals::new`].
    pub fn with_reload() -> io::Result<Self> {
        Self::heeding(&[SIGTERM, SIGHUP])
    }

    fn heeding(always: &[i32]) -> io::Result<Self> {
        let wanted = [SIGTERM, SIGINT, SIGHUP]
            .into_iter()
            .filter(|number| always.contains(number) || !is_ignored(*number));
        Ok(Self(signal_hook_mio::Signals::new(wanted)?))
    }

    /// Makes `token` readable when a signal arrives.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.0, token, Interest::READABLE)
    }

    /// Undoes [`Self::register`], for another registry to take over.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.0)
    }

    /// The signals that arrived since the last call, each once. Does not block.
    pub fn pending(&mut self) -> impl Iterator<Item = Signal> + '_ {
        self.0.pending().filter_map(Signal::from_number)
    }
}

/// Ends the process, after clean-up, as `signal` would have done by itself, so that whoever waits
/// for us sees why. As process 1 of a container, where signals have no default action: status 0.
pub fn die_of(signal: Signal) -> ! {
    die_as(signal, process::id())
}

fn die_as(signal: Signal, pid: u32) -> ! {
    if pid != 1 {
        // Returns only if it could not do it; then the status a shell would show has to do.
        if let Err(error) = emulate_default_handler(signal.number()) {
            log::debug!("cannot end by signal {}: {error}", signal.number());
        }
        process::exit(128 + signal.number());
    }
    process::exit(0)
}

/// Whether the process ignores a signal.
#[allow(unsafe_code)]
fn is_ignored(number: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with no new action sigaction(2) only writes the present one to `action`, which has
    // the right type; it is read only after the call succeeded.
    unsafe {
        libc::sigaction(number, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus, Stdio};
    use std::time::Duration;

    /// What [`in_a_process`] asks the helper below to do.
    const TASK: &str = "SPIPED_TEST_SIGNAL_TASK";

    /// Runs one task in a process of its own, started through `sh -c "$prefix exec ..."`.
    fn in_a_process(prefix: &str, task: &str) -> ExitStatus {
        Command::new("sh")
            .arg("-c")
            .arg(format!("{prefix} exec \"$0\" \"$@\""))
            .arg(env::current_exe().unwrap())
            .args(["--exact", "signal::tests::helper", "--ignored", "--test-threads=1"])
            .env(TASK, task)
            .stdout(Stdio::null())
            .status()
            .unwrap()
    }

    fn wait_for_signals(signals: &mut Signals, poll: &mut Poll) -> Vec<Signal> {
        let mut events = Events::with_capacity(4);
        loop {
            match poll.poll(&mut events, Some(Duration::from_secs(30))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.unwrap(),
            }
        }
        signals.pending().collect()
    }

    /// Tests may run where SIGINT or SIGHUP is ignored, and a shell cannot undo that.
    #[allow(unsafe_code)]
    fn stop_ignoring() {
        use nix::sys::signal::{SigHandler, Signal, signal};
        for number in [Signal::SIGHUP, Signal::SIGINT] {
            // SAFETY: the default action runs no code of ours.
            unsafe { signal(number, SigHandler::SigDfl) }.unwrap();
        }
    }

    #[test]
    #[ignore = "not a test: what the tests below run in a process of its own"]
    fn helper() {
        let raise = |number| signal_hook::low_level::raise(number).unwrap();
        let Ok(task) = env::var(TASK) else { return };
        if task != "ignored" {
            stop_ignoring();
        }
        let mut poll = Poll::new().unwrap();
        let mut signals = Signals::new().unwrap();
        signals.register(poll.registry(), Token(0)).unwrap();
        match task.as_str() {
            "receive" => {
                for (number, signal) in [
                    (SIGTERM, Signal::Terminate),
                    (SIGINT, Signal::Interrupt),
                    (SIGHUP, Signal::Hangup),
                    (SIGTERM, Signal::Terminate),
                ] {
                    raise(number);
                    assert_eq!(wait_for_signals(&mut signals, &mut poll), [signal]);
                    assert_eq!(signals.pending().count(), 0);
                }
            }
            "ignored" => {
                raise(SIGHUP);
                raise(SIGINT);
                raise(SIGTERM);
                assert_eq!(wait_for_signals(&mut signals, &mut poll), [Signal::Terminate]);
            }
            "die of SIGTERM" => die_of(Signal::Terminate),
            "die of SIGINT" => die_of(Signal::Interrupt),
            "die of SIGHUP" => die_of(Signal::Hangup),
            "die as 1" => die_as(Signal::Terminate, 1),
            task => panic!("no such task: {task}"),
        }
    }

    #[test]
    fn signals_reach_the_loop() {
        assert!(in_a_process("", "receive").success());
    }

    #[test]
    fn what_was_ignored_stays_ignored_but_for_sigterm() {
        assert!(in_a_process("trap '' HUP INT TERM;", "ignored").success());
    }

    #[test]
    fn we_die_of_the_signal() {
        for (task, number) in
            [("die of SIGTERM", SIGTERM), ("die of SIGINT", SIGINT), ("die of SIGHUP", SIGHUP)]
        {
            assert_eq!(in_a_process("", task).signal(), Some(number), "{task}");
        }
    }

    #[test]
    fn process_one_ends_with_success() {
        assert_eq!(in_a_process("", "die as 1").code(), Some(0));
    }
}
