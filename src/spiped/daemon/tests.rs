//! Daemons of a moment. Every test starts the helper below in a process of its own, because only
//! that can be forked, and looks at it from outside.

use super::*;
use nix::sys::stat::Mode;
use nix::unistd::{getsid, mkfifo};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const TASK: &str = "SPIPED_TEST_DAEMON_TASK";
const DIRECTORY: &str = "SPIPED_TEST_DAEMON_DIRECTORY";
const DEADLINE: Duration = Duration::from_secs(30);

/// What the process under test does; `main` of spiped in small.
#[test]
#[ignore = "not a test: what the tests below run in a process of its own"]
fn helper() {
    let Ok(task) = env::var(TASK) else { return };
    let directory = PathBuf::from(env::var(DIRECTORY).unwrap());
    let path = if task == "full" { "/dev/full".into() } else { directory.join("x.pid") };
    // Not `daemonize`: the harness has a second thread, but it only waits and holds no lock.
    let (starting, pidfile) = match fork_and_wait(&path) {
        Ok(child) => child,
        Err(error) => {
            eprintln!("parent: {error}");
            process::exit(1);
        }
    };
    match task.as_str() {
        "keep" => starting.release(Stderr::Keep).unwrap(),
        "discard" => starting.release(Stderr::Discard).unwrap(),
        "fail" => starting.fail(pidfile, &"no room in the nursery"),
        "die" => process::exit(7),
        "abort" => process::abort(),
        task => panic!("no such task: {task}"),
    }
    // Opening a FIFO waits for its other end: for the test to have seen enough.
    File::open(directory.join("enough")).unwrap();
    eprintln!("child: bye");
    drop(pidfile);
    process::exit(0);
}

struct Run {
    output: Output,
    directory: tempfile::TempDir,
    /// Sends what was written to stderr once every process has closed it.
    stderr: mpsc::Receiver<String>,
}

impl Run {
    /// Runs the helper until the process started has ended and nobody holds its stdout any more.
    fn of(task: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        mkfifo(&directory.path().join("enough"), Mode::S_IRWXU).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let (sender, stderr) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            sender.send(text).unwrap();
        });
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "spiped::daemon::tests::helper", "--ignored"])
            .args(["--test-threads=1", "--nocapture"])
            .env(TASK, task)
            .env(DIRECTORY, directory.path())
            .stdin(Stdio::piped())
            .stderr(writer)
            .output()
            .unwrap();
        Self { output, directory, stderr }
    }

    fn pidfile(&self) -> PathBuf {
        self.directory.path().join("x.pid")
    }

    /// Everything on stderr, from both processes, after both have ended.
    fn stderr(&self) -> String {
        self.stderr.recv_timeout(DEADLINE).unwrap()
    }
}

#[test]
fn the_parent_returns_with_the_pidfile_written_and_the_child_detached() {
    let run = Run::of("keep");
    assert_eq!(run.output.status.code(), Some(0));
    let pid: i32 = fs::read_to_string(run.pidfile()).unwrap().parse().unwrap();
    assert_eq!(getsid(Some(Pid::from_raw(pid))), Ok(Pid::from_raw(pid)));
    for stream in [0, 1] {
        let target = fs::read_link(format!("/proc/{pid}/fd/{stream}")).unwrap();
        assert_eq!(target, PathBuf::from("/dev/null"));
    }
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), env::current_dir().unwrap());
    OpenOptions::new().write(true).open(run.directory.path().join("enough")).unwrap();
    assert_eq!(run.stderr(), "child: bye\n");
    assert!(!run.pidfile().exists());
}

#[test]
fn stderr_can_be_discarded() {
    let run = Run::of("discard");
    assert_eq!(run.output.status.code(), Some(0));
    // Nobody holds stderr although the daemon lives.
    assert_eq!(run.stderr(), "");
    assert!(run.pidfile().exists());
    OpenOptions::new().write(true).open(run.directory.path().join("enough")).unwrap();
}

#[test]
fn a_child_that_fails_tells_the_parent_why_and_leaves_nothing() {
    let run = Run::of("fail");
    assert_eq!(run.output.status.code(), Some(1));
    assert_eq!(run.stderr(), "parent: no room in the nursery\n");
    assert!(!run.pidfile().exists());
}

#[test]
fn a_pidfile_that_cannot_be_written_is_the_parents_error() {
    let run = Run::of("full");
    assert_eq!(run.output.status.code(), Some(1));
    let text = run.stderr();
    assert!(text.starts_with("parent: cannot write the pidfile \"/dev/full\": No space"), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_child_that_ends_without_a_word_is_an_error_too() {
    for (task, reason) in [("die", "ended with status 7"), ("abort", "was ended by SIGABRT")] {
        let run = Run::of(task);
        assert_eq!(run.output.status.code(), Some(1), "{task}");
        assert_eq!(run.stderr(), format!("parent: the daemon {reason} before it was ready\n"));
    }
}
