//! The command lines by which others start spiped, word by word: FreeBSD's rc script, the module of
//! NixOS, that of Puppet, and the official container image.
//!
//! It owns that these go on working, with a user `spiped` where they have one. Next: `systemd.rs`.

mod support;

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};

use support::foreign::may_mount;
use support::process::{Log, daemonise, end, pid_in, wait_for};
use support::servers::echo_once;
use support::{Address, Implementation::Ours, Program, Room, Server, kernel, wait_until};

/// A command in the words of a shell, as all of them are written.
fn shell(room: &Room, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(room.dir()).env_remove("RUST_LOG");
    command.env("spiped", Ours.path(Program::Spiped)).stdin(Stdio::null());
    command
}

/// A service in the foreground, which lives as long as its supervisor wants.
struct Service(Child, Log);

impl Service {
    #[track_caller]
    fn start(room: &Room, line: &str) -> Self {
        let mut child = shell(room, line).stderr(Stdio::piped()).spawn().expect("spawn");
        let log = Log::read(child.stderr.take().expect("stderr is piped"));
        wait_until("it is ready", || {
            assert!(child.try_wait().expect("wait").is_none(), "{}", log.text());
            log.text().contains(" connections to ")
        });
        Self(child, log)
    }

    /// SIGTERM, as supervisors stop a service.
    #[track_caller]
    fn stop(mut self) {
        kill(support::process::pid_of(&self.0), Signal::SIGTERM).expect("it runs");
        assert_eq!(wait_for(&mut self.0).code(), Some(0), "{}", self.1.text());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// No user of a machine has these numbers.
const SPIPED: (u32, u32) = (65_431, 65_432);

/// A line that is run where there are a user and a group `spiped`, as the packages make them: with
/// files over those in /etc, which nobody else sees.
fn with_the_packages_user(room: &Room, line: &str) -> String {
    let (uid, gid) = SPIPED;
    let mut over = String::new();
    for (name, entry) in [
        ("passwd", format!("spiped:x:{uid}:{gid}:spiped:/nonexistent:/usr/sbin/nologin\n")),
        ("group", format!("spiped:x:{gid}:\n")),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
    ] {
        let theirs = Path::new("/etc").join(name);
        if theirs.exists() {
            let rest = std::fs::read_to_string(&theirs).expect("UTF-8");
            let rest = if name == "nsswitch.conf" { "" } else { &rest };
            std::fs::write(room.path(name), entry + rest).expect("write");
            over += &format!("mount --bind '{}' /etc/{name}; ", path(&room.path(name)));
        }
    }
    // Private: a mount must not reach anybody else, nor outlive the daemon.
    format!("exec unshare --mount --propagation private sh -ec \"{over}{line}\"")
}

/// `${command} -D $MODEFLAG -s $SOURCE -t $TARGET -k $KEY -u ${spiped_uid}:${spiped_gid}
/// -p $PIDFILE $FLAGS`, where both are `spiped`; and to stop it: kill, wait, `rm $PIDFILE`.
#[test]
fn freebsds_rc_script() {
    if !may_mount("freebsds_rc_script") {
        return;
    }
    let (room, server) = (Room::new(), Server::echo());
    // As in /var/run: only root may remove the pidfile, and the script does.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(room.dir(), open).expect("chmod");
    let start = |name: &str, mode: &str, source: &Address, target: &Address, flags: &str| {
        let pidfile = room.path(&format!("spiped_{name}.pid"));
        let (key, file) = (room.key(), pidfile.clone());
        let line = format!(
            "exec $spiped -D {mode} -s {} -t {} -k {} -u spiped:spiped -p {} {flags}",
            source.spec(),
            target.spec(),
            path(&key),
            path(&file)
        );
        let (status, log) = daemonise(&mut shell(&room, &with_the_packages_user(&room, &line)));
        assert!(status.success(), "{}", log.text());
        wait_until("it listens", || kernel::listening(source));
        let is = |name, id: u32| {
            let line = kernel::status_line(pid_in(&pidfile), name).expect("it runs");
            line.split_whitespace().all(|found| found == id.to_string())
        };
        wait_until("it is that user", || is("Uid:", SPIPED.0) && is("Gid:", SPIPED.1));
        pidfile
    };
    let (near, far) = (Address::unused(), Address::unused());
    let pidfiles = [
        start("far", "-d", &far, server.address(), ""),
        start("near", "-e", &near, &far, "-g -j -n 20"),
    ];
    echo_once(&mut near.connect().expect("connect"), b"through rc");
    for pidfile in pidfiles {
        let pid = pid_in(&pidfile);
        kill(pid, Signal::SIGTERM).expect("it runs");
        wait_until("it ends", || !kernel::alive(pid));
        std::fs::remove_file(pidfile).expect("the script removes the pidfile");
    }
}

/// ``exec spiped -F `cat /etc/spiped/$1.spec` ``, as the user of the unit.
#[test]
fn the_module_of_nixos() {
    let (room, server) = (Room::new(), Server::echo());
    let (near, far) = (Address::unused(), Address::unused());
    let spec = |name: &str, text: String| std::fs::write(room.path(name), text).expect("write");
    let (key, port) = (room.key(), |address: &Address| address.port());
    spec(
        "far.spec",
        format!(
            "-d -s 127.0.0.1:{} -t localhost:{} -k {} -n 100 -o 5    -r 60",
            port(&far),
            port(server.address()),
            path(&key)
        ),
    );
    spec(
        "near.spec",
        format!(
            "-e -s localhost:{} -t localhost:{} -k {} -n 100 -o 5 -D -f -j -R",
            port(&near),
            port(&far),
            path(&key)
        ),
    );
    let services = ["far", "near"]
        .map(|it| Service::start(&room, &format!("exec $spiped -F `cat {it}.spec`")));
    let address = Address::Tcp(([127, 0, 0, 1], near.port()).into());
    echo_once(&mut address.connect().expect("connect"), b"through nix");
    services.into_iter().for_each(Service::stop);
}

/// `spiped -e -D -g -F -k 'K' -p /dev/null -s 'S' -t 'T'`, and without -D to decrypt; newer
/// versions have no -p. As root.
#[test]
fn the_module_of_puppet() {
    for pidfile in ["-p /dev/null", ""] {
        let (room, server) = (Room::new(), Server::echo());
        let (near, far) = (Address::Unix(room.path("redis.sock")), Address::unused());
        let key = room.key();
        let line = |mode: &str, source: &Address, target: &Address| {
            format!(
                "exec $spiped {mode} -g -F -k '{}' {pidfile} -s '{}' -t '{}'",
                path(&key),
                source.spec(),
                target.spec()
            )
        };
        let services = [
            Service::start(&room, &line("-d", &far, server.address())),
            Service::start(&room, &line("-e -D", &near, &far)),
        ];
        echo_once(&mut near.connect().expect("connect"), b"through puppet");
        services.into_iter().for_each(Service::stop);
        let null = std::fs::metadata("/dev/null").expect("/dev/null is still there");
        assert!(null.file_type().is_char_device());
    }
}

/// `spiped -k /spiped/key -F "$@"`.
#[test]
fn the_entry_point_of_the_official_image() {
    let (room, server) = (Room::new(), Server::echo());
    let (near, far) = (Address::unused(), Address::unused());
    let line = |mode: &str, source: &Address, target: &Address| {
        let key = room.key();
        format!(
            "set -- {mode} -s '{}' -t '{}'; exec $spiped -k {} -F \"$@\"",
            source.spec(),
            target.spec(),
            path(&key)
        )
    };
    let services = [
        Service::start(&room, &line("-d", &far, server.address())),
        Service::start(&room, &line("-e", &near, &far)),
    ];
    echo_once(&mut near.connect().expect("connect"), b"through docker");
    services.into_iter().for_each(Service::stop);
}
