//! The actors of the demo: what has to be there before a message can be sent, and is gone after it.
//!
//! Owns the key's directory, the two daemons, the server and the eavesdropper; each is stopped or
//! removed when dropped, or ends with the process. It refuses to judge what they did: that is
//! demo.rs. Next: README.md shows the same set-up in earnest.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long any single wait may take before the demo gives up; in good health each takes
/// milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The error is what the user reads.
pub(crate) type Outcome<T> = Result<T, String>;

/// A private directory for the key, gone with everything in it when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("spiped-demo-{}", std::process::id()));
        // Not recursive, so that a directory somebody else put there is an error.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|e| format!("cannot create the directory {}: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// What `dd if=/dev/urandom bs=32 count=1 of=key` makes, readable by its owner only.
    pub(crate) fn make_key(&self) -> Outcome<PathBuf> {
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
pub(crate) struct Daemon {
    child: Child,
    name: &'static str,
    pub(crate) addr: SocketAddr,
    log: Receiver<String>,
}

impl Daemon {
    /// Starts `spiped ROLE` in the foreground on a free port, and returns when it listens.
    pub(crate) fn start(
        programs: &Path,
        role: &'static str,
        to: SocketAddr,
        key: &Path,
    ) -> Outcome<Self> {
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
                    let word = rest.and_then(|rest| rest.split([' ', ',', ';']).next());
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
    pub(crate) fn stop(mut self) -> Outcome<()> {
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
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) visits: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start() -> Outcome<Self> {
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
pub(crate) struct Tapes {
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
}

/// Passes one connection on, byte for byte, and keeps what it sees: each byte is on the tape
/// before it is passed on.
pub(crate) struct Eavesdropper {
    pub(crate) addr: SocketAddr,
    result: Receiver<std::io::Result<Tapes>>,
}

impl Eavesdropper {
    pub(crate) fn start(to: SocketAddr) -> Outcome<Self> {
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

    pub(crate) fn tapes(&self) -> Outcome<Tapes> {
        match self.result.recv_timeout(PATIENCE) {
            Ok(Ok(tapes)) => Ok(tapes),
            Ok(Err(e)) => Err(format!("the connection across the network failed: {e}")),
            Err(_) => Err("the connection across the network did not end".into()),
        }
    }
}
