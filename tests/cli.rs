//! The command line: every form of an option, every refusal, and what a refusal says.
//!
//! A good command line is recognised by how far it gets: the key file that it names is not
//! there, which is the last thing to be checked before anything happens. Next: `docs.rs`.

mod support;

use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use support::process::{Finished, run};
use support::{Implementation::Ours, Program};

/// A key file that does not exist: an error that names it comes after all usage errors.
const KEY: &str = "/nonexistent/key";

fn program(program: Program, arguments: &[&str]) -> Finished {
    run(Command::new(Ours.path(program)).args(arguments).env_remove("RUST_LOG"), b"")
}

/// Options of a complete command line, which then fails for want of a key.
const COMPLETE: &[&str] = &["-e", "-s", "127.0.0.1:0", "-t", "[127.0.0.1]:1", "-k", KEY];
/// The same for spipe.
const COMPLETE_SPIPE: &[&str] = &["-t", "[127.0.0.1]:1", "-k", KEY];

/// Refused with exit status 1, on stderr, in one line that contains all of `parts`.
#[track_caller]
fn refused(name: Program, arguments: &[&str], parts: &[&str]) {
    let finished = program(name, arguments);
    let text = &finished.stderr;
    assert_eq!(finished.status.code(), Some(1), "{arguments:?}: {text}");
    assert_eq!(finished.stdout, b"", "{arguments:?}: a refusal belongs on stderr");
    assert!(!text.contains(KEY) || parts.contains(&KEY), "{arguments:?} got to the key: {text}");
    let program = format!("{name:?}: error: ").to_ascii_lowercase();
    assert!(text.starts_with(&program), "{arguments:?}: {text}");
    assert_eq!(text.find('\n'), Some(text.len() - 1), "{arguments:?}: no single line: {text}");
    for part in parts {
        assert!(text.contains(part), "{arguments:?}: no {part:?} in: {text}");
    }
}

/// Accepted: the only complaint is about the key file.
#[track_caller]
fn accepted(name: Program, arguments: &[&str]) {
    let finished = program(name, arguments);
    assert_eq!(finished.status.code(), Some(1), "{arguments:?}: {}", finished.stderr);
    assert!(finished.stderr.contains(KEY), "{arguments:?}: {}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{arguments:?}: {}", finished.stderr);
}

fn with<'a>(base: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [base, more].concat()
}

/// [`COMPLETE`] without one of its options.
fn without(name: &str) -> Vec<&'static str> {
    let at = COMPLETE.iter().position(|option| *option == name).expect("one of them");
    let count = if name == "-e" { 1 } else { 2 };
    [&COMPLETE[..at], &COMPLETE[at + count..]].concat()
}

#[test]
fn a_complete_command_line_gets_to_the_key() {
    accepted(Program::Spiped, COMPLETE);
    accepted(Program::Spipe, COMPLETE_SPIPE);
}

#[test]
fn required_options() {
    refused(Program::Spiped, &[], &["-s", "-t", "-k"]);
    refused(Program::Spiped, &without("-e"), &["-e", "-d"]);
    refused(Program::Spiped, &without("-s"), &["-s"]);
    refused(Program::Spiped, &without("-t"), &["-t"]);
    refused(Program::Spiped, &without("-k"), &["-k"]);
    refused(Program::Spipe, &[], &["-t", "-k"]);
    refused(Program::Spipe, &["-t", "[127.0.0.1]:1"], &["-k"]);
    refused(Program::Spipe, &["-k", KEY], &["-t"]);
}

#[test]
fn options_that_exclude_each_other() {
    refused(Program::Spiped, &with(COMPLETE, &["-d"]), &["-e", "-d"]);
    refused(Program::Spiped, &with(COMPLETE, &["-f", "-g"]), &["-f", "-g"]);
    refused(Program::Spipe, &with(COMPLETE_SPIPE, &["-f", "-g"]), &["-f", "-g"]);
    refused(Program::Spiped, &with(COMPLETE, &["-r", "30", "-R"]), &["-r", "-R"]);
    // The default value, given by hand, excludes nothing.
    accepted(Program::Spiped, &with(COMPLETE, &["-r", "60", "-R"]));
    accepted(Program::Spiped, &with(COMPLETE, &["-R", "-r", "0"]));
}

