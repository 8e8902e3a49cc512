//! The command line of `spipe`.
//!
//! Owns the checked [`Options`] that main works from. Refuses to act on them. Every option of
//! `spipe` is one of `spiped` too: their definition and the wording of errors are in `options.rs`;
//! next is `run.rs`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Command, CommandFactory, Parser};
use log::LevelFilter;
use spiped_proto::Pfs;

use crate::options::{self, ClientArgs, Exit, KeySource, TunnelArgs, WebOptions};

const PROGRAM: &str = "spipe";

const ABOUT: &str = "Connects standard input and output to a spiped, encrypted and authenticated

What it reads from standard input is encrypted and sent to the target, a spiped -d with the same \
key; what comes back is decrypted and written to standard output.";

#[derive(Parser, Debug)]
#[command(name = PROGRAM, about = ABOUT, version)]
#[command(disable_version_flag = true, disable_help_flag = true)]
#[command(override_usage = "spipe -t ADDR -k FILE [OPTION ...]")]
#[command(max_term_width = 100)]
#[command(mut_arg("log_level", |arg| arg.help(options::log_level_help("warn"))))]
struct Args {
    #[command(flatten)]
    tunnel: TunnelArgs,

    /// Shake hands with the target, say in a line how that went, and exit with 0 if it went well;
    /// carry no data
    #[arg(long, display_order = 898, conflicts_with = "progress")]
    check: bool,

    /// Show bytes, rate and time on standard error, if that is a terminal [default: do not]
    #[arg(long, display_order = 898)]
    progress: bool,

    #[command(flatten)]
    client: ClientArgs,
}

/// What `spipe` was asked to do, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// -t, as written.
    pub target: String,
    /// -b, as written.
    pub bind: Option<String>,
    /// -k.
    pub key_file: KeySource,
    /// -f, -g or neither.
    pub pfs: Pfs,
    /// Send TCP keep-alives: no -j.
    pub keepalive: bool,
    /// -o.
    pub timeout: Duration,
    /// --idle-timeout.
    pub idle_timeout: Option<Duration>,
    /// --ack-timeout.
    pub ack_timeout: Option<Duration>,
    /// --coalesce.
    pub coalesce: Duration,
    /// Enter the sandbox: no --no-sandbox.
    pub sandbox: bool,
    /// --check.
    pub check: bool,
    /// --progress.
    pub progress: bool,
    /// WebSockets, TLS and proxies.
    pub web: WebOptions,
    /// --log-level.
    pub log_level: Option<LevelFilter>,
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
pub fn parse_from<I>(words: I) -> Result<Options, Exit>
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let Args { tunnel, check, progress, client } = options::parse(PROGRAM, words)?;
    let web = client.check(&tunnel.target);
    Ok(Options {
        web: web.map_err(|error| Exit::usage(PROGRAM, &error))?,
        pfs: tunnel.pfs(),
        keepalive: !tunnel.no_keepalive,
        target: tunnel.target,
        bind: tunnel.bind,
        key_file: tunnel.key_file,
        timeout: tunnel.timeout,
        idle_timeout: options::limit(tunnel.idle_timeout),
        ack_timeout: options::limit(tunnel.ack_timeout),
        coalesce: tunnel.coalesce,
        sandbox: !tunnel.no_sandbox,
        check,
        progress,
        log_level: tunnel.log_level,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::options::{DEFAULT_PING, DEFAULT_TIMEOUT, Stream};

    fn parse(words: &[&str]) -> Result<Options, Exit> {
        parse_from([&["spipe"], words].concat())
    }

    fn refused(words: &[&str]) -> String {
        let exit = parse(words).expect_err(&format!("{words:?}"));
        exit.what().to_owned()
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_spiped() {
        let expected = Options {
            target: "h:1".to_owned(),
            bind: None,
            key_file: KeySource::File(PathBuf::from("key")),
            pfs: Pfs::Allow,
            keepalive: true,
            timeout: DEFAULT_TIMEOUT,
            idle_timeout: None,
            ack_timeout: None,
            coalesce: Duration::ZERO,
            sandbox: true,
            check: false,
            progress: false,
            web: WebOptions { ping: Some(DEFAULT_PING), ..WebOptions::default() },
            log_level: None,
        };
        assert_eq!(parse(&["-t", "h:1", "-k", "key"]), Ok(expected));
    }

    #[test]
    fn every_option_has_a_long_name_with_the_same_meaning() {
        let short =
            parse(&["-fjk-", "-t/t", "-bh:0", "-o2", "--no-sandbox", "--log-level", "trace"]);
        let long = parse(&[
            "--no-pfs",
            "--no-keepalive",
            "--key-file=-",
            "--target",
            "/t",
            "--bind=h:0",
            "--timeout",
            "2",
            "--no-sandbox",
            "--log-level=trace",
        ]);
        let options = short.unwrap();
        assert_eq!(options.pfs, Pfs::Refuse);
        assert_eq!(options.key_file, KeySource::Stdin);
        assert_eq!(options.bind.as_deref(), Some("h:0"));
        assert_eq!(options.log_level, Some(LevelFilter::Trace));
        assert!(!options.keepalive && !options.sandbox);
        assert_eq!(Ok(options), long);
    }

    #[test]
    fn what_only_spiped_has_is_refused() {
        for option in ["-e", "-d", "-s", "-n", "-r", "-R", "-D", "-F", "-p", "-u"] {
            assert_eq!(refused(&[option]), format!("unknown option {option}"));
        }
        assert!(refused(&["--syslog"]).starts_with("unknown option --syslog"));
    }

    #[test]
    fn usage_errors_are_those_of_spiped() {
        assert_eq!(refused(&[]), "missing: -t ADDR, -k FILE");
        assert_eq!(refused(&["-t", "/a", "-t", "/b"]), "-t is given twice, expected once");
        let both = &["-t", "/a", "-k", "k", "-f", "-g"];
        assert_eq!(refused(both), "-f cannot be used with -g");
        assert!(refused(&["-o", "x"]).starts_with("-o \"x\": expected a number of seconds"));
        assert!(refused(&["left"]).starts_with("unexpected argument \"left\""));
    }

    #[test]
    fn version_and_help_end_with_status_0() {
        let version = format!("spipe {}\n", env!("CARGO_PKG_VERSION"));
        let expected = Exit { program: PROGRAM, text: version, stream: Stream::Stderr, status: 0 };
        assert_eq!(parse(&["-v"]), Err(expected));
        let help = parse(&["--help"]).unwrap_err();
        assert_eq!((help.stream, help.status), (Stream::Stdout, 0));
        assert!(help.text.contains("[default: warn]"), "{}", help.text);
    }
}
