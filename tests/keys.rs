//! How the programs keep the key: what they say of its file, and who may look into their memory.
//!
//! What is in that memory is another matter: see `secrets.rs`.

mod support;

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;

use support::process::{Log, Role, Spiped, daemonise, end, pid_in, pid_of, run, spipe};
use support::{Address, Implementation::Ours, Program, Room, Server, wait_until};

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

/// What `spipe` says with this key before it says that nobody answers.
fn spipe_says(room: &Room) -> Vec<String> {
    let finished = run(&mut spipe(Ours, room, &Address::unused()), b"");
    let mut lines: Vec<String> = finished.stderr.lines().map(str::to_owned).collect();
    let last = lines.pop().expect("that nobody answers");
    assert!(last.contains("cannot connect"), "{}", finished.stderr);
    lines
}

#[test]
fn spipe_warns_in_one_line_of_a_key_that_others_can_read() {
    let room = Room::new();
    assert_eq!(spipe_says(&room), Vec::<String>::new());
    for (mode, who) in [(0o640, "its group"), (0o644, "everybody")] {
        set_mode(&room.key(), mode);
        let lines = spipe_says(&room);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains(&format!("{who} can read the key (mode {mode:04o})")),
            "{lines:?}"
        );
        assert!(lines[0].contains(room.key().to_str().expect("UTF-8")), "{lines:?}");
    }
}

#[test]
fn spipe_warns_in_one_line_of_a_short_key() {
    let room = Room::new();
    room.write_key(&room.key(), &[7; 32]);
    assert_eq!(spipe_says(&room), Vec::<String>::new());
    room.write_key(&room.key(), &[7; 31]);
    let lines = spipe_says(&room);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("the key has 31 of the 32 random bytes"), "{lines:?}");
}

#[test]
fn spiped_warns_and_serves_all_the_same() {
    let (room, server) = (Room::new(), Server::holding());
    let source = Address::Unix(room.path("source.sock"));
    let spiped = Spiped::new(Ours, Role::Encrypt, &room, &source, server.address());
    let daemon = spiped.clone().start();
    assert!(!daemon.log().contains("the key"), "{}", daemon.log());
    drop(daemon);
    room.write_key(&room.key(), b"short");
    set_mode(&room.key(), 0o604);
    let daemon = spiped.start();
    assert!(daemon.log().contains("everybody can read the key (mode 0604)"), "{}", daemon.log());
    assert!(daemon.log().contains("the key has 5 of the 32 random bytes"), "{}", daemon.log());
    daemon.address().connect().expect("connect");
    server.accept();
}

/// A key that came through standard input was never in a file that we know of.
#[test]
fn nothing_is_said_of_the_modes_of_standard_input() {
    let room = Room::new();
    set_mode(&room.key(), 0o644);
    let mut command = Command::new(Ours.path(Program::Spipe));
    command.args(["-t", &Address::unused().spec(), "-k", "-"]).env_remove("RUST_LOG");
    let stdin = std::fs::File::open(room.key()).expect("key file");
    let output = command.stdin(stdin).output().expect("spawn");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(text.contains("cannot connect") && text.lines().count() == 1, "{text}");
}

/// No core dump of this process will be written: the limit that holds for files, and what
/// prctl(2) says of `PR_SET_DUMPABLE`: who is not root does not own its own files in /proc.
#[track_caller]
fn cannot_be_dumped(pid: Pid) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let words: Vec<&str> = core.expect("such a limit").split_whitespace().collect();
    assert_eq!(words, ["0", "0", "bytes"]);
    let owner = std::fs::metadata(format!("/proc/{pid}/status")).expect("it runs").uid();
    assert_eq!(owner, 0, "its user can look into its memory");
}

/// A program as another user, who has to have a copy of it: a process of root's would not show
/// whether others may look.
struct Stranger {
    room: Room,
    uid: u32,
}

