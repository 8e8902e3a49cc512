//! What each URL means, what is refused, and that no password is shown.

use super::*;

fn url(text: &str) -> (Address, WebUrl) {
    let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let url = address.web().expect("a URL").clone();
    (address, url)
}

fn refused(text: &str) -> String {
    let error = Address::parse(text).expect_err(text).to_string();
    assert!(error.starts_with("bad address \""), "{error}");
    assert!(error.contains("expected"), "{error}");
    assert!(!error.contains(char::is_control), "{error:?}");
    error
}

#[test]
fn hosts_and_ports_are_those_of_the_socket_beneath() {
    let ip = |text: &str| Form::Ip(text.parse().unwrap());
    let name = |host: &str, port: &str| Form::Name { host: host.into(), service: port.into() };
    let cases = [
        ("ws://example.com", name("example.com", "80"), "example.com:80", "example.com"),
        ("wss://example.com", name("example.com", "443"), "example.com:443", "example.com"),
        ("WSS://h/x", name("h", "443"), "h:443", "h"),
        ("wss://h:80/x", name("h", "80"), "h:80", "h:80"),
        ("wss://h:443/x", name("h", "443"), "h:443", "h"),
        ("ws://0.0.0.0:8080/p", ip("0.0.0.0:8080"), "0.0.0.0:8080", "0.0.0.0:8080"),
        ("ws://[0.0.0.0]:8080/p", ip("0.0.0.0:8080"), "[0.0.0.0]:8080", "0.0.0.0:8080"),
        ("ws://[::]:8080", ip("[::]:8080"), "[::]:8080", "[::]:8080"),
        ("ws://[::1]", ip("[::1]:80"), "[::1]:80", "[::1]"),
        ("ws://127.0.0.1:0/", ip("127.0.0.1:0"), "127.0.0.1:0", "127.0.0.1:0"),
    ];
    for (text, form, beneath, host) in cases {
        let (address, url) = url(text);
        assert_eq!(url.beneath().form(), &form, "{text}");
        assert_eq!(url.beneath().to_string(), beneath, "{text}");
        assert_eq!(url.host(), host, "{text}");
        assert_eq!(address.to_string().to_lowercase(), text.to_lowercase());
        assert_eq!(address.socket(), url.beneath());
        assert_eq!(address.is_name(), matches!(form, Form::Name { .. }));
        let tls = text.to_lowercase().starts_with("wss");
        assert_eq!(url.security() == Security::Tls, tls, "{text}");
    }
}

#[test]
fn a_certificate_names_the_host_without_brackets_or_final_dot() {
    assert_eq!(url("wss://[::1]:8443/x").1.server_name(), "::1");
    assert_eq!(url("wss://127.0.0.1").1.server_name(), "127.0.0.1");
    assert_eq!(url("wss://example.com./").1.server_name(), "example.com");
    // The Host header and the look-up get it as it was written.
    assert_eq!(url("wss://example.com./").1.host(), "example.com.");
}

#[test]
fn path_and_query_survive_as_written() {
    let cases = [
        ("ws://h", None),
        ("ws://h/", Some("/")),
        ("ws://h:1/a/b", Some("/a/b")),
        ("ws://h/a%2Fb%20c?x=%26&y=/?:@", Some("/a%2Fb%20c?x=%26&y=/?:@")),
        ("ws://h?token=1", Some("/?token=1")),
        ("ws://h/~a;b,c=(d)!$*'+", Some("/~a;b,c=(d)!$*'+")),
    ];
    for (text, target) in cases {
        assert_eq!(url(text).1.target(), target, "{text}");
    }
}

#[test]
fn a_unix_socket_may_have_a_path_behind_it() {
    let cases = [
        ("ws+unix:///run/x.sock", "/run/x.sock", None),
        ("ws+unix:///run/x.sock:/p/q?r", "/run/x.sock", Some("/p/q?r")),
        ("ws+unix:///run/x.sock:/", "/run/x.sock", Some("/")),
        ("ws+unix:///run/a:b", "/run/a:b", None),
        ("ws+unix:///run/a@b:/p:/q", "/run/a@b", Some("/p:/q")),
    ];
    for (text, path, target) in cases {
        let (address, url) = url(text);
        assert_eq!(url.beneath().form(), &Form::Unix(PathBuf::from(path)), "{text}");
        assert_eq!((url.target(), url.host()), (target, "localhost"), "{text}");
        assert_eq!(address.to_string(), text);
        assert_eq!(url.security(), Security::Plain);
    }
}