#[test]
fn every_option_is_given_once() {
    let twice: &[&[&str]] =
        &[&["-e"], &["-s", "127.0.0.1:0"], &["-t", "[127.0.0.1]:1"], &["-k", KEY]];
    for option in twice {
        refused(Program::Spiped, &with(COMPLETE, option), &[option[0]]);
    }
    let flags = ["-D", "-F", "-f", "-g", "-j", "-R", "--syslog"];
    for flag in flags {
        refused(Program::Spiped, &with(COMPLETE, &[flag, flag]), &[flag]);
    }
    let values: &[&[&str]] = &[
        &["-b", "127.0.0.1"],
        &["-n", "10"],
        &["-o", "5"],
        &["-p", "pid"],
        &["-r", "60"],
        &["-u", "nobody"],
    ];
    for value in values {
        refused(Program::Spiped, &[COMPLETE, value, value].concat(), &[value[0]]);
    }
    refused(Program::Spipe, &with(COMPLETE_SPIPE, &["-o", "1", "-o", "1"]), &["-o"]);
    refused(Program::Spipe, &with(COMPLETE_SPIPE, &["-t", "[127.0.0.1]:1"]), &["-t"]);
    refused(Program::Spipe, &with(COMPLETE_SPIPE, &["-jj"]), &["-j"]);
}

#[test]
fn clustered_and_attached_forms() {
    accepted(Program::Spiped, &with(COMPLETE, &["-Fj"]));
    accepted(Program::Spiped, &with(COMPLETE, &["-DFj"]));
    accepted(
        Program::Spiped,
        &["-dFjfs127.0.0.1:0", "-t[127.0.0.1]:1", "-k/nonexistent/key", "-n0x10", "-o2.5"],
    );
    accepted(Program::Spipe, &["-jft[127.0.0.1]:1", "-k/nonexistent/key"]);
}

#[test]
fn long_forms() {
    let key = format!("--key-file={KEY}");
    accepted(
        Program::Spiped,
        &[
            "--encrypt",
            "--source=127.0.0.1:0",
            "--target",
            "[127.0.0.1]:1",
            &key,
            "--bind",
            "127.0.0.1",
            "--wait-for-dns",
            "--foreground",
            "--no-pfs",
            "--no-keepalive",
            "--max-connections=7",
            "--timeout",
            "1.5",
            "--pidfile",
            "pid",
            "--resolve-interval=30",
            "--syslog",
            "--user",
            "nobody",
            "--log-level=debug",
        ],
    );
    accepted(
        Program::Spiped,
        &[
            "--decrypt",
            "--source",
            "127.0.0.1:0",
            "--target=[127.0.0.1]:1",
            &key,
            "--require-pfs",
            "--resolve-once",
        ],
    );
    accepted(
        Program::Spipe,
        &[
            "--target",
            "[127.0.0.1]:1",
            "--key-file",
            KEY,
            "--bind=127.0.0.1",
            "--no-pfs",
            "--no-keepalive",
            "--timeout=3",
            "--log-level",
            "trace",
        ],
    );
    refused(Program::Spiped, &with(COMPLETE, &["--syslog=yes"]), &["--syslog"]);
}

#[test]
fn unknown_options_and_stray_arguments() {
    refused(Program::Spiped, &with(COMPLETE, &["-z"]), &["-z"]);
    refused(Program::Spiped, &with(COMPLETE, &["--no-such-option"]), &["--no-such-option"]);
    refused(Program::Spiped, &with(COMPLETE, &["stray"]), &["stray"]);
    refused(Program::Spiped, &with(COMPLETE, &["--", "stray"]), &["stray"]);
    refused(Program::Spipe, &with(COMPLETE_SPIPE, &["stray"]), &["stray"]);
    // These are options of the daemon only.
    for option in ["-n", "-r", "-R", "-D", "-F", "-p", "-u", "-s", "-e", "-d", "--syslog"] {
        refused(Program::Spipe, &with(COMPLETE_SPIPE, &[option]), &[option]);
    }
}

