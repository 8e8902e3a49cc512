//! How a command line that does not start the program ends: text, stream and status.
//!
//! Owns the wording of usage errors: one line with the option, the value, what was expected, and
//! where to read more; it begins as other errors do. Refuses clap's own layout, its exit status 2
//! and its colours; takes over its suggestions. Every usage error exits with status 1, as C spiped
//! does.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::logger;

/// Where the text of an [`Exit`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The program ends before it starts: what to print, where, and the exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Which program ends.
    pub program: &'static str,
    /// Whole lines, each with its newline.
    pub text: String,
    /// Where they go.
    pub stream: Stream,
    /// The exit status.
    pub status: u8,
}

impl Exit {
    /// A usage error (status 1): `what` is one line without newline.
    pub(crate) fn usage(program: &'static str, what: &str) -> Self {
        let text = logger::error_line(program, &format!("{what} (see {program} --help)"));
        Self { program, text, stream: Stream::Stderr, status: 1 }
    }

    /// `--version`: on standard error, as C spiped does.
    pub(super) fn version(program: &'static str) -> Self {
        let text = format!("{program} {}\n", env!("CARGO_PKG_VERSION"));
        Self { program, text, stream: Stream::Stderr, status: 0 }
    }

    /// `--help`.
    pub(super) fn help(program: &'static str, text: String) -> Self {
        Self { program, text, stream: Stream::Stdout, status: 0 }
    }

    /// A usage error found by clap while it parsed for `command`.
    pub(super) fn from_clap(program: &'static str, error: &clap::Error, command: &Command) -> Self {
        Self::usage(program, &describe(error, command))
    }

    /// Prints the text and returns the status; 1, with a line that says so, if standard output does
    /// not take it.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        ExitCode::from(match self.stream {
            Stream::Stdout => self.print(&mut io::stdout(), &mut io::stderr()),
            Stream::Stderr => {
                // There is nowhere left to report that reporting failed.
                let _ = io::stderr().write_all(self.text.as_bytes());
                self.status
            }
        })
    }

    /// Prints the help; the status.
    fn print(&self, stdout: &mut impl Write, stderr: &mut impl Write) -> u8 {
        let text = self.text.as_bytes();
        let Err(error) = stdout.write_all(text).and_then(|()| stdout.flush()) else {
            return self.status;
        };
        // A reader that has gone, such as head, has read enough of it.
        if error.kind() != io::ErrorKind::BrokenPipe {
            let program = self.program;
            let _ = writeln!(
                stderr,
                "{program}: error: the help cannot be written to standard output: {error}"
            );
        }
        1
    }

    /// What a usage error says; panics unless it is one, and a single line that begins and ends as
    /// all do.
    #[cfg(test)]
    #[track_caller]
    pub(crate) fn what(&self) -> &str {
        assert_eq!((self.stream, self.status), (Stream::Stderr, 1), "{}", self.text);
        let text = self.text.strip_prefix(&format!("{}: error: ", self.program));
        let end = format!(" (see {} --help)\n", self.program);
        let what = text.and_then(|text| text.strip_suffix(&end)).expect(&self.text);
        assert!(!what.contains(char::is_control), "{what:?}");
        what
    }
}

