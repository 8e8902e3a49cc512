//! One child process: starts it, waits until it listens, reads what it uses, and ends it.
//!
//! Owns the child: it is killed when dropped, and by the kernel if we die first. Refuses to know
//! what the program does. Next: `pair.rs`.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::Outcome;

/// How long a program may take to start, or a single exchange through it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Which processes count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// The process that was started.
    Alone,
    /// Its descendants too: sshd has a process per session.
    Descendants,
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    family: Family,
}

impl Process {
    /// Starts `command`; what it says goes to the file `log`.
    pub(crate) fn spawn(mut command: Command, log: PathBuf, family: Family) -> Outcome<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let open =
            || File::create(&log).map_err(|e| format!("cannot create {}: {e}", log.display()));
        command.stdin(Stdio::null()).stdout(open()?).stderr(open()?);
        die_with_us(&mut command);
        let child = command.spawn().map_err(|e| format!("cannot start {name}: {e}"))?;
        Ok(Self { child, name, log, family })
    }

    /// Waits until somebody listens at `port` of 127.0.0.1, without connecting: a connection would
    /// already be work for the program.
    pub(crate) fn await_listening(&mut self, port: u16) -> Outcome<()> {
        let end = Instant::now() + PATIENCE;
        while !listening(port)? {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{} ended with {status}; it said: {}", self.name, self.said()));
            }
            if Instant::now() > end {
                return Err(format!("{} does not listen; it said: {}", self.name, self.said()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for its end, at most `limit`, and returns what it wrote.
    pub(crate) fn await_end(mut self, limit: Duration) -> Outcome<String> {
        let end = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(self.said()),
                Ok(Some(status)) => {
                    return Err(format!("{} ended with {status}: {}", self.name, self.said()));
                }
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
                Ok(None) => return Err(format!("{} did not end within {limit:?}", self.name)),
                Err(e) => return Err(format!("cannot wait for {}: {e}", self.name)),
            }
        }
    }

    /// Refuses if it has ended: what it was to do all the time did not happen.
    pub(crate) fn check_running(&mut self) -> Outcome<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                Err(format!("{} ended early, with {status}: {}", self.name, self.said()))
            }
            Err(e) => Err(format!("cannot wait for {}: {e}", self.name)),
        }
    }

    /// Processor time so far, of all threads, those that have ended included.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let clock = |pid| ClockId::pid_cpu_clock_id(pid).and_then(clock_gettime);
        self.pids()
            .into_iter()
            .map(|pid| clock(pid).map(Duration::from))
            .sum::<Result<Duration, _>>()
            .map_err(|e| format!("cannot read the processor time of {}: {e}", self.name))
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        self.pids().into_iter().map(|pid| resident(pid, &self.name)).sum()
    }

    fn pids(&self) -> Vec<Pid> {
        let mut pids = vec![Pid::from_raw(self.child.id().cast_signed())];
        if self.family == Family::Descendants {
            let mut next = 0;
            while next < pids.len() {
                pids.extend(children(pids[next]));
                next += 1;
            }
        }
        pids
    }

    /// The end of its log.
    fn said(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let descendants = self.pids().split_off(1);
        // Errors mean that it has ended already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in descendants {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Has the kernel kill the child when the thread that starts it ends, which is our main thread.
#[allow(unsafe_code)]
fn die_with_us(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes one system call, prctl(), and does not
    // allocate: errors are numbers.
    unsafe {
        command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
    }
}

fn children(pid: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|word| word.parse().ok()).map(Pid::from_raw).collect()
}

/// From smaps_rollup, because VmRSS of status is only approximate on recent kernels.
fn resident(pid: Pid, name: &str) -> Outcome<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path)
        .map_err(|e| format!("cannot read the memory of {name} from {path}: {e}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kilobytes: Option<u64> = kilobytes.and_then(|number| number.trim().parse().ok());
    kilobytes.map(|n| n * 1024).ok_or_else(|| format!("{path} has no line like 'Rss: 123 kB'"))
}

/// Whether somebody listens at this port of 127.0.0.1.
fn listening(port: u16) -> Outcome<bool> {
    let text = fs::read_to_string("/proc/net/tcp")
        .map_err(|e| format!("cannot read /proc/net/tcp: {e}"))?;
    let address = format!("0100007F:{port:04X}");
    // Columns: number, local address, remote address, state; 0A is LISTEN.
    Ok(text.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&address) && words.nth(1) == Some("0A")
    }))
}

/// Raises the soft limit of descriptors to the hard one; children inherit it.
pub(crate) fn raise_descriptor_limit() -> Outcome<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| format!("getrlimit: {e}"))?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .map_err(|e| format!("cannot raise the limit of descriptors to {hard}: {e}"))
}

/// Refuses if a process may not have two descriptors for each of so many connections.
pub(crate) fn check_descriptors(connections: u64) -> Outcome<()> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| format!("getrlimit: {e}"))?;
    let needed = 2 * connections + 200;
    if needed <= soft {
        return Ok(());
    }
    Err(format!(
        "{connections} connections need {needed} descriptors, the limit is {soft}: \
         raise it with ulimit -n"
    ))
}

/// The program of this name on PATH or where administrators' programs are.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    dirs.extend(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    dirs.into_iter().map(|dir| dir.join(name)).find(|path| is_program(path))
}

/// Whether this is a file that can be run.
pub(crate) fn is_program(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok() && path.is_file()
}
