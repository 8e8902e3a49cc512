//! The daemon under test between the tester and the plain side, which is the tester's, too: the
//! target of `-d`, the client of `-e`.
//!
//! A daemon is started by its command line, which is that of C spiped, goes into the background
//! when it listens, and is killed at the end. One that runs already can be met as well; then nobody
//! sees what is behind it. Next: `attack.rs`.

use std::fs::File;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};
use spiped_peer::{Side, random};

use crate::outcome::{Arrived, End};

/// What the plain side says.
pub const GREETING: &[u8] = b"from the plain side";
/// How long anything may take that has to happen. Generous: the machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The end of the tunnel that is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `spiped -d`: the tester plays a client.
    Decrypt,
    /// `spiped -e`: the tester plays a server.
    Encrypt,
}

impl Role {
    /// What the tester plays.
    #[must_use]
    pub fn tester(self) -> Side {
        if self == Self::Decrypt { Side::Client } else { Side::Server }
    }
}

/// What is under test.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A program with the options of spiped.
    Program(PathBuf),
    /// A daemon that runs: `-d` listens at this address, or `-e` has it for its target.
    Running {
        /// Where they meet.
        at: SocketAddr,
        /// What is in the key file.
        secret: Vec<u8>,
    },
}

/// A connection of the plain side.
struct Plain {
    socket: Socket,
    arrived: Arc<Mutex<Arrived>>,
}

impl Plain {
    fn arrived(&self) -> Arrived {
        locked(&self.arrived).clone()
    }
}

type Plains = Arc<Mutex<Vec<Plain>>>;

/// A subject, ready to be met.
pub struct Stage {
    role: Role,
    secret: Vec<u8>,
    /// Where the daemon listens, if it is not the tester that does.
    daemon: Option<SocketAddr>,
    /// Where the tester or its target listens, if one of them does.
    listener: Option<Socket>,
    plains: Plains,
    /// A daemon of ours, and its files.
    started: Option<(Pid, tempfile::TempDir)>,
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn listen(at: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(128)?;
    let at = socket.local_addr()?.as_socket().expect("a TCP address");
    Ok((socket, at))
}

fn connect(to: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.connect_timeout(&to.into(), DEADLINE)?;
    limit(&socket)?;
    Ok(socket)
}

fn limit(socket: &Socket) -> io::Result<()> {
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.set_write_timeout(Some(DEADLINE))
}

/// What threads share, which none of them panics with.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("no thread panics with it")
}

impl Stage {
    /// A subject whose `-o` is so many seconds, if it is to be started.
    ///
    /// # Errors
    ///
    /// If it cannot be started, with what it says.
    pub fn new(subject: &Subject, role: Role, timeout: u32) -> io::Result<Self> {
        let (program, at, secret) = match subject {
            Subject::Program(program) => (Some(program), loopback(), random::<32>().to_vec()),
            Subject::Running { at, secret } => (None, *at, secret.clone()),
        };
        let plains = Plains::default();
        // The tester listens as the target of -d or in place of the far end of -e.
        let listening = program.is_some() || role == Role::Encrypt;
        let listener = if listening { Some(listen(at)?) } else { None };
        let mut stage =
            Self { role, secret, daemon: Some(at), listener: None, plains, started: None };
        if let Some((listener, target)) = listener {
            if role == Role::Decrypt {
                let (listener, plains) = (listener.try_clone()?, stage.plains.clone());
                std::thread::spawn(move || serve(&listener, &plains));
            }
            stage.listener = Some(listener);
            stage.daemon = None;
            if let Some(program) = program {
                stage.start(program, target, timeout)?;
            }
        }
        Ok(stage)
    }

    /// Starts the daemon. C does not say which port it got, so it needs one that was free a moment
    /// ago; another process may take that meanwhile, and then the next one is tried.
    fn start(&mut self, program: &Path, target: SocketAddr, timeout: u32) -> io::Result<()> {
        let room = tempfile::Builder::new().prefix("hostile-tester-").tempdir()?;
        let [key, pidfile, log] = ["key", "pid", "log"].map(|name| room.path().join(name));
        std::fs::write(&key, &self.secret)?;
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        for _ in 0..5 {
            let (_, source) = listen(loopback())?;
            let mut command = Command::new(program);
            command.arg(if self.role == Role::Decrypt { "-d" } else { "-e" });
            command.args(["-s", &format!("[{}]:{}", source.ip(), source.port())]);
            command.args(["-t", &format!("[{}]:{}", target.ip(), target.port())]);
            command.args(["-o", &timeout.to_string()]);
            command.arg("-k").arg(&key).arg("-p").arg(&pidfile).current_dir(room.path());
            // The daemon keeps its stderr, so a pipe would have no end.
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
            // It returns when the daemon is ready.
            if command.status()?.success() {
                let pid = std::fs::read_to_string(&pidfile)?;
                let pid = pid.trim().parse().map_err(|_| Error::other("no pid in the pidfile"))?;
                self.daemon = Some(source);
                self.started = Some((Pid::from_raw(pid), room));
                return Ok(());
            }
        }
        let said = std::fs::read_to_string(&log)?;
        Err(Error::other(format!("{} does not start: {said}", program.display())))
    }

