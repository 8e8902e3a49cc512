//! The command line of `spiped`.
//!
//! Owns what only `spiped` has, and the checked [`Options`] that main works from. Refuses to act
//! on them. What it shares with `spipe`, and the wording of errors, is in `options.rs`; next is
//! `run.rs`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Command, CommandFactory, Parser, ValueHint};
use log::LevelFilter;
use spiped_net::addr::INHERITED_PREFIX;
use spiped_net::addr::{Address, Form};
use spiped_net::listener::{self, Sharing};
use spiped_proto::{Pfs, Role};

use super::pidfile;
use crate::options::{
    self, ClientArgs, DEFAULT_INTERVAL, Exit, KeySource, ServerArgs, TunnelArgs, WebOptions,
    parse_address, parse_connections, parse_interval, parse_limit,
};

const PROGRAM: &str = "spiped";

const ABOUT: &str = "Symmetrically encrypted and authenticated pipes between socket addresses

Accepts connections at one address and connects each to another, encrypting (-e) what arrives or \
decrypting (-d) what another spiped or spipe with the same key has encrypted.";

#[derive(Parser, Debug)]
#[command(name = PROGRAM, about = ABOUT, version)]
#[command(disable_version_flag = true, disable_help_flag = true)]
#[command(override_usage = "spiped {-e | -d} -s ADDR -t ADDR -k FILE [OPTION ...]")]
#[command(max_term_width = 100)]
#[command(mut_arg("log_level", |arg| arg.help(options::log_level_help("info"))))]
struct Args {
    #[command(flatten)]
    role: RoleArgs,

    #[arg(
        help = "Accept connections at this address: /path, host:port, [ipv4]:port or [ipv6]:port; \
                systemd:NAME takes the sockets that a socket unit has opened under this name; \
            with -d also WebSockets: ws://host[:port]/path, wss://... or ws+unix://..."
    )]
    #[arg(short, long, value_name = "ADDR", required = true)]
    #[arg(value_parser = parse_address, allow_hyphen_values = true)]
    source: String,

    #[command(flatten)]
    tunnel: TunnelArgs,

    #[command(flatten)]
    client: ClientArgs,

    #[command(flatten)]
    server: ServerArgs,

    /// Go to the background at once and wait until names can be looked up [default: fail at the
    /// start if they cannot]
    #[arg(short = 'D', long)]
    wait_for_dns: bool,

    /// Stay in the foreground: no process in the background, no pidfile, no syslog [default: go to
    /// the background once connections are accepted]
    #[arg(short = 'F', long)]
    foreground: bool,

    /// Keep no more connections than this at a time; 0 means no limit; with -d only those count
    /// whose peer has proved to hold the key
    #[arg(short = 'n', long, value_name = "N", default_value = "100")]
    #[arg(value_parser = Connections::parse, allow_hyphen_values = true)]
    max_connections: Connections,

    /// With -d: keep no more unfinished handshakes than this at a time; 0 means no limit
    // Room for 20000 strangers a second, each of whom has half a second to itself, in some 20 MB.
    // See DESIGN.md.
    #[arg(long, value_name = "N", default_value = "10000", conflicts_with = "encrypt")]
    #[arg(value_parser = Connections::parse, allow_hyphen_values = true, display_order = 898)]
    max_handshakes: Connections,

    /// Write the process number to this file [default: the address of -s followed by .pid]
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pidfile: Option<PathBuf>,

    /// Look up the target's addresses again after this time, fractions allowed; 0 means the default
    #[arg(short, long, value_name = "SECONDS", default_value = "60")]
    #[arg(value_parser = parse_interval, allow_hyphen_values = true)]
    resolve_interval: Duration,

    /// Look up the target's addresses only once, at the start [default: every -r seconds]
    #[arg(short = 'R', long)]
    resolve_once: bool,

    /// After SIGTERM end the connections that are left when this time is up [default: let them
    /// finish]
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = parse_limit, allow_hyphen_values = true)]
    drain_timeout: Option<Duration>,

    /// Let other processes of the same user that have this option listen at the same port, too: the
    /// system deals connections out among them; Linux and FreeBSD only [default: no]
    #[arg(long, display_order = 898)]
    reuse_port: bool,

    /// Once in the background, write messages to syslog [default: to standard error]
    #[arg(long)]
    syslog: bool,

    /// After the start change to this user, :group or user:group, names or numbers [default: stay]
    #[arg(short, long, value_name = "SPEC", allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::Username)]
    user: Option<String>,
}

