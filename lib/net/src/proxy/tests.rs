//! Proxy URLs, and the talk with proxies in pieces of every length.

use super::*;

fn proxy(text: &str) -> Proxy {
    Proxy::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn destination(text: &str) -> Destination {
    Destination::new(&Address::parse(text).unwrap()).unwrap()
}

#[test]
fn urls_name_kind_and_address_and_hide_the_rest() {
    let cases = [
        ("http://p:3128", Kind::Http, "p:3128", "http://p:3128"),
        ("http://p/", Kind::Http, "p:80", "http://p:80"),
        ("p:3128", Kind::Http, "p:3128", "http://p:3128"),
        ("joe:hush@p:3128", Kind::Http, "p:3128", "http://p:3128"),
        ("SOCKS5://joe:hush@p", Kind::Socks5, "p:1080", "socks5://p:1080"),
        ("socks5h://[::1]:9050/", Kind::Socks5h, "[::1]:9050", "socks5h://[::1]:9050"),
        ("http://127.0.0.1:1", Kind::Http, "127.0.0.1:1", "http://127.0.0.1:1"),
    ];
    for (text, kind, address, shown) in cases {
        let proxy = proxy(text);
        assert_eq!((proxy.kind(), proxy.address().to_string().as_str()), (kind, address), "{text}");
        assert_eq!(proxy.to_string(), shown);
        assert_eq!(proxy.credentials.is_some(), text.contains('@'));
        assert!(!format!("{proxy:?}").contains("hush"));
        assert_eq!(kind.resolves_here(), kind == Kind::Socks5);
    }
}

#[test]
fn what_is_no_proxy_is_refused_without_its_password() {
    let long = format!("socks5://joe:{}@p", "h".repeat(256));
    let cases = [
        ("", "no host"),
        ("http://", "no host"),
        ("https://joe:hush@p", "unknown scheme https://"),
        ("socks4://p", "unknown scheme socks4://"),
        ("http://p:0", "bad port \"0\""),
        ("http://p:x", "bad port"),
        ("http://p/path", "expected nothing after host and port"),
        ("http://joe:hu/sh@p", "bad port"),
        ("joe:hush/@p", "bad port"),
        ("joe:hush@http://p:3128", "bad port"),
        ("joe:a://hush@p:x", "bad port"),
        ("j://joe:hush@p", "unknown scheme j://"),
        ("h@joe://hush@p/x", "bad port"),
        ("http://:hush@p", "expected a user"),
        (&long, "at most 255 bytes"),
    ];
    for (text, reason) in cases {
        let error = Proxy::parse(text).expect_err(text).to_string();
        assert!(error.starts_with("bad proxy \""), "{error}");
        assert!(error.contains(reason), "{text}: {error}");
        assert!(!error.contains("joe") && !error.contains("sh@"), "{error}");
    }
}

#[test]
fn destinations_are_what_proxies_understand() {
    let cases = [
        ("h:22", "h:22"),
        ("h:ssh", "h:22"),
        ("127.0.0.1:22", "127.0.0.1:22"),
        ("2001:db8::1:22", "[2001:db8::1]:22"),
        ("[::1]:22", "[::1]:22"),
        ("wss://h/x", "h:443"),
        ("ws://[::1]:8080", "[::1]:8080"),
    ];
    for (text, shown) in cases {
        assert_eq!(destination(text).to_string(), shown, "{text}");
    }
    let long = format!("{}:80", "x".repeat(256));
    let refusals = [
        ("/run/x", "a UNIX socket"),
        ("ws+unix:///x", "a UNIX socket"),
        ("h:no such service", "unknown service"),
        ("h HTTP\r\nX-y:80", "is no name for a proxy"),
        ("h,i:80", "is no name for a proxy"),
        (&long, "is no name for a proxy"),
    ];
    for (text, reason) in refusals {
        let error = Destination::new(&Address::parse(text).unwrap()).expect_err(text);
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn a_name_that_has_moved_is_asked_for_at_its_new_place() {
    let found = |text: &str| Address::parse(text).unwrap().resolve().unwrap();
    let destination = destination("[127.0.0.1]:1");
    let mut via = Via {
        proxy: proxy("socks5://p"),
        destinations: vec![destination.clone()],
        source: "--proxy",
    };
    assert!(!via.redirect(&found("[127.0.0.1]:1")) && !via.redirect(&[]));
    assert!(!via.redirect(&found("/run/x")));
    assert_eq!(via.destinations, [destination]);
    assert!(via.redirect(&[found("[::1]:1"), found("[127.0.0.1]:1")].concat()));
    assert_eq!(via.shown(), "[::1]:1, 127.0.0.1:1");
}

/// Talks to a proxy that sends `script` in pieces of `size` bytes; what was said to it, and the
/// rest that is the destination's.
fn talk(url: &str, target: &str, script: &[u8], size: usize) -> Result<(Vec<u8>, usize), String> {
    let mut negotiation = Negotiation::new(&proxy(url), &destination(target));
    let (mut said, mut at) = (Vec::new(), 0);
    negotiation.poll_transmit(&mut said);
    while !negotiation.is_done() && at < script.len() {
        let piece = &script[at..script.len().min(at + size)];
        let taken = negotiation.handle_input(piece).map_err(|refusal| refusal.to_string())?;
        assert!(taken == piece.len() || negotiation.is_done());
        at += taken;
        negotiation.poll_transmit(&mut said);
    }
    assert_eq!(negotiation.handle_input(b"").unwrap(), 0);
    if negotiation.is_done() {
        assert_eq!(negotiation.handle_input(b"the destination's").unwrap(), 0);
        Ok((said, script.len() - at))
    } else {
        Err("not done".to_owned())
    }
}

/// The same in pieces of every length.
fn through(url: &str, target: &str, script: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let whole = talk(url, target, script, script.len().max(1));
    for size in 1..script.len() {
        assert_eq!(talk(url, target, script, size), whole, "in pieces of {size} bytes");
    }
    whole
}

#[test]
fn connect_asks_and_takes_nothing_behind_the_answer() {
    let answers: [&[u8]; 4] = [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 299\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ];
    for answer in answers {
        let script = [answer, b"HELLO"].concat();
        let (said, rest) = through("http://p", "wss://h/x", &script).unwrap();
        assert_eq!(said, b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
        assert_eq!(rest, 5);
    }
    let ok = answers[0];
    let (said, rest) = through("http://joe:hush@p", "[::1]:22", ok).unwrap();
    let expected = "CONNECT [::1]:22 HTTP/1.1\r\nHost: [::1]:22\r\n\
                    Proxy-Authorization: Basic am9lOmh1c2g=\r\n\r\n";
    assert_eq!((String::from_utf8(said).unwrap().as_str(), rest), (expected, 0));
}

#[test]
fn other_answers_of_http_are_told_by_their_status_line() {
    let cases: [(&str, &[u8], &str); 7] = [
        (
            "p",
            b"HTTP/1.1 407 Proxy Authentication Required\r\nX: y\r\n\r\nbody",
            "the proxy asks for a user and a password: HTTP/1.1 407 Proxy Authentication Required",
        ),
        (
            "joe:hush@p",
            b"HTTP/1.1 407 No\r\n\r\n",
            "the proxy does not take this user and password: HTTP/1.1 407 No",
        ),
        ("p", b"HTTP/1.1 403 Forbidden\r\n\r\n", "the proxy refuses: HTTP/1.1 403 Forbidden"),
        ("p", b"HTTP/1.1 101 Hm\r\n\r\n", "the proxy refuses: HTTP/1.1 101 Hm"),
        ("p", b"SSH-2.0-x\r\n\r\n", "this is no HTTP proxy: SSH-2.0-x"),
        ("p", b"\x1b[2J\x05\r\n\r\n", "this is no HTTP proxy: \\u{1b}[2J\\u{5}"),
        ("p", b"HTTP/1.1 2", "not done"),
    ];
    for (url, answer, reason) in cases {
        assert_eq!(through(url, "h:1", answer).unwrap_err(), reason);
    }
    let endless = [b"HTTP/1.1 200 OK\r\nX: ", &[b'y'; 10_000][..]].concat();
    let error = talk("p", "h:1", &endless, 700).unwrap_err();
    assert_eq!(error, "the proxy's answer has no end: HTTP/1.1 200 OK");
}

#[test]
fn socks_asks_by_name_or_by_address() {
    let reply = b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90HELLO";
    let (said, rest) = through("socks5h://p", "h:22", reply).unwrap();
    assert_eq!((said.as_slice(), rest), (&b"\x05\x01\x00\x05\x01\x00\x03\x01h\x00\x16"[..], 5));

    let reply = [&b"\x05\x00\x05\x00\x00\x04"[..], &[0; 18], b"HI"].concat();
    let (said, rest) = through("socks5://p", "[127.0.0.1]:22", &reply).unwrap();
    assert_eq!(said, b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16");
    assert_eq!(rest, 2);

    let reply = b"\x05\x00\x05\x00\x00\x03\x04name\x00\x01!";
    let (said, rest) = through("socks5://p", "[::1]:258", reply).unwrap();
    let mut expected = b"\x05\x01\x00\x05\x01\x00\x04".to_vec();
    expected.extend_from_slice(&[0; 15]);
    expected.extend_from_slice(b"\x01\x01\x02");
    assert_eq!((said, rest), (expected, 1));
}

#[test]
fn socks_shows_a_password_when_asked_for_it() {
    let done = b"\x05\x00\x00\x01\0\0\0\0\0\0";
    let script = [&b"\x05\x02\x01\x00"[..], done].concat();
    let (said, _) = through("socks5h://joe:hush@p", "h:1", &script).unwrap();
    let expected = b"\x05\x02\x00\x02\x01\x03joe\x04hush\x05\x01\x00\x03\x01h\x00\x01";
    assert_eq!(said, expected);
    // ... and only then.
    let script = [&b"\x05\x00"[..], done].concat();
    let (said, _) = through("socks5h://joe:hush@p", "h:1", &script).unwrap();
    assert_eq!(said, b"\x05\x02\x00\x02\x05\x01\x00\x03\x01h\x00\x01");
}

#[test]
fn refusals_of_socks_are_told_in_words() {
    let password = "socks5h://joe:hush@p";
    let cases: [(&str, &[u8], &str); 11] = [
        ("socks5://p", b"\x05\xff", "the proxy asks for a user and a password, or another proof"),
        ("socks5://p", b"\x05\x02", "the proxy asks for a user and a password, or another proof"),
        (password, b"\x05\xff", "the proxy takes no user and password"),
        (password, b"\x05\x02\x01\x01", "the proxy does not take this user and password"),
        (
            password,
            b"\x05\x02\x05\x00",
            "this is no SOCKS5 proxy: it sent version 5 of the password's check",
        ),
        ("socks5://p", b"HTTP", "this is no SOCKS5 proxy: it sent version 72, perhaps HTTP"),
        ("socks5://p", b"\x05\x00\x04\x00", "this is no SOCKS5 proxy: it sent version 4"),
        (
            "socks5://p",
            b"\x05\x00\x05\x00\x00\x02",
            "this is no SOCKS5 proxy: it sent an address of type 2",
        ),
        (
            "socks5://p",
            b"\x05\x00\x05\x05",
            "the proxy refuses: the connection was refused (SOCKS5 reply 5)",
        ),
        (
            "socks5://p",
            b"\x05\x00\x05\x63\x00\x01\0\0\0\0\0\0",
            "the proxy refuses: it does not say why (SOCKS5 reply 99)",
        ),
        ("socks5://p", b"\x05\x00\x05\x00\x00", "not done"),
    ];
    for (url, script, reason) in cases {
        assert_eq!(through(url, "[127.0.0.1]:1", script).unwrap_err(), reason);
    }
}

#[test]
fn nothing_of_a_password_is_in_debug() {
    for url in ["http://joe:hush@p", "socks5://joe:hush@p"] {
        let negotiation = Negotiation::new(&proxy(url), &destination("h:1"));
        let shown = format!("{negotiation:?}");
        assert!(!shown.contains("hush") && !shown.contains("104, 117"), "{shown}");
    }
}
