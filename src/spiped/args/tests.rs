//! Command lines of `spiped`: what they mean, and how those that mean nothing are refused.

use super::*;
use crate::options::{DEFAULT_PING, DEFAULT_TIMEOUT, Stream};

const GOOD: &[&str] = &["-e", "-s", "/in", "-t", "host:1", "-k", "key"];

fn parse(words: &[&str]) -> Result<Options, Exit> {
    parse_from([&["spiped"], words].concat())
}

fn with(more: &[&str]) -> Options {
    parse(&[GOOD, more].concat()).unwrap_or_else(|exit| panic!("{more:?}: {}", exit.text))
}

/// What the usage error says.
fn refused(words: &[&str]) -> String {
    let exit = parse(words).expect_err(&format!("{words:?}"));
    exit.what().to_owned()
}

fn refused_with(more: &[&str]) -> String {
    refused(&[GOOD, more].concat())
}

#[test]
fn the_definition_is_sound() {
    command().debug_assert();
}

#[test]
fn defaults_are_those_of_c() {
    let expected = Options {
        role: Role::Encrypt,
        source: "/in".to_owned(),
        sharing: Sharing::Alone,
        target: "host:1".to_owned(),
        bind: None,
        key_file: KeySource::File(PathBuf::from("key")),
        pfs: Pfs::Allow,
        keepalive: true,
        timeout: DEFAULT_TIMEOUT,
        idle_timeout: None,
        ack_timeout: None,
        coalesce: Duration::ZERO,
        drain_timeout: None,
        max_connections: NonZeroUsize::new(100),
        max_handshakes: NonZeroUsize::new(10_000),
        resolve: Some(DEFAULT_INTERVAL),
        wait_for_dns: false,
        foreground: false,
        pidfile: PathBuf::from("/in.pid"),
        syslog: false,
        user: None,
        sandbox: true,
        web: WebOptions { ping: Some(DEFAULT_PING), ..WebOptions::default() },
        log_level: None,
    };
    assert_eq!(with(&[]), expected);
}

#[test]
fn every_option_has_a_long_name_with_the_same_meaning() {
    let parse = |line: &str| parse(&line.split(' ').collect::<Vec<_>>());
    let short = parse(
        "-d -s [0.0.0.0]:1 -t /t -k - -b h -D -F -g -j -n 7 -o 1.5 -p pid -r 9 -u u:g \
         --syslog --no-sandbox --log-level debug",
    );
    let separate = parse(
        "--decrypt --source [0.0.0.0]:1 --target /t --key-file - --bind h --wait-for-dns \
         --foreground --require-pfs --no-keepalive --max-connections 7 --timeout 1.5 \
         --pidfile pid --resolve-interval 9 --user u:g --syslog --no-sandbox \
         --log-level debug",
    );
    let attached = parse(
        "--decrypt --source=[0.0.0.0]:1 --target=/t --key-file=- --bind=h --wait-for-dns \
         --foreground --require-pfs --no-keepalive --max-connections=7 --timeout=1.5 \
         --pidfile=pid --resolve-interval=9 --user=u:g --syslog --no-sandbox \
         --log-level=debug",
    );
    let options = short.unwrap();
    assert_eq!(options.role, Role::Decrypt);
    assert_eq!(options.key_file, KeySource::Stdin);
    assert_eq!(options.pfs, Pfs::Require);
    assert_eq!(options.resolve, Some(Duration::from_secs(9)));
    assert_eq!(options.pidfile, PathBuf::from("pid"));
    assert_eq!(options.user.as_deref(), Some("u:g"));
    assert_eq!(options.log_level, Some(LevelFilter::Debug));
    assert!(options.wait_for_dns && options.foreground && !options.keepalive && options.syslog);
    assert!(!options.sandbox);
    assert_eq!(Ok(&options), separate.as_ref());
    assert_eq!(Ok(&options), attached.as_ref());
}

