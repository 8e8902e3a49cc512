//! The service behind the tunnel: counts what arrives, and answers as it was told.
//!
//! Owns a listener and one thread that serves all connections with epoll, so that it costs the same
//! for one as for thousands. Every [`Manner`] answers the first byte of a connection, which tells
//! the client that the tunnel stands. Next: `load.rs`, the other end.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::Outcome;
use crate::process::PATIENCE;

const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;
const BUFFER_LEN: usize = 128 * 1024;

/// Connections whose bytes are counted one by one; later ones count in the sum only.
const COUNTED: usize = 1024;

/// What the service does with what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers the first byte, counts the rest.
    Count,
    /// Answers every so many bytes with one.
    Answer(u64),
    /// Answers the first byte, and never reads again.
    Stall,
}

/// What has happened so far.
#[derive(Debug)]
struct Counters {
    open: AtomicUsize,
    /// By connection, in the order of their arrival.
    bytes: Vec<AtomicU64>,
}

/// A running service; it ends when dropped.
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    counters: Arc<Counters>,
    /// Closing it is what ends the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Target {
    pub(crate) fn start(manner: Manner) -> Outcome<Self> {
        Self::try_start(manner).map_err(|e| format!("cannot start the target: {e}"))
    }

    fn try_start(manner: Manner) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let bytes = (0..COUNTED).map(|_| AtomicU64::new(0)).collect();
        let counters = Arc::new(Counters { open: AtomicUsize::new(0), bytes });
        let (stop, stopped) = UnixStream::pair()?;
        let service = Service::new(listener, stopped, manner, Arc::clone(&counters))?;
        let thread = std::thread::spawn(move || {
            if let Err(e) = service.run() {
                // The measurement then fails for want of answers; this says why.
                eprintln!("spiped-bench: the target failed: {e}");
            }
        });
        Ok(Self { addr, counters, stop: Some(stop), thread: Some(thread) })
    }

    /// Bytes so far of each of the first `count` connections.
    pub(crate) fn bytes(&self, count: usize) -> Vec<u64> {
        let counters = self.counters.bytes.iter().take(count);
        counters.map(|bytes| bytes.load(Ordering::Relaxed)).collect()
    }

    /// Waits until all connections have ended here, so that nobody is still busy with them.
    pub(crate) fn await_quiet(&self) -> Outcome<()> {
        let end = Instant::now() + PATIENCE;
        while self.counters.open.load(Ordering::Relaxed) > 0 {
            if Instant::now() > end {
                return Err("connections that the client closed do not end at the target".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop = None;
        // A panic there was printed there.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Visit {
    stream: TcpStream,
    number: usize,
    bytes: u64,
}

struct Service {
    listener: TcpListener,
    _stop: UnixStream,
    manner: Manner,
    counters: Arc<Counters>,
    epoll: Epoll,
    visits: Vec<Option<Visit>>,
}

impl Service {
    fn new(
        listener: TcpListener,
        stop: UnixStream,
        manner: Manner,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        if manner == Manner::Stall {
            // Takes little, so that a stall does not need gigabytes until it is one.
            socket2::SockRef::from(&listener).set_recv_buffer_size(16 * 1024)?;
        }
        // Many clients may come at once; std's backlog is 128.
        socket2::SockRef::from(&listener).listen(4096)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(&stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        Ok(Self { listener, _stop: stop, manner, counters, epoll, visits: Vec::new() })
    }

    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_LEN];
        let mut events = [EpollEvent::empty(); 256];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Err(nix::Error::EINTR) => continue,
                result => result?,
            };
            for event in &events[..count] {
                match event.data() {
                    STOP => return Ok(()),
                    LISTENER => self.accept()?,
                    number => self.serve(number as usize, &mut buffer),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let number = self.visits.len();
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        self.visits.push(Some(Visit { stream, number, bytes: 0 }));
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Reads once; a visit that has ended, cleanly or not, is over.
    fn serve(&mut self, number: usize, buffer: &mut [u8]) {
        let Some(visit) = &mut self.visits[number] else { return };
        let went_on = match visit.stream.read(buffer) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => true,
            Ok(0) | Err(_) => false,
            Ok(length) => visit.take(length as u64, self.manner, &self.counters, &self.epoll),
        };
        if !went_on {
            self.visits[number] = None;
            self.counters.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Visit {
    /// False if the answer could not be given.
    fn take(&mut self, length: u64, manner: Manner, counters: &Counters, epoll: &Epoll) -> bool {
        let before = self.bytes;
        self.bytes += length;
        if let Some(count) = counters.bytes.get(self.number) {
            count.fetch_add(length, Ordering::Relaxed);
        }
        let answers = match manner {
            Manner::Count | Manner::Stall => u64::from(before == 0),
            Manner::Answer(every) => self.bytes / every - before / every,
        };
        if manner == Manner::Stall && epoll.delete(&self.stream).is_err() {
            return false;
        }
        // A few bytes always fit into the socket's buffer.
        answers == 0 || self.stream.write_all(&vec![0; answers as usize]).is_ok()
    }
}
