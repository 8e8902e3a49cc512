//! Servers to stand behind a decrypting daemon, all of which count their connections.
//!
//! An echo server serves by itself; the other kind hands every accepted socket to the test,
//! which then reads, writes, resets or just holds it. Next: `tests/peer`, a second implementation
//! of the protocol.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use socket2::Socket;

use super::{Address, DEADLINE, address};

/// Bytes of stack for a thread that serves one connection: there may be thousands.
const STACK_SIZE: usize = 256 * 1024;

/// A server on a thread of its own. It stops accepting when it is dropped.
pub(crate) struct Server {
    address: Address,
    listener: Socket,
    connections: Arc<AtomicUsize>,
    // Only the servers that hand out their sockets have something in it.
    accepted: Mutex<Receiver<Socket>>,
}

impl Server {
    /// A server on IPv4 loopback that hands its sockets to the test.
    pub(crate) fn holding() -> Self {
        Self::holding_at(&Address::any_v4())
    }

    /// A server at `address` that hands its sockets to the test.
    pub(crate) fn holding_at(address: &Address) -> Self {
        let (sender, accepted) = channel();
        // A test that is over has dropped the receiver; then the socket is dropped too.
        Self::start(address, accepted, move |socket| drop(sender.send(socket)))
    }

    /// A server that hands out sockets which take little in advance: see
    /// [`address::SMALL_BUFFER`].
    pub(crate) fn slow() -> Self {
        let server = Self::holding();
        // Accepted sockets inherit it.
        server.listener.set_recv_buffer_size(address::SMALL_BUFFER).expect("SO_RCVBUF");
        server
    }

    /// A server on IPv4 loopback that sends back what it gets, up to the end of the stream.
    pub(crate) fn echo() -> Self {
        Self::echo_at(&Address::any_v4())
    }

    /// A server at `address` that sends back what it gets, up to the end of the stream.
    pub(crate) fn echo_at(address: &Address) -> Self {
        let (_, accepted) = channel();
        Self::start(address, accepted, |socket| drop(std::thread::spawn(|| echo(socket))))
    }

    /// A server at `address` that gives each connection to `serve`, on a thread of its own.
    pub(crate) fn each_at(
        address: &Address,
        serve: impl Fn(Socket) + Clone + Send + 'static,
    ) -> Self {
        let (_, accepted) = channel();
        Self::start(address, accepted, move |socket| {
            let serve = serve.clone();
            let thread = std::thread::Builder::new().stack_size(STACK_SIZE);
            thread.spawn(move || serve(socket)).expect("a thread");
        })
    }

    fn start(
        address: &Address,
        accepted: Receiver<Socket>,
        handle: impl Fn(Socket) + Send + 'static,
    ) -> Self {
        let (listener, address) = address.listen().expect("listen");
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, accepting) = (connections.clone(), listener.try_clone().expect("dup"));
        std::thread::spawn(move || {
            // Ends when drop() shuts the listener down.
            while let Ok((socket, _)) = accepting.accept() {
                address::limit(&socket).expect("timeouts");
                count.fetch_add(1, Ordering::SeqCst);
                handle(socket);
            }
        });
        Self { address, listener, connections, accepted: Mutex::new(accepted) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// How many connections it has ever accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The next accepted socket of a holding server.
    #[track_caller]
    pub(crate) fn accept(&self) -> Socket {
        let accepted = self.accepted.lock().expect("no test thread panicked");
        accepted.recv_timeout(DEADLINE).expect("a connection arrives at the target")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Wakes the accepting thread; there is nobody to tell if it should not.
        let _ = self.listener.shutdown(Shutdown::Both);
    }
}

/// Sends everything back until the end of the stream; what goes wrong is for the client to see.
pub(crate) fn echo(mut socket: Socket) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => break drop(socket.shutdown(Shutdown::Write)),
            Ok(count) => {
                if socket.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
}

/// Sends `text` and reads it back; panics if that fails.
#[track_caller]
pub(crate) fn echo_once(socket: &mut Socket, text: &[u8]) {
    try_echo(socket, text).expect("an echo");
}

/// Sends `text` and reads it back.
pub(crate) fn try_echo(socket: &mut Socket, text: &[u8]) -> std::io::Result<()> {
    socket.write_all(text)?;
    let mut back = vec![0; text.len()];
    socket.read_exact(&mut back)?;
    assert_eq!(back, text, "the echo differs");
    Ok(())
}

/// A socket whose reads and writes must succeed.
pub(crate) struct Reading(Socket);

impl Reading {
    /// Takes over a socket.
    pub(crate) fn new(socket: Socket) -> Self {
        Self(socket)
    }

    /// The next `count` bytes.
    #[track_caller]
    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).expect("the bytes arrive");
        bytes
    }

    /// Sends bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("send");
    }
}
