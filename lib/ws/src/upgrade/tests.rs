//! Requests and responses, good and bad.

use super::*;

/// The example of RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn request(line: &str, headers: &[&str]) -> Vec<u8> {
    format!("{line}\r\n{}\r\n\r\n", headers.join("\r\n")).into_bytes()
}

fn good() -> Vec<String> {
    vec![
        "Host: example.com".to_owned(),
        "Upgrade: websocket".to_owned(),
        "Connection: keep-alive, Upgrade".to_owned(),
        "Sec-WebSocket-Version: 13".to_owned(),
        format!("Sec-WebSocket-Key: {KEY}"),
    ]
}

/// A good request for `target`, with a header replaced.
fn changed(target: &str, name: &str, line: &str) -> Vec<u8> {
    let mut headers = good();
    headers.retain(|header| !header.starts_with(&format!("{name}:")));
    headers.push(line.to_owned());
    headers.retain(|header| !header.is_empty());
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    request(&format!("GET {target} HTTP/1.1"), &headers)
}

fn plain(target: &str) -> Vec<u8> {
    changed(target, "No-Such", "X-Other: 1")
}

#[test]
fn the_example_of_the_specification_is_granted() {
    let request = Request::parse(&plain("/chat"), Some("/chat")).unwrap();
    assert!(!request.half_close);
    assert_eq!(request.forwarded_for, None);
    let expected = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    assert_eq!(request.grant(), expected);
}

#[test]
fn paths_are_compared_as_they_are_written() {
    for (target, path, found) in [
        ("/ssh", Some("/ssh"), true),
        ("/ssh?token=1", Some("/ssh"), true),
        ("/ssh?token=1", Some("/ssh?token=1"), true),
        ("/ssh?token=2", Some("/ssh?token=1"), false),
        ("/ssh/", Some("/ssh"), false),
        ("/%73sh", Some("/ssh"), false),
        ("/%73sh", Some("/%73sh"), true),
        ("/", Some("/ssh"), false),
        ("/anything?at=all", None, true),
    ] {
        assert_eq!(Request::parse(&plain(target), path).is_ok(), found, "{target} {path:?}");
    }
}

#[test]
fn everything_else_gets_a_404() {
    let not_found = |head: &[u8]| {
        let refusal = Request::parse(head, Some("/ssh")).unwrap_err();
        assert!(refusal.response.starts_with("HTTP/1.1 404 Not Found\r\n"), "{refusal}");
        let (_, body) = refusal.response.split_once("\r\n\r\n").unwrap();
        assert!(refusal.response.contains(&format!("Content-Length: {}\r\n", body.len())));
        refusal.reason
    };
    let lines = ["Host: h"];
    let asked = not_found(&request("GET /ssh HTTP/1.1", &lines));
    assert_eq!(asked, "no WebSocket is asked for: GET /ssh HTTP/1.1");
    assert!(not_found(&plain("/other")).starts_with("another path is asked for: GET /other"));
    assert!(not_found(b"\x16\x04\x01\r\n\r\n").starts_with("this is not HTTP: \\u{16}"));
    let nonce = [&b"\xa3H\n\xff"[..], &[0x81; 28]].concat();
    let shown = format!("\\xa3H\\n\\xff{}", "\\x81".repeat(12));
    let plain_peer = "(perhaps a plain spipe or spiped -e: then its -t needs ws://)";
    assert_eq!(not_found(&nonce), format!("this is not HTTP: {shown} {plain_peer}"));
    let odd = not_found(&request("GET /\u{e9} HTTP/1.1", &["Host: somewhere.example"]));
    assert!(!odd.contains(plain_peer), "{odd}");
    let tls = not_found(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(tls, "this is TLS, not HTTP (is it ws:// at both ends?)");
    let post = String::from_utf8(plain("/ssh")).unwrap().replace("GET", "POST");
    not_found(post.as_bytes());
    let old = String::from_utf8(plain("/ssh")).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    not_found(old.as_bytes());
    for (name, line) in [
        ("Host", ""),
        ("Upgrade", ""),
        ("Upgrade", "Upgrade: h2c"),
        ("Connection", "Connection: keep-alive"),
        ("Sec-WebSocket-Key", ""),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key: !"),
    ] {
        not_found(&changed("/ssh", name, line));
    }
    // Another version is told which there is, as the specification wants.
    let refusal =
        Request::parse(&changed("/ssh", "Sec-WebSocket-Version", ""), Some("/ssh")).unwrap_err();
    assert!(refusal.response.starts_with("HTTP/1.1 426 "));
    assert!(refusal.response.contains("\r\nSec-WebSocket-Version: 13\r\n"));
}

#[test]
fn what_cannot_become_a_request_shows_at_once() {
    let request = plain("/ssh?a=b");
    for end in 0..=request.len() {
        assert!(may_be_request(&request[..end]), "{:?}", printable(&request[..end]));
    }
    assert!(may_be_request(b"\r\nPRI * HTTP/1.1"));
    let others: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\0\x01", // TLS
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO mail.example\r\n",
        b"*1\r\n$4\r\nPING\r\n", // Redis
        &[0x81; 32],             // the nonce of a plain spiped
    ];
    for other in others {
        assert!(!may_be_request(other), "{:?}", printable(other));
        // What it is told, and the log says, is that of a complete head.
        let refusal = Request::parse(other, None).unwrap_err();
        let tls = refusal.reason == "this is TLS, not HTTP (is it ws:// at both ends?)";
        assert_eq!(tls, other[0] == 0x16, "{refusal}");
        assert!(tls || refusal.reason.starts_with("this is not HTTP: "), "{refusal}");
        assert!(refusal.response.starts_with("HTTP/1.1 404 "));
    }
    // Only the beginning is looked at, or many small pieces would be looked at very often.
    assert!(may_be_request(&[0; BEGINNING + 1]) && !may_be_request(&[0; BEGINNING]));
}

