//! Life of the daemon: start, failures to start, files, signals, log, and every kind of address.
//!
//! It owns what an administrator sees. Next: `succession.rs`, where one daemon follows another.

mod support;

use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use spiped_peer::{Raw, Secrecy};

use support::process::{Finished, Role, Spiped, daemonise, pid_in, run};
use support::servers::echo_once;
use support::tunnel::{Ends, Tunnel};
use support::{Address, Implementation::Ours, Room, Server, kernel, wait_until};

/// A daemon from a UNIX socket in the room, to a server.
fn encrypting(room: &Room, server: &Server) -> Spiped {
    let source = Address::Unix(room.path("source.sock"));
    Spiped::new(Ours, Role::Encrypt, room, &source, server.address())
}

/// Ends a daemon by SIGTERM and waits until it is gone.
#[track_caller]
fn terminate(pid: Pid) {
    kill(pid, Signal::SIGTERM).expect("the daemon runs");
    wait_until("the daemon ends", || !kernel::alive(pid));
}

#[test]
fn the_parent_returns_when_the_daemon_is_ready() {
    let (room, server) = (Room::new(), Server::holding());
    let (status, log) = daemonise(&mut encrypting(&room, &server).command());
    assert!(status.success(), "{}", log.text());
    // At once, without waiting: it listens, and the default pidfile is there.
    let client = Address::Unix(room.path("source.sock")).connect().expect("connect");
    let pidfile = room.path("source.sock.pid");
    let pid = pid_in(&pidfile);
    assert!(kernel::alive(pid));
    server.accept();
    kill(pid, Signal::SIGTERM).expect("the daemon runs");
    drop(client);
    wait_until("the daemon ends", || !kernel::alive(pid));
    assert!(!pidfile.exists(), "the pidfile is left");
    assert!(!room.path("source.sock").exists(), "the socket is left");
}

#[test]
fn the_pidfile_may_be_named() {
    let (room, server) = (Room::new(), Server::holding());
    std::fs::write(room.path("my.pid"), "an old one, longer than a process number").expect("write");
    let daemon = encrypting(&room, &server).flags(&["-p", "my.pid"]);
    let (status, log) = daemonise(&mut daemon.command());
    assert!(status.success(), "{}", log.text());
    let pid = pid_in(&room.path("my.pid"));
    assert!(!room.path("source.sock.pid").exists(), "the default pidfile as well");
    // SIGINT cleans up too.
    kill(pid, Signal::SIGINT).expect("the daemon runs");
    wait_until("the daemon ends", || !kernel::alive(pid));
    assert!(!room.path("my.pid").exists(), "the pidfile is left");
}

#[test]
fn a_pidfile_that_is_not_ours_any_more_stays() {
    let (room, server) = (Room::new(), Server::holding());
    let (status, log) = daemonise(&mut encrypting(&room, &server).command());
    assert!(status.success(), "{}", log.text());
    let pidfile = room.path("source.sock.pid");
    let pid = pid_in(&pidfile);
    std::fs::write(&pidfile, "1").expect("write");
    terminate(pid);
    assert_eq!(std::fs::read_to_string(&pidfile).expect("the other's pidfile"), "1");
}

/// With -D the second one writes the pidfile before it can know that the address is taken.
#[test]
fn a_second_start_that_fails_gives_the_pidfile_back() {
    for flags in [&["-p", "my.pid"][..], &["-p", "my.pid", "-D"]] {
        let (room, server) = (Room::new(), Server::holding());
        let first = encrypting(&room, &server).flags(flags);
        let (status, log) = daemonise(&mut first.command());
        assert!(status.success(), "{}", log.text());
        let source = Address::Unix(room.path("source.sock"));
        wait_until("the first one listens", || kernel::listening(&source));
        let pid = pid_in(&room.path("my.pid"));

        let (_, log) = daemonise(&mut first.command());
        wait_until("the second one ends", || log.ended());
        assert!(log.text().contains("source.sock"), "{flags:?}: {}", log.text());
        assert!(kernel::alive(pid));
        assert_eq!(pid_in(&room.path("my.pid")), pid, "{flags:?}");
        terminate(pid);
        assert!(!room.path("my.pid").exists(), "{flags:?}: the pidfile is left");
    }
}

