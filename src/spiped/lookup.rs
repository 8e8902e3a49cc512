//! Looking up the addresses of the command line at start.
//!
//! Owns `-D`: look-ups that fail are tried again every second, for ever, and a signal still ends
//! the process. Refuses to look up anything later: the background thread of `dns.rs` in lib/net
//! does. Next: `run.rs`.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use spiped_net::addr::{Address, Endpoint};
use spiped_net::pause::{Pause, Woken};
use spiped_net::signal::Signal;

/// Time between a failed look-up and the next.
const RETRY: Duration = Duration::from_secs(1);

/// Looks the address up once; a failure is final.
///
/// # Errors
///
/// One line that does not name the option.
pub(super) fn once(address: &Address) -> Result<Vec<Endpoint>, String> {
    address.resolve().map_err(|error| error.to_string())
}

/// What a patient look-up has come to.
pub(super) enum Found {
    Addresses(Vec<Endpoint>),
    /// A signal came first.
    Signal(Signal),
}

/// Looks the address of `option` up until it works (`-D`), or a signal comes.
///
/// # Errors
///
/// If the system does not let us wait.
pub(super) fn until_it_works(
    option: &str,
    address: &Address,
    pause: &mut Pause,
) -> io::Result<Found> {
    let mut last_error = None;
    loop {
        // On a thread, because a look-up can take half a minute and no signal would be seen.
        let (sender, answer) = mpsc::channel();
        let (thread_address, waker) = (address.clone(), pause.waker());
        let thread = thread::Builder::new().name("look-up".to_owned()).spawn(move || {
            // If nobody wants the answer any more, a signal has come first.
            if sender.send(thread_address.resolve()).is_ok() {
                let _ = waker.wake();
            }
        })?;
        let resolved = loop {
            match pause.wait(None)? {
                Woken::Signal(signal) => return Ok(Found::Signal(signal)),
                Woken::Called | Woken::TimeUp => {}
            }
            if let Ok(resolved) = answer.try_recv() {
                break resolved;
            }
        };
        // It has nothing more to do, and must not be left outside of the sandbox. It does not panic
        // after its answer; if it should, the answer is no worse for that.
        let _ = thread.join();
        match resolved {
            Ok(endpoints) => return Ok(Found::Addresses(endpoints)),
            Err(error) => {
                let text = error.to_string();
                if last_error.as_ref() == Some(&text) {
                    log::debug!("{option}: {text}");
                } else {
                    log::warn!("{option}: {text}; trying again every second (-D)");
                }
                last_error = Some(text);
            }
        }
        if let Woken::Signal(signal) = pause.wait(Some(RETRY))? {
            return Ok(Found::Signal(signal));
        }
    }
}