/// Exactly one of the two.
#[derive(ClapArgs, Debug)]
#[group(required = true, multiple = false)]
struct RoleArgs {
    /// Encrypt: plain connections come in at -s, encrypted ones go out to -t
    #[arg(short, long)]
    encrypt: bool,

    /// Decrypt: encrypted connections come in at -s, plain ones go out to -t
    #[arg(short, long)]
    decrypt: bool,
}

/// The value of -n and of --max-handshakes. A type of its own, since clap takes an `Option` in a
/// definition to mean that the option may be absent.
#[derive(Clone, Copy, Debug)]
struct Connections(Option<NonZeroUsize>);

impl Connections {
    fn parse(text: &str) -> Result<Self, String> {
        parse_connections(text).map(Self)
    }
}

/// What `spiped` was asked to do, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// -e or -d.
    pub role: Role,
    /// -s, as written.
    pub source: String,
    /// Alone at the port of -s: no --reuse-port.
    pub sharing: Sharing,
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
    /// --drain-timeout.
    pub drain_timeout: Option<Duration>,
    /// -n; `None` is no limit.
    pub max_connections: Option<NonZeroUsize>,
    /// --max-handshakes; `None` is no limit.
    pub max_handshakes: Option<NonZeroUsize>,
    /// -r; `None` (-R) is never again.
    pub resolve: Option<Duration>,
    /// -D.
    pub wait_for_dns: bool,
    /// -F: the pidfile and syslog are then not used.
    pub foreground: bool,
    /// -p, or its default.
    pub pidfile: PathBuf,
    /// --syslog.
    pub syslog: bool,
    /// -u, as written.
    pub user: Option<String>,
    /// Enter the sandbox: no --no-sandbox.
    pub sandbox: bool,
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
    let args: Args = options::parse(PROGRAM, words)?;
    // C's test: -r with its default value, also when written out, may stand beside -R.
    if args.resolve_once && args.resolve_interval != DEFAULT_INTERVAL {
        return Err(Exit::usage(PROGRAM, "-R cannot be used with -r"));
    }
    let role = if args.role.encrypt { Role::Encrypt } else { Role::Decrypt };
    // Before any of the addresses is shown: from here on -s has no password.
    let web = args.server.check(args.client, role, &args.source, &args.tunnel.target);
    let web = web.map_err(|error| Exit::usage(PROGRAM, &error))?;
    let is_unix = Address::parse(&args.source)
        .is_ok_and(|source| matches!(source.socket().form(), Form::Unix(_)));
    if args.reuse_port && (is_unix || args.source.starts_with(INHERITED_PREFIX)) {
        let what = format!(
            "--reuse-port is for TCP addresses that spiped itself binds, not for -s {:?}",
            args.source
        );
        return Err(Exit::usage(PROGRAM, &what));
    }
    if args.reuse_port && !listener::CAN_SHARE {
        let what = "--reuse-port needs Linux or FreeBSD, which deal connections out; leave it out";
        return Err(Exit::usage(PROGRAM, what));
    }
    Ok(Options {
        role,
        web,
        pfs: args.tunnel.pfs(),
        keepalive: !args.tunnel.no_keepalive,
        drain_timeout: options::limit(args.drain_timeout),
        max_connections: args.max_connections.0,
        max_handshakes: args.max_handshakes.0,
        resolve: (!args.resolve_once).then_some(args.resolve_interval),
        pidfile: args.pidfile.unwrap_or_else(|| pidfile::default_path(&args.source)),
        source: args.source,
        sharing: if args.reuse_port { Sharing::Shared } else { Sharing::Alone },
        target: args.tunnel.target,
        bind: args.tunnel.bind,
        key_file: args.tunnel.key_file,
        timeout: args.tunnel.timeout,
        idle_timeout: options::limit(args.tunnel.idle_timeout),
        ack_timeout: options::limit(args.tunnel.ack_timeout),
        coalesce: args.tunnel.coalesce,
        wait_for_dns: args.wait_for_dns,
        foreground: args.foreground,
        syslog: args.syslog,
        user: args.user,
        sandbox: !args.tunnel.no_sandbox,
        log_level: args.tunnel.log_level,
    })
}

#[cfg(test)]
mod tests;
