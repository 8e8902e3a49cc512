//! The clients before the tunnel: single messages, crowds that keep still, floods of data.
//!
//! Owns client sockets. Every wait has a limit. A flood is one thread with epoll, however many
//! streams it feeds, so that the load costs every peer the same. Next: `storm.rs`, new connections
//! at a given rate; `rows/`, which combine these.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::Outcome;
use crate::process::PATIENCE;

/// Connections that are on their way at once: C spiped has a backlog of 10.
pub(crate) const AT_ONCE: usize = 8;

const CHUNK_LEN: usize = 128 * 1024;

/// A client's connection; reading and writing give up after [`PATIENCE`].
pub(crate) fn connect(addr: SocketAddr) -> Outcome<TcpStream> {
    let connect = || {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    connect().map_err(|e: io::Error| format!("cannot connect to {addr}: {e}"))
}

/// Sends a message.
pub(crate) fn say(stream: &mut TcpStream, message: &[u8]) -> Outcome<()> {
    stream.write_all(message).map_err(|e| format!("cannot send through the tunnel: {e}"))
}

/// Waits for the answer, one byte.
pub(crate) fn hear(stream: &mut TcpStream) -> Outcome<()> {
    stream.read_exact(&mut [0]).map_err(|e| format!("no answer through the tunnel: {e}"))
}

/// Microseconds that messages took to be answered: `count` of them, or as many as are answered
/// within `limit`, but at least one.
pub(crate) fn round_trips(
    stream: &mut TcpStream,
    message: &[u8],
    count: usize,
    limit: Duration,
) -> Outcome<Vec<f64>> {
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.is_empty() || times.len() < count && begin.elapsed() < limit {
        let start = Instant::now();
        say(stream, message)?;
        hear(stream)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// Opens so many connections and waits for each one's first answer, a few at a time.
pub(crate) fn crowd(addr: SocketAddr, count: usize) -> Outcome<Vec<TcpStream>> {
    let mut crowd = Vec::with_capacity(count);
    while crowd.len() < count {
        let start = crowd.len();
        for _ in start..count.min(start + AT_ONCE) {
            let mut stream = connect(addr)?;
            say(&mut stream, b"!")?;
            crowd.push(stream);
        }
        crowd[start..].iter_mut().try_for_each(hear)?;
    }
    Ok(crowd)
}

/// Writes to all streams until none of them takes anything any more; returns the bytes taken.
///
/// Whoever still passes something on makes room within `QUIET`, so after that nobody does.
pub(crate) fn fill(streams: &mut [TcpStream]) -> Outcome<u64> {
    const QUIET: Duration = Duration::from_millis(500);
    let chunk = vec![0; CHUNK_LEN];
    let end = Instant::now() + 6 * PATIENCE;
    let (mut total, mut last) = (0, Instant::now());
    for stream in &mut *streams {
        stream.set_nonblocking(true).map_err(|e| format!("cannot make a socket wait not: {e}"))?;
    }
    while last.elapsed() < QUIET {
        for stream in &mut *streams {
            match stream.write(&chunk) {
                Ok(taken) => (total, last) = (total + taken as u64, Instant::now()),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(format!("cannot send to a receiver that waits: {e}")),
            }
        }
        if Instant::now() > end {
            return Err(format!("the tunnel still swallows after {total} bytes"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(total)
}

/// Streams that are fed as fast as they go; they end when it is dropped.
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    pub(crate) fn start(streams: Vec<TcpStream>) -> Outcome<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let epoll = watch(&streams).map_err(|e| format!("cannot watch the streams: {e}"))?;
        let thread = std::thread::spawn(move || {
            if let Err(e) = feed(streams, &epoll, &stopped) {
                // The row then shows too little, and its measurement checks that; this says why.
                eprintln!("spiped-bench: a stream could not be fed: {e}");
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }

    /// False if feeding has failed.
    pub(crate) fn runs(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A panic there was printed there.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn watch(streams: &[TcpStream]) -> io::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (number, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true)?;
        epoll.add(stream, EpollEvent::new(EpollFlags::EPOLLOUT, number as u64))?;
    }
    Ok(epoll)
}

fn feed(mut streams: Vec<TcpStream>, epoll: &Epoll, stop: &AtomicBool) -> io::Result<()> {
    let chunk = vec![0x5a; CHUNK_LEN];
    let mut events = [EpollEvent::empty(); 256];
    while !stop.load(Ordering::Relaxed) {
        // With a limit, so that a tunnel that takes nothing does not keep us from stopping.
        let count = match epoll.wait(&mut events, EpollTimeout::from(100u8)) {
            Err(nix::Error::EINTR) => continue,
            result => result?,
        };
        for event in &events[..count] {
            match streams[event.data() as usize].write(&chunk) {
                Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}
