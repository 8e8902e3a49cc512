//! The command line of `spiped-keygen`.
//!
//! Owns the checked [`Task`] that `run.rs` works from. Refuses to act on it. How usage errors read
//! is in `options.rs`, as for the other programs.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Command, CommandFactory, Parser, ValueHint};

use crate::options::{self, Exit, KeySource};

const PROGRAM: &str = "spiped-keygen";

const ABOUT: &str = "Makes key files for spiped and spipe, and shows their fingerprints

Writes 32 bytes from the system's random number generator to a new file that only its owner can \
read, and prints the key's fingerprint. Both ends need the same file: take it there by a safe way, \
such as scp, and compare the fingerprints.";

#[derive(Parser, Debug)]
#[command(name = PROGRAM, about = ABOUT, version)]
#[command(disable_version_flag = true, disable_help_flag = true)]
#[command(override_usage = "spiped-keygen [--from-yaml YAML | --fingerprint] FILE")]
#[command(max_term_width = 100)]
struct Args {
    /// The new key file, which must not exist yet; - means standard output. With --fingerprint the
    /// key file to read; - means standard input
    #[arg(value_name = "FILE", required = true, value_parser = options::KeySourceParser)]
    #[arg(value_hint = ValueHint::FilePath)]
    file: KeySource,

    /// Print the fingerprint of the key in FILE, and make none
    #[arg(long, conflicts_with = "from_yaml")]
    fingerprint: bool,

    /// Take the key from this key.yaml of wormhole, instead of making one; - means standard input
    #[arg(long, value_name = "YAML", value_hint = ValueHint::FilePath)]
    #[arg(value_parser = options::KeySourceParser, allow_hyphen_values = true)]
    from_yaml: Option<KeySource>,

    /// Print the version (on standard error, as spiped does) and exit
    #[arg(short, long, action = ArgAction::Version, display_order = 901)]
    version: Option<bool>,

    /// Print this help and exit
    #[arg(short, long, action = ArgAction::HelpShort, display_order = 902)]
    help: Option<bool>,
}

/// Where a key goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file that does not exist yet.
    NewFile(PathBuf),
    /// Standard output (`-`).
    Stdout,
}

/// What `spiped-keygen` was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Make a key.
    Make(Destination),
    /// Convert a key of wormhole's.
    Convert(KeySource, Destination),
    /// Print the fingerprint of a key.
    Fingerprint(KeySource),
}

/// The definition of the command line, for tests that compare it with the manual page.
#[must_use]
pub fn command() -> Command {
    Args::command()
}

/// Reads a command line, the program's name first.
///
/// # Errors
///
/// An [`Exit`] to print: a usage error, the version or the help.
pub fn parse_from<I>(words: I) -> Result<Task, Exit>
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let args: Args = options::parse(PROGRAM, words)?;
    if args.fingerprint {
        return Ok(Task::Fingerprint(args.file));
    }
    let destination = match args.file {
        KeySource::File(path) => Destination::NewFile(path),
        KeySource::Stdin => Destination::Stdout,
    };
    Ok(match args.from_yaml {
        Some(yaml) => Task::Convert(yaml, destination),
        None => Task::Make(destination),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Task, String> {
        parse_from([&[PROGRAM], words].concat()).map_err(|exit| exit.what().to_owned())
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn each_task_has_its_form() {
        let (key, yaml) = (PathBuf::from("key"), KeySource::File("key.yaml".into()));
        let new = Destination::NewFile(key.clone());
        assert_eq!(parse(&["key"]), Ok(Task::Make(new.clone())));
        assert_eq!(parse(&["-"]), Ok(Task::Make(Destination::Stdout)));
        assert_eq!(parse(&["--from-yaml", "key.yaml", "key"]), Ok(Task::Convert(yaml, new)));
        let both = Task::Convert(KeySource::Stdin, Destination::Stdout);
        assert_eq!(parse(&["--from-yaml=-", "-"]), Ok(both));
        let print = Ok(Task::Fingerprint(KeySource::File(key)));
        assert_eq!(parse(&["--fingerprint", "key"]), print);
        assert_eq!(parse(&["key", "--fingerprint"]), print);
        assert_eq!(parse(&["--fingerprint", "-"]), Ok(Task::Fingerprint(KeySource::Stdin)));
        let odd = Destination::NewFile("-v".into());
        assert_eq!(parse(&["--", "-v"]), Ok(Task::Make(odd)));
    }

    #[test]
    fn usage_errors_say_what_is_wrong() {
        let refused = |words: &[&str]| parse(words).unwrap_err();
        assert_eq!(refused(&[]), "missing: FILE");
        assert_eq!(refused(&["--fingerprint"]), "missing: FILE");
        let two = "unexpected argument \"b\": one file at a time";
        assert_eq!(refused(&["a", "b"]), two);
        let both = "--fingerprint cannot be used with --from-yaml";
        assert_eq!(refused(&["--fingerprint", "--from-yaml", "y", "f"]), both);
        assert!(refused(&["--finger", "f"]).contains("did you mean --fingerprint?"));
        assert_eq!(refused(&[""]), "FILE \"\": it is empty; expected the name of a file, or -");
    }
}
