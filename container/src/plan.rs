//! What is asked for: the words after the image's name, and variables.
//!
//! Owns the commands of wormhole's image, the ways of the official image of spiped, and what each
//! becomes as a command line of spiped. Refuses to look at files. Next: `key.rs`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::parser::ValueSource;
use spiped_programs::spiped::args::{self, Options};

use crate::key::{NewKey, Wanted};

/// The text of `help`.
pub(crate) const HELP: &str = "\
spiped in a container: encrypted and authenticated pipes between socket addresses

Commands:
  client-proxy [OPTION ...]  encrypt: accept at LISTEN_ADDR, connect to the server-proxy at
                             CONNECT_ADDR
  server-proxy [OPTION ...]  decrypt: accept from client-proxies at LISTEN_ADDR, connect to the
                             service at CONNECT_ADDR
  keygen                     make a key, /etc/wormhole/key.yaml, and print its fingerprint
  spiped-generate-key.sh     make a key, /spiped/key/spiped-keyfile, and print its fingerprint
  health                     see whether the spiped -d of this container's pipe answers
  help                       print this text
  -d|-e OPTION ...           run spiped with these options, in the foreground, with /spiped/key
  anything else              is run as it is: spiped, spipe and spiped-keygen are there; spiped
                             needs -F then, or it goes to the background and the container ends

Variables of the proxies:
  LISTEN_ADDR, CONNECT_ADDR  needed: /path, host:port, [ipv4]:port or [ipv6]:port
  LOG_LEVEL                  error, warn, info, debug, trace, or filters such as spiped_net=debug
                             [default: info]

The proxies take the key in /spiped/key, which may be a directory with a spiped-keyfile, or else in
/etc/wormhole/key.yaml. It is read by user number 1000, unless the container runs as another one.
After SIGTERM connections may finish within 8 seconds, or --drain-timeout.

  docker run --rm -v DIRECTORY:/spiped/key IMAGE spiped-generate-key.sh
  docker run -d -v DIRECTORY/spiped-keyfile:/spiped/key:ro -p 8025:8025 \\
      IMAGE -d -s '[0.0.0.0]:8025' -t mail:25
";

/// How long connections may finish: engines kill a container 10 seconds after SIGTERM.
const DRAIN_SECONDS: &str = "8";

/// What the image is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Print [`HELP`].
    Help,
    /// Make a key.
    Keygen(NewKey),
    /// See whether the pipe works.
    Health,
    /// Become spiped.
    Daemon(Daemon),
    /// Become another program: its name and arguments.
    Other(Vec<OsString>),
}

/// A command line of spiped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Daemon {
    /// All of it but the key.
    pub(crate) arguments: Vec<OsString>,
    /// Where to look for the key; `None` if the arguments name one, or need none.
    pub(crate) key: Option<Wanted>,
    /// For RUST_LOG.
    pub(crate) log_filters: Option<OsString>,
}

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    listen: Option<OsString>,
    connect: Option<OsString>,
    log_level: Option<OsString>,
}

impl Variables {
    /// Those of this process; an empty one is as good as none.
    pub(crate) fn from_env() -> Self {
        let get = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            listen: get("LISTEN_ADDR"),
            connect: get("CONNECT_ADDR"),
            log_level: get("LOG_LEVEL"),
        }
    }
}

/// Makes the plan.
pub(crate) struct Plan;

impl Plan {
    /// What `words` and `variables` ask for.
    ///
    /// # Errors
    ///
    /// One line: what is missing, or too much.
    pub(crate) fn make(words: &[OsString], variables: &Variables) -> Result<Task, String> {
        let Some((first, rest)) = words.split_first() else { return Ok(Task::Help) };
        let alone = |task: Task| match rest {
            [] => Ok(task),
            _ => Err(format!("{} takes no arguments", first.to_string_lossy())),
        };
        match first.to_str() {
            Some("help") => alone(Task::Help),
            Some("keygen") => alone(Task::Keygen(NewKey::Yaml)),
            Some("spiped-generate-key.sh") => alone(Task::Keygen(NewKey::Plain)),
            Some("health") => alone(Task::Health),
            Some(command @ ("client-proxy" | "server-proxy")) => proxy(command, rest, variables),
            _ if first.as_encoded_bytes().starts_with(b"-") => {
                Ok(daemon(words.to_vec(), Wanted::Official, variables))
            }
            _ => Ok(Task::Other(words.to_vec())),
        }
    }
}