    /// What is under test.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What is in the key file.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// A new connection between the tester and the daemon. In front of `-e` a client of ours comes
    /// first, and has said something before the tester is asked for.
    ///
    /// # Errors
    ///
    /// If the daemon is not there, or does not come.
    pub fn connection(&self) -> io::Result<Socket> {
        if self.role == Role::Decrypt {
            return connect(self.daemon.expect("-d listens"));
        }
        if let Some(daemon) = self.daemon {
            let mut client = connect(daemon)?;
            client.write_all(GREETING)?;
            watch(client, &self.plains);
        }
        let listener = self.listener.as_ref().expect("the far end of -e listens");
        listener.set_read_timeout(Some(DEADLINE))?;
        let (socket, _) = listener.accept()?;
        limit(&socket)?;
        Ok(socket)
    }

    /// Whether somebody sees what arrives behind the daemon.
    #[must_use]
    pub fn sees_behind(&self) -> bool {
        self.started.is_some()
    }

    /// Has the target say something to a peer that was let in. A client has done so already.
    ///
    /// # Errors
    ///
    /// If there is no connection to the target.
    pub fn greet(&self) -> io::Result<()> {
        if self.role == Role::Encrypt || !self.sees_behind() {
            return Ok(());
        }
        self.wait_until(|plains| !plains.is_empty());
        match locked(&self.plains).last_mut() {
            Some(target) => target.socket.write_all(GREETING),
            None => Err(Error::new(ErrorKind::NotConnected, "the target was not contacted")),
        }
    }

    /// Waits until so many bytes have arrived behind the daemon, for whoever wants to break off
    /// exactly there.
    pub fn wait_for(&self, bytes: &[u8]) {
        if self.sees_behind() {
            self.wait_until(|plains| plains.last().is_some_and(|p| p.arrived().bytes == bytes));
        }
    }

    /// Waits until all connections of the plain side have ended.
    pub fn wait_for_ends(&self) {
        self.wait_until(|plains| plains.iter().all(|plain| plain.arrived().end != End::Never));
    }

    fn wait_until(&self, condition: impl Fn(&[Plain]) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !condition(&locked(&self.plains)) && Instant::now() < end {
            // A step of a wait that has a condition and a deadline.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// How many connections the plain side has had.
    #[must_use]
    pub fn connections(&self) -> usize {
        locked(&self.plains).len()
    }

    /// Forgets all connections of the plain side but the first ones.
    pub fn forget_all_but(&self, count: usize) {
        locked(&self.plains).truncate(count);
    }

    /// Takes what has arrived behind the daemon so far, by connection.
    pub fn take_arrived(&self) -> Vec<Arrived> {
        locked(&self.plains).drain(..).map(|plain| plain.arrived()).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            // Wakes the thread that accepts; there is nobody to tell if it should not.
            let _ = listener.shutdown(Shutdown::Both);
        }
        if let Some((daemon, _)) = &self.started {
            // It may have ended.
            let _ = kill(*daemon, Signal::SIGKILL);
        }
    }
}

/// The target: it only reads.
fn serve(listener: &Socket, plains: &Plains) {
    while let Ok((socket, _)) = listener.accept() {
        watch(socket, plains);
    }
}

/// Notes what arrives at a socket of the plain side, on a thread; ends its own stream after that.
fn watch(socket: Socket, plains: &Plains) {
    let Ok(mut reader) = socket.try_clone() else { return };
    let arrived = Arc::new(Mutex::new(Arrived { bytes: Vec::new(), end: End::Never }));
    locked(plains).push(Plain { socket, arrived: arrived.clone() });
    std::thread::spawn(move || {
        // As long as the daemon likes.
        let _ = reader.set_read_timeout(None);
        let mut buffer = [0; 4096];
        loop {
            let read = reader.read(&mut buffer);
            let mut arrived = locked(&arrived);
            match read {
                Ok(0) => {
                    arrived.end = End::Finished;
                    // The daemon may be gone altogether.
                    let _ = reader.shutdown(Shutdown::Write);
                    return;
                }
                Ok(count) => arrived.bytes.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return arrived.end = End::Reset,
            }
        }
    });
}
