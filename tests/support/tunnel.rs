//! Two ends and what is between them: the set-up of most tests, and the exchange of data that
//! shows that a tunnel is bit-exact. Next: `tests/peer`, a second implementation of the protocol.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use socket2::Socket;
use spiped_peer::pattern::{Checker, Pattern, send};

use super::pipes::{Stdin, Stdout};
use super::process::{self, Role, Spiped};
use super::{Address, DEADLINE, Daemon, Implementation, Room};

/// Implementations and extra options of the two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// Who encrypts.
    pub(crate) encrypt: Implementation,
    /// Its extra options.
    pub(crate) encrypt_flags: &'static [&'static str],
    /// Who decrypts.
    pub(crate) decrypt: Implementation,
    /// Its extra options.
    pub(crate) decrypt_flags: &'static [&'static str],
}

impl Ends {
    /// Both ends with no options.
    pub(crate) fn new(encrypt: Implementation, decrypt: Implementation) -> Self {
        Self { encrypt, encrypt_flags: &[], decrypt, decrypt_flags: &[] }
    }

    /// Both ends ours, with no options.
    pub(crate) fn ours() -> Self {
        Self::new(Implementation::Ours, Implementation::Ours)
    }
}

/// `spiped -e` and `spiped -d` over TCP, on all three ways.
pub(crate) struct Tunnel {
    /// The encrypting daemon.
    pub(crate) encrypt: Daemon,
    /// The decrypting daemon.
    pub(crate) decrypt: Daemon,
}

impl Tunnel {
    /// Starts both daemons.
    #[track_caller]
    pub(crate) fn start(room: &Room, ends: Ends, target: &Address) -> Self {
        let any = Address::any_v4();
        let decrypt = Spiped::new(ends.decrypt, Role::Decrypt, room, &any, target)
            .flags(ends.decrypt_flags)
            .start();
        let encrypt = Spiped::new(ends.encrypt, Role::Encrypt, room, &any, decrypt.address())
            .flags(ends.encrypt_flags)
            .start();
        Self { encrypt, decrypt }
    }

    /// A connected client of the tunnel.
    #[track_caller]
    pub(crate) fn connect(&self) -> Socket {
        self.encrypt.address().connect().expect("connect to spiped -e")
    }
}

/// A running `spipe` with pipes on stdin and stdout. Killed when dropped.
pub(crate) struct Spipe {
    /// The process.
    pub(crate) child: Child,
    /// Its standard error.
    pub(crate) log: process::Log,
}

impl Spipe {
    /// Starts spipe to `target`.
    #[track_caller]
    pub(crate) fn start(
        implementation: Implementation,
        room: &Room,
        target: &Address,
        flags: &[&str],
    ) -> Self {
        let mut command = process::spipe(implementation, room, target);
        command.args(flags);
        Self::run(command)
    }

    /// Starts a command line of spipe.
    #[track_caller]
    pub(crate) fn run(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("spawn");
        let log = process::Log::read(child.stderr.take().expect("stderr is piped"));
        Self { child, log }
    }

    /// Its standard input and output.
    pub(crate) fn pipes(&mut self) -> (Stdin, Stdout) {
        let stdin = self.child.stdin.take().expect("stdin is taken once");
        (Stdin(stdin), Stdout(self.child.stdout.take().expect("stdout is taken once")))
    }
}

impl Drop for Spipe {
    fn drop(&mut self) {
        process::end(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- log of spipe ---\n{}", self.log.text());
        }
    }
}

/// One end of a byte stream: what a test writes to and what it reads from.
pub(crate) struct End {
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Finish>,
}

/// Something whose end of stream can be sent.
pub(crate) trait Finish: Write + Send {
    /// Sends the end of the stream.
    fn finish(self: Box<Self>);
}

impl Finish for Socket {
    fn finish(self: Box<Self>) {
        self.shutdown(Shutdown::Write).expect("shutdown");
    }
}

impl Finish for Stdin {
    // Closing a pipe is its end of stream.
    fn finish(self: Box<Self>) {}
}

impl From<Socket> for End {
    fn from(socket: Socket) -> Self {
        let reader = Box::new(socket.try_clone().expect("dup"));
        Self { reader, writer: Box::new(socket) }
    }
}

impl From<(Stdin, Stdout)> for End {
    fn from((stdin, stdout): (Stdin, Stdout)) -> Self {
        Self { reader: Box::new(stdout), writer: Box::new(stdin) }
    }
}

/// What the second end still sends after it has seen the end of the first one's stream.
const TAIL: u64 = 100_000;

/// Sends `count` bytes each way at once, then the end of stream from `first`, which `second`
/// must see while it is still sending, then some more from `second`, then its end of stream.
/// Panics if a byte is wrong, missing or too many.
#[track_caller]
pub(crate) fn exchange(first: impl Into<End>, second: impl Into<End>, count: u64) {
    let (mut first, mut second) = (first.into(), second.into());
    let (seen, end_seen) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            send(&mut first.writer, &mut Pattern::new(1), count).expect("the first end sends");
            first.writer.finish();
        });
        scope.spawn(move || {
            let mut checker = Checker::new(1);
            checker.read_all(&mut second.reader).expect("the second end receives");
            assert_eq!(checker.received(), count, "bytes at the second end");
            seen.send(()).expect("the sender waits for it");
        });
        scope.spawn(move || {
            let mut pattern = Pattern::new(2);
            send(&mut second.writer, &mut pattern, count).expect("the second end sends");
            end_seen.recv_timeout(DEADLINE).expect("the first end's end of stream arrives");
            send(&mut second.writer, &mut pattern, TAIL).expect("one direction is still open");
            second.writer.finish();
        });
        let mut checker = Checker::new(2);
        checker.read_all(&mut first.reader).expect("the first end receives");
        assert_eq!(checker.received(), count + TAIL, "bytes at the first end");
    });
}
