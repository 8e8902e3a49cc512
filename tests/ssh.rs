//! A real sshd behind `spiped -d`, and ssh, scp and rsync through `ProxyCommand spipe`.
//!
//! Without these programs it is skipped loudly; where `CI=true`, they must be there.
//! Next: `cli.rs`.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use spiped_peer::pattern::Pattern;

use support::foreign::{find, have};
use support::process::{Finished, Log, Role, Spiped, end, run};
use support::web::{Certificate, readme_nginx};
use support::{Address, Daemon, Implementation::Ours, Program, Room, kernel, wait_until};

/// Bytes of the large file.
const LARGE: usize = 32 << 20;

/// An sshd of our own on a port of its own, with `spiped -d` before it.
struct Host {
    room: Room,
    sshd: Child,
    log: Log,
    /// Where sshd listens.
    address: Address,
    daemon: Daemon,
}

impl Host {
    fn start() -> Self {
        let room = Room::new();
        for name in ["host-key", "user-key"] {
            let mut keygen = Command::new(find("ssh-keygen").expect("it comes with ssh"));
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(room.path(name));
            let finished = run(&mut keygen, b"");
            assert!(finished.status.success(), "{}", finished.stderr);
        }
        std::fs::copy(room.path("user-key.pub"), room.path("authorized")).expect("copy");
        // The directory that sshd gives up its privileges in; only root has to have it.
        if nix::unistd::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").expect("/run/sshd");
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions("/run/sshd", mode).expect("/run/sshd");
        }
        let address = Address::unused();
        let path = |name| room.path(name).display().to_string();
        let config = [
            format!("ListenAddress 127.0.0.1:{}", address.port()),
            format!("HostKey {}", path("host-key")),
            format!("AuthorizedKeysFile {}", path("authorized")),
            // The temporary directory is not a home directory.
            "StrictModes no".into(),
            "UsePAM no".into(),
            "PidFile none".into(),
            "PermitRootLogin yes".into(),
            "PrintMotd no".into(),
            "PasswordAuthentication no".into(),
            "Subsystem sftp internal-sftp".into(),
        ];
        std::fs::write(room.path("sshd_config"), config.join("\n") + "\n").expect("write");
        let mut sshd = Command::new(find("sshd").expect("looked for before"))
            .args(["-D", "-e", "-f", &path("sshd_config")])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("spawn sshd");
        let log = Log::read(sshd.stderr.take().expect("stderr is piped"));
        wait_until("sshd listens", || {
            assert!(sshd.try_wait().expect("wait").is_none(), "sshd: {}", log.text());
            kernel::listening(&address)
        });
        let any = Address::any_v4();
        let daemon = Spiped::new(Ours, Role::Decrypt, &room, &any, &address).start();
        Self { room, sshd, log, address, daemon }
    }

    /// The options of ssh that lead to the host through spipe.
    fn options(&self) -> Vec<String> {
        self.options_by(&format!("-t {}", self.daemon.address().spec()))
    }

    /// The same, where spipe is told by these options where to go.
    fn options_by(&self, way: &str) -> Vec<String> {
        let spipe = Ours.path(Program::Spipe).display().to_string();
        let key = self.room.key().display().to_string();
        let identity = self.room.path("user-key").display().to_string();
        [
            format!("ProxyCommand={spipe} {way} -k {key}"),
            format!("IdentityFile={identity}"),
            "IdentitiesOnly=yes".into(),
            "BatchMode=yes".into(),
            // The key of the host is new each time: trusted at first sight, not remembered.
            "StrictHostKeyChecking=no".into(),
            "UserKnownHostsFile=/dev/null".into(),
            "GlobalKnownHostsFile=/dev/null".into(),
            "LogLevel=ERROR".into(),
        ]
        .iter()
        .flat_map(|option| ["-o".to_owned(), option.clone()])
        .collect()
    }

    /// ssh or scp, with the options for this host and nobody's configuration.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find(program).expect("looked for before"));
        command.args(["-F", "/dev/null"]).args(self.options());
        command
    }

    fn large_file(&self) -> (PathBuf, Vec<u8>) {
        let (path, data) = (self.room.path("large"), Pattern::new(8).take(LARGE));
        std::fs::write(&path, &data).expect("write");
        (path, data)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        end(&mut self.sshd);
        if std::thread::panicking() {
            eprintln!("--- log of sshd ---\n{}", self.log.text());
        }
    }
}