#[test]
fn what_is_claimed_is_printable() {
    let head = changed("/", "X-Forwarded-For", "X-Forwarded-For: 1.2.3.4, \tevil\x7f");
    // A control character is no HTTP; what passes is escaped and cut.
    assert!(Request::parse(&head, None).is_err());
    let long = format!("X-Forwarded-For: {}", "a\"é".repeat(100));
    let request = Request::parse(&changed("/", "X-Forwarded-For", &long), None).unwrap();
    let claimed = request.forwarded_for.unwrap();
    assert!(claimed.starts_with("a\"é"), "{claimed}");
    assert_eq!(claimed.chars().count(), SHOWN);
}

#[test]
fn two_of_ours_agree_on_the_end_of_one_direction() {
    let headers = ["X-Token: a:b".to_owned().into()];
    let offer = Offer::new("example.com:8080", "/a%20b?c=d&e=%2F", &headers, *b"the sample nonce");
    assert_eq!(format!("{offer:?}"), "Offer(..)");
    let asked = offer.request();
    assert!(asked.starts_with("GET /a%20b?c=d&e=%2F HTTP/1.1\r\nHost: example.com:8080\r\n"));
    assert!(asked.contains(&format!("\r\nSec-WebSocket-Key: {KEY}\r\n")), "{asked}");
    assert!(asked.contains("\r\nX-Token: a:b\r\n") && asked.ends_with("\r\n\r\n"), "{asked}");
    let request = Request::parse(asked.as_bytes(), Some("/a%20b")).unwrap();
    assert!(request.half_close);
    assert_eq!(offer.accept(request.grant().as_bytes()), Ok(true));
    // Somebody else does not know the header.
    let other = Request { half_close: false, ..request };
    assert_eq!(offer.accept(other.grant().as_bytes()), Ok(false));

    let fronted = Offer::new("a", "/", &["host: b".to_owned().into()], [0; 16]);
    assert_eq!(fronted.request().to_ascii_lowercase().matches("\r\nhost:").count(), 1);
}

#[test]
fn answers_that_are_no_upgrade_say_what_they_are() {
    let offer = Offer::new("h", "/", &[], *b"the sample nonce");
    let good = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n"
    );
    assert_eq!(offer.accept(format!("{good}\r\n").as_bytes()), Ok(false));
    let refused = |head: &str| offer.accept(head.as_bytes()).unwrap_err().reason;
    let text = refused("HTTP/1.1 502 Bad Gateway\r\nServer: x\r\n\r\n");
    let expected =
        "the answer is HTTP/1.1 502 Bad Gateway (is what the web server passes this on to";
    assert!(text.starts_with(expected), "{text}");
    for (status, guess) in [
        ("200 OK", "at this path it has something else"),
        ("302 Found", "it points to another URL"),
        ("400 Bad Request", "does it want TLS, and so wss://?"),
        ("401 Unauthorized", "a user and a password"),
        ("404 Not Found", "is the path right?"),
    ] {
        let text = refused(&format!("HTTP/1.1 {status}\r\n\r\n"));
        assert!(text.starts_with(&format!("the answer is HTTP/1.1 {status} (")), "{text}");
        assert!(text.contains(guess), "{text}");
    }
    assert!(refused("SSH-2.0-OpenSSH\r\n\r\n").starts_with("this is not HTTP: SSH-2.0-OpenSSH"));
    assert!(refused(&format!("{}\r\n", good.replace("s3pP", "s3pQ"))).contains("does not fit"));
    assert!(refused(&format!("{}\r\n", good.replace("WebSocket", "h2c"))).contains("does not fit"));
    for name in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
        assert!(refused(&format!("{good}{name}: x\r\n\r\n")).contains("which nobody offered"));
    }
}

#[test]
fn headers_of_users_are_one_line_and_not_ours() {
    for line in ["Name: value", "X-A:", "Host: other", "Authorization: Basic eDp5", "a: b: c\td"] {
        assert_eq!(check_header(line), Ok(()), "{line:?}");
    }
    for line in [
        "",
        "no colon",
        ": value",
        "a b: c",
        "é: c",
        "a: b\r\nc: d",
        "a: \0",
        "Upgrade: h2c",
        "connection: close",
        "SEC-WEBSOCKET-Key: x",
        "Content-Length: 5",
    ] {
        assert!(check_header(line).is_err(), "{line:?}");
    }
    assert_eq!(*basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}
