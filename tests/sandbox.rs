//! The sandbox: every thread is refused what is forbidden, and what has to work in it does.
//!
//! It owns what is given up at the start. Files that are replaced under a running daemon are in
//! `replaced.rs`, which is next.

#![cfg(target_os = "linux")]

mod support;

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::process::{Role, Spiped, daemonise, pid_in, pid_of};
use support::servers::echo_once;
use support::tunnel::{Spipe, Tunnel, exchange};
use support::{Address, Implementation::Ours, Program, Room, Server, kernel, wait_until};

/// A tunnel whose encrypting end has all threads that there are: the log's, and that of names.
fn tunnel_with_threads(room: &Room, server: &Server, flags: &[&str]) -> Tunnel {
    let any = Address::any_v4();
    let decrypt =
        Spiped::new(Ours, Role::Decrypt, room, &any, server.address()).flags(flags).start();
    let name = format!("localhost:{}", decrypt.address().port());
    let encrypt = Spiped::new(Ours, Role::Encrypt, room, &any, decrypt.address());
    Tunnel { encrypt: encrypt.target(&name).flags(flags).start(), decrypt }
}

/// `NoNewPrivs` and `Seccomp` in the status of a thread: a file of /proc.
fn marks_in(status: &str) -> (String, String) {
    let value = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a line of its status").trim().to_owned()
    };
    (value("NoNewPrivs:"), value("Seccomp:"))
}

/// The marks of every thread of one of our programs, none of which ends before the program.
fn marks(pid: Pid) -> Vec<(String, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a living process");
    let statuses = tasks.map(|task| {
        std::fs::read_to_string(task.expect("an entry").path().join("status"))
            .expect("a living thread")
    });
    statuses.map(|status| marks_in(&status)).collect()
}

#[test]
fn every_thread_is_marked() {
    let (room, server) = (Room::new(), Server::echo());
    let tunnel = tunnel_with_threads(&room, &server, &[]);
    let mut spipe = Spipe::start(Ours, &room, tunnel.decrypt.address(), &[]);
    let (mut stdin, mut stdout) = spipe.pipes();
    std::io::Write::write_all(&mut stdin, b"x").expect("write");
    std::io::Read::read_exact(&mut stdout, &mut [0]).expect("an echo");

    let processes =
        [(tunnel.encrypt.pid(), 3), (tunnel.decrypt.pid(), 2), (pid_of(&spipe.child), 3)];
    for (pid, count) in processes {
        let marks = marks(pid);
        assert!(marks.len() >= count, "a thread is missing: {marks:?}");
        for mark in marks {
            assert_eq!(mark, ("1".to_owned(), "2".to_owned()));
        }
    }
    assert_eq!(spipe.log.text(), "", "spipe is to say nothing");
}

#[test]
fn the_log_says_what_is_active() {
    let (room, server) = (Room::new(), Server::echo());
    let tunnel = tunnel_with_threads(&room, &server, &[]);
    let line = |log: &str| {
        let lines: Vec<_> = log.lines().filter(|line| line.contains("sandbox: ")).collect();
        assert_eq!(lines.len(), 1, "{log}");
        lines[0].to_owned()
    };
    let (encrypt, decrypt) = (line(&tunnel.encrypt.log()), line(&tunnel.decrypt.log()));
    assert!(encrypt.ends_with(", seccomp, no_new_privs"), "{encrypt}");
    if have_landlock("the_log_says_what_is_active", &encrypt) {
        assert!(encrypt.contains("may read /etc "), "{encrypt}");
        assert!(!encrypt.contains("remove"), "{encrypt}");
        assert!(decrypt.contains("(no files)"), "{decrypt}");
    }

    let without = tunnel_with_threads(&room, &server, &["--no-sandbox"]);
    assert!(line(&without.encrypt.log()).ends_with("sandbox: off (--no-sandbox)"));
    // As the thread that started it. Others of this process may end while one looks at them.
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("a living thread");
    let ours = marks_in(&status);
    assert!(marks(without.encrypt.pid()).iter().all(|mark| *mark == ours));
    echo_once(&mut without.connect(), b"without a sandbox");
}