#[track_caller]
fn quiet_success(finished: &Finished) {
    assert!(finished.status.success(), "{}: {}", finished.status, finished.stderr);
    assert_eq!(finished.stderr, "", "something is printed");
}

#[track_caller]
fn same(path: &Path, data: &[u8]) {
    let copy = std::fs::read(path).expect("the copy");
    assert!(copy == data, "the copy differs: {} bytes of {}", copy.len(), data.len());
}

#[test]
fn ssh_prints_nothing_extra() {
    if !have("ssh_prints_nothing_extra", &["sshd", "ssh", "ssh-keygen"]) {
        return;
    }
    let host = Host::start();
    let finished = run(host.command("ssh").args(["host.invalid", "true"]), b"");
    quiet_success(&finished);
    assert_eq!(finished.stdout, b"", "something is printed");
    // A session that talks both ways, and gives its status back.
    let finished = run(host.command("ssh").args(["host.invalid", "cat; exit 7"]), b"hello\n");
    assert_eq!(finished.status.code(), Some(7), "{}", finished.stderr);
    assert_eq!(finished.stdout, b"hello\n");
    assert_eq!(finished.stderr, "");
}

#[test]
fn ssh_through_a_web_server() {
    if !have("ssh_through_a_web_server", &["sshd", "ssh", "ssh-keygen", "nginx", "openssl"]) {
        return;
    }
    let host = Host::start();
    let daemon = Spiped::new(Ours, Role::Decrypt, &host.room, &Address::any_v4(), &host.address)
        .source_text("ws://127.0.0.1:0/ssh")
        .start();
    let certificate = Certificate::new(&host.room.path("tls"));
    let (plain, tls) = (Address::unused(), Address::unused());
    let _nginx = readme_nginx(&host.room, [&plain, &tls], &certificate, daemon.address());
    let way = format!(
        "-t wss://localhost:{}/ssh --tls-ca {} --proxy none",
        tls.port(),
        certificate.authority.display()
    );
    let mut ssh = Command::new(find("ssh").expect("looked for before"));
    ssh.args(["-F", "/dev/null"]).args(host.options_by(&way)).args(["host.invalid", "cat; exit 7"]);
    let (_, data) = host.large_file();
    let finished = run(&mut ssh, &data);
    assert_eq!(finished.status.code(), Some(7), "{}", finished.stderr);
    assert!(finished.stdout == data, "{} bytes of {}", finished.stdout.len(), data.len());
    assert_eq!(finished.stderr, "");
}

#[test]
fn scp_of_a_large_file() {
    if !have("scp_of_a_large_file", &["sshd", "ssh", "ssh-keygen", "scp"]) {
        return;
    }
    let host = Host::start();
    let (large, data) = host.large_file();
    let (there, back) = (host.room.path("there"), host.room.path("back"));
    let remote = format!("host.invalid:{}", there.display());
    quiet_success(&run(host.command("scp").arg("-q").arg(&large).arg(&remote), b""));
    same(&there, &data);
    quiet_success(&run(host.command("scp").arg("-q").arg(&remote).arg(&back), b""));
    same(&back, &data);
}

#[test]
fn rsync_of_a_large_file() {
    if !have("rsync_of_a_large_file", &["sshd", "ssh", "ssh-keygen", "rsync"]) {
        return;
    }
    let host = Host::start();
    let (large, data) = host.large_file();
    let (there, back) = (host.room.path("there"), host.room.path("back"));
    // rsync splits its remote shell at blanks and knows quotes.
    let quoted = |option: &String| format!("'{option}'");
    let shell = format!(
        "{} -F /dev/null {}",
        find("ssh").expect("looked for before").display(),
        host.options().iter().map(quoted).collect::<Vec<_>>().join(" ")
    );
    let remote = format!("host.invalid:{}", there.display());
    let rsync = |from: &Path, to: &Path| {
        run(Command::new("rsync").arg("-a").arg("-e").arg(&shell).arg(from).arg(to), b"")
    };
    quiet_success(&rsync(&large, Path::new(&remote)));
    same(&there, &data);
    quiet_success(&rsync(Path::new(&remote), &back));
    same(&back, &data);
}
