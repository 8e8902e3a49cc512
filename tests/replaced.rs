//! What others replace while a daemon runs in its sandbox: the resolver's files, and the system
//! log's socket.
//!
//! It owns daemons with an /etc or a /dev of their own, which root can give them by a private mount
//! namespace; for others these tests are skipped. Next: `docs.rs`.

#![cfg(target_os = "linux")]

mod support;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::foreign::{Foreign, find, have, may_mount};
use support::process::{Log, Role, Spiped, daemonise};
use support::servers::echo_once;
use support::{
    Address, DEADLINE, Daemon, Implementation::Ours, Room, Server, holds_within, wait_until,
};

/// The daemon's command, with `directory` of its room in place of `place`, seen by nobody else.
fn mounted(daemon: &Spiped, directory: &Path, place: &str) -> Command {
    let daemon = daemon.command();
    let mut command = Command::new("unshare");
    // Private: a mount must not reach anybody else, nor outlive the daemon.
    command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    command.arg(
        "for device in null zero random urandom; do
             if [ -e \"$1/$device\" ]; then mount --bind \"/dev/$device\" \"$1/$device\"; fi
         done
         mount --rbind \"$1\" \"$2\"; shift 2; exec \"$@\"",
    );
    command.arg("sh").arg(directory).arg(place).arg(daemon.get_program()).args(daemon.get_args());
    command.current_dir(directory.parent().expect("the room")).env_remove("RUST_LOG");
    command
}

/// A directory of the room that everybody can enter.
fn directory(room: &Room, name: &str) -> PathBuf {
    let path = room.path(name);
    std::fs::create_dir(&path).expect("mkdir");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("chmod");
    path
}

/// Puts a file in the place of another in one step, as programs that care for resolv.conf do.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).expect("write");
    std::fs::set_permissions(&new, PermissionsExt::from_mode(0o644)).expect("chmod");
    std::fs::rename(&new, path).expect("rename");
}

/// A daemon that follows a name to one of two servers.
struct Follower {
    own_etc: PathBuf,
    servers: (Server, Server),
    near: Daemon,
    log: Log,
    // The daemon that follows ends with it.
    _room: Room,
}

impl Follower {
    /// With an /etc of its own, in which `etc` puts what leads to the first of them.
    fn start(test: &str, etc: impl Fn(&Path)) -> Self {
        Self::start_with(test, &[], etc)
    }

    /// The same, with more options.
    fn start_with(test: &str, flags: &[&str], etc: impl Fn(&Path)) -> Self {
        let room = Room::new();
        let servers = two_servers();
        let own_etc = directory(&room, "etc");
        for name in ["passwd", "group", "services"] {
            let text = std::fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
            replace(&own_etc.join(name), &text);
        }
        etc(&own_etc);

        let source = Address::Unix(room.path("source.sock"));
        let near = Address::Unix(room.path("near.sock"));
        let daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, servers.0.address())
            .target(&format!("moving.test:{}", servers.0.address().port()))
            .flags(&["-r", "0.02", "-u", "65534:65534"])
            .flags(flags);
        let (status, log) = daemonise(&mut mounted(&daemon, &own_etc, "/etc"));
        assert!(status.success(), "{test}: {}", log.text());
        let near = Spiped::new(Ours, Role::Encrypt, &room, &near, &source).start();
        let follower = Self { own_etc, servers, near, log, _room: room };
        follower.echo();
        assert_eq!(follower.connections(), (1, 0), "{test}");
        follower
    }

    fn echo(&self) {
        echo_once(&mut self.near.address().connect().expect("connect"), b"where am I?");
    }

    fn connections(&self) -> (usize, usize) {
        (self.servers.0.connections(), self.servers.1.connections())
    }

    /// Makes connections until one gets to the second server.
    fn moves(&self, test: &str) {
        let moved = || {
            self.echo();
            self.connections().1 > 0
        };
        wait_until(&format!("{test}: the new address is found; {}", self.log.text()), moved);
    }
}

