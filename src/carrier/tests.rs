//! From options to the settings of a carrier, and what is refused without being shown.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::options::Certificate;

fn options(headers: &[&str]) -> WebOptions {
    let headers = headers.iter().map(|text| Hidden::from((*text).to_owned())).collect();
    WebOptions { headers, ping: Some(Duration::from_secs(30)), ..WebOptions::default() }
}

fn client(target: &str, headers: &[&str]) -> Result<WebClient, String> {
    match to_target(&Address::parse(target).unwrap(), &options(headers))? {
        Carrier::WebClient(client) => Ok(client),
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn a_url_says_what_is_asked_for() {
    let found = client("ws://h:8080/a%20b?c", &[]).unwrap();
    assert_eq!((found.host.as_str(), found.target.as_str()), ("h:8080", "/a%20b?c"));
    assert!(found.tls.is_none() && found.headers.is_empty());
    assert_eq!(found.ping, Some(Duration::from_secs(30)));
    let found = client("wss://h", &[]).unwrap();
    assert_eq!((found.host.as_str(), found.target.as_str()), ("h", "/"));
    assert!(found.tls.is_some());
    for target in ["h:80", "/run/x"] {
        let carrier = to_target(&Address::parse(target).unwrap(), &options(&[])).unwrap();
        assert!(matches!(carrier, Carrier::Socket), "{target}");
    }
}

#[test]
fn headers_come_from_options_files_and_credentials() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "X-One: 1\r\n\nX-Two: 2\n").unwrap();
    let at_file = format!("@{}", file.path().display());
    let found = client("ws://joe:hush@h", &["X-Zero: 0", &at_file]).unwrap();
    let expected = ["X-Zero: 0", "X-One: 1", "X-Two: 2", "Authorization: Basic am9lOmh1c2g="];
    assert_eq!(found.headers.iter().map(|line| line.as_str()).collect::<Vec<_>>(), expected);
    assert!(!format!("{found:?}").contains("am9l"));
}

#[test]
fn headers_that_are_none_are_refused_and_not_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "X: y\nsecret\n").unwrap();
    let at_file = format!("@{}", file.path().display());
    let empty = tempfile::NamedTempFile::new().unwrap();
    let at_empty = format!("@{}", empty.path().display());
    let cases: [(&str, &[&str], &str); 6] = [
        ("ws://h", &["secret"], "--http-header: expected a header such as 'Name: value'"),
        ("ws://h", &["A: secret\r\nX: y"], "--http-header: expected one line"),
        ("ws://h", &[&at_file], ", line 2: expected a header"),
        ("ws://h", &[&at_empty], "it is empty; expected lines"),
        (
            "ws://h",
            &["@/no/such/file"],
            "--http-header: /no/such/file: there is no such file, expected a file of header lines",
        ),
        ("ws://u:p@h", &["authorization: secret"], "there is an Authorization already"),
    ];
    for (target, headers, reason) in cases {
        let error = client(target, headers).expect_err(reason);
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("secret") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_source_takes_the_path_of_its_url_or_any() {
    let server = |source: &str| {
        let options = WebOptions { accepts: Accepts::WebSockets(None), ..WebOptions::default() };
        match from_source(Address::parse(source).unwrap().web(), &options).unwrap() {
            Carrier::WebServer(server) => server.path,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(server("ws://h/p%20q?r").as_deref(), Some("/p%20q?r"));
    assert_eq!(server("ws://h/").as_deref(), Some("/"));
    assert_eq!(server("ws://h"), None);
    assert_eq!(server("[::]:80"), None);
    let streams = from_source(None, &WebOptions::default());
    assert!(matches!(streams, Ok(Carrier::Socket)));
}

#[test]
fn files_that_are_not_there_are_named_with_their_options() {
    let files =
        Certificate { certificate: PathBuf::from("/no/cert"), key: PathBuf::from("/no/key") };
    let options = WebOptions { accepts: Accepts::WebSockets(Some(files)), ..WebOptions::default() };
    let error = from_source(None, &options).unwrap_err();
    assert!(error.starts_with("--tls-cert, --tls-key: /no/cert: "), "{error}");
    let authorities = Some(PathBuf::from("/no/ca"));
    let options = WebOptions { authorities, ..WebOptions::default() };
    let error = to_target(&Address::parse("wss://h").unwrap(), &options).unwrap_err();
    assert!(error.starts_with("--tls-ca: /no/ca: "), "{error}");
}
