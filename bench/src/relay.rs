//! The plain relay: copies both ways through one 64 KiB buffer, and does nothing else.
//!
//! Two of them in a row are what a tunnel could cost at least. One thread, epoll, level-triggered;
//! what a socket does not take is kept, and until it is gone the other side is not read. Refuses
//! options and comfort. Next: nothing; `pair.rs` starts it as a process of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::Outcome;

const LISTENER: u64 = u64::MAX;
const BUFFER_LEN: usize = 64 * 1024;

/// Listens at `port` of 127.0.0.1 and passes everything on to `target`, until it is killed.
pub(crate) fn run(port: u16, target: SocketAddr) -> Outcome<()> {
    serve(port, target).map_err(|e| format!("relay from port {port} to {target}: {e}"))
}

/// A connection: two sockets, 0 from the client and 1 to the target.
struct Link {
    sockets: [TcpStream; 2],
    /// What each socket has not taken yet.
    rest: [Vec<u8>; 2],
    /// Whether each socket's stream has ended.
    ended: [bool; 2],
    watched: [EpollFlags; 2],
}

fn serve(port: u16, target: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut links: Vec<Option<Link>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut buffer = vec![0; BUFFER_LEN];
    let mut events = [EpollEvent::empty(); 256];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(nix::Error::EINTR) => continue,
            result => result?,
        };
        // Numbers of closed links are used again only after the batch.
        let mut closed = Vec::new();
        for event in &events[..count] {
            if event.data() == LISTENER {
                let link = Link::new(listener.accept()?.0, TcpStream::connect(target)?)?;
                let number = free.pop().unwrap_or(links.len());
                if number == links.len() {
                    links.push(None);
                }
                link.register(&epoll, number)?;
                links[number] = Some(link);
                continue;
            }
            let (number, side) = split(event.data());
            let Some(link) = &mut links[number] else { continue };
            let failed = link.pump(side, event.events(), &mut buffer).is_err();
            if failed || link.finished() || link.watch(&epoll, number).is_err() {
                links[number] = None; // closing the sockets takes them out of epoll
                closed.push(number);
            }
        }
        free.append(&mut closed);
    }
}

fn split(data: u64) -> (usize, usize) {
    ((data >> 1) as usize, (data & 1) as usize)
}

impl Link {
    fn new(client: TcpStream, target: TcpStream) -> io::Result<Self> {
        for socket in [&client, &target] {
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
        }
        Ok(Self {
            sockets: [client, target],
            rest: [Vec::new(), Vec::new()],
            ended: [false; 2],
            watched: [EpollFlags::EPOLLIN; 2],
        })
    }

    fn register(&self, epoll: &Epoll, number: usize) -> io::Result<()> {
        for (side, socket) in self.sockets.iter().enumerate() {
            let data = ((number << 1) | side) as u64;
            epoll.add(socket, EpollEvent::new(self.watched[side], data))?;
        }
        Ok(())
    }

    /// Does what the event on `side` allows, once.
    fn pump(&mut self, side: usize, event: EpollFlags, buffer: &mut [u8]) -> io::Result<()> {
        let other = 1 - side;
        if event.contains(EpollFlags::EPOLLERR) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if !self.rest[side].is_empty() {
            let rest = std::mem::take(&mut self.rest[side]);
            self.write(side, &rest)?;
        }
        if self.rest[other].is_empty() && !self.ended[side] {
            match self.sockets[side].read(buffer) {
                Ok(0) => {
                    self.ended[side] = true;
                    self.sockets[other].shutdown(Shutdown::Write)?;
                }
                Ok(length) => self.write(other, &buffer[..length])?,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes once and keeps what is not taken.
    fn write(&mut self, side: usize, bytes: &[u8]) -> io::Result<()> {
        let taken = match self.sockets[side].write(bytes) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        self.rest[side] = bytes[taken..].to_vec();
        Ok(())
    }

    fn finished(&self) -> bool {
        self.ended == [true; 2] && self.rest.iter().all(Vec::is_empty)
    }

    /// Asks for what is useful now, if that has changed.
    fn watch(&mut self, epoll: &Epoll, number: usize) -> io::Result<()> {
        for side in [0, 1] {
            let mut wanted = EpollFlags::empty();
            wanted.set(EpollFlags::EPOLLIN, self.rest[1 - side].is_empty() && !self.ended[side]);
            wanted.set(EpollFlags::EPOLLOUT, !self.rest[side].is_empty());
            if wanted != self.watched[side] {
                self.watched[side] = wanted;
                let data = ((number << 1) | side) as u64;
                epoll.modify(&self.sockets[side], &mut EpollEvent::new(wanted, data))?;
            }
        }
        Ok(())
    }
}