#[test]
fn no_pidfile_in_the_foreground() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = encrypting(&room, &server).flags(&["-p", "my.pid"]).start();
    daemon.address().connect().expect("connect");
    server.accept();
    assert!(!room.path("my.pid").exists(), "-F wrote a pidfile");
}

#[test]
fn sigterm_ends_an_idle_daemon_at_once() {
    // The best of some attempts: another test may have the processor.
    let attempts = (0..4).map(|_| {
        let (room, server) = (Room::new(), Server::holding());
        let mut daemon = encrypting(&room, &server).start();
        let start = Instant::now();
        daemon.signal(Signal::SIGTERM);
        assert_eq!(daemon.wait().code(), Some(0));
        assert!(!room.path("source.sock").exists(), "the socket is left");
        start.elapsed()
    });
    let best = attempts.min().expect("there are some");
    assert!(best.as_millis() < 250, "took {best:?}, as a timer would");
}

#[test]
fn sigterm_drains_and_a_second_one_ends() {
    let (room, server) = (Room::new(), Server::echo());
    let mut tunnel = Tunnel::start(&room, Ends::ours(), server.address());
    let mut client = tunnel.connect();
    echo_once(&mut client, b"before");
    tunnel.encrypt.signal(Signal::SIGTERM);
    tunnel.decrypt.signal(Signal::SIGTERM);
    let address = tunnel.encrypt.address().clone();
    wait_until("the listener is closed", || !kernel::listening(&address));
    assert!(address.connect().is_err(), "a drained daemon takes connections");
    echo_once(&mut client, b"while it drains");
    assert!(tunnel.encrypt.running());
    // One end at once; the other when its last connection is gone.
    tunnel.encrypt.signal(Signal::SIGTERM);
    tunnel.encrypt.wait();
    assert_eq!(tunnel.decrypt.wait().code(), Some(0));
}

#[test]
fn sigterm_drops_those_who_have_not_shown_the_key() {
    let (room, server) = (Room::new(), Server::holding());
    let any = Address::any_v4();
    let mut daemon = Spiped::new(Ours, Role::Decrypt, &room, &any, server.address())
        .flags(&["-o", "1000"])
        .start();
    let mut stranger = daemon.address().connect().expect("connect");
    // It is accepted: there is a nonce from it.
    std::io::Read::read_exact(&mut stranger, &mut [0; 32]).expect("a nonce");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
}

