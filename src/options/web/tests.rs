//! Which options for WebSockets go together, by the command lines of both programs.

use super::*;
use crate::options::Exit;
use crate::{spipe, spiped};

/// What the options mean to `spiped`, or what the usage error says.
fn spiped(line: &str) -> Result<WebOptions, String> {
    let words: Vec<&str> = ["spiped", "-k", "key"].into_iter().chain(line.split(' ')).collect();
    what(spiped::args::parse_from(words)).map(|options| options.web)
}

fn spipe(line: &str) -> Result<WebOptions, String> {
    let words: Vec<&str> = ["spipe", "-k", "key"].into_iter().chain(line.split(' ')).collect();
    what(spipe::args::parse_from(words)).map(|options| options.web)
}

fn what<T>(parsed: Result<T, Exit>) -> Result<T, String> {
    parsed.map_err(|exit| exit.what().to_owned())
}

#[test]
fn websockets_are_for_the_encrypted_side_alone() {
    for (line, reason) in [
        ("-e -s ws://h/p -t h:1", "-s is the plain side of -e and can be no URL"),
        ("-e -s wss://h/p -t h:1", "-s is the plain side of -e and can be no URL"),
        ("-d -s h:1 -t ws+unix:///x", "-t is the plain side of -d and can be no URL"),
        ("-e -s h:1 -t h:2 -w", "-w is for -d, and -e has WebSockets by -t ws:// or wss://; Web"),
    ] {
        let error = spiped(line).unwrap_err();
        assert!(error.starts_with(reason), "{line}: {error}");
        assert!(error.contains("-t of -e and of spipe, -s of -d"), "{error}");
    }
    assert_eq!(spiped("-e -s h:1 -t wss://h/p").unwrap().accepts, Accepts::Streams);
    for line in ["-d -s ws://h -t h:1", "-d -s ws+unix:///x:/p -t h:1", "-d -w -s h:1 -t h:2"] {
        assert_eq!(spiped(line).unwrap().accepts, Accepts::WebSockets(None), "{line}");
    }
    assert_eq!(spiped("-d -w -s ws://h -t h:1").unwrap().accepts, Accepts::WebSockets(None));
    assert!(spiped("-d -w -s ws://h/p -t h:1").unwrap_err().starts_with("-w takes whatever path"));
    assert!(spiped("-d -s ws://u:p@h -t h:1").unwrap_err().starts_with("-s takes no user"));
    assert_eq!(spipe("-t h:1 -w").unwrap_err(), "unknown option -w");
}

#[test]
fn a_certificate_is_for_tls_and_tls_needs_one() {
    let files = Certificate { certificate: PathBuf::from("c"), key: PathBuf::from("k") };
    let tls = Accepts::WebSockets(Some(files));
    for line in ["-d -s wss://h/p -t h:1", "-d -w -s h:1 -t h:1", "-d -w -s wss://h -t h:1"] {
        let found = spiped(&format!("{line} --tls-cert c --tls-key k")).unwrap();
        assert_eq!(found.accepts, tls, "{line}");
    }
    for (line, reason) in [
        ("-d -s wss://h -t h:1", "missing: --tls-cert FILE, --tls-key FILE"),
        ("-d -s wss://h -t h:1 --tls-cert c", "missing: --tls-key FILE"),
        ("-d -s wss://h -t h:1 --tls-key k", "missing: --tls-cert FILE"),
        ("-d -s ws://h -t h:1 --tls-cert c --tls-key k", "--tls-cert is for TLS; expected -s wss"),
        (
            "-d -s h:1 -t h:1 --tls-cert c --tls-key k",
            "--tls-cert is for TLS; expected -s wss:// or",
        ),
        (
            "-e -s h:1 -t wss://h --tls-cert c --tls-key k",
            "--tls-cert and --tls-key are for TLS; ex",
        ),
    ] {
        let error = spiped(line).unwrap_err();
        assert!(error.starts_with(reason), "{line}: {error}");
    }
    assert_eq!(
        spipe("-t wss://h --tls-cert c").unwrap_err(),
        "unknown option --tls-cert, did you mean --tls-ca?"
    );
}

#[test]
fn what_a_client_says_needs_a_websocket_to_say_it_to() {
    let all = "--http-header X:y --http-header @f --tls-ca ca --ws-ping 0 --proxy none";
    let hidden = |text: &str| Hidden::from(text.to_owned());
    let expected = WebOptions {
        proxy: Some(hidden("none")),
        ping: None,
        headers: vec![hidden("X:y"), hidden("@f")],
        authorities: Some(PathBuf::from("ca")),
        accepts: Accepts::Streams,
    };
    assert_eq!(spiped(&format!("-e -s h:1 -t wss://h {all}")).as_ref(), Ok(&expected));
    assert_eq!(spipe(&format!("-t wss://h {all}")).as_ref(), Ok(&expected));
    for (options, reason) in [
        ("--http-header X:y", "--http-header is for WebSockets; expected -t ws:// or wss://"),
        ("--tls-ca ca", "--tls-ca is for TLS; expected -t wss://"),
        ("--ws-ping 5", "--ws-ping is for WebSockets; expected"),
    ] {
        for error in [
            spipe(&format!("-t h:1 {options}")).unwrap_err(),
            spiped(&format!("-e -s h:1 -t h:2 {options}")).unwrap_err(),
            spiped(&format!("-d -s h:1 -t h:2 {options}")).unwrap_err(),
        ] {
            assert!(error.starts_with(reason), "{options}: {error}");
        }
    }
    let error = spipe("-t ws://h --tls-ca ca").unwrap_err();
    assert_eq!(error, "--tls-ca is for TLS; expected -t wss://");
    // A server has pings to send, but no request.
    let served = spiped("-d -s ws://h -t h:1 --ws-ping 0.5").unwrap();
    assert_eq!(served.ping, Some(Duration::from_millis(500)));
    assert!(spiped("-d -s ws://h -t h:1 --http-header X:y").is_err());
    // Plain targets may have proxies, on either side.
    assert!(spipe("-t h:1 --proxy socks5://p").unwrap().proxy.is_some());
    assert!(spiped("-d -s h:1 -t h:2 --proxy socks5://p").unwrap().proxy.is_some());
}

#[test]
fn values_are_checked_and_secrets_never_shown() {
    assert_eq!(spipe("-t ws://h").unwrap().ping, Some(DEFAULT_PING));
    let error = spipe("-t ws://h --ws-ping soon").unwrap_err();
    assert!(error.starts_with("--ws-ping \"soon\": expected a number of seconds"), "{error}");
    let twice = spipe("-t ws://h --proxy a --proxy b").unwrap_err();
    assert_eq!(twice, "--proxy is given twice, expected once");
    let options = spipe("-t ws://h --proxy joe:hush@p --http-header A:hush").unwrap();
    assert!(!format!("{options:?}").contains("hush"), "{options:?}");
    assert_eq!(options.proxy.unwrap().text(), "joe:hush@p");
}