#[test]
fn clustered_and_attached_forms_are_those_of_getopt() {
    let options = parse(&["-dDFjk-", "-s/in", "-t[::1]:2", "-n5", "-o.5"]).unwrap();
    assert!(options.wait_for_dns && options.foreground && !options.keepalive);
    assert_eq!(options.key_file, KeySource::Stdin);
    assert_eq!(options.target, "[::1]:2");
    assert_eq!(options.max_connections, NonZeroUsize::new(5));
    assert_eq!(options.timeout, Duration::from_millis(500));
    assert_eq!(with(&["-n-1"]).max_connections, None);
    assert_eq!(with(&["--"]), with(&[]));
    // Not getopt's: clap skips an equals sign here; C would take it as part of the value.
    assert_eq!(with(&["-n=5"]).max_connections, NonZeroUsize::new(5));
}

#[test]
fn handshakes_are_counted_as_connections_are() {
    let limit = |value| {
        let words = ["-d", "-s", "/in", "-t", "h:1", "-k", "k", "--max-handshakes", value];
        parse(&words).unwrap().max_handshakes.map(NonZeroUsize::get)
    };
    assert_eq!(["1", "0x10", "0", "-1"].map(limit), [Some(1), Some(16), None, None]);
}

#[test]
fn values_may_start_with_a_hyphen() {
    assert_eq!(with(&["-n", "-1"]).max_connections, None);
    let options = parse(&["-e", "-s", "-d", "-t", "--help", "-k", "--", "-p", "-v"]).unwrap();
    assert_eq!((options.source.as_str(), options.target.as_str()), ("-d", "--help"));
    assert_eq!(options.key_file, KeySource::File(PathBuf::from("--")));
    assert_eq!(options.pidfile, PathBuf::from("-v"));
}

#[test]
fn every_option_given_twice_is_a_usage_error() {
    let values = ["-s", "-t", "-k", "-b", "-n", "-o", "-p", "-r", "-u", "--log-level"];
    for option in values {
        let value = if option == "--log-level" { "info" } else { "1" };
        let words = [&["-e"], &[option, value, option, value][..]].concat();
        assert_eq!(refused(&words), format!("{option} is given twice, expected once"));
    }
    for option in ["-e", "-d", "-D", "-F", "-f", "-g", "-j", "-R", "--syslog"] {
        let expected = format!("{option} is given twice, expected once");
        assert_eq!(refused(&[option, option]), expected);
    }
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    assert_eq!(refused_with(&["-d"]), "-e cannot be used with -d");
    let handshakes = refused_with(&["--max-handshakes", "7"]);
    assert_eq!(handshakes, "-e cannot be used with --max-handshakes");
    assert_eq!(refused_with(&["-f", "-g"]), "-f cannot be used with -g");
    assert_eq!(refused_with(&["-r", "30", "-R"]), "-R cannot be used with -r");
    assert_eq!(with(&["-r", "60", "-R"]).resolve, None);
    assert_eq!(with(&["-r", "0", "-R"]).resolve, None);
}

#[test]
fn only_tcp_ports_are_shared() {
    let parse = |source: &str| parse(&["-d", "-s", source, "-t", "h:1", "-k", "k", "--reuse-port"]);
    if listener::CAN_SHARE {
        assert_eq!(parse("[::]:1").unwrap().sharing, Sharing::Shared);
    }
    for source in ["/run/socket", "systemd:web"] {
        let exit = parse(source).unwrap_err();
        assert!(exit.what().starts_with("--reuse-port is for TCP addresses"));
    }
}