/// Whether the log says that Landlock is active; says so if not, or panics in CI.
fn have_landlock(test: &str, log: &str) -> bool {
    let have = !log.contains("no Landlock");
    if !have {
        support::skip(test, "this system has no Landlock");
    }
    have
}

/// What is forbidden, tried by the threads themselves.
#[cfg(target_arch = "x86_64")]
mod attempts {
    use nix::errno::Errno;
    use nix::libc;

    use super::*;
    use support::inject::{Stopped, threads};

    /// No address family.
    const NO_FAMILY: u64 = 60;

    /// Makes a thread try everything; the name of each attempt, what a sandbox answers, and what
    /// this thread was answered.
    fn attempts(
        thread: &mut Stopped,
        room: &Room,
    ) -> Vec<(&'static str, Errno, Result<u64, Errno>)> {
        let (at, own) = (libc::AT_FDCWD as u64, Pid::this().as_raw() as u64);
        let text = |name: &str| room.path(name).to_str().expect("UTF-8").to_owned();
        let program = thread.text("/no/such/program");
        let (key, new) = (thread.text(&text("key")), thread.text(&text("new")));
        let (victim, other) = (thread.text(&text("victim")), thread.text(&text("other")));
        let create = (libc::O_CREAT | libc::O_WRONLY) as u64;
        let (seccomp, landlock) = (Errno::EPERM, Errno::EACCES);
        // Chosen so that outside of a sandbox no user is answered this, and nothing happens.
        let mut call = |name, refusal, number: libc::c_long, arguments: &[u64]| {
            (name, refusal, thread.call(number, arguments))
        };
        vec![
            call("execve", seccomp, libc::SYS_execve, &[program]),
            call("execveat", seccomp, libc::SYS_execveat, &[at, program]),
            call("fork", seccomp, libc::SYS_clone, &[libc::CLONE_SIGHAND as u64]),
            call("clone3", Errno::ENOSYS, libc::SYS_clone3, &[]),
            call("ptrace", seccomp, libc::SYS_ptrace, &[libc::PTRACE_CONT as u64, own]),
            call("kill", seccomp, libc::SYS_kill, &[own]),
            call("tgkill", seccomp, libc::SYS_tgkill, &[own, own]),
            call("unshare", seccomp, libc::SYS_unshare, &[]),
            call("setfsuid", seccomp, libc::SYS_setfsuid, &[u64::MAX]),
            call("socket", seccomp, libc::SYS_socket, &[NO_FAMILY, libc::SOCK_STREAM as u64]),
            call("TIOCSTI", seccomp, libc::SYS_ioctl, &[0, libc::TIOCSTI, program]),
            call("prlimit64", seccomp, libc::SYS_prlimit64, &[own]),
            call("chmod", seccomp, libc::SYS_chmod, &[victim, 0o600]),
            call("fchmodat", seccomp, libc::SYS_fchmodat, &[at, victim, 0o600]),
            call("fchmodat2", seccomp, libc::SYS_fchmodat2, &[at, victim, 0o600]),
            call("chown", seccomp, libc::SYS_chown, &[victim, u64::MAX, u64::MAX]),
            call("fchownat", seccomp, libc::SYS_fchownat, &[at, victim, u64::MAX, u64::MAX]),
            call("setxattr", seccomp, libc::SYS_setxattr, &[victim]),
            call("removexattr", seccomp, libc::SYS_removexattr, &[victim]),
            call("utimensat", seccomp, libc::SYS_utimensat, &[at, victim]),
            call("truncate", seccomp, libc::SYS_truncate, &[victim]),
            call("shmget", seccomp, libc::SYS_shmget, &[]),
            call("mq_unlink", seccomp, libc::SYS_mq_unlink, &[]),
            call("read a file", landlock, libc::SYS_openat, &[at, key]),
            call("write a file", landlock, libc::SYS_openat, &[at, victim, libc::O_WRONLY as u64]),
            call("make a file", landlock, libc::SYS_openat, &[at, new, create, 0o600]),
            call("remove a file", landlock, libc::SYS_unlink, &[victim]),
            call("rename a file", landlock, libc::SYS_rename, &[key, other]),
            call("make a directory", landlock, libc::SYS_mkdir, &[other]),
        ]
    }

