//! Starting, watching and ending the programs under test.
//!
//! [`Spiped`] is a command line in the making; [`Daemon`] a daemon in the foreground, killed
//! when dropped; [`run`] runs a program to its end. Stderr is always read by a thread, so no
//! program can stall on it. Next: `tunnel.rs`.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Address, Implementation, Program, Room, kernel, wait_until};

/// Which end of the tunnel a daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// `-e`: plain at the source, encrypted at the target.
    Encrypt,
    /// `-d`: encrypted at the source, plain at the target.
    Decrypt,
}

/// The command line of a daemon.
#[derive(Clone)]
pub(crate) struct Spiped {
    implementation: Implementation,
    role: Role,
    source: Address,
    /// -s, if it is none of these.
    source_text: Option<String>,
    target: String,
    key: PathBuf,
    dir: PathBuf,
    flags: Vec<String>,
    descriptors: Option<u32>,
    wrapper: Vec<String>,
}

impl Spiped {
    /// A daemon between two addresses, with the key of `room`.
    pub(crate) fn new(
        implementation: Implementation,
        role: Role,
        room: &Room,
        source: &Address,
        target: &Address,
    ) -> Self {
        Self {
            implementation,
            role,
            source: source.clone(),
            source_text: None,
            target: target.spec(),
            key: room.key(),
            dir: room.dir().to_owned(),
            flags: Vec::new(),
            descriptors: None,
            wrapper: Vec::new(),
        }
    }

    /// With more options.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// With another key file.
    pub(crate) fn key(mut self, key: &Path) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// With a source that is none of our addresses.
    pub(crate) fn source_text(mut self, source: &str) -> Self {
        self.source_text = Some(source.to_owned());
        self
    }

    /// With a target that need not be an address of ours.
    pub(crate) fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// With no more than `count` descriptors, hard and soft.
    pub(crate) fn descriptors(mut self, count: u32) -> Self {
        self.descriptors = Some(count);
        self
    }

    /// Run by another program: its name and its arguments, which end where ours begin.
    pub(crate) fn wrapped(mut self, wrapper: Vec<String>) -> Self {
        self.wrapper = wrapper;
        self
    }

    /// The command, without -F, in the directory of the room.
    pub(crate) fn command(&self) -> Command {
        let program = self.implementation.path(Program::Spiped);
        let mut command = match self.descriptors {
            None if self.wrapper.is_empty() => Command::new(program),
            None => {
                let mut wrapper = Command::new(&self.wrapper[0]);
                wrapper.args(&self.wrapper[1..]).arg(program);
                wrapper
            }
            Some(count) => {
                let mut shell = Command::new("sh");
                shell
                    .arg("-c")
                    .arg(format!("ulimit -n {count} && exec \"$0\" \"$@\""))
                    .arg(program);
                shell
            }
        };
        command.arg(if self.role == Role::Encrypt { "-e" } else { "-d" });
        let source = self.source_text.clone().unwrap_or_else(|| self.source.spec());
        command.args(["-s", &source, "-t", &self.target, "-k"]).arg(&self.key);
        command.args(&self.flags).current_dir(&self.dir);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts it in the foreground and waits until it listens.
    #[track_caller]
    pub(crate) fn start(mut self) -> Daemon {
        // C never says which port it got, so it needs one that was free a moment ago; another
        // process may take that meanwhile, then the next one is tried.
        let any = self.implementation == Implementation::C && self.source.spec().ends_with(":0");
        if !any {
            return self.start_once();
        }
        for _ in 0..5 {
            self.source = Address::unused();
            let daemon = self.start_once();
            if !daemon.log().contains("already in use") {
                return daemon;
            }
        }
        panic!("no free port in five attempts");
    }

    #[track_caller]
    fn start_once(&self) -> Daemon {
        let mut child = self.command().arg("-F").stderr(Stdio::piped()).spawn().expect("spawn");
        let log = Log::read(child.stderr.take().expect("stderr is piped"));
        let mut daemon = Daemon { child, log, address: self.source.clone() };
        wait_until("the daemon listens", || {
            let log = daemon.log();
            let ended = daemon.child.try_wait().expect("wait").is_some();
            if self.implementation == Implementation::C {
                let again = log.contains("already in use");
                assert!(!ended || again, "the daemon has ended");
                return ended || kernel::listening(&daemon.address);
            }
            // Ours says so when it also reacts to signals, which is a moment after listen().
            assert!(!ended, "the daemon has ended");
            if let Some(Address::Tcp(bound)) = logged_address(&log) {
                daemon.address = Address::Tcp(bound);
            }
            log.contains("listening on ") && log.contains(" connections to ")
        });
        daemon
    }
}

/// The TCP address in `... listening on ADDRESS`.
fn logged_address(log: &str) -> Option<Address> {
    let (_, rest) = log.split_once("listening on ")?;
    rest.split_whitespace().next()?.parse().ok().map(Address::Tcp)
}

/// A daemon in the foreground. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Log,
    address: Address,
}

