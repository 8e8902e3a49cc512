//! `spiped-keygen`: the files it makes, the keys it converts, and the fingerprints it prints.
//!
//! It owns what a user of the key generator sees. Next: `cli.rs`.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::foreign::have_strace;
use support::process::{Finished, Role, Spiped, run};
use support::servers::echo_once;
use support::{Address, Implementation::Ours, Room, Server};

fn keygen() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiped-keygen"));
    command.env_remove("RUST_LOG");
    command
}

/// Runs it to a success without a word on stderr; what it printed.
#[track_caller]
fn says(command: &mut Command, input: &[u8]) -> String {
    let Finished { status, stdout, stderr } = run(command, input);
    assert!(status.success(), "{stderr}");
    assert_eq!(stderr, "");
    String::from_utf8(stdout).expect("UTF-8")
}

/// Runs it to a failure of one line, with nothing on stdout.
#[track_caller]
fn fails(command: &mut Command, input: &[u8], what: &str) {
    let Finished { status, stdout, stderr } = run(command, input);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert_eq!(stdout, b"", "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line, not:\n{stderr}");
    assert!(stderr.starts_with("spiped-keygen: error: ") && stderr.contains(what), "{stderr}");
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect()
}

/// wormhole's file for the key 0, 1, ... 31, and its fingerprint, computed in Python.
fn wormholes() -> (String, &'static str) {
    let lines = (0..32).map(|byte| format!("- {byte}\n"));
    (format!("---\n{}", lines.collect::<String>()), "ILSC-Q42R-QB2W-JT5Z\n")
}

#[test]
fn a_new_key_is_its_owners_alone_and_works_at_both_ends() {
    let room = Room::new();
    let path = room.path("new.key");
    // Whatever the umask: with 0, and with one that would leave nothing to the owner.
    for umask in ["000", "777"] {
        let script = format!("umask {umask}; exec \"$0\" \"$1\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_spiped-keygen")).arg(&path);
        let printed = says(&mut command, b"");
        let metadata = std::fs::metadata(&path).expect("the key");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600, "umask {umask}");
        assert_eq!(metadata.len(), 32);
        let groups: Vec<_> = printed.trim_end().split('-').map(str::len).collect();
        assert_eq!(groups, [4; 4], "{printed}");
        // The same again, at the other end.
        assert_eq!(says(keygen().arg("--fingerprint").arg(&path), b""), printed);
        let key = std::fs::read(&path).expect("the key");
        assert_eq!(says(keygen().args(["--fingerprint", "-"]), &key), printed);

        let server = Server::echo();
        let any = Address::any_v4();
        let far = Spiped::new(Ours, Role::Decrypt, &room, &any, server.address()).key(&path);
        let far = far.start();
        let near = Spiped::new(Ours, Role::Encrypt, &room, &any, far.address()).key(&path).start();
        echo_once(&mut near.address().connect().expect("connect"), b"with the new key");
        assert!(!near.log().contains("warning"), "{}", near.log());
        std::fs::remove_file(&path).expect("the key");
    }
}

#[test]
fn nothing_is_ever_overwritten() {
    let room = Room::new();
    fails(keygen().arg(room.key()), b"", "exists already, and a key is never overwritten");
    fails(keygen().arg(room.dir()), b"", "is a directory; choose a name in it");
    assert_eq!(std::fs::read(room.key()).expect("the key"), room.secret());
    let (yaml, _) = wormholes();
    let mut convert = keygen();
    convert.args(["--from-yaml", "-"]).arg(room.key());
    fails(&mut convert, yaml.as_bytes(), "exists already");
    fails(keygen().arg(room.path("no/key")), b"", "its directory does not exist");
    assert_eq!(names(room.dir()).len(), 2, "no file is left");
}

/// A file system that takes no byte: the limit of the size of files.
#[test]
fn a_key_that_cannot_be_written_whole_is_not_left() {
    let room = Room::new();
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$1\"";
    command.args(["-c", script]).arg(env!("CARGO_BIN_EXE_spiped-keygen")).arg(room.path("new"));
    fails(&mut command, b"", "nothing is left of it");
    assert!(!room.path("new").exists());
}

/// Both are needed before a copy of the key goes elsewhere: the file, and its name in the
/// directory.
#[test]
fn a_new_key_survives_a_loss_of_power() {
    if !have_strace("a_new_key_survives_a_loss_of_power") {
        return;
    }
    let room = Room::new();
    let make = |name: &str, inject: &str| {
        let mut command = Command::new("strace");
        command.args(["-qq", "-y", "-o"]).arg(room.path("trace")).args(["-e", "trace=fsync"]);
        if !inject.is_empty() {
            command.args(["-e", &format!("inject=fsync:{inject}")]);
        }
        command.arg(env!("CARGO_BIN_EXE_spiped-keygen")).arg(name).current_dir(room.dir());
        command
    };
    says(&mut make("new", ""), b"");
    let trace = std::fs::read_to_string(room.path("trace")).expect("a trace");
    let synced: Vec<_> = trace.lines().map(|line| line.split(['<', '>']).nth(1)).collect();
    let dir = std::fs::canonicalize(room.dir()).expect("the room");
    assert_eq!(synced, [dir.join("new").to_str(), dir.to_str()], "{trace}");

    fails(&mut make("lost", "error=EIO:when=2"), b"", "nothing is left of it");
    assert!(!room.path("lost").exists());
    // Some file systems know nothing of the kind for a directory.
    says(&mut make("other", "error=EINVAL:when=2"), b"");
    assert!(room.path("other").exists());
}