    /// Whether a process may be made to try.
    fn may_trace(test: &str, pid: Pid) -> bool {
        let may = Stopped::new(pid).is_some();
        if !may {
            support::skip(test, "nobody but root may trace our programs");
        }
        may
    }

    #[test]
    fn every_thread_is_refused_what_is_forbidden() {
        let test = "every_thread_is_refused_what_is_forbidden";
        let (room, server) = (Room::new(), Server::echo());
        std::fs::write(room.path("victim"), "").expect("write");
        let tunnel = tunnel_with_threads(&room, &server, &[]);
        let mut spipe = Spipe::start(Ours, &room, tunnel.decrypt.address(), &[]);
        let (mut stdin, mut stdout) = spipe.pipes();
        std::io::Write::write_all(&mut stdin, b"x").expect("write");
        std::io::Read::read_exact(&mut stdout, &mut [0]).expect("an echo");
        if !may_trace(test, tunnel.encrypt.pid()) {
            return;
        }
        let files = have_landlock(test, &tunnel.encrypt.log());

        for pid in [tunnel.encrypt.pid(), tunnel.decrypt.pid(), pid_of(&spipe.child)] {
            for thread in threads(pid) {
                let mut stopped = Stopped::new(thread).expect("as before");
                for (name, refusal, answer) in attempts(&mut stopped, &room) {
                    if files || refusal != Errno::EACCES {
                        assert_eq!(answer, Err(refusal), "{name}, thread {thread} of {pid}");
                    }
                }
            }
        }
        // And they do their work as before.
        echo_once(&mut tunnel.connect(), b"afterwards");
        std::io::Write::write_all(&mut stdin, b"y").expect("write");
        std::io::Read::read_exact(&mut stdout, &mut [0]).expect("an echo");
    }

    /// Otherwise the test above would show nothing.
    #[test]
    fn without_a_sandbox_none_of_it_is_refused() {
        let test = "without_a_sandbox_none_of_it_is_refused";
        let (room, server) = (Room::new(), Server::echo());
        std::fs::write(room.path("victim"), "").expect("write");
        let tunnel = tunnel_with_threads(&room, &server, &["--no-sandbox"]);
        if !may_trace(test, tunnel.encrypt.pid()) {
            return;
        }
        let mut stopped = Stopped::new(tunnel.encrypt.pid()).expect("as before");
        for (name, refusal, answer) in attempts(&mut stopped, &room) {
            assert_ne!(answer, Err(refusal), "{name}");
        }
        assert!(room.path("new").exists() && room.path("other").exists());
        assert!(!room.path("victim").exists());
    }
}

/// Moves a room into the hands of another user.
fn give(room: &Room, user: u32) {
    for path in [room.dir(), &room.key()] {
        chown(path, Some(user), Some(user)).expect("chown");
    }
}

/// Serves through a UNIX socket, and ends; whether socket and pidfile are gone then.
fn serve_and_end(command: &mut Command, room: &Room, server: &Server) -> bool {
    let (status, log) = daemonise(command);
    assert!(status.success(), "{}", log.text());
    let (socket, pidfile) = (room.path("source.sock"), room.path("source.sock.pid"));
    let client = Address::Unix(socket.clone()).connect().expect("connect");
    exchange(client, server.accept(), 100_000);
    let pid = pid_in(&pidfile);
    let marks = marks(pid);
    assert!(marks.iter().all(|mark| *mark == ("1".to_owned(), "2".to_owned())), "{marks:?}");
    kill(pid, Signal::SIGTERM).expect("the daemon runs");
    wait_until("the daemon ends", || !kernel::alive(pid));
    assert_eq!(socket.exists(), pidfile.exists());
    !socket.exists()
}