impl Daemon {
    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// What it has written to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// True while it runs.
    pub(crate) fn running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the daemon runs");
    }

    /// Waits for its end and returns its status; panics if it does not end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for(&mut self.child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- log of the daemon at {} ---\n{}", self.address.spec(), self.log());
        }
    }
}

/// The process number of a child.
pub(crate) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a process number is positive"))
}

/// Kills a child and reaps it.
pub(crate) fn end(child: &mut Child) {
    // It may have ended by itself: both calls fail then, which is as good.
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits for the end of a child; panics if it does not come.
#[track_caller]
pub(crate) fn wait_for(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("the program ends", || {
        status = child.try_wait().expect("wait");
        status.is_some()
    });
    status.expect("the program has ended")
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// All it wrote to stdout, if that was a pipe.
    pub(crate) stdout: Vec<u8>,
    /// What it wrote to stderr: all, unless a child of it still has that open.
    pub(crate) stderr: String,
}

/// Runs a command to its end, with `input` on stdin.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("spawn");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // A program that does not want its input closes the pipe: not a matter of ours.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = Log::read(child.stdout.take().expect("stdout is piped"));
    let stderr = Log::read(child.stderr.take().expect("stderr is piped"));
    let status = wait_for(&mut child);
    writer.join().expect("the writer ends with the program");
    Finished { status, stdout: stdout.all(), stderr: String::from_utf8_lossy(&stderr.all()).into() }
}

/// Starts a daemon as its user would, without -F, and waits until the parent has returned.
/// The daemon itself ends with the [`Room`], if the test does not end it.
#[track_caller]
pub(crate) fn daemonise(command: &mut Command) -> (ExitStatus, Log) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("spawn");
    // The daemon inherits stderr: there is no end to wait for.
    let log = Log::read(child.stderr.take().expect("stderr is piped"));
    (wait_for(&mut child), log)
}

/// The process number in a pidfile: digits, and nothing else.
#[track_caller]
pub(crate) fn pid_in(path: &Path) -> Pid {
    let text = std::fs::read_to_string(path).expect("pidfile");
    Pid::from_raw(text.parse().unwrap_or_else(|_| panic!("pidfile contains {text:?}")))
}

/// Most bytes of a [`Log`] that are kept: a soak writes more than anybody wants to read.
const KEPT: usize = 32 << 20;

/// Everything that a pipe delivers, read by a thread; of very much only the end.
pub(crate) struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Log {
    /// Reads `from` to its end.
    pub(crate) fn read(mut from: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = bytes.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is an end as well: only a terminal gives one (EIO).
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let mut bytes = shared.lock().expect("nobody panics with it");
                bytes.extend(&buffer[..count]);
                if bytes.len() > KEPT {
                    bytes.drain(..KEPT / 2);
                }
            }
        });
        Self { bytes, reader }
    }

    /// What has been read so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().expect("nobody panics with it").clone()
    }

    /// What has been read so far, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// True once the other end is closed and everything has been read.
    pub(crate) fn ended(&self) -> bool {
        self.reader.is_finished()
    }

    /// Waits for the end; returns everything.
    #[track_caller]
    pub(crate) fn all(&self) -> Vec<u8> {
        wait_until("the end of the output", || self.ended());
        self.bytes()
    }
}

/// A command line for `spipe` to `target`, with the key of `room`.
pub(crate) fn spipe(implementation: Implementation, room: &Room, target: &Address) -> Command {
    let mut command = Command::new(implementation.path(Program::Spipe));
    command.args(["-t", &target.spec(), "-k"]).arg(room.key()).env_remove("RUST_LOG");
    command
}

/// The arguments of a command, for messages.
pub(crate) fn arguments(command: &Command) -> Vec<OsString> {
    command.get_args().map(OsString::from).collect()
}