#[test]
fn limits_are_off_unless_asked_for() {
    let options = with(&["--idle-timeout", "1.5", "--drain-timeout=30"]);
    assert_eq!(options.idle_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(options.drain_timeout, Some(Duration::from_secs(30)));
    assert_eq!(with(&["--idle-timeout=0", "--drain-timeout=0"]), with(&[]));
    let error = refused_with(&["--idle-timeout", "soon"]);
    assert!(error.starts_with("--idle-timeout \"soon\": expected a number of seconds"), "{error}");
    if cfg!(target_os = "linux") {
        assert_eq!(with(&["--ack-timeout=9"]).ack_timeout, Some(Duration::from_secs(9)));
    } else {
        assert!(refused_with(&["--ack-timeout=9"]).contains("this needs Linux"));
    }
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(refused(&[]), "missing: -e or -d, -s ADDR, -t ADDR, -k FILE");
    assert_eq!(refused(&["-e", "-s", "/a", "-t", "/b"]), "missing: -k FILE");
    assert_eq!(refused_with(&["-n"]), "-n needs a value: --max-connections <N>");
}

#[test]
fn errors_name_the_option_the_value_and_the_expectation() {
    let whole = "expected a whole number of connections up to 2^64 - 1, 0 for no limit; a leading \
                 0 means octal";
    assert_eq!(refused_with(&["-n", "12x"]), format!("-n \"12x\": {whole}"));
    assert_eq!(refused_with(&["--max-connections=12x"]), format!("-n \"12x\": {whole}"));
    assert!(refused_with(&["-o", "-1"]).starts_with("-o \"-1\": expected a number of seconds"));
    assert!(refused_with(&["-r", "nan"]).starts_with("-r \"nan\": expected a number"));
    assert!(refused(&["-s", ""]).starts_with("-s \"\": expected an address"));
    assert!(refused(&["-t", ":1"]).starts_with("-t \":1\": expected a host"));
    assert!(refused(&["-k", ""]).starts_with("-k \"\": it is empty; expected the name of a"));
    let level = "--log-level \"loud\": expected error, warn, info, debug or trace";
    assert_eq!(refused_with(&["--log-level", "loud"]), level);
    assert_eq!(refused_with(&["--syslog=x"]), "--syslog takes no value, but got \"x\"");
}

#[test]
fn unknown_options_and_leftovers_are_refused() {
    assert_eq!(refused_with(&["-q"]), "unknown option -q");
    assert_eq!(refused_with(&["-Fq"]), "unknown option -q");
    let typo = "unknown option --pid-file, did you mean --pidfile?";
    assert_eq!(refused_with(&["--pid-file", "x"]), typo);
    // No abbreviations.
    assert!(refused_with(&["--time", "5"]).starts_with("unknown option --time,"));
    let leftover = "unexpected argument \"left\": everything is set by options";
    assert_eq!(refused_with(&["left"]), leftover);
    assert_eq!(refused_with(&["left", "-v"]), leftover);
    assert_eq!(refused_with(&["--", "left"]), leftover);
    assert!(refused_with(&["-", "-v"]).starts_with("unexpected argument \"-\""));
}

#[test]
fn version_acts_in_order_of_appearance() {
    let version = format!("spiped {}\n", env!("CARGO_PKG_VERSION"));
    for words in [&["-v"][..], &["--version", "-q"], &["-Fv"], &["-e", "-v", "left"]] {
        let exit = parse(words).unwrap_err();
        let expected =
            Exit { program: PROGRAM, text: version.clone(), stream: Stream::Stderr, status: 0 };
        assert_eq!(exit, expected, "{words:?}");
    }
    assert_eq!(refused(&["-q", "-v"]), "unknown option -q");
    assert!(refused(&["-n", "x", "-v"]).starts_with("-n \"x\""));
}

#[test]
fn help_goes_to_standard_output_and_names_every_option() {
    for words in [&["--help"][..], &["-h", "-q"]] {
        let exit = parse(words).unwrap_err();
        assert_eq!((exit.stream, exit.status), (Stream::Stdout, 0));
        for arg in command().get_arguments() {
            let long = arg.get_long().expect("every option has a long name");
            assert!(exit.text.contains(&format!("--{long}")), "{long}");
            assert!(arg.get_help().is_some(), "{long} has no help text");
        }
        assert!(!exit.text.contains('\x1b'), "help without colours");
    }
}

#[test]
fn file_names_need_not_be_text() {
    use std::os::unix::ffi::OsStringExt;
    let name = OsString::from_vec(b"k\xffy".to_vec());
    let mut words: Vec<OsString> =
        ["spiped", "-e", "-s", "/a", "-t", "/b", "-k"].map(OsString::from).to_vec();
    words.push(name.clone());
    let options = parse_from(words).unwrap();
    assert_eq!(options.key_file, KeySource::File(PathBuf::from(name)));
    let words = ["spiped", "-s"].map(OsString::from).to_vec();
    let exit = parse_from([words, vec![OsString::from_vec(vec![0xff])]].concat()).unwrap_err();
    assert_eq!(exit.what(), "an option or a value is not valid UTF-8 text");
}