/// One line for what clap refused.
fn describe(error: &clap::Error, command: &Command) -> String {
    let shown = string(error, ContextKind::InvalidArg);
    let name = shown.map(|shown| short_name(shown, command)).unwrap_or_default();
    let value = string(error, ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => unknown(shown.unwrap_or_default(), error, command),
        ErrorKind::ArgumentConflict => conflict(&name, error, command),
        ErrorKind::MissingRequiredArgument => missing(error, command),
        ErrorKind::TooManyValues => format!("{name} takes no value, but got {value:?}"),
        // Clap's word for an option that came last, without its value.
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("{name} needs a value: {}", shown.unwrap_or_default())
        }
        ErrorKind::ValueValidation => match expectation(error) {
            Some(expected) => format!("{name} {value:?}: {expected}"),
            None => format!("{name} {value:?}: not a value for it"),
        },
        ErrorKind::InvalidUtf8 => "an option or a value is not valid UTF-8 text".to_owned(),
        // The definitions use nothing that leads here; clap's own first line is still right.
        _ => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

/// What our parser expected: the cause of clap's error, or what `KeySourceParser` put there.
fn expectation(error: &clap::Error) -> Option<String> {
    let custom = string(error, ContextKind::Custom).map(ToOwned::to_owned);
    custom.or_else(|| error.source().map(ToString::to_string))
}

fn unknown(shown: &str, error: &clap::Error, command: &Command) -> String {
    if !shown.starts_with('-') || shown == "-" {
        return match command.get_positionals().next() {
            Some(_) => format!("unexpected argument {shown:?}: one file at a time"),
            None => format!("unexpected argument {shown:?}: everything is set by options"),
        };
    }
    let escaped = shown.escape_debug();
    match string(error, ContextKind::SuggestedArg) {
        Some(suggested) => format!("unknown option {escaped}, did you mean {suggested}?"),
        None => format!("unknown option {escaped}"),
    }
}

fn conflict(name: &str, error: &clap::Error, command: &Command) -> String {
    let others = strings(error, ContextKind::PriorArg);
    let others: Vec<_> = others.into_iter().map(|other| short_name(other, command)).collect();
    if others.iter().all(|other| other == name) {
        return format!("{name} is given twice, expected once");
    }
    format!("{name} cannot be used with {}", others.join(", "))
}

fn missing(error: &clap::Error, command: &Command) -> String {
    // A group of alternatives comes as <--encrypt|--decrypt>, an option as --source <ADDR>.
    let shown = strings(error, ContextKind::InvalidArg);
    let wanted = |arg: &clap::Arg| {
        let arg = arg.to_string();
        shown.iter().find(|shown| **shown == arg || shown[1..].starts_with(&format!("{arg}|")))
    };
    // In the order of the definition; clap's own changes with what else was given.
    let names = command.get_arguments().filter_map(wanted).map(|shown| {
        match shown.strip_prefix('<').and_then(|shown| shown.strip_suffix('>')) {
            Some(group) => {
                let either = group.split('|').map(|shown| short_name(shown, command));
                either.collect::<Vec<_>>().join(" or ")
            }
            None => {
                let value = shown.split_once(' ').map_or("", |(_, value)| value);
                format!("{} {}", short_name(shown, command), value.trim_matches(['<', '>']))
            }
        }
    });
    format!("missing: {}", names.collect::<Vec<_>>().join(", "))
}

/// The name by which users know the option that clap shows as `--max-connections <N>`: `-n`.
fn short_name(shown: &str, command: &Command) -> String {
    let arg = command.get_arguments().find(|arg| arg.to_string() == shown);
    match arg.and_then(clap::Arg::get_short) {
        Some(short) => format!("-{short}"),
        None => shown.split(' ').next().unwrap_or(shown).trim_matches(['<', '>']).to_owned(),
    }
}

fn string(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

fn strings(error: &clap::Error, kind: ContextKind) -> Vec<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text],
        Some(ContextValue::Strings(texts)) => texts.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails as it is told to.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn help_that_nobody_gets_is_said_so() {
        let help = Exit::help("spiped", "words\n".to_owned());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(help.print(&mut out, &mut err), 0);
        assert_eq!((out.as_slice(), err.as_slice()), (&b"words\n"[..], &b""[..]));
        assert_eq!(help.print(&mut Broken(io::ErrorKind::BrokenPipe), &mut err), 1);
        assert_eq!(err, b"");
        assert_eq!(help.print(&mut Broken(io::ErrorKind::StorageFull), &mut err), 1);
        let said = String::from_utf8(err).unwrap();
        let begin = "spiped: error: the help cannot be written to standard output: ";
        assert!(said.starts_with(begin) && said.lines().count() == 1, "{said}");
    }
}