/// A start that must fail: one line that says `what`, exit 1, and no pidfile.
#[track_caller]
fn fails(room: &Room, command: &mut Command, what: &[&str]) {
    let Finished { status, stderr, .. } = run(command, b"");
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line, not:\n{stderr}");
    for part in what {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
    let left: Vec<_> = std::fs::read_dir(room.dir())
        .expect("the room")
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .filter(|name| name.ends_with(".pid"))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn failures_to_start_leave_one_line_and_no_pidfile() {
    let (room, server) = (Room::new(), Server::holding());
    let good = encrypting(&room, &server);
    let missing = room.path("no-such-key");
    fails(&room, &mut good.clone().key(&missing).command(), &["no-such-key", "-k"]);
    fails(&room, &mut good.clone().target("127.0.0.1").command(), &["127.0.0.1", "-t"]);
    fails(&room, &mut good.clone().target("[127.0.0.1]:0").command(), &["[127.0.0.1]:0", "-t"]);
    fails(&room, &mut good.clone().target("[]:1").command(), &["[]:1", "-t"]);
    let long = format!("/{}", "x".repeat(200));
    fails(&room, &mut good.clone().target(&long).command(), &["-t"]);
    fails(&room, &mut good.target("no-such-host.invalid:80").command(), &["no-such-host.invalid"]);
    // Somebody else listens there.
    let taken = Spiped::new(Ours, Role::Encrypt, &room, server.address(), &Address::unused());
    fails(&room, &mut taken.command(), &[&server.address().port().to_string()]);
    // A directory that is not there, for the socket and for the pidfile.
    let nowhere = Address::Unix(room.path("no-such-dir/socket"));
    let lost = Spiped::new(Ours, Role::Encrypt, &room, &nowhere, server.address());
    fails(&room, &mut lost.command(), &["no-such-dir"]);
    let source = Address::Unix(room.path("other.sock"));
    let lost = Spiped::new(Ours, Role::Encrypt, &room, &source, server.address())
        .flags(&["-p", "no-such-dir/pid"]);
    fails(&room, &mut lost.command(), &["no-such-dir/pid"]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_full_disk_under_the_pidfile_is_a_failure() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = encrypting(&room, &server).flags(&["-p", "/dev/full"]);
    fails(&room, &mut daemon.command(), &["/dev/full"]);
    let kind = std::fs::metadata("/dev/full").expect("/dev/full is still there").file_type();
    assert!(kind.is_char_device());
}

#[test]
fn waiting_for_dns_with_a_name_that_is_known() {
    let (room, server) = (Room::new(), Server::echo());
    let any = Address::any_v4();
    let decrypting = Spiped::new(Ours, Role::Decrypt, &room, &any, server.address()).start();
    let target = format!("localhost:{}", decrypting.address().port());
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Encrypt, &room, &source, server.address())
        .target(&target)
        .flags(&["-D"]);
    let (status, log) = daemonise(&mut daemon.command());
    assert!(status.success(), "{}", log.text());
    wait_until("the daemon listens", || kernel::listening(&source));
    echo_once(&mut source.connect().expect("connect"), b"by name");
    terminate(pid_in(&room.path("source.sock.pid")));
    assert!(!room.path("source.sock.pid").exists(), "the pidfile is left");
}

#[test]
fn waiting_for_dns_with_a_name_that_is_not() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = encrypting(&room, &server).target("no-such-host.invalid:80").flags(&["-D"]);
    let (status, log) = daemonise(&mut daemon.command());
    assert!(status.success(), "{}", log.text());
    let pid = pid_in(&room.path("source.sock.pid"));
    wait_until("the failed look-up is logged", || log.text().contains("no-such-host.invalid"));
    assert!(kernel::alive(pid), "gave up: {}", log.text());
    terminate(pid);
    assert!(!room.path("source.sock.pid").exists(), "the pidfile is left");
}

#[test]
fn waiting_for_dns_does_not_wait_for_a_better_key() {
    let (room, server) = (Room::new(), Server::holding());
    let good = encrypting(&room, &server).flags(&["-D"]);
    fails(&room, &mut good.clone().key(&room.path("no-such-key")).command(), &["no-such-key"]);
    fails(&room, &mut good.target("no-port").command(), &["no-port"]);
}

#[test]
fn privileges_are_dropped() {
    if !nix::unistd::geteuid().is_root() {
        return support::skip("privileges_are_dropped", "only root can");
    }
    let (room, server) = (Room::new(), Server::echo());
    let tunnel = Tunnel::start(
        &room,
        Ends {
            encrypt_flags: &["-u", "nobody"],
            decrypt_flags: &["-u", "65533:65532"],
            ..Ends::ours()
        },
        server.address(),
    );
    let nobody = nix::unistd::User::from_name("nobody").expect("users").expect("nobody exists");
    let ids = |pid, name| kernel::status_line(pid, name).expect("a living process");
    let four =
        |id: u32| [id.to_string(), id.to_string(), id.to_string(), id.to_string()].join("\t");
    let (encrypt, decrypt) = (tunnel.encrypt.pid(), tunnel.decrypt.pid());
    wait_until("-u is done", || ids(encrypt, "Uid:") == four(nobody.uid.as_raw()));
    assert_eq!(ids(encrypt, "Gid:"), four(0), "-u user leaves the group alone");
    assert_eq!(ids(encrypt, "Groups:"), "");
    wait_until("-u is done", || ids(decrypt, "Uid:") == four(65533));
    assert_eq!(ids(decrypt, "Gid:"), four(65532));
    echo_once(&mut tunnel.connect(), b"as nobody");
}

/// A pipe that nobody reads and that is full, as stderr.
#[test]
fn a_stderr_that_is_full_and_then_closed_stops_nothing() {
    let (room, server) = (Room::new(), Server::echo());
    let (reader, mut writer) = std::io::pipe().expect("pipe");
    let blocking = |writer: &std::io::PipeWriter, flags| {
        fcntl(writer, FcntlArg::F_SETFL(flags)).expect("F_SETFL");
    };
    blocking(&writer, OFlag::O_NONBLOCK);
    while writer.write(&[b'x'; 512]).is_ok() {}
    // The daemon must cope with a descriptor on which a write would block.
    blocking(&writer, OFlag::empty());
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address()).flags(&[
        "--log-level",
        "trace",
        "-F",
    ]);
    let mut child = daemon.command().stderr(Stdio::from(writer)).spawn().expect("spawn");
    wait_until("the daemon listens", || kernel::listening(&source));
    traffic(&source, &room.secret());
    drop(reader);
    traffic(&source, &room.secret());
    assert!(child.try_wait().expect("wait").is_none(), "the daemon has ended");
    support::process::end(&mut child);
}