#[test]
fn missing_values() {
    for option in ["-s", "-t", "-k", "-b", "-n", "-o", "-p", "-r", "-u", "--log-level"] {
        refused(Program::Spiped, &["-e", option], &[option]);
    }
}

#[test]
fn number_of_connections() {
    // As C's strtoumax with base 0: octal, hexadecimal, leading blanks, 0 for no limit, and a
    // negative number wraps around to what is no limit either.
    for value in ["0", "1", "100", "0x10", "0X1f", "010", "-1", " 5", "+5"] {
        accepted(Program::Spiped, &with(COMPLETE, &["-n", value]));
    }
    let huge = "99999999999999999999999";
    for value in ["", "x", "5x", "5 ", "0x", "08", "1.5", "1e3", huge] {
        refused(Program::Spiped, &with(COMPLETE, &["-n", value]), &["-n", value]);
    }
}

#[test]
fn seconds() {
    for option in ["-o", "-r"] {
        for value in ["0", "1", "2.5", ".5", "1e2", " 3"] {
            accepted(Program::Spiped, &with(COMPLETE, &[option, value]));
        }
        for value in ["-1", "x", "5x", "", "nan"] {
            refused(Program::Spiped, &with(COMPLETE, &[option, value]), &[option, value]);
        }
    }
    refused(Program::Spipe, &with(COMPLETE_SPIPE, &["-o", "-1"]), &["-o", "-1"]);
}

#[test]
fn addresses() {
    let replaced = |name: &str, value: &'static str| {
        let mut arguments = without(name);
        arguments.extend([if name == "-s" { "-s" } else { "-t" }, value]);
        arguments
    };
    for name in ["-s", "-t"] {
        for value in ["", ":80"] {
            refused(Program::Spiped, &replaced(name, value), &[name, value]);
        }
        for value in [
            "127.0.0.1",
            "localhost",
            "[127.0.0.1]:0",
            "[127.0.0.1]:65536",
            "[127.0.0.1]:ssh",
            "[]:1",
            "[127.0.0.1]",
            "[localhost]:1",
            "[::1%lo]:1",
        ] {
            refused(Program::Spiped, &replaced(name, value), &[name, value]);
        }
    }
    for value in ["127.0.0.1:0", "localhost:0", "systemd:web", "ws:/h", "2001:db8::1", "a/b:1"] {
        refused(Program::Spiped, &replaced("-t", value), &["-t: bad address", value]);
        refused(Program::Spipe, &["-t", value, "-k", KEY], &["-t: bad address", value]);
    }
    refused(Program::Spiped, &replaced("-t", "::1:80"), &["-t \"::1:80\": expected", " [::1]:80"]);
    refused(Program::Spiped, &with(COMPLETE, &["-b", ":80"]), &["-b", ":80"]);
    refused(Program::Spiped, &with(COMPLETE, &["-b", ""]), &["-b"]);
    for value in ["127.0.0.1", "[127.0.0.1]", "[127.0.0.1]:5", "localhost", "127.0.0.1:0"] {
        accepted(Program::Spiped, &with(COMPLETE, &["-b", value]));
        accepted(Program::Spipe, &with(COMPLETE_SPIPE, &["-b", value]));
    }
}

#[test]
fn users() {
    for value in ["", ":", "nobody:", "no-such-user-here"] {
        refused(Program::Spiped, &with(COMPLETE, &["-u", value]), &["-u", value]);
    }
    let group = ":no-such-group-here";
    refused(Program::Spiped, &with(COMPLETE, &["-u", group]), &["-u", "no-such-group-here"]);
}

#[test]
fn log_levels() {
    for value in ["error", "warn", "info", "debug", "trace"] {
        accepted(Program::Spiped, &with(COMPLETE, &["--log-level", value]));
        accepted(Program::Spipe, &with(COMPLETE_SPIPE, &["--log-level", value]));
    }
    let levels = ["--log-level", "loud", "error", "trace"];
    refused(Program::Spiped, &with(COMPLETE, &["--log-level", "loud"]), &levels);
}

