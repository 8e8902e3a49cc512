//! `make demo`: a message through both ends of an encrypted pipe, and what an eavesdropper saw of it.
//!
//! Owns the whole scene: a key, a small server, `spiped -d` before it, a relay on the "network"
//! that keeps a copy of every byte, `spiped -e` before that, a stranger and a client. It talks to
//! the programs only as their users do, and needs nothing but std. It refuses fixed ports, waits
//! without a deadline, and leaving anything behind. `demo [DIRECTORY]` takes the programs from
//! there; otherwise from beside this example. Next: README.md shows the same set-up in earnest.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long any single wait may take before the demo gives up; in good health each takes
/// milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the client says. Short enough for one packet, which is 1024 bytes of it at most.
const MESSAGE: &str = "Dear server, the combination of the safe is 7-3-9-1.\n\
                       Please read it back to me, as loudly as you can.\n";

/// The parts of each direction of an encrypted connection, in bytes, in the order of sending.
const NONCE: usize = 32;
const EXCHANGE: usize = 256 + 32;
const PACKET: usize = 1060;

type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => {
            println!("\nAll as it should be. Programs stopped, key removed, nothing left behind.");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("\ndemo: FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The tour itself. Whatever it started is stopped when it returns, well or not.
fn run() -> Outcome<()> {
    let programs = program_directory()?;
    let scratch = Scratch::new()?;
    let key = scratch.make_key()?;
    println!("A key:        32 random bytes in {}", key.display());

    let server = Server::start()?;
    println!("A server:     {}, answers in capitals", server.addr);
    let inner = Daemon::start(&programs, "-d", server.addr, &key)?;
    let eavesdropper = Eavesdropper::start(inner.addr)?;
    println!("The network:  {}, with an eavesdropper on it", eavesdropper.addr);
    let outer = Daemon::start(&programs, "-e", eavesdropper.addr, &key)?;

    // The stranger comes first: should the server ever hear of it, then before it hears of the
    // client, so that the count below cannot miss it.
    println!("\nA STRANGER without the key connects to spiped -d and sends noise.");
    let got = stranger(inner.addr)?;
    println!("It got {got} bytes (at most a nonce, 32 random bytes), and the door was shut.");

    println!("\nWHAT WENT IN, to {}:\n{}", outer.addr, indent(MESSAGE));
    let answer = client(outer.addr)?;
    let tapes = eavesdropper.tapes()?;
    println!("WHAT THE EAVESDROPPER SAW on the way to the server:");
    print!("{}", describe(&tapes.to_server)?);
    println!("and on the way back:");
    print!("{}", describe(&tapes.to_client)?);
    println!("\nWHAT CAME OUT:\n{}", indent(&answer));

    let expected = MESSAGE.to_uppercase();
    if answer != expected {
        return Err(format!("the answer should have been {expected:?}"));
    }
    for words in [MESSAGE, &expected] {
        // Any eight bytes in a row would do to show that something leaked.
        let leaked = |tape: &[u8]| {
            words.as_bytes().windows(8).any(|part| tape.windows(8).any(|seen| seen == part))
        };
        if leaked(&tapes.to_server) || leaked(&tapes.to_client) {
            return Err("a part of the message crossed the network unencrypted".into());
        }
    }
    let visits = server.visits.load(Ordering::SeqCst);
    if visits != 1 {
        return Err(format!("the server had {visits} connections; only the client's was due"));
    }
    println!("The server had 1 connection: the client's. It never heard of the stranger.");
    outer.stop()?;
    inner.stop()
}

/// Where `spiped` is: the directory given, or the one above this example's own.
fn program_directory() -> Outcome<PathBuf> {
    if let Some(given) = std::env::args_os().nth(1) {
        return Ok(given.into());
    }
    let own =
        std::env::current_exe().map_err(|e| format!("cannot find the demo's own path: {e}"))?;
    let above = own.parent().and_then(Path::parent).map(Path::to_path_buf);
    above.ok_or_else(|| format!("no directory above {}", own.display()))
}

/// A private directory for the key, gone with everything in it when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("spiped-demo-{}", std::process::id()));
        // Not recursive, so that a directory somebody else put there is an error.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|e| format!("cannot create the directory {}: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// What `dd if=/dev/urandom bs=32 count=1 of=key` makes, readable by its owner only.
    fn make_key(&self) -> Outcome<PathBuf> {
        let path = self.0.join("key");
        let mut key = [0; 32];
        File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut key))
            .map_err(|e| format!("cannot read 32 bytes from /dev/urandom: {e}"))?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&key))
            .map_err(|e| format!("cannot write the key file {}: {e}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.0) {
            eprintln!("demo: cannot remove {}: {e}", self.0.display());
        }
    }
}

