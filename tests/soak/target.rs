//! The server behind the daemons: the first bytes of each connection tell it what to do.
//!
//! It verifies what it gets like the clients do; what goes wrong here ends the soak.
//! Next: `traffic.rs`.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::Socket;
use spiped_peer::pattern::{Checker, Pattern, send};

use crate::support::address::reset;
use crate::support::{Address, Server};

/// What the target is to do with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Send everything back.
    Echo,
    /// Take `count` bytes and the end of stream, and say so.
    Take,
    /// The same, but slowly.
    TakeSlowly,
    /// Take what comes; no more is known than that it begins as it should.
    Survive,
    /// Send `count` bytes and the end of stream, then read to the end.
    Give,
    /// Send `count` bytes, then reset.
    GiveAndReset,
    /// Close at once.
    Close,
    /// Do not read, and go after a while.
    Hold,
}

const ORDERS: [Order; 8] = [
    Order::Echo,
    Order::Take,
    Order::TakeSlowly,
    Order::Survive,
    Order::Give,
    Order::GiveAndReset,
    Order::Close,
    Order::Hold,
];

/// What the target says when it has taken everything.
pub(crate) const TAKEN: &[u8] = b"taken";
/// Longer than anything takes while the machine is busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the target holds a connection that it does not read.
const HOLDING: Duration = Duration::from_millis(1500);

/// The bytes that tell the target what to do.
pub(crate) fn order(order: Order, seed: u64, count: u64) -> Vec<u8> {
    let mut bytes = vec![order as u8];
    bytes.extend(seed.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes
}

/// Raises the alarm when the thread that owns it panics.
pub(crate) struct Alarm<'a>(pub(crate) &'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// The server, over TCP and at a UNIX socket.
pub(crate) struct Target {
    tcp: Server,
    unix: Server,
    failed: Arc<AtomicBool>,
}

impl Target {
    /// Starts it.
    pub(crate) fn start(unix: &Address) -> Self {
        let failed = Arc::new(AtomicBool::new(false));
        let serving = |address: &Address| {
            let failed = Arc::clone(&failed);
            Server::each_at(address, move |socket| {
                let _alarm = Alarm(&failed);
                // What goes wrong with a connection is for the client to see; wrong bytes panic.
                let _ = serve(socket);
            })
        };
        Self { tcp: serving(&Address::any_v4()), unix: serving(unix), failed: failed.clone() }
    }

    pub(crate) fn tcp(&self) -> &Address {
        self.tcp.address()
    }

    pub(crate) fn unix(&self) -> &Address {
        self.unix.address()
    }

    /// True if it got something that was never sent.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }
}

/// Does what it is told.
fn serve(mut socket: Socket) -> io::Result<()> {
    // The crowd may be silent for long.
    socket.set_read_timeout(None)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut order = [0; 17];
    socket.read_exact(&mut order)?;
    let number = |at: usize| u64::from_le_bytes(order[at..at + 8].try_into().expect("eight bytes"));
    let (seed, count) = (number(1), number(9));
    let mut checker = Checker::new(seed);
    match ORDERS[usize::from(order[0])] {
        Order::Echo => crate::support::servers::echo(socket),
        Order::Take => take(&mut socket, &mut checker, count, Duration::ZERO)?,
        Order::TakeSlowly => take(&mut socket, &mut checker, count, Duration::from_millis(1))?,
        Order::Survive => checker.read_all(&mut socket)?,
        Order::Give => {
            send(&mut socket, &mut Pattern::new(seed), count)?;
            socket.shutdown(Shutdown::Write)?;
            checker.read_all(&mut socket)?;
        }
        Order::GiveAndReset => {
            send(&mut socket, &mut Pattern::new(seed), count)?;
            reset(socket);
        }
        Order::Close => {}
        Order::Hold => {
            // What it does not read is not lost while it may still read it, so as long as it is
            // there, the daemon waits for it.
            let limit = PollTimeout::try_from(HOLDING).expect("less than 24 days");
            poll(&mut [PollFd::new(socket.as_fd(), PollFlags::empty())], limit)?;
        }
    }
    Ok(())
}

/// Takes exactly `count` bytes up to the end of stream; an end before that is clean for nobody.
fn take(socket: &mut Socket, checker: &mut Checker, count: u64, pause: Duration) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match socket.read(&mut buffer)? {
            0 => break,
            read => checker.accept(&buffer[..read]),
        }
        // Slowness is what this is about; nothing waits for it.
        std::thread::sleep(pause);
    }
    assert_eq!(checker.received(), count, "an end that looks clean");
    socket.write_all(TAKEN)
}