/// Two servers with the same port, at 127.0.0.2 and 127.0.0.3.
fn two_servers() -> (Server, Server) {
    for _ in 0..20 {
        let at = |address: [u8; 4], port| Address::Tcp(SocketAddr::from((address, port)));
        let first = Server::echo_at(&at([127, 0, 0, 2], 0));
        let second = at([127, 0, 0, 3], first.address().port());
        // Somebody else may have this port there.
        if let Ok((probe, _)) = second.listen() {
            drop(probe);
            return (first, Server::echo_at(&second));
        }
    }
    panic!("no port that is free twice");
}

const SWITCH: &str = "hosts: files dns\nservices: files\npasswd: files\ngroup: files\n";

#[test]
fn hosts_may_be_replaced() {
    if !may_mount("hosts_may_be_replaced") {
        return;
    }
    let hosts = |address: &str| format!("127.0.0.1 localhost\n{address} moving.test\n");
    let etc = |etc: &Path| {
        replace(&etc.join("nsswitch.conf"), SWITCH);
        replace(&etc.join("hosts"), &hosts("127.0.0.2"));
    };
    let change = |etc: &Path| replace(&etc.join("hosts"), &hosts("127.0.0.3"));
    let follower = Follower::start("hosts_may_be_replaced", etc);
    change(&follower.own_etc);
    follower.moves("hosts_may_be_replaced");
}

/// Where a proxy is asked for an address, it is the one that the name has now.
#[test]
fn a_name_is_followed_for_a_proxy_too() {
    let test = "a_name_is_followed_for_a_proxy_too";
    if !may_mount(test) || !have(test, &["microsocks"]) {
        return;
    }
    let proxy = Address::unused();
    let mut command = Command::new(find("microsocks").expect("looked for before"));
    command.args(["-i", "127.0.0.1", "-p", &proxy.port().to_string()]);
    let microsocks = Foreign::start("microsocks", &mut command, &[&proxy]);
    let hosts = |address: &str| format!("127.0.0.1 localhost proxy.test\n{address} moving.test\n");
    let url = format!("socks5://proxy.test:{}", proxy.port());
    let follower = Follower::start_with(test, &["--proxy", &url], |etc| {
        replace(&etc.join("nsswitch.conf"), SWITCH);
        replace(&etc.join("hosts"), &hosts("127.0.0.2"));
    });
    replace(&follower.own_etc.join("hosts"), &hosts("127.0.0.3"));
    follower.moves(test);
    // What it has written is read by a thread.
    wait_until("the proxy tells of both addresses", || {
        let log = microsocks.log();
        log.contains("127.0.0.2:") && log.contains("127.0.0.3:")
    });
}

/// While the name cannot be looked up, the address that is known has to do.
#[test]
fn look_ups_may_fail_for_a_while() {
    let test = "look_ups_may_fail_for_a_while";
    if !may_mount(test) {
        return;
    }
    let hosts = |etc: &Path, line: &str| {
        replace(&etc.join("hosts"), &format!("127.0.0.1 localhost\n{line}\n"));
    };
    let follower = Follower::start(test, |etc| {
        replace(&etc.join("nsswitch.conf"), &SWITCH.replace("files dns", "files"));
        hosts(etc, "127.0.0.2 moving.test");
    });
    let said = |text: &str| wait_until(text, || follower.log.text().contains(text));
    hosts(&follower.own_etc, "");
    said("going on with the addresses known so far");
    (0..3).for_each(|_| follower.echo());
    assert_eq!(follower.connections(), (4, 0), "the first server is still there");
    hosts(&follower.own_etc, "127.0.0.3 moving.test");
    said("works again");
    follower.moves(test);
}