#[test]
fn version() {
    for (name, text) in [(Program::Spiped, "spiped "), (Program::Spipe, "spipe ")] {
        for option in ["-v", "--version"] {
            let finished = program(name, &[option]);
            assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
            // C writes it to stderr, and scripts that ask C read it there.
            let line = finished.stderr;
            assert!(line.starts_with(text) && line.lines().count() == 1, "{line:?}");
            assert!(line.contains(env!("CARGO_PKG_VERSION")), "{line:?}");
            assert_eq!(finished.stdout, b"");
        }
    }
}

#[test]
fn help() {
    for name in [Program::Spiped, Program::Spipe] {
        let short = program(name, &["-h"]);
        let long = program(name, &["--help"]);
        for finished in [&short, &long] {
            assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
            assert_eq!(finished.stderr, "", "help that was asked for goes to stdout");
            let text = String::from_utf8_lossy(&finished.stdout);
            assert!(text.contains("--key-file"), "{text}");
        }
    }
}

#[test]
fn a_refusal_is_one_line() {
    // The reader wants to know what is wrong; the rest is one call of --help away.
    let odd: &[&[&str]] = &[
        &["-o", "soon"],
        &["-o", "so\non"],
        &["-n", "1\r\n2"],
        &["--no\nsuch"],
        &["-\n"],
        &["two\nlines"],
        &["--syslog=a\nb"],
        &["--log-level", "a\nb"],
        &["-w"],
        &["--tls-ca", "a\nb"],
        &["-u", "a\nb"],
        &["--reuse-port", "-p"],
        &["--max-handshakes", "9"],
        &["-b", "[a\nb]"],
        &["--proxy", "a\nb"],
    ];
    for more in odd {
        refused(Program::Spiped, &with(COMPLETE, more), &[]);
    }
    let usage = ["-o \"so\\non\": expected a number of seconds", " (see spiped --help)\n"];
    refused(Program::Spiped, &with(COMPLETE, &["-o", "so\non"]), &usage);
    refused(Program::Spipe, &with(COMPLETE_SPIPE, &["-o", "a\nb"]), &[" (see spipe --help)\n"]);
    let no_text = std::ffi::OsStr::from_bytes(b"-o\xff\n");
    let finished =
        run(Command::new(Ours.path(Program::Spiped)).args(COMPLETE).arg(no_text), b"").stderr;
    let expected =
        "spiped: error: an option or a value is not valid UTF-8 text (see spiped --help)\n";
    assert_eq!(finished, expected);
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full");
    if full().is_err() {
        return; // only Linux and some others have it
    }
    let programs = [
        (Ours.path(Program::Spiped), "spiped"),
        (Ours.path(Program::Spipe), "spipe"),
        (env!("CARGO_BIN_EXE_spiped-keygen").into(), "spiped-keygen"),
    ];
    for (path, name) in programs {
        let finished = Command::new(path)
            .arg("--help")
            .stdout(full().expect("opened before"))
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&finished.stderr);
        assert_eq!(finished.status.code(), Some(1), "{text}");
        let begin = format!("{name}: error: the help cannot be written to standard output: ");
        assert!(text.starts_with(&begin) && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn a_refusal_has_its_priority_in_the_journal() {
    use std::os::unix::fs::MetadataExt;
    let room = support::Room::new();
    let journal = std::fs::File::create(room.path("journal")).expect("create");
    let found = journal.metadata().expect("it is there");
    let stream = format!("{}:{}", found.dev(), found.ino());
    let mut command = Command::new(Ours.path(Program::Spiped));
    command.arg("--bogus").env("JOURNAL_STREAM", stream).stderr(journal);
    assert_eq!(command.status().expect("spawn").code(), Some(1));
    let said = std::fs::read_to_string(room.path("journal")).expect("UTF-8");
    assert_eq!(said, "<3>unknown option --bogus (see spiped --help)\n");
}
