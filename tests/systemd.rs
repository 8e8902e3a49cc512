//! Under systemd: the units, and sockets that it passes (by its own systemd-socket-activate).
//!
//! It owns how systemd starts a daemon. Next: `service_manager.rs`, for what it is told then.

#![cfg(target_os = "linux")]

mod support;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};

use support::process::{Log, Role, Spiped, daemonise, end, pid_in, pid_of, run, wait_for};
use support::{Address, Implementation::Ours, Program, Room, Server, kernel, wait_until};

/// Whether a program of systemd's is there.
fn have(test: &str, program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        support::skip(test, &format!("{program} is not installed"));
    }
    there
}

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/systemd").join(name)
}

/// The units in a directory, with the program that has been built.
fn installed_units() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["spiped@.service", "spiped@.socket"] {
        let text = std::fs::read_to_string(unit(name)).expect("a unit");
        let program = Ours.path(Program::Spiped);
        let text = text.replace("/usr/bin/spiped", program.to_str().expect("UTF-8"));
        std::fs::write(dir.path().join(name), text).expect("write");
    }
    dir
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !have("systemd_finds_nothing_wrong_with_the_units", "systemd-analyze") {
        return;
    }
    let units = installed_units();
    for name in ["spiped@x.service", "spiped@x.socket"] {
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(units.path().join(name));
        let finished = run(&mut verify, b"");
        assert!(finished.status.success(), "{name}: {}", finished.stderr);
        // It warns of what it ignores, and succeeds all the same.
        let ours = finished.stderr.lines().filter(|line| line.contains("spiped"));
        assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "{name}");
    }
}

#[test]
fn the_service_is_hardly_exposed() {
    if !have("the_service_is_hardly_exposed", "systemd-analyze") {
        return;
    }
    let units = installed_units();
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=yes", "--threshold=20", "--no-pager"]);
    let finished = run(security.arg(units.path().join("spiped@.service")), b"");
    let report = String::from_utf8_lossy(&finished.stdout);
    assert!(finished.status.success(), "{report}{}", finished.stderr);
    assert!(report.contains("Overall exposure level"), "{report}");
}

#[test]
fn the_drain_ends_before_the_patience_of_systemd() {
    let text = std::fs::read_to_string(unit("spiped@.service")).expect("the unit");
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.expect("this line").parse::<u32>().expect("a number")
    };
    assert!(text.contains("--drain-timeout ${SPIPED_DRAIN} "));
    assert!(number("Environment=SPIPED_DRAIN=") + 10 < number("TimeoutStopSec="));
}

/// A key that the service manager passes may be readable by a list of users, which shows as the
/// group in the mode.
#[test]
fn credentials_are_not_warned_about() {
    let (room, server) = (Room::new(), Server::echo());
    let readable = std::fs::Permissions::from_mode(0o440);
    std::fs::set_permissions(room.key(), readable).expect("chmod");
    let any = Address::any_v4();
    let log = |directory: &Path| {
        let daemon = Spiped::new(Ours, Role::Decrypt, &room, &any, server.address()).flags(&["-F"]);
        let mut command = daemon.command();
        command.env("CREDENTIALS_DIRECTORY", directory).stderr(Stdio::piped());
        let mut child = command.spawn().expect("spawn");
        let log = Log::read(child.stderr.take().expect("stderr is piped"));
        wait_until("it is ready", || log.text().contains(" connections to "));
        end(&mut child);
        log.text()
    };
    assert!(!log(room.dir()).contains("can read the key"));
    assert!(log(Path::new("/elsewhere")).contains("its group can read the key (mode 0440)"));
}

/// A daemon that systemd-socket-activate starts at the first connection to `listen`.
fn activated(listen: &Address, name: &str, daemon: &Spiped) -> (Child, Log) {
    let mut command = Command::new("systemd-socket-activate");
    let listen = match listen {
        Address::Tcp(tcp) => tcp.to_string(),
        Address::Unix(path) => path.to_str().expect("UTF-8").to_owned(),
    };
    let program = daemon.command();
    command.args(["-l", &listen]).arg(format!("--fdname={name}"));
    command.arg(program.get_program()).args(program.get_args()).arg("-F");
    command.current_dir(program.get_current_dir().expect("a room"));
    let mut child = command.stderr(Stdio::piped()).spawn().expect("spawn");
    let log = Log::read(child.stderr.take().expect("stderr is piped"));
    wait_until("systemd listens", || log.text().contains("Listening on"));
    (child, log)
}

fn decrypting(room: &Room, server: &Server, source: &str) -> Spiped {
    let any = Address::any_v4();
    Spiped::new(Ours, Role::Decrypt, room, &any, server.address()).source_text(source)
}

/// Whether a peer with the key is served at `source`.
#[track_caller]
fn serves(source: &Address, room: &Room) {
    use spiped_peer::{Raw, Secrecy};
    let stream = source.connect().expect("connect");
    let mut peer = Raw::client(stream, &room.secret(), Secrecy::None).expect("served");
    peer.send(b"hello").expect("send");
    assert_eq!(peer.receive_exactly(5).expect("an echo"), b"hello");
}

