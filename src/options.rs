//! The options that `spiped` and `spipe` share, and how a command line ends in an [`Exit`].
//!
//! Owns the one definition of the common options ([`TunnelArgs`]), their types, and the parser
//! frame. Refuses to act on them: nothing here opens a file or resolves a name. Values are read in
//! `options/value.rs` and `options/number.rs`, what is printed is decided in `options/exit.rs`;
//! what only one program has is in `spiped/args.rs` and `spipe/args.rs`, what is about WebSockets
//! and proxies in `options/web.rs`.

mod exit;
mod number;
mod value;
mod web;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, ValueHint};
use log::LevelFilter;
use spiped_proto::Pfs;

pub use exit::{Exit, Stream};
pub use number::{
    DEFAULT_INTERVAL, DEFAULT_PING, DEFAULT_TIMEOUT, LONGEST, SHORTEST, parse_ack_timeout,
    parse_coalesce, parse_connections, parse_interval, parse_limit, parse_ping, parse_timeout,
};
pub(crate) use value::KeySourceParser;
pub use value::{parse_address, parse_key_source, parse_log_level};
pub use web::{Accepts, Certificate, ClientArgs, Hidden, ServerArgs, WebOptions};

/// Where the key comes from (`-k`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The whole of a file.
    File(PathBuf),
    /// Standard input to its end (`-k -`).
    Stdin,
}

/// The options that both programs have. The doc comments are the help text.
#[derive(Args, Clone, Debug)]
pub struct TunnelArgs {
    /// Where to connect to, as written.
    #[arg(help = "Connect to this address: /path, host:port, [ipv4]:port or [ipv6]:port; to a \
        WebSocket: ws://host[:port]/path, wss://... or ws+unix://...")]
    #[arg(short, long, value_name = "ADDR", required = true)]
    #[arg(value_parser = parse_address, allow_hyphen_values = true)]
    pub target: String,

    /// Read the shared key from this file, all of it; - means standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    #[arg(value_parser = KeySourceParser, allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub key_file: KeySource,

    /// Make connections to the target from this local address; the port may be left out [default:
    /// the system chooses]
    #[arg(short, long, value_name = "ADDR")]
    #[arg(value_parser = parse_address, allow_hyphen_values = true)]
    pub bind: Option<String>,

    /// Do without perfect forward secrecy: saves computing time, but whoever learns the key later
    /// can read what was recorded [default: use it unless the peer does without]
    #[arg(short = 'f', long, conflicts_with = "require_pfs")]
    pub no_pfs: bool,

    /// Refuse a peer that does without perfect forward secrecy [default: accept it]
    #[arg(short = 'g', long)]
    pub require_pfs: bool,

    /// Do not send TCP keep-alives [default: send them]
    #[arg(short = 'j', long)]
    pub no_keepalive: bool,

    /// Give up connecting, or a handshake, after this time, fractions allowed; 0 means the default
    #[arg(short = 'o', long, value_name = "SECONDS", default_value = "5")]
    #[arg(value_parser = parse_timeout, allow_hyphen_values = true)]
    pub timeout: Duration,

    /// Let bytes that do not fill a packet wait this long for more, to save bandwidth
    #[arg(long, value_name = "MS", default_value = "0", display_order = 899)]
    #[arg(value_parser = parse_coalesce, allow_hyphen_values = true)]
    pub coalesce: Duration,

    /// Reset a connection that has carried no byte either way for this time [default: never]
    #[arg(long, value_name = "SECONDS", display_order = 899)]
    #[arg(value_parser = parse_limit, allow_hyphen_values = true)]
    pub idle_timeout: Option<Duration>,

    /// Give up a TCP connection if what was sent to either side stays unacknowledged or unread for
    /// this time; Linux only [default: when the system does]
    #[arg(long, value_name = "SECONDS", display_order = 899)]
    #[arg(value_parser = parse_ack_timeout, allow_hyphen_values = true)]
    pub ack_timeout: Option<Duration>,

    /// Keep every right that the user has [default: once all is open, give up files, programs and
    /// other processes, as far as the system can do that]
    #[arg(long, display_order = 899)]
    pub no_sandbox: bool,

    /// Log messages of this level and worse: error, warn, info, debug or trace
    // Each program puts log_level_help() in place of this text, since the default differs.
    #[arg(long, value_name = "LEVEL", display_order = 900)]
    #[arg(value_parser = value::LogLevelParser, hide_possible_values = true)]
    #[arg(allow_hyphen_values = true)]
    pub log_level: Option<LevelFilter>,

    /// Print the version (on standard error, as C spiped does) and exit
    #[arg(short, long, action = ArgAction::Version, display_order = 901)]
    version: Option<bool>,

    /// Print this help and exit
    #[arg(short, long, action = ArgAction::HelpShort, display_order = 902)]
    help: Option<bool>,
}

impl TunnelArgs {
    /// What -f and -g together mean.
    #[must_use]
    pub fn pfs(&self) -> Pfs {
        // Clap has refused the two together.
        match (self.no_pfs, self.require_pfs) {
            (true, _) => Pfs::Refuse,
            (false, true) => Pfs::Require,
            (false, false) => Pfs::Allow,
        }
    }
}

/// A limit that is off by default: 0 turns it off by hand.
pub(crate) fn limit(given: Option<Duration>) -> Option<Duration> {
    given.filter(|time| !time.is_zero())
}

/// The help text of `--log-level`, whose default differs between the programs.
pub(crate) fn log_level_help(default: &str) -> String {
    format!(
        "Log messages of this level and worse: error, warn, info, debug or trace; beats the \
         variable RUST_LOG [default: {default}]"
    )
}

/// Parses a command line, the program's name first, into the clap definition `A`.
///
/// # Errors
///
/// An [`Exit`] for a usage error (status 1), `--version` and `--help` (status 0).
pub(crate) fn parse<A, I>(program: &'static str, words: I) -> Result<A, Exit>
where
    A: Parser,
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let mut command = A::command();
    command.build();
    let parsed = command
        .try_get_matches_from_mut(words)
        .and_then(|mut matches| A::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp => Exit::help(program, error.render().to_string()),
        ErrorKind::DisplayVersion => Exit::version(program),
        _ => Exit::from_clap(program, &error, &command),
    })
}
