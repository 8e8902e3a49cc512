//! New connections at a steady rate, each of which does its handshake, says a byte and ends.
//!
//! Owns a few threads, so that a slow handshake does not lower the rate. Next: `rows/latency.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::load::{connect, hear, say};

const THREADS: u32 = 4;

/// A storm that goes on until it is dropped.
pub(crate) struct Storm {
    stop: Arc<AtomicBool>,
    finished: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Outcome<()>>>,
}

impl Storm {
    /// `rate`: connections per second.
    pub(crate) fn start(addr: SocketAddr, rate: u32) -> Self {
        let (stop, finished) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let pause = Duration::from_secs(1) * THREADS / rate;
        let start = Instant::now();
        let threads = (0..THREADS).map(|number| {
            let (stop, finished) = (Arc::clone(&stop), Arc::clone(&finished));
            // The threads take turns.
            let mut next = start + pause * number / THREADS;
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                    // Who is late does not make up for it with a burst.
                    next = (next + pause).max(Instant::now());
                    let mut stream = connect(addr)?;
                    say(&mut stream, b"!")?;
                    hear(&mut stream)?;
                    finished.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        });
        let threads = threads.collect();
        Self { stop, finished, threads }
    }

    /// Connections that were served so far.
    pub(crate) fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// Ends it; an error if any connection failed.
    pub(crate) fn end(mut self) -> Outcome<()> {
        self.stop.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<_>| {
            thread.join().unwrap_or_else(|_| Err("a thread of the storm panicked".into()))
        };
        let ends: Vec<Outcome<()>> = self.threads.drain(..).map(join).collect();
        ends.into_iter().collect()
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Only a measurement that has failed comes here with threads, and it has its own error.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}
