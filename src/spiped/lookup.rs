//! What the addresses of the command line stand for at the start.
//!
//! Owns the two kinds of `-s`, and `-D`: look-ups that fail are tried again every second, for ever;
//! and that a signal ends the process meanwhile. Refuses to look up anything later: the background
//! thread of `dns.rs` in lib/net does. Next: `run.rs`.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::Waker;
use spiped_net::addr::{Address, Endpoint, INHERITED_PREFIX};
use spiped_net::listener::{Listener, inherited};
use spiped_net::pause::{Pause, Woken};
use spiped_net::proxy::Via;
use spiped_net::signal::Signals;
use spiped_net::supervisor::Supervisor;

use super::run::{Checked, End, of};

/// Time between a failed look-up and the next.
const RETRY: Duration = Duration::from_secs(1);

/// How long a service manager is asked to wait for the next word: the resolver may take half a
/// minute for a look-up.
const MORE_TIME: Duration = Duration::from_secs(60);

/// Where the listeners come from.
pub(super) enum Source {
    /// We bind them.
    Address(Address),
    /// A service manager has passed them.
    Inherited(Vec<Listener>),
}

/// To be called before anything is opened: sockets that were passed are open already.
pub(super) fn check_source(text: &str) -> Result<Source, End> {
    match text.strip_prefix(INHERITED_PREFIX) {
        Some("") => Err(of("-s", format!("{text:?}: expected the name of a socket behind it"))),
        Some(name) => inherited::take(name).map(Source::Inherited).map_err(|error| of("-s", error)),
        None => Address::parse(text).map(Source::Address).map_err(|error| of("-s", error)),
    }
}

/// What the addresses of the command line have become.
pub(super) struct Addresses {
    /// Empty if the listeners are there already.
    pub(super) sources: Vec<Endpoint>,
    /// Of the proxy, if there is one.
    pub(super) targets: Vec<Endpoint>,
    pub(super) via: Option<Via>,
    pub(super) bind: Vec<Endpoint>,
}

/// Looks every name up once, before signals are caught.
pub(super) fn look_up(source: &Source, checked: &Checked) -> Result<Addresses, End> {
    find_all(source, checked, |option, address| {
        once(address).map_err(|error| not_found(option, address, &error))
    })
}

/// Finds what there is to be found, in the order of C.
fn find_all(
    source: &Source,
    checked: &Checked,
    mut find: impl FnMut(&str, &Address) -> Result<Vec<Endpoint>, End>,
) -> Result<Addresses, End> {
    let sources = match source {
        Source::Address(address) => find("-s", address)?,
        Source::Inherited(_) => Vec::new(),
    };
    let (option, hop) = checked.route.first_hop();
    let targets = find(option, hop)?;
    let wanted = checked.route.wanted().map_or(Ok(Vec::new()), |address| find("-t", address))?;
    Ok(Addresses {
        sources,
        targets,
        via: checked.route.via(&wanted),
        bind: checked.bind.as_ref().map_or(Ok(Vec::new()), |address| find("-b", address))?,
    })
}

/// What becomes of a look-up that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// The start has failed.
    None,
    /// It is tried again (`-D`).
    Endless,
}

/// Looks every name up; a signal ends that at once, however long the resolver takes.
pub(super) fn look_up_heedfully(
    source: &Source,
    checked: &Checked,
    signals: Signals,
    supervisor: Option<&Supervisor>,
    patience: Patience,
) -> Result<(Addresses, Signals), End> {
    let mut pause = Pause::new(signals).map_err(cannot_wait)?;
    let addresses = find_all(source, checked, |option, address| {
        if address.is_name() {
            find_name(option, address, patience, &mut pause, supervisor)
        } else {
            once(address).map_err(|error| of(option, error))
        }
    })?;
    Ok((addresses, pause.into_signals().map_err(cannot_wait)?))
}

fn cannot_wait(error: io::Error) -> End {
    End::Failed(format!("cannot wait for names: {error}"))
}

/// Looks the address up once; a failure is final.
///
/// # Errors
///
/// One line that does not name the option.
fn once(address: &Address) -> Result<Vec<Endpoint>, String> {
    address.resolve().map_err(|error| error.to_string())
}

/// The end of a start that does not wait for names.
fn not_found(option: &str, address: &Address, why: &str) -> End {
    let hint = "; is it right, and is the network up? (-D tries again until it is found)";
    of(option, format!("{why}{}", if address.is_name() { hint } else { "" }))
}

/// Looks the address of `option` up, as often as `patience` says.
fn find_name(
    option: &str,
    address: &Address,
    patience: Patience,
    pause: &mut Pause,
    supervisor: Option<&Supervisor>,
) -> Result<Vec<Endpoint>, End> {
    let mut last_error: Option<String> = None;
    loop {
        if let Some(supervisor) = supervisor {
            let reason = last_error.as_deref().unwrap_or("being looked up");
            supervisor.say_waiting(&format!("{option}: {reason}"), MORE_TIME);
        }
        let name = address.clone();
        let text = match on_a_thread(move || once(&name), pause)? {
            Ok(endpoints) => return Ok(endpoints),
            Err(text) if patience == Patience::None => {
                return Err(not_found(option, address, &text));
            }
            Err(text) => text,
        };
        if last_error.as_ref() == Some(&text) {
            log::debug!("{option}: {text}");
        } else {
            log::warn!("{option}: {text}; trying again every second (-D)");
        }
        last_error = Some(text);
        if let Woken::Signal(signal) = pause.wait(Some(RETRY)).map_err(cannot_wait)? {
            return Err(End::Signal(signal));
        }
    }
}

/// Looks up on a thread: that can take half a minute, and no signal would be seen.
fn on_a_thread(
    look_up: impl FnOnce() -> Result<Vec<Endpoint>, String> + Send + 'static,
    pause: &mut Pause,
) -> Result<Result<Vec<Endpoint>, String>, End> {
    let wakes = WakesAtItsEnd(pause.waker());
    let look_up = move || {
        let _wakes = wakes;
        look_up()
    };
    let thread = thread::Builder::new().name("look-up".to_owned()).spawn(look_up);
    let thread = thread.map_err(cannot_wait)?;
    loop {
        match pause.wait(None).map_err(cannot_wait)? {
            Woken::Signal(signal) => return Err(End::Signal(signal)),
            Woken::Called => break,
            Woken::TimeUp => {}
        }
    }
    // To the very end of it: it must not be left outside of the sandbox.
    let gone = |_| Err("the look-up has broken off, by a mistake in spiped".to_owned());
    Ok(thread.join().unwrap_or_else(gone))
}

/// Wakes a pause however a thread ends, lest one that panics is waited for until a signal comes.
struct WakesAtItsEnd(Arc<Waker>);

impl Drop for WakesAtItsEnd {
    fn drop(&mut self) {
        // The other end is ours, and outlives this; a wake-up that is pending already will do.
        let _ = self.0.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn pause() -> Pause {
        Pause::new(Signals::new().unwrap()).unwrap()
    }

    #[test]
    fn a_look_up_that_panics_fails_and_the_next_one_does_not() {
        let mut pause = pause();
        let broken = on_a_thread(|| panic!("as a broken resolver might"), &mut pause);
        assert!(broken.unwrap().unwrap_err().contains("broken off"));
        let found = vec![Endpoint::Unix(PathBuf::from("/x"))];
        let answer = found.clone();
        assert_eq!(on_a_thread(move || Ok(answer), &mut pause).unwrap(), Ok(found));
    }
}
