//! The background thread that keeps a target's addresses fresh.
//!
//! Owns that thread. It looks one [`Address`] up every period and hands lists that changed to the
//! event loop through a channel and mio's `Waker`, so that the loop never waits for a name server.
//! Refuses to touch connections: whoever polls decides what a new list means. Next: `listener.rs`.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use mio::Waker;

use crate::addr::{Address, Endpoint, ResolveError};

/// Bytes of stack for the thread. Ours is next to nothing, but glibc's resolver and the modules
/// that nsswitch.conf names work with buffers of up to 64 KiB on it.
const STACK_SIZE: usize = 512 * 1024;

/// What the answers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// What sockets are connected to: the target, or a proxy before it.
    FirstHop,
    /// Where a proxy is asked to connect to.
    Destination,
}

/// Looks an address up again and again until dropped.
///
/// Dropping it never waits: a thread inside getaddrinfo ends by itself when that returns.
#[derive(Debug)]
pub struct Refresher {
    lists: Receiver<Vec<Endpoint>>,
    /// Nothing is ever sent: its end tells the thread to stop.
    _alive: Sender<()>,
}

impl Refresher {
    /// Starts the thread. The first look-up comes after one `period`, each further one a period
    /// after the last was done. `waker` wakes the loop when [`Refresher::poll`] has a list.
    ///
    /// An address that [is no name](Address::is_name) needs no refresher.
    ///
    /// # Errors
    ///
    /// When the system has no room for a thread.
    pub fn spawn(address: Address, period: Duration, waker: Arc<Waker>) -> io::Result<Self> {
        Self::spawn_with(address, period, waker, Address::resolve)
    }

    fn spawn_with(
        address: Address,
        period: Duration,
        waker: Arc<Waker>,
        resolve: impl FnMut(&Address) -> Result<Vec<Endpoint>, ResolveError> + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, lists) = mpsc::channel();
        let (alive, stopped) = mpsc::channel();
        let job = Job { address, period, waker, lists: sender, stopped };
        thread::Builder::new()
            .name("dns".to_owned())
            .stack_size(STACK_SIZE)
            .spawn(move || job.run(resolve))?;
        Ok(Self { lists, _alive: alive })
    }

    /// The newest list, if one came since the last call; never empty. Does not block.
    #[must_use]
    pub fn poll(&self) -> Option<Vec<Endpoint>> {
        self.lists.try_iter().last()
    }
}

/// What the thread works with.
struct Job {
    address: Address,
    period: Duration,
    waker: Arc<Waker>,
    lists: Sender<Vec<Endpoint>>,
    stopped: Receiver<()>,
}

impl Job {
    fn run(self, mut resolve: impl FnMut(&Address) -> Result<Vec<Endpoint>, ResolveError>) {
        let mut health = Health::default();
        let mut last = Vec::new();
        while let Err(RecvTimeoutError::Timeout) = self.stopped.recv_timeout(self.period) {
            let result = resolve(&self.address);
            health.note(result.as_ref().err()).log(&self.address);

            // The same list again is not worth waking the loop for.
            let Ok(list) = result else { continue };
            if list == last {
                continue;
            }
            last.clone_from(&list);
            if self.lists.send(list).is_err() {
                return;
            }
            if let Err(error) = self.waker.wake() {
                log::warn!("cannot tell the event loop of new addresses: {error}");
            }
        }
    }
}

/// How the last look-up went, to say once what does not change.
#[derive(Default)]
struct Health {
    /// The last error's text; empty while all is well.
    error: String,
}

/// What there is to say after a look-up.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Nothing,
    Failing(String),
    StillFailing(String),
    WorksAgain,
}

impl Health {
    fn note(&mut self, error: Option<&ResolveError>) -> News {
        let now = error.map(ToString::to_string).unwrap_or_default();
        let before = mem::replace(&mut self.error, now.clone());
        match (before.is_empty(), now.is_empty()) {
            (true, true) => News::Nothing,
            (false, true) => News::WorksAgain,
            (_, false) if before == now => News::StillFailing(now),
            (_, false) => News::Failing(now),
        }
    }
}