#[test]
fn credentials_are_taken_and_never_shown() {
    for text in ["ws://joe:hush%40@h/x@y", "wss://joe:hush@@h:1", "ws+unix://joe:hush%40@/run/x"] {
        let (address, url) = url(text);
        let credentials = url.credentials().expect("a user and a password");
        assert_eq!((credentials.user(), credentials.password()), ("joe", "hush@"), "{text}");
        for shown in [address.to_string(), format!("{address:?}")] {
            assert!(!shown.contains("joe") && !shown.contains("hush"), "{shown}");
        }
    }
    assert_eq!(url("ws://joe:hush@h/x@y").0.to_string(), "ws://h/x@y");
    assert_eq!(url("ws://h/x@y").1.credentials(), None);
    // Nor when the rest, or they themselves, are wrong.
    for text in ["ws://joe:hu/sh@h/", "ws://joe:hush%@h/", "http://joe:hush@h/", "ws://joe:hush@"] {
        let error = refused(text);
        assert!(!error.contains("joe") && !error.contains("hu"), "{error}");
    }
    assert!(refused("ws://joe:hu/sh@h/").contains("(%2F is a / in a password)"));
    assert!(!refused("ws://h:x/").contains("%2F"));
    let error = Address::parse_bind("ws://joe:hush@h").unwrap_err().to_string();
    assert!(error.contains("a URL is no local address") && !error.contains("hush"), "{error}");
}

#[test]
fn what_is_no_url_of_ours_is_refused_with_the_reason() {
    let cases = [
        ("http://h/x", "unknown scheme http://; expected ws://"),
        ("https://h/x", "write wss://"),
        ("wss+unix:///x", "unknown scheme wss+unix://"),
        ("ws://", "no host"),
        ("ws:///x", "no host"),
        ("ws://:80/x", "no host"),
        ("ws://h:/x", "bad port"),
        ("ws://h:x/", "bad port"),
        ("ws://h:+1/", "bad port"),
        ("ws://h:65536", "bad port \"65536\"; expected a number from 1 to 65535"),
        ("ws://[::1", "one IP address in the brackets"),
        ("ws://[::1]x", "one IP address in the brackets"),
        ("ws://[h]:1", "one IP address in the brackets"),
        ("ws://::1:80/", "expected brackets"),
        ("ws://a b/", "bad host"),
        ("ws://é/", "xn--"),
        ("ws://./", "bad host"),
        ("ws://a\r\nb/", "bad host"),
        ("ws://h/a b", "expected percent-escapes"),
        ("ws://h/a\r\nX: y", "expected percent-escapes"),
        ("ws://h/é", "expected percent-escapes"),
        ("ws://h/%4", "two hexadecimal digits"),
        ("ws://h/%zz", "two hexadecimal digits"),
        ("ws://h/%é", "expected percent-escapes"),
        ("ws://h/x#y", "a '#' has no place"),
        ("ws://h#y", "a '#' has no place"),
        ("ws+unix://run/x", "absolute path"),
        ("ws+unix://", "absolute path"),
        ("ws+unix:///x:/a b", "expected percent-escapes"),
    ];
    for (text, reason) in cases {
        let error = refused(text);
        assert!(error.contains(reason), "{text}: {error}");
    }
    let long = format!("ws+unix:///{}", "x".repeat(200));
    assert!(refused(&long).contains("201 bytes long"));
    assert!(refused(&format!("ws://{}", "x".repeat(254))).contains("at most 253 bytes"));
}

#[test]
fn what_only_looks_like_a_url_is_what_it_was() {
    assert!(Address::parse("/odd://path").unwrap().web().is_none());
    assert!(Address::parse("ws:80").unwrap().web().is_none());
    assert!(Address::parse("1a://h:80").unwrap_err().to_string().contains("no host has a '/'"));
}