/// A pipe that nobody reads, and a device that is always full.
#[test]
fn a_key_whose_fingerprint_cannot_be_printed_is_there_all_the_same() {
    let room = Room::new();
    let path = room.path("new");
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let full = std::fs::File::create("/dev/full").expect("/dev/full");
    let outputs = [(Stdio::from(writer), "Broken pipe"), (Stdio::from(full), "No space left")];
    for (stdout, why) in outputs {
        let output = keygen().arg(&path).stdout(stdout).output().expect("spawn");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains(&format!("{path:?} holds the new key, but the fingerprint")),
            "{said}"
        );
        assert!(said.contains(why), "{said}");
        // What it says is to be done works.
        let (_, advice) = said.rsplit_once("with: spiped-keygen ").expect("advice");
        let script = format!("exec \"$0\" {advice}");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_spiped-keygen"));
        assert_eq!(says(&mut command, b"").len(), "ABCD-EFGH-IJKL-MNOP\n".len());
        std::fs::remove_file(&path).expect("the key");
    }
}

#[test]
fn standard_output_gets_the_key_and_standard_error_the_fingerprint() {
    let Finished { status, stdout, stderr } = run(keygen().arg("-"), b"");
    assert!(status.success(), "{stderr}");
    assert_eq!(stdout.len(), 32);
    assert_eq!(says(keygen().args(["--fingerprint", "-"]), &stdout), stderr);
    let again = run(keygen().arg("-"), b"");
    assert_ne!(again.stdout, stdout, "two keys are the same");
}

#[test]
fn a_key_is_not_thrown_away() {
    for redirect in [">&-", ">/dev/null"] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" - {redirect}")]);
        command.arg(env!("CARGO_BIN_EXE_spiped-keygen"));
        fails(&mut command, b"", "standard output is closed, or /dev/null");
    }
}

#[test]
fn a_key_is_not_shown_on_a_terminal() {
    let pty = nix::pty::openpty(None, None).expect("a pseudo-terminal");
    let mut command = keygen();
    command.arg("-").stdout(pty.slave).stderr(Stdio::piped());
    let mut child = command.spawn().expect("spawn");
    let stderr = support::process::Log::read(child.stderr.take().expect("stderr is piped"));
    assert_eq!(support::process::wait_for(&mut child).code(), Some(1));
    let said = String::from_utf8(stderr.all()).expect("UTF-8");
    assert!(said.contains("redirect standard output"), "{said}");
    drop(command); // the last of the terminal's other side
    let mut shown = Vec::new();
    // EIO is a terminal's end of file.
    let _ = std::io::Read::read_to_end(&mut std::fs::File::from(pty.master), &mut shown);
    assert_eq!(shown, b"");
}

#[test]
fn wormholes_key_is_converted() {
    let room = Room::new();
    let (yaml, fingerprint) = wormholes();
    std::fs::write(room.path("key.yaml"), &yaml).expect("write");
    let mut convert = keygen();
    convert.arg("--from-yaml").arg(room.path("key.yaml")).arg(room.path("new"));
    assert_eq!(says(&mut convert, b""), fingerprint);
    let expected: Vec<u8> = (0..32).collect();
    assert_eq!(std::fs::read(room.path("new")).expect("the key"), expected);
    let mode = std::fs::metadata(room.path("new")).expect("the key").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);

    let Finished { status, stdout, stderr } =
        run(keygen().args(["--from-yaml", "-", "-"]), yaml.as_bytes());
    assert!(status.success() && stdout == expected && stderr == fingerprint, "{stderr}");
}

#[test]
fn what_is_no_key_yaml_is_refused_without_showing_it() {
    let room = Room::new();
    let (yaml, _) = wormholes();
    let cases = [
        (yaml.replace("- 9\n", "- 999\n"), "line 11 is not \"- N\" with N from 0 to 255"),
        (yaml.replace("- 9\n", ""), "there are 31 numbers, expected 32"),
        ("#\n".repeat(5000), "too long"),
    ];
    for (yaml, what) in cases {
        let mut convert = keygen();
        convert.args(["--from-yaml", "-"]).arg(room.path("new"));
        fails(&mut convert, yaml.as_bytes(), what);
        assert!(!room.path("new").exists());
    }
    let mut convert = keygen();
    convert.arg("--from-yaml").arg(room.path("missing")).arg(room.path("new"));
    fails(&mut convert, b"", "missing\": there is no such file, expected key.yaml");
    let mut convert = keygen();
    convert.arg("--from-yaml").arg(room.dir()).arg(room.path("new"));
    fails(&mut convert, b"", "is a directory, expected key.yaml of wormhole");
}

#[test]
fn wrong_usage_is_one_line() {
    let wrong: [&[&str]; 5] = [&[], &["a\nb", "c\nd"], &["--no\nsuch"], &["--from-yaml"], &[""]];
    for arguments in wrong {
        fails(keygen().args(arguments), b"", " (see spiped-keygen --help)\n");
    }
}

#[test]
fn a_fingerprint_of_a_bad_key_comes_with_a_warning() {
    let room = Room::new();
    let printed = run(keygen().args(["--fingerprint", "-"]), b"abc");
    assert_eq!(String::from_utf8_lossy(&printed.stdout), "PKZW-7S6M-MQS5-M4PJ\n");
    assert!(printed.stderr.contains("has 3 of the 32 random bytes"), "{}", printed.stderr);
    let missing = room.path("missing");
    fails(keygen().arg("--fingerprint").arg(&missing), b"", "--fingerprint \"");
    // An empty one is nobody's key, but a mistake.
    room.write_key(&room.path("empty"), b"");
    let empty = "empty\": the key is empty: anybody has that; copy it again";
    fails(keygen().arg("--fingerprint").arg(room.path("empty")), b"", empty);
    fails(keygen().args(["--fingerprint", "-"]), b"", "(standard input): the key is empty");
}
