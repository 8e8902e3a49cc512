//! Pidfiles in temporary directories, and other processes to have had them before.

use super::*;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// Another living process, until it is dropped.
struct Other(Child);

impl Other {
    fn start() -> Self {
        Self(Command::new("cat").stdin(Stdio::piped()).spawn().unwrap())
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn in_a_directory() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pid");
    (dir, path)
}

#[test]
fn the_default_is_named_after_the_source() {
    assert_eq!(default_path("[127.0.0.1]:8025"), Path::new("[127.0.0.1]:8025.pid"));
    assert_eq!(default_path("/run/s"), Path::new("/run/s.pid"));
    assert_eq!(default_path("ws://0.0.0.0:8080/a/b"), Path::new("0.0.0.0:8080.pid"));
    assert_eq!(default_path("wss://[::]/a"), Path::new("[::]:443.pid"));
    assert_eq!(default_path("ws+unix:///run/s:/a"), Path::new("/run/s.pid"));
}

#[test]
fn it_holds_the_id_alone_and_goes_at_the_end() {
    let (_dir, path) = in_a_directory();
    fs::write(&path, "an old and longer content\n").unwrap();
    let pidfile = Pidfile::write(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), process::id().to_string());
    pidfile.remove_if_ours();
    assert!(!path.exists());
}

#[test]
fn a_successors_pidfile_stays() {
    let (_dir, path) = in_a_directory();
    for theirs in ["1", "", "12345678901234567890"] {
        let pidfile = Pidfile::write(&path).unwrap();
        fs::write(&path, theirs).unwrap();
        pidfile.remove_if_ours();
        assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
    }
}

#[test]
fn a_failed_start_gives_the_file_back_to_a_living_daemon() {
    let (dir, path) = in_a_directory();
    let other = Other::start();
    // C spiped writes no newline, but others do.
    for theirs in [other.id(), format!("{}\n", other.id())] {
        fs::write(&path, &theirs).unwrap();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        for name in [&path, &link] {
            let pidfile = Pidfile::write(name).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), process::id().to_string());
            pidfile.withdraw();
            assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
        }
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn a_failed_start_removes_the_file_if_nobody_else_needs_it() {
    let (_dir, path) = in_a_directory();
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    for before in ["", "junk", "0", "-1", &process::id().to_string(), &gone.id().to_string()] {
        fs::write(&path, before).unwrap();
        Pidfile::write(&path).unwrap().withdraw();
        assert!(!path.exists(), "{before:?}");
    }

    // It ended while we tried.
    let other = Other::start();
    fs::write(&path, other.id()).unwrap();
    let pidfile = Pidfile::write(&path).unwrap();
    drop(other);
    pidfile.withdraw();
    assert!(!path.exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_number_that_is_somebody_elses_by_now_is_no_daemon() {
    assert!(is_daemon(&process::id().to_string()));
    let other = Other::start();
    // Between fork and exec it still has our name.
    let deadline = Instant::now() + Duration::from_secs(30);
    while is_daemon(&other.id()) && Instant::now() < deadline {
        thread::yield_now();
    }
    assert!(!is_daemon(&other.id()), "cat is no spiped");
}

#[test]
fn the_regular_end_removes_it_whoever_had_it_before() {
    let (_dir, path) = in_a_directory();
    // A predecessor that drains: its id is no longer what anyone looks for here.
    let other = Other::start();
    fs::write(&path, other.id()).unwrap();
    Pidfile::write(&path).unwrap().remove_if_ours();
    assert!(!path.exists());
}

#[test]
fn a_failed_start_leaves_a_third_ones_pidfile_alone() {
    let (_dir, path) = in_a_directory();
    let other = Other::start();
    fs::write(&path, other.id()).unwrap();
    let pidfile = Pidfile::write(&path).unwrap();
    fs::write(&path, "1").unwrap();
    pidfile.withdraw();
    assert_eq!(fs::read_to_string(&path).unwrap(), "1");
}

#[test]
fn a_pidfile_that_is_being_written_stays() {
    let (_dir, path) = in_a_directory();
    let pidfile = Pidfile::write(&path).unwrap();
    let successor = File::open(&path).unwrap();
    successor.lock().unwrap();
    pidfile.remove_if_ours();
    assert!(path.exists());
}

#[test]
fn a_pidfile_removed_while_we_wait_for_it_is_made_anew() {
    let (_dir, path) = in_a_directory();
    let predecessor = File::create(&path).unwrap();
    predecessor.lock().unwrap();
    let (written, result) = mpsc::channel();
    let writer = {
        let path = path.clone();
        thread::spawn(move || written.send(Pidfile::write(&path).unwrap()))
    };
    fs::remove_file(&path).unwrap();
    drop(predecessor);
    let pidfile = result.recv_timeout(Duration::from_secs(30)).unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), process::id().to_string());
    drop(pidfile);
    assert!(!path.exists());
}

#[test]
fn a_lock_that_nobody_gives_back_does_not_stop_us() {
    let (_dir, path) = in_a_directory();
    let stranger = File::create(&path).unwrap();
    stranger.lock().unwrap();
    let pidfile = Pidfile::write(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), process::id().to_string());
    drop((pidfile, stranger));
}

#[test]
fn what_is_no_regular_file_is_written_but_never_removed() {
    let (dir, target) = in_a_directory();
    Pidfile::write(Path::new("/dev/null")).unwrap().remove_if_ours();
    assert!(Path::new("/dev/null").exists());

    let link = dir.path().join("link");
    symlink(&target, &link).unwrap();
    Pidfile::write(&link).unwrap().remove_if_ours();
    assert_eq!(fs::read_to_string(&target).unwrap(), process::id().to_string());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let reader = {
        let fifo = fifo.clone();
        thread::spawn(move || fs::read_to_string(fifo).unwrap())
    };
    Pidfile::write(&fifo).unwrap().remove_if_ours();
    assert_eq!(reader.join().unwrap(), process::id().to_string());
    assert!(fifo.exists());
}

#[test]
fn what_cannot_be_written_is_an_error_that_names_it() {
    let (dir, _) = in_a_directory();
    for path in [Path::new("/dev/full"), dir.path(), &dir.path().join("none/x.pid")] {
        let text = Pidfile::write(path).unwrap_err().to_string();
        assert!(text.starts_with(&format!("cannot write the pidfile {path:?}: ")), "{text}");
        assert!(text.ends_with("-p"), "{text}");
    }
    assert!(Path::new("/dev/full").exists());
}