/// A running spiped; killed when dropped, so that no failure of the demo leaves one behind.
struct Daemon {
    child: Child,
    name: &'static str,
    addr: SocketAddr,
    log: Receiver<String>,
}

impl Daemon {
    /// Starts `spiped ROLE` in the foreground on a free port, and returns when it listens.
    fn start(programs: &Path, role: &'static str, to: SocketAddr, key: &Path) -> Outcome<Self> {
        let program = programs.join("spiped");
        let mut command = Command::new(&program);
        command.args([role, "-F", "-s", "127.0.0.1:0", "-t", &to.to_string(), "-k"]).arg(key);
        command.args(["--log-level", "info"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| {
            format!("cannot start {}: {e}; build it first with `make`", program.display())
        })?;
        let (line_to, log) = mpsc::channel();
        let stderr = child.stderr.take();
        thread::spawn(move || {
            // Reads to the end even if nobody listens any more: the pipe must not fill up.
            for line in BufReader::new(stderr?).split(b'\n').map_while(Result::ok) {
                let _ = line_to.send(String::from_utf8_lossy(&line).into_owned());
            }
            Some(())
        });
        // The port is in the log; until it is known, the address is a placeholder.
        let mut daemon = Self { child, name: role, addr: to, log };
        daemon.addr = daemon.await_listening()?;
        println!("spiped {role}:    {}, connects to {to}", daemon.addr);
        Ok(daemon)
    }

    fn await_listening(&self) -> Outcome<SocketAddr> {
        let end = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            match self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let rest = line.split_once("listening on ").map(|(_, rest)| rest);
                    let word = rest.and_then(|rest| rest.split_whitespace().next());
                    if let Some(Ok(addr)) = word.map(str::parse) {
                        return Ok(addr);
                    }
                    let _ = writeln!(said, "  {line}");
                }
                Err(why) => {
                    let what = match why {
                        RecvTimeoutError::Timeout => "does not say where it listens",
                        RecvTimeoutError::Disconnected => "ended before it listened",
                    };
                    return Err(format!("spiped {} {what}; it said:\n{said}", self.name));
                }
            }
        }
    }

    /// Ends it as an administrator would, with SIGTERM, and shows what it logged on the way.
    fn stop(mut self) -> Outcome<()> {
        let name = self.name;
        let kill = format!("kill -TERM {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        if !sent.is_ok_and(|status| status.success()) {
            return Err(format!("cannot send SIGTERM to spiped {name}"));
        }
        println!("\nspiped {name} logged, until it was told to stop:");
        let end = Instant::now() + PATIENCE;
        // The channel ends with the program's stderr, that is, with the program.
        loop {
            match self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => println!("  {line}"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("spiped {name} still runs after SIGTERM"));
                }
            }
        }
        let status =
            self.child.wait().map_err(|e| format!("cannot wait for spiped {name}: {e}"))?;
        if status.success() { Ok(()) } else { Err(format!("spiped {name} ended with {status}")) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Errors mean that it has ended already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A listener on a free port of the loopback interface, and its address.
fn listen() -> Outcome<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("cannot listen: {e}"))?;
    let addr = listener.local_addr().map_err(|e| format!("cannot tell where we listen: {e}"))?;
    Ok((listener, addr))
}

/// The service behind `spiped -d`: reads to the end, answers in capitals.
struct Server {
    addr: SocketAddr,
    visits: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Outcome<Self> {
        let (listener, addr) = listen()?;
        let visits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&visits);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                // A failure here shows up as a wrong or missing answer at the client.
                let mut text = String::new();
                if stream.read_to_string(&mut text).is_ok() {
                    let _ = stream.write_all(text.to_uppercase().as_bytes());
                }
            }
        });
        Ok(Self { addr, visits })
    }
}

/// Everything that crossed the network, each way.
struct Tapes {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
}

/// Passes one connection on, byte for byte, and keeps what it sees: each byte is on the tape
/// before it is passed on.
struct Eavesdropper {
    addr: SocketAddr,
    result: Receiver<std::io::Result<Tapes>>,
}

impl Eavesdropper {
    fn start(to: SocketAddr) -> Outcome<Self> {
        let (listener, addr) = listen()?;
        let (result_to, result) = mpsc::channel();
        thread::spawn(move || result_to.send(Self::relay(&listener, to)));
        Ok(Self { addr, result })
    }