fn proxy(command: &str, options: &[OsString], variables: &Variables) -> Result<Task, String> {
    let (Some(listen), Some(connect)) = (&variables.listen, &variables.connect) else {
        let missing = match (&variables.listen, &variables.connect) {
            (None, None) => "LISTEN_ADDR and CONNECT_ADDR are",
            (None, _) => "LISTEN_ADDR is",
            _ => "CONNECT_ADDR is",
        };
        return Err(format!(
            "{command}: {missing} not set; {command} accepts connections at LISTEN_ADDR and passes \
             them on to CONNECT_ADDR, such as -e LISTEN_ADDR=0.0.0.0:6379"
        ));
    };
    let role = if command == "client-proxy" { "-e" } else { "-d" };
    let mut arguments = vec![role.into(), "-s".into(), listen.clone()];
    arguments.extend(["-t".into(), connect.clone()]);
    arguments.extend_from_slice(options);
    Ok(daemon(arguments, Wanted::OursOrWormholes, variables))
}

/// Adds what a container needs, unless it is given.
fn daemon(mut arguments: Vec<OsString>, wanted: Wanted, variables: &Variables) -> Task {
    let mut key = None;
    let program = [OsStr::new("spiped").to_owned()];
    let words = program.iter().chain(&arguments);
    // The program's own parser knows what is an option and what is a value. What it cannot read
    // at all, --help and --version go to the program as they are: it has the better words.
    if let Ok(given) = args::command().ignore_errors(true).try_get_matches_from(words) {
        let is_given = |id| given.value_source(id) == Some(ValueSource::CommandLine);
        let mut added: Vec<OsString> = Vec::new();
        if !is_given("foreground") {
            added.push("-F".into());
        }
        if !is_given("drain_timeout") {
            added.extend(["--drain-timeout".into(), DRAIN_SECONDS.into()]);
        }
        if !is_given("key_file") {
            key = Some(wanted);
        }
        // In front, where no option of the user's that lacks its value can swallow them.
        arguments.splice(0..0, added);
    }
    let log_filters = variables.log_level.as_deref().map(filters);
    Task::Daemon(Daemon { arguments, key, log_filters })
}

/// What to say before these words are run as they are: as in the official image, nothing is added.
pub(crate) fn warning(words: &[OsString]) -> Option<&'static str> {
    spiped_options(words).is_some_and(|options| !options.foreground).then_some(
        "spiped without -F goes to the background, and then this container ends; add -F, or leave \
         out the program's name",
    )
}

/// The options of a command line, if it is a daemon's.
pub(crate) fn spiped_options(words: &[OsString]) -> Option<Options> {
    let program = Path::new(words.first()?).file_name()?;
    (program == OsStr::new("spiped")).then(|| args::parse_from(words).ok()).flatten()
}