impl News {
    fn log(&self, address: &Address) {
        match self {
            Self::Nothing => log::debug!("looked {address} up again"),
            Self::Failing(error) => log::warn!("{error}; going on with the addresses known so far"),
            Self::StillFailing(error) => log::debug!("{error}, still"),
            Self::WorksAgain => log::info!("looking up {address} works again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};
    use std::collections::VecDeque;

    const DEADLINE: Duration = Duration::from_secs(30);

    fn target() -> Address {
        Address::parse("db.invalid:5432").unwrap()
    }

    fn list(address: &str) -> Vec<Endpoint> {
        vec![Endpoint::Tcp(address.parse().unwrap())]
    }

    fn poll_and_waker() -> (Poll, Arc<Waker>) {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        (poll, waker)
    }

    #[test]
    fn new_lists_wake_the_loop_and_failures_keep_the_old_one() {
        let (mut poll, waker) = poll_and_waker();
        let failure = || Err(ResolveError::new(&target(), "try again".into()));
        let (one, two) = (list("192.0.2.1:5432"), list("192.0.2.2:5432"));
        let mut script = VecDeque::from([
            Ok(one.clone()),
            Ok(one.clone()),
            failure(),
            failure(),
            Ok(two.clone()),
        ]);
        // The second list is looked up only once the first has been taken.
        let (go, wait) = mpsc::channel();
        let mut calls = 0;
        let resolver = move |address: &Address| {
            assert_eq!(address, &target());
            calls += 1;
            if calls == 2 {
                wait.recv().unwrap();
            }
            script.pop_front().unwrap_or_else(failure)
        };
        let refresher =
            Refresher::spawn_with(target(), Duration::from_micros(1), waker, resolver).unwrap();

        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(DEADLINE)).unwrap();
        assert_eq!(refresher.poll(), Some(one));
        assert_eq!(refresher.poll(), None);
        go.send(()).unwrap();
        poll.poll(&mut events, Some(DEADLINE)).unwrap();
        assert_eq!(refresher.poll(), Some(two));
        assert_eq!(refresher.poll(), None);
    }

    #[test]
    fn dropping_does_not_wait_for_a_resolver_that_hangs() {
        let (_poll, waker) = poll_and_waker();
        let (entered, inside) = mpsc::channel();
        let (release, hang) = mpsc::channel::<()>();
        let resolver = move |_: &Address| {
            entered.send(()).unwrap();
            hang.recv().unwrap();
            Ok(list("192.0.2.1:5432"))
        };
        let refresher =
            Refresher::spawn_with(target(), Duration::from_micros(1), waker, resolver).unwrap();
        inside.recv_timeout(DEADLINE).unwrap();
        // Would never return if it joined the thread, which only we can release.
        drop(refresher);
        release.send(()).unwrap();
        // The thread notices, ends, and drops the resolver with its end of the channel.
        assert_eq!(inside.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_waiting_thread_ends_at_once_and_resolves_nothing() {
        let (_poll, waker) = poll_and_waker();
        let (called, calls) = mpsc::channel::<()>();
        let resolver = move |_: &Address| {
            called.send(()).unwrap();
            Ok(list("192.0.2.1:5432"))
        };
        let refresher = Refresher::spawn_with(target(), Duration::MAX, waker, resolver).unwrap();
        drop(refresher);
        assert_eq!(calls.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn the_real_resolver_runs_on_the_small_stack() {
        let (mut poll, waker) = poll_and_waker();
        let address = Address::parse("localhost:80").unwrap();
        let refresher = Refresher::spawn(address.clone(), Duration::from_micros(1), waker).unwrap();
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(DEADLINE)).unwrap();
        assert_eq!(refresher.poll(), Some(address.resolve().unwrap()));
    }

    #[test]
    fn an_error_is_news_once() {
        let mut health = Health::default();
        let first = ResolveError::new(&target(), "first".into());
        let second = ResolveError::new(&target(), "second".into());
        assert_eq!(health.note(None), News::Nothing);
        assert_eq!(health.note(Some(&first)), News::Failing(first.to_string()));
        assert_eq!(health.note(Some(&first)), News::StillFailing(first.to_string()));
        assert_eq!(health.note(Some(&second)), News::Failing(second.to_string()));
        assert_eq!(health.note(None), News::WorksAgain);
        assert_eq!(health.note(None), News::Nothing);
    }
}
