//! Waiting outside the event loop, without being deaf to signals.
//!
//! Owns a small poll of its own for the two moments at which a program waits although its loop does
//! not run: `-D` and `-F` while names are looked up, and `spipe` while its last bytes go to stdout.
//! Once handlers are installed a signal does nothing by itself any more, so somebody must look.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

use crate::signal::{Signal, Signals};

const SIGNALS: Token = Token(0);
const WAKER: Token = Token(1);

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A signal that is to end the process.
    Signal(Signal),
    /// The waker.
    Called,
    /// The time is up.
    TimeUp,
}

/// A place to wait in.
pub struct Pause {
    poll: Poll,
    signals: Signals,
    waker: Arc<Waker>,
}

impl Pause {
    /// Waits for these signals, too.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors for it.
    pub fn new(mut signals: Signals) -> io::Result<Self> {
        let poll = Poll::new()?;
        signals.register(poll.registry(), SIGNALS)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self { poll, signals, waker })
    }

    /// Hands the signals on.
    ///
    /// # Errors
    ///
    /// If the system does not let go of them.
    pub fn into_signals(mut self) -> io::Result<Signals> {
        self.signals.deregister(self.poll.registry())?;
        Ok(self.signals)
    }

    /// What ends a wait from another thread.
    #[must_use]
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Waits for a signal, the waker or the end of `limit`.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to poll.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<Woken> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut events = Events::with_capacity(4);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match self.poll.poll(&mut events, left) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if let Some(signal) = self.signals.pending().next() {
                return Ok(Woken::Signal(signal));
            }
            if events.iter().any(|event| event.token() == WAKER) {
                return Ok(Woken::Called);
            }
            if left == Some(Duration::ZERO) {
                return Ok(Woken::TimeUp);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waker_and_the_time_end_a_wait() {
        let mut pause = Pause::new(Signals::new().unwrap()).unwrap();
        assert_eq!(pause.wait(Some(Duration::from_millis(1))).unwrap(), Woken::TimeUp);
        let waker = pause.waker();
        let thread = std::thread::spawn(move || waker.wake());
        assert_eq!(pause.wait(None).unwrap(), Woken::Called);
        thread.join().unwrap().unwrap();
    }
}