impl Stranger {
    /// None without root, which is said loudly.
    fn new(test: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            support::skip(test, "only root can start programs as another user");
            return None;
        }
        let (room, uid) = (Room::new(), 65_533);
        for (name, program) in [("spiped", Program::Spiped), ("spipe", Program::Spipe)] {
            std::fs::copy(Ours.path(program), room.path(name)).expect("copy");
        }
        for path in [room.dir(), &room.key()] {
            chown(path, Some(uid), Some(uid)).expect("chown");
        }
        Some(Self { room, uid })
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.room.path(program));
        command.args(arguments).arg("-k").arg(self.room.key()).current_dir(self.room.dir());
        command.env_remove("RUST_LOG").uid(self.uid).gid(self.uid);
        command
    }
}

#[test]
fn spiped_lets_nobody_look_into_its_memory() {
    let Some(stranger) = Stranger::new("spiped_lets_nobody_look_into_its_memory") else { return };
    let arguments = ["-d", "-s", "127.0.0.1:0", "-t", "[127.0.0.1]:1", "--log-level", "debug"];
    let mut command = stranger.command("spiped", &arguments);
    let (status, log) = daemonise(command.args(["-p", "pid"]).stdin(Stdio::null()));
    assert!(status.success(), "{}", log.text());
    wait_until("the daemon listens", || log.text().contains("decrypting connections to"));
    cannot_be_dumped(pid_in(&stranger.room.path("pid")));
    // It can still look at itself.
    assert!(!log.text().contains("cannot count open descriptors"), "{}", log.text());
}

#[test]
fn after_a_change_of_user_nobody_may_look_either() {
    let name = "after_a_change_of_user_nobody_may_look_either";
    let Some(stranger) = Stranger::new(name) else { return };
    let (room, server) = (&stranger.room, Server::holding());
    let source = Address::Unix(room.path("source.sock"));
    let spiped = Spiped::new(Ours, Role::Encrypt, room, &source, server.address());
    let daemon = spiped.flags(&["-u", &stranger.uid.to_string()]).start();
    cannot_be_dumped(daemon.pid());
}

/// Secrets cannot be locked then. Root is not bound by the limit.
#[test]
fn a_limit_of_locked_memory_is_a_warning_and_no_error() {
    let name = "a_limit_of_locked_memory_is_a_warning_and_no_error";
    let Some(stranger) = Stranger::new(name) else { return };
    let warning = "secrets may be written to swap";
    let path = |name: &str| stranger.room.path(name).display().to_string();
    let start = |limit: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -l \"$1\" && shift && exec \"$@\"", "sh", limit]);
        command.args([&path("spiped"), "-d", "-F", "-s", "127.0.0.1:0", "-t", "[127.0.0.1]:1"]);
        command.args(["-k", &path("key")]).env_remove("RUST_LOG");
        command.uid(stranger.uid).gid(stranger.uid).stderr(Stdio::piped());
        let mut spiped = Running(command.spawn().expect("spawn"));
        let log = Log::read(spiped.0.stderr.take().expect("stderr is piped"));
        wait_until("the daemon listens", || log.text().contains("decrypting connections to"));
        log.text()
    };
    let said = start("0");
    assert_eq!(said.matches(warning).count(), 1, "{said}");
    let said = start("64");
    assert!(!said.contains(warning), "{said}");
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

#[test]
fn spipe_lets_nobody_look_into_its_memory() {
    let Some(stranger) = Stranger::new("spipe_lets_nobody_look_into_its_memory") else { return };
    let server = Server::holding();
    let mut command = stranger.command("spipe", &["-t", &server.address().spec()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut spipe = Running(command.spawn().expect("spawn"));
    let log = Log::read(spipe.0.stderr.take().expect("stderr is piped"));
    let _connection = server.accept();
    cannot_be_dumped(pid_of(&spipe.0));
    assert_eq!(log.text(), "");
}