#[test]
fn the_first_connection_starts_it_and_the_socket_is_never_removed() {
    let test = "the_first_connection_starts_it_and_the_socket_is_never_removed";
    if !have(test, "systemd-socket-activate") {
        return;
    }
    let (room, server) = (Room::new(), Server::echo());
    for source in [Address::Unix(room.path("web.sock")), Address::unused()] {
        let daemon = decrypting(&room, &server, "systemd:web");
        let (mut child, log) = activated(&source, "web", &daemon);
        serves(&source, &room);
        serves(&source, &room);
        wait_until("the log has come", || log.text().contains(" connections to "));
        assert!(log.text().contains("listening on "), "{}", log.text());
        assert!(log.text().contains("sandbox: Landlock") || !support::in_ci(), "{}", log.text());
        kill(pid_of(&child), Signal::SIGTERM).expect("it runs");
        assert_eq!(wait_for(&mut child).code(), Some(0), "{}", log.text());
        if let Address::Unix(path) = &source {
            let kind = std::fs::symlink_metadata(path).expect("the socket stays").file_type();
            assert!(kind.is_socket());
        }
    }
}

#[test]
fn sockets_are_told_apart_by_their_names() {
    if !have("sockets_are_told_apart_by_their_names", "systemd-socket-activate") {
        return;
    }
    let (room, server) = (Room::new(), Server::echo());
    let source = Address::Unix(room.path("web.sock"));
    let (mut child, log) = activated(&source, "mail", &decrypting(&room, &server, "systemd:web"));
    let _client = source.connect().expect("connect");
    assert_eq!(wait_for(&mut child).code(), Some(1));
    let expected = "-s: no socket that was passed is named \"web\", only mail";
    wait_until("its reason", || log.text().contains(expected));
}

#[test]
fn passed_sockets_may_carry_websockets() {
    if !have("passed_sockets_may_carry_websockets", "systemd-socket-activate") {
        return;
    }
    let (room, server, listen) = (Room::new(), Server::echo(), Address::unused());
    let daemon = decrypting(&room, &server, "systemd:web").flags(&["-w"]);
    let (mut child, log) = activated(&listen, "web", &daemon);
    let mut spipe = Command::new(Ours.path(Program::Spipe));
    spipe.arg("-t").arg(format!("ws://127.0.0.1:{}/any/path", listen.port()));
    spipe.arg("-k").arg(room.key()).args(["--proxy", "none"]);
    let finished = run(&mut spipe, b"hello");
    assert!(finished.status.success(), "{}{}", finished.stderr, log.text());
    assert_eq!(finished.stdout, b"hello");
    end(&mut child);
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    let (room, server) = (Room::new(), Server::echo());
    let daemon = decrypting(&room, &server, "systemd:web");
    let fails = |variables: &[(&str, &str)], what: &str| {
        let mut command = daemon.command();
        let finished = run(command.arg("-F").envs(variables.iter().copied()), b"");
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(what), "{}", finished.stderr);
    };
    fails(&[], "start it by a socket unit, and not by hand");
    let others = [("LISTEN_PID", "1"), ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "web")];
    fails(&others, "start it by a socket unit, and not by hand");
    let junk = [("LISTEN_PID", "x"), ("LISTEN_FDS", "1")];
    fails(&junk, "the sockets that were passed cannot be taken: invalid LISTEN_PID");
    let nameless = decrypting(&room, &server, "systemd:");
    let finished = run(nameless.command().arg("-F"), b"");
    assert!(finished.stderr.contains("expected the name of a socket"), "{}", finished.stderr);
}

/// In the background the process is another one than the sockets were passed to; and -u.
#[test]
fn passed_sockets_survive_the_background_and_another_user() {
    let test = "passed_sockets_survive_the_background_and_another_user";
    if !have(test, "systemd-socket-activate") {
        return;
    }
    let root = nix::unistd::geteuid().is_root();
    let user: &[&str] = if root { &["-u", "65534:65534"] } else { &[] };
    for patience in [&[][..], &["-D"]] {
        let (room, server) = (Room::new(), Server::echo());
        let source = Address::Unix(room.path("web.sock"));
        let daemon = decrypting(&room, &server, "systemd:web");
        let daemon = daemon.flags(&["-p", "my.pid"]).flags(user).flags(patience);
        let program = daemon.command();
        let mut command = Command::new("systemd-socket-activate");
        command.arg("-l").arg(room.path("web.sock")).arg("--fdname=web");
        command.arg(program.get_program()).args(program.get_args()).current_dir(room.dir());
        let client = {
            let source = source.clone();
            std::thread::spawn(move || {
                wait_until("systemd listens", || kernel::listening(&source));
                source.connect().expect("connect")
            })
        };
        let (status, log) = daemonise(&mut command);
        assert!(status.success(), "{}", log.text());
        drop(client.join().expect("a client"));
        serves(&source, &room);
        let pid = pid_in(&room.path("my.pid"));
        kill(pid, Signal::SIGTERM).expect("it runs");
        wait_until("the daemon ends", || !kernel::alive(pid));
        assert!(room.path("web.sock").exists());
    }
}