/// Refused and served peers, each of which may make the daemon write a line.
fn traffic(source: &Address, secret: &[u8]) {
    for _ in 0..20 {
        let connect = || source.connect().expect("connect");
        support::refused(Raw::client(connect(), b"wrong", Secrecy::None));
        let mut client = Raw::client(connect(), secret, Secrecy::None).expect("served");
        client.send(b"hello").expect("send");
        assert_eq!(client.receive_exactly(5).expect("receive"), b"hello");
    }
}

#[test]
fn no_syslog_stops_nothing() {
    let (room, server) = (Room::new(), Server::echo());
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address()).flags(&[
        "--syslog",
        "--log-level",
        "trace",
    ]);
    let (status, log) = daemonise(&mut daemon.command());
    assert!(status.success(), "{}", log.text());
    // Whoever starts it hears of it if nobody listens.
    let warned = log.text().contains("warning: --syslog: no syslog server at /dev/log: ");
    let there = std::os::unix::net::UnixDatagram::unbound().expect("socket").connect("/dev/log");
    assert_eq!(warned, there.is_err(), "{}", log.text());
    traffic(&source, &room.secret());
    terminate(pid_in(&room.path("source.sock.pid")));
}

#[test]
fn a_pidfile_of_a_living_daemon_is_taken_over_aloud() {
    let (room, server) = (Room::new(), Server::echo());
    let pidfile = room.path("the.pid");
    let start = |name: &str| {
        let source = Address::Unix(room.path(name));
        let mut daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address());
        daemon = daemon.flags(&["-p", pidfile.to_str().expect("UTF-8")]);
        let (status, log) = daemonise(&mut daemon.command());
        assert!(status.success(), "{}", log.text());
        (pid_in(&pidfile), log)
    };
    let (first, quiet) = start("first.sock");
    assert!(!quiet.text().contains("warning"), "{}", quiet.text());
    let (second, log) = start("second.sock");
    let expected = format!("was that of process {first}, which still runs");
    assert!(log.text().contains(&expected), "{}", log.text());
    // The first may be finishing its connections, and a second signal would reset them.
    assert!(!log.text().contains("kill"), "{}", log.text());
    // The end of the first leaves the file to the second.
    terminate(first);
    wait_until("the first has ended", || !room.path("first.sock").exists());
    assert_eq!(pid_in(&pidfile), second);
    terminate(second);
}

/// Then the next descriptor that is opened would be number 0, 1 or 2, and a log line would go
/// into somebody's connection.
#[test]
fn standard_descriptors_may_be_closed_from_the_start() {
    let (room, server) = (Room::new(), Server::echo());
    let source = Address::Unix(room.path("source.sock"));
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address())
        .flags(&["--log-level", "trace", "-F"])
        .command();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("exec \"$0\" \"$@\" <&- >&- 2>&-").arg(daemon.get_program());
    shell.args(daemon.get_args()).env_remove("RUST_LOG");
    let mut child = shell.spawn().expect("spawn");
    wait_until("the daemon listens", || kernel::listening(&source));
    traffic(&source, &room.secret());
    assert!(child.try_wait().expect("wait").is_none(), "the daemon has ended");
    support::process::end(&mut child);
}