#[test]
fn unix_sockets_serve_and_are_removed_whoever_the_user_is() {
    const NOBODY: u32 = 65534;
    let test = "unix_sockets_serve_and_are_removed_whoever_the_user_is";
    let (room, far) = (Room::new(), Room::new());
    let server = Server::holding_at(&Address::Unix(room.path("target.sock")));
    let middle = Address::Unix(far.path("middle.sock"));
    let any = Spiped::new(Ours, Role::Decrypt, &far, &middle, server.address());
    let _decrypting = any.key(&room.key()).start();
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Encrypt, &room, &source, &middle);
    assert!(serve_and_end(&mut daemon.command(), &room, &server));

    if !nix::unistd::geteuid().is_root() {
        return support::skip(test, "only root can become others; tried as we are");
    }
    // After -u, where that user may not remove anything, and where it may.
    let everyone = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    everyone(far.dir(), 0o755);
    everyone(room.dir(), 0o755);
    everyone(&far.path("middle.sock"), 0o777);
    let changed = daemon.clone().flags(&["-u", "65534:65534"]);
    assert!(!serve_and_end(&mut changed.command(), &room, &server), "others' files are gone");
    std::fs::remove_file(room.path("source.sock.pid")).expect("the pidfile is left");
    give(&room, NOBODY);
    assert!(serve_and_end(&mut changed.command(), &room, &server), "own files are left");
    // Another user from the start. It may not be able to enter the directory of the program.
    let program = room.path("spiped");
    // By another process: one of ours that forks just now would have the copy open for writing.
    let copied = Command::new("cp").arg(Ours.path(Program::Spiped)).arg(&program).status();
    assert!(copied.expect("cp").success());
    let mut command = Command::new(&program);
    command.args(daemon.command().get_args()).current_dir(room.dir()).env_remove("RUST_LOG");
    command.uid(NOBODY).gid(NOBODY);
    assert!(serve_and_end(&mut command, &room, &server), "own files are left");
}

/// As on an old kernel, or in a container that forbids it all.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
#[test]
fn where_there_is_no_sandbox_the_programs_work_without() {
    use nix::libc;
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    for errno in [libc::ENOSYS, libc::EPERM] {
        let (room, server) = (Room::new(), Server::echo());
        let calls = [
            libc::SYS_landlock_create_ruleset,
            libc::SYS_landlock_add_rule,
            libc::SYS_landlock_restrict_self,
            libc::SYS_seccomp,
        ];
        let filter = SeccompFilter::new(
            calls.map(|call| (call, Vec::new())).into(),
            SeccompAction::Allow,
            SeccompAction::Errno(errno as u32),
            std::env::consts::ARCH.try_into().expect("one of these"),
        );
        let filter: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
        let source = Address::Unix(room.path("source.sock"));
        let daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address());
        let mut command = daemon.command();
        // SAFETY: between fork and exec there are two system calls here, and no allocation unless
        // they fail, in a process of tests that waits for nobody's lock then.
        unsafe {
            command.pre_exec(move || {
                seccompiler::apply_filter(&filter).map_err(std::io::Error::other)
            });
        }
        let (status, log) = daemonise(&mut command);
        assert!(status.success(), "{}", log.text());
        wait_until("it says what is missing", || log.text().contains("sandbox: no Landlock ("));
        assert!(log.text().contains(", no seccomp ("), "{}", log.text());
        let peer = source.connect().expect("connect");
        let secrecy = spiped_peer::Secrecy::None;
        let mut peer = spiped_peer::Raw::client(peer, &room.secret(), secrecy).expect("served");
        peer.send(b"hello").expect("send");
        assert_eq!(peer.receive_exactly(5).expect("an echo"), b"hello");
    }
}