/// Filters as wormhole takes them: its name means ours, and spans are not known here.
fn filters(text: &OsStr) -> OsString {
    let Some(text) = text.to_str() else { return text.to_owned() };
    let ours = |directive: &str| match directive.trim().strip_prefix("wormhole") {
        Some(rest) if rest.is_empty() || rest.starts_with(['=', ':', '[']) => {
            let level = rest.rsplit_once('=').map(|(_, level)| format!("={level}"));
            format!("spiped{}", level.unwrap_or_default())
        }
        _ => directive.to_owned(),
    };
    text.split(',').map(ours).collect::<Vec<_>>().join(",").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn variables(listen: &str, connect: &str, log_level: &str) -> Variables {
        let value = |text: &str| (!text.is_empty()).then(|| text.into());
        Variables { listen: value(listen), connect: value(connect), log_level: value(log_level) }
    }

    fn plan(line: &str) -> Task {
        Plan::make(&words(line), &Variables::default()).unwrap()
    }

    /// The command line of spiped, and where the key comes from.
    fn line(task: Task) -> (String, Option<Wanted>) {
        let Task::Daemon(daemon) = task else { panic!("no daemon: {task:?}") };
        let words: Vec<_> = daemon.arguments.iter().map(|word| word.to_str().unwrap()).collect();
        (words.join(" "), daemon.key)
    }

    #[test]
    fn the_commands_of_both_images() {
        assert_eq!(plan(""), Task::Help);
        assert_eq!(plan("help"), Task::Help);
        assert_eq!(plan("keygen"), Task::Keygen(NewKey::Yaml));
        assert_eq!(plan("spiped-generate-key.sh"), Task::Keygen(NewKey::Plain));
        assert_eq!(plan("health"), Task::Health);
        assert_eq!(plan("spipe -t x:1 -k k"), Task::Other(words("spipe -t x:1 -k k")));
        let error = Plan::make(&words("keygen now"), &Variables::default()).unwrap_err();
        assert_eq!(error, "keygen takes no arguments");
    }

    #[test]
    fn the_proxies_take_addresses_from_variables_and_the_rest_as_options() {
        let both = variables("0.0.0.0:1", "redis:2", "");
        let make = |text: &str| line(Plan::make(&words(text), &both).unwrap());
        let key = Some(Wanted::OursOrWormholes);
        let expected = "-F --drain-timeout 8 -e -s 0.0.0.0:1 -t redis:2";
        assert_eq!(make("client-proxy"), (expected.to_owned(), key));
        let expected = "-F --drain-timeout 8 -d -s 0.0.0.0:1 -t redis:2 -g -n 7";
        assert_eq!(make("server-proxy -g -n 7"), (expected.to_owned(), key));
    }

    #[test]
    fn a_proxy_needs_both_addresses() {
        for (listen, connect, missing) in [
            ("", "", "client-proxy: LISTEN_ADDR and CONNECT_ADDR are not set;"),
            ("", "x:1", "client-proxy: LISTEN_ADDR is not set;"),
            ("x:1", "", "client-proxy: CONNECT_ADDR is not set;"),
        ] {
            let variables = variables(listen, connect, "");
            let error = Plan::make(&words("client-proxy"), &variables).unwrap_err();
            assert!(error.starts_with(missing), "{error}");
        }
    }

    #[test]
    fn options_get_what_the_official_image_adds_unless_they_have_it() {
        let make = |text: &str| line(plan(text));
        let key = Some(Wanted::Official);
        let expected = "-F --drain-timeout 8 -d -s [0.0.0.0]:8025 -t [127.0.0.1]:25";
        assert_eq!(make("-d -s [0.0.0.0]:8025 -t [127.0.0.1]:25"), (expected.to_owned(), key));
        let given = "-dFk- -s /a -t /b --drain-timeout=30";
        assert_eq!(make(given), (given.to_owned(), None));
        // An option's value is no option.
        assert_eq!(make("-e -s -F -t /b").0, "-F --drain-timeout 8 -e -s -F -t /b");
        for alone in ["--help", "-v", "-d -h"] {
            assert_eq!(make(alone), (alone.to_owned(), None));
        }
        // Mistakes are for spiped to explain.
        assert_eq!(make("-d -q -s").0, "-F --drain-timeout 8 -d -q -s");
    }

    #[test]
    fn a_daemon_that_would_leave_its_container_is_warned_of() {
        let warns = |line: &str| warning(&words(line)).is_some();
        let options = "-d -s /a -t /b -k /k";
        assert!(
            warns(&format!("spiped {options}")) && warns(&format!("/usr/bin/spiped -D {options}"))
        );
        // In the foreground, no daemon at all, and another program.
        assert!(
            !warns(&format!("spiped {options} -F")) && !warns("spiped -v") && !warns("spiped -d")
        );
        assert!(!warns("spipe -t /b -k /k") && !warns(&format!("env spiped {options}")));
    }

    #[test]
    fn wormholes_filters_are_ours() {
        let filters = |text: &str| filters(OsStr::new(text)).into_string().unwrap();
        assert_eq!(filters("debug"), "debug");
        assert_eq!(filters("wormhole=trace"), "spiped=trace");
        assert_eq!(filters("warn, wormhole::proxy[session{from=1}]=info"), "warn,spiped=info");
        assert_eq!(filters("wormhole"), "spiped");
        assert_eq!(filters("wormholes=info,spiped_net=debug"), "wormholes=info,spiped_net=debug");
        let variables = variables("a:1", "b:1", "wormhole=warn");
        let Task::Daemon(daemon) = Plan::make(&words("server-proxy"), &variables).unwrap() else {
            panic!("no daemon")
        };
        assert_eq!(daemon.log_filters, Some("spiped=warn".into()));
    }
}