#[test]
fn resolv_conf_may_be_replaced_even_behind_a_link() {
    let test = "resolv_conf_may_be_replaced_even_behind_a_link";
    if !may_mount(test) {
        return;
    }
    let (Some(first), Some(second)) = (name_server([127, 0, 0, 2]), name_server([127, 0, 0, 3]))
    else {
        return support::skip(test, "port 53 is taken on all of loopback");
    };
    let resolv = |server: Ipv4Addr| format!("nameserver {server}\noptions timeout:1\n");
    for link in [false, true] {
        // As systemd has it: beneath /run, and only a link in /etc.
        let run = Room::new();
        std::fs::set_permissions(run.dir(), PermissionsExt::from_mode(0o755)).expect("chmod");
        let real = |etc: &Path| {
            if link { run.path("resolv.conf") } else { etc.join("resolv.conf") }
        };
        let etc = |etc: &Path| {
            replace(&etc.join("nsswitch.conf"), SWITCH);
            replace(&real(etc), &resolv(first));
            if link {
                symlink(real(etc), etc.join("resolv.conf")).expect("link");
            }
        };
        let follower = Follower::start(test, etc);
        replace(&real(&follower.own_etc), &resolv(second));
        follower.moves(test);
    }
}

/// A name server on a loopback address of its own, whose answer is always the same; it serves
/// until the tests end. There is no other port for name servers.
fn name_server(answer: [u8; 4]) -> Option<Ipv4Addr> {
    let candidates = (1..=250).map(|i| Ipv4Addr::new(127, 53, answer[3], i));
    let (socket, address) = candidates
        .filter_map(|address| Some((UdpSocket::bind((address, 53)).ok()?, address)))
        .next()?;
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            // Whoever asks too late is not there any more.
            let _ = socket.send_to(&answer_to(&query[..length], answer), client);
        }
    });
    Some(address)
}

/// RFC 1035, section 4: the header, the question again, and an address if one was asked for.
fn answer_to(query: &[u8], address: [u8; 4]) -> Vec<u8> {
    let (header, question) = query.split_at(12);
    let name = question.iter().position(|&length| length == 0).expect("a name") + 1;
    let question = &question[..name + 4];
    // Type A, class IN.
    let answers = u8::from(question[name..] == [0, 1, 0, 1]);
    let mut text = header[..2].to_vec();
    text.extend([0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]);
    text.extend(question);
    if answers == 1 {
        // The name is the one at byte 12; valid for no time at all.
        text.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        text.extend(address);
    }
    text
}

/// A system log.
fn system_log(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).expect("bind");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o666)).expect("chmod");
    socket.set_read_timeout(Some(Duration::from_millis(10))).expect("timeout");
    socket
}

/// Makes connections until the log has a line with `text`.
fn connect_until(socket: &UnixDatagram, text: &str, connect: impl Fn()) {
    let mut lines = String::new();
    let seen = holds_within(DEADLINE, || {
        connect();
        let mut line = [0; 8192];
        while let Ok(length) = socket.recv(&mut line) {
            lines.push_str(&String::from_utf8_lossy(&line[..length]));
            lines.push('\n');
        }
        lines.contains(text)
    });
    assert!(seen, "no {text:?} in {lines}");
}

#[test]
fn the_system_log_may_be_restarted() {
    if !may_mount("the_system_log_may_be_restarted") {
        return;
    }
    let (room, server) = (Room::new(), Server::echo());
    let dev = directory(&room, "dev");
    for device in ["null", "zero", "random", "urandom"] {
        std::fs::write(dev.join(device), "").expect("a place to mount it");
    }
    symlink("/proc/self/fd", dev.join("fd")).expect("link");
    let path = dev.join("log");
    let first = system_log(&path);
    let source = Address::Unix(room.path("source.sock"));
    let far = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), server.address()).start();
    let daemon = Spiped::new(Ours, Role::Encrypt, &room, &source, far.address());
    let daemon = daemon.flags(&["--syslog", "-u", "65534:65534"]);
    let (status, log) = daemonise(&mut mounted(&daemon, &dev, "/dev"));
    assert!(status.success(), "{}", log.text());

    let connect = || echo_once(&mut source.connect().expect("connect"), b"log this");
    connect_until(&first, "sandbox: ", || ());
    connect_until(&first, "connection from", connect);
    drop(first);
    std::fs::remove_file(&path).expect("the socket's file");
    // Nobody listens: its lines are lost, and counted.
    connect();
    connect_until(&system_log(&path), "connection from", connect);
}