    fn relay(listener: &TcpListener, to: SocketAddr) -> std::io::Result<Tapes> {
        let near = listener.accept()?.0;
        let far = TcpStream::connect_timeout(&to, PATIENCE)?;
        let (near_reader, far_writer) = (near.try_clone()?, far.try_clone()?);
        let out = thread::spawn(move || Self::copy(near_reader, far_writer));
        let to_client = Self::copy(far, near)?;
        let to_server = out.join().map_err(|_| ErrorKind::Other)??;
        Ok(Tapes { to_server, to_client })
    }

    fn copy(mut from: TcpStream, mut to: TcpStream) -> std::io::Result<Vec<u8>> {
        let (mut tape, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let count = from.read(&mut piece)?;
            if count == 0 {
                // The end of one direction passes on like everything else.
                to.shutdown(Shutdown::Write)?;
                return Ok(tape);
            }
            tape.extend_from_slice(&piece[..count]);
            to.write_all(&piece[..count])?;
        }
    }

    fn tapes(&self) -> Outcome<Tapes> {
        match self.result.recv_timeout(PATIENCE) {
            Ok(Ok(tapes)) => Ok(tapes),
            Ok(Err(e)) => Err(format!("the connection across the network failed: {e}")),
            Err(_) => Err("the connection across the network did not end".into()),
        }
    }
}

/// A connection whose single reads and writes give up after [`PATIENCE`].
fn connect(addr: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE)
        .and_then(|s| s.set_read_timeout(Some(PATIENCE)).map(|()| s))
        .and_then(|s| s.set_write_timeout(Some(PATIENCE)).map(|()| s));
    stream.map_err(|e| format!("cannot connect to {addr}: {e}"))
}

/// Says [`MESSAGE`], ends its own direction, and returns everything that comes back.
fn client(addr: SocketAddr) -> Outcome<String> {
    let mut stream = connect(addr)?;
    let mut answer = String::new();
    stream
        .write_all(MESSAGE.as_bytes())
        .and_then(|()| stream.shutdown(Shutdown::Write))
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(|e| format!("the client got no whole answer from {addr}: {e}"))?;
    Ok(answer)
}

/// Sends as many bytes of nonsense as a handshake has, and returns how many it was given back.
fn stranger(addr: SocketAddr) -> Outcome<usize> {
    let mut stream = connect(addr)?;
    let mut got = Vec::new();
    let talk =
        stream.write_all(&[0x55; NONCE + EXCHANGE]).and_then(|()| stream.read_to_end(&mut got));
    match talk {
        Ok(_) => {}
        // Thrown out with a reset instead of an end of stream: just as good.
        Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        Err(e) => return Err(format!("the stranger was not thrown out: {e}")),
    }
    if got.len() > NONCE {
        return Err(format!("the stranger was given {} bytes, more than a nonce", got.len()));
    }
    Ok(got.len())
}

/// One direction of the tape, part by part, as a hex dump of the first bytes of each.
fn describe(tape: &[u8]) -> Outcome<String> {
    let body = tape.len().checked_sub(NONCE + EXCHANGE).filter(|n| *n > 0 && n % PACKET == 0);
    let Some(body) = body else {
        return Err(format!("{} bytes are not a handshake and whole packets", tape.len()));
    };
    let (nonce, rest) = tape.split_at(NONCE);
    let (exchange, packets) = rest.split_at(EXCHANGE);
    let mut text = format!("  {} bytes: handshake and {} packet(s)\n", tape.len(), body / PACKET);
    dump(&mut text, "nonce", nonce);
    dump(&mut text, "key exchange value and its MAC", exchange);
    for packet in packets.chunks(PACKET) {
        dump(&mut text, "packet", packet);
    }
    Ok(text)
}

/// The first two rows of `bytes`, sixteen to a row, with what would be legible of them.
fn dump(text: &mut String, title: &str, bytes: &[u8]) {
    let shown = bytes.len().min(32);
    let _ = writeln!(text, "  {title}, {} bytes:", bytes.len());
    for row in bytes[..shown].chunks(16) {
        let hex: String = row.iter().map(|b| format!("{b:02x} ")).collect();
        let legible = |b: &u8| if b.is_ascii_graphic() { char::from(*b) } else { '.' };
        let _ = writeln!(text, "      {hex} |{}|", row.iter().map(legible).collect::<String>());
    }
    if shown < bytes.len() {
        let _ = writeln!(text, "      ... and {} more", bytes.len() - shown);
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
