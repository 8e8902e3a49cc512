//! Strangers: connections at a steady rate that never prove anything, and stay as long as they may.
//!
//! Owns one thread and the sockets, each from an address of its own in 127.64.0.0/10. One of three
//! sends a nonce and then a byte of a value; the others are silent. Next: `rows/strangers.rs`.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Outcome;

/// Those that are there before the others begin to come.
const AT_ONCE: usize = 2_000;

/// Those that stay, unless they are dropped by the other end; older ones leave by themselves.
const HELD: usize = 15_000;

/// A crowd that grows until it is dropped.
pub(crate) struct Strangers {
    stop: Arc<AtomicBool>,
    came: Arc<AtomicUsize>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Strangers {
    /// `rate`: how many come in a second.
    pub(crate) fn start(addr: SocketAddr, rate: u64) -> Self {
        let (stop, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&came));
        let thread = std::thread::spawn(move || come(addr, rate, &stopped, &count));
        Self { stop, came, thread: Some(thread) }
    }

    /// How many have come so far, without the first ones.
    pub(crate) fn came(&self) -> usize {
        self.came.load(Ordering::Relaxed)
    }

    /// Ends it; an error if they could not come.
    pub(crate) fn end(mut self) -> Outcome<()> {
        self.stop.store(true, Ordering::Relaxed);
        let end = self.thread.take().map(JoinHandle::join);
        match end {
            Some(Ok(Err(e))) => Err(format!("strangers cannot connect: {e}")),
            Some(Err(_)) => Err("the thread of the strangers panicked".into()),
            Some(Ok(Ok(()))) | None => Ok(()),
        }
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Only a measurement that has failed comes here with a thread, and it has its own error.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn come(addr: SocketAddr, rate: u64, stop: &AtomicBool, count: &AtomicUsize) -> io::Result<()> {
    let mut held = VecDeque::with_capacity(HELD + 1);
    for number in 0..AT_ONCE {
        held.push_back(stranger(addr, number)?);
    }
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let came = count.load(Ordering::Relaxed);
        let due = (start.elapsed().as_secs_f64() * rate as f64) as usize;
        if came >= due {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        held.push_back(stranger(addr, AT_ONCE + came)?);
        if held.len() > HELD {
            held.pop_front();
        }
        count.store(came + 1, Ordering::Relaxed);
    }
    Ok(())
}

fn stranger(addr: SocketAddr, number: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // 4 million addresses, more than ever come in a run.
    let number = u32::try_from(number % (1 << 22)).unwrap_or(0);
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 64, 0, 1).to_bits() + number);
    socket.bind(&SocketAddr::from((address, 0)).into())?;
    socket.set_nonblocking(true)?;
    match socket.connect(&addr.into()) {
        Err(e) if e.raw_os_error() != Some(nix::libc::EINPROGRESS) => return Err(e),
        _ => {}
    }
    if number.is_multiple_of(3) {
        // It does not get through while the listener's queue is full; then this one is silent, too.
        let _ = socket.send(&[7; 33]);
    }
    Ok(socket)
}
