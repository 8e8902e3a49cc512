//! What the grammar takes, what it refuses, and look-ups that need no name server.

use super::error::UNIX_PATH_LIMIT;
use super::*;

fn name(host: &str, service: &str) -> Form {
    Form::Name { host: host.into(), service: service.into() }
}

#[test]
fn every_form_is_taken_and_shown_as_written() {
    let forms = [
        ("/run/db.sock", Form::Unix("/run/db.sock".into())),
        ("/odd:80", Form::Unix("/odd:80".into())),
        ("localhost:ssh", name("localhost", "ssh")),
        ("127.0.0.1:0", Form::Ip("127.0.0.1:0".parse().unwrap())),
        ("127.0.0.1:080", Form::Ip("127.0.0.1:80".parse().unwrap())),
        ("2001:db8::1:80", Form::Ip("[2001:db8::1]:80".parse().unwrap())),
        ("127.0.0.1:ssh", name("127.0.0.1", "ssh")),
        // Forms of inet_aton, which mean another address than they look like.
        ("127.1:80", name("127.1", "80")),
        ("010.0.0.1:80", name("010.0.0.1", "80")),
        ("fe80::1%eth0:80", name("fe80::1%eth0", "80")),
        ("[127.0.0.1]:8025", Form::Ip("127.0.0.1:8025".parse().unwrap())),
        ("[127.0.0.1]:0080", Form::Ip("127.0.0.1:80".parse().unwrap())),
        ("[::1]:65535", Form::Ip("[::1]:65535".parse().unwrap())),
        ("[0:0::1]:1", Form::Ip("[::1]:1".parse().unwrap())),
        ("[::ffff:1.2.3.4]:1", Form::Ip("[::ffff:1.2.3.4]:1".parse().unwrap())),
    ];
    for (text, form) in forms {
        let address = Address::parse(text).unwrap();
        assert_eq!(address.form(), &form, "{text}");
        assert_eq!(address.to_string(), text);
    }
}

#[test]
fn what_is_no_address_is_refused_with_the_reason() {
    let refusals = [
        ("", "it is empty"),
        (":80", "no host"),
        ("::1:80", "expected brackets around an IPv6 address: [::1]:80"),
        ("2001:db8::1", "expected brackets around an IPv6 address: [2001:db8::1]:port"),
        ("a:b:c", "too many colons"),
        ("80", "no port"),
        ("relative/path", "expected the absolute path of a UNIX socket"),
        ("unix:/run/x", "expected the absolute path of a UNIX socket and nothing before it"),
        ("ws:/h/x", "no two slashes behind the scheme of a URL"),
        ("ws:h:80", "no two slashes behind the scheme of a URL"),
        ("wss:/h", "no two slashes behind the scheme of a URL"),
        ("systemd:web", "systemd:NAME is for -s alone"),
        ("localhost:", "no port"),
        ("[127.0.0.1]", "no port"),
        ("[::1]", "no port"),
        ("[]:8025", "\"\" is no IP address"),
        ("[localhost]:80", "\"localhost\" is no IP address"),
        ("[127.1]:80", "is no IP address"),
        ("[::1%lo]:80", "is no IP address"),
        ("[1.2.3.4:80", "expected one IP address in brackets"),
        ("[1.2.3.4]80", "expected one IP address in brackets"),
        ("[1.2.3.4]x:80", "expected one IP address in brackets"),
        ("[1.2.3.4]:", "bad port \"\"; expected a number from 1"),
        ("[1.2.3.4]:0", "bad port \"0\"; expected a number from 1 to 65535 (any free one is IP:0"),
        ("[1.2.3.4]:65536", "bad port \"65536\""),
        ("[1.2.3.4]:-1", "bad port \"-1\""),
        ("[1.2.3.4]:+1", "bad port \"+1\""),
        ("[1.2.3.4]:ssh", "bad port \"ssh\""),
        ("localhost:65616", "bad port \"65616\"; expected a number from 0 to 65535 (0 is any"),
    ];
    for (text, reason) in refusals {
        let error = Address::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("bad address {text:?}: ")), "{error}");
        assert!(error.contains(reason), "{text}: {error}");
        assert!(error.contains("expected"), "{text}: {error}");
        assert!(!error.contains('\n'));
    }
}

#[test]
fn nobody_connects_to_port_0() {
    for text in ["127.0.0.1:0", "h:00", "[127.0.0.1]:0", "[::1]:0", "ws://h:0/x", "wss://[::1]:0"] {
        let error = Address::parse_target(text).unwrap_err().to_string();
        let begin = format!("bad address {text:?}: bad port \"0");
        assert!(error.starts_with(&begin), "{error}");
        assert!(error.contains("; expected a number from 1 to 65535"), "{error}");
    }
    for text in ["h:1", "[::1]:65535", "h:ssh", "/run/x", "ws://h", "ws+unix:///run/x"] {
        assert_eq!(Address::parse_target(text), Address::parse(text), "{text}");
    }
    let error = Address::parse_target("h:70000").unwrap_err().to_string();
    assert!(error.ends_with("expected a number from 1 to 65535, or a service's name"), "{error}");
    let error = Address::parse_bind("h:70000").unwrap_err().to_string();
    assert!(error.ends_with("from 0 to 65535, a service's name, or no port"), "{error}");
    assert!(
        Address::parse_target("ws://joe:hush@h:0")
            .is_err_and(|it| !format!("{it:?}").contains("hush"))
    );
}

#[test]
fn a_password_in_the_wrong_place_is_refused_unseen() {
    for text in
        ["joe:hush@ws://h", "joe:hush@h:80", "joe:hush@h", "u@ws://joe:hush@h", "hush@[::1]:1"]
    {
        for error in [Address::parse(text).unwrap_err(), Address::parse_bind(text).unwrap_err()] {
            let (error, host) = (error.to_string(), text.rsplit('@').next().unwrap());
            assert!(error.starts_with(&format!("bad address \"...@{host}\": ")), "{error}");
            assert!(error.contains("expected") && !error.contains("hush"), "{error}");
        }
    }
    assert!(Address::parse("/run/a@b").is_ok());
}

#[test]
fn a_path_may_be_as_long_as_the_system_allows() {
    let longest = format!("/{}", "x".repeat(UNIX_PATH_LIMIT - 2));
    let address = Address::parse(&longest).unwrap();
    address.resolve().unwrap()[0].to_sockaddr().unwrap();

    let error = Address::parse(&format!("{longest}x")).unwrap_err().to_string();
    assert!(error.contains("108 bytes long; expected at most 107"), "{error}");
    assert!(Address::parse_bind(&format!("{longest}x")).is_err());
}

#[test]
fn an_address_to_bind_needs_no_port() {
    let forms = [
        ("localhost", name("localhost", "0")),
        ("127.0.0.1", Form::Ip("127.0.0.1:0".parse().unwrap())),
        ("127.0.0.1:80", Form::Ip("127.0.0.1:80".parse().unwrap())),
        ("[127.0.0.1]", Form::Ip("127.0.0.1:0".parse().unwrap())),
        ("[::1]", Form::Ip("[::1]:0".parse().unwrap())),
        ("[::1]:0", Form::Ip("[::1]:0".parse().unwrap())),
        ("[::1]:7", Form::Ip("[::1]:7".parse().unwrap())),
        ("/run/x", Form::Unix("/run/x".into())),
    ];
    for (text, form) in forms {
        let address = Address::parse_bind(text).unwrap();
        assert_eq!(address.form(), &form, "{text}");
        assert_eq!(address.to_string(), text);
    }
    for text in ["", ":80", "localhost:", "[127.0.0.1]:", "[x]", "[1.2.3.4"] {
        assert!(Address::parse_bind(text).is_err(), "{text}");
    }
}

fn resolved(text: &str) -> Vec<String> {
    let endpoints = Address::parse(text).unwrap().resolve().unwrap();
    endpoints.iter().map(ToString::to_string).collect()
}

#[test]
fn literals_resolve_to_themselves() {
    assert_eq!(resolved("/run/x"), ["/run/x"]);
    assert_eq!(resolved("[127.0.0.1]:80"), ["127.0.0.1:80"]);
    assert_eq!(resolved("[::1]:80"), ["[::1]:80"]);
    assert_eq!(resolved("127.0.0.1:80"), ["127.0.0.1:80"]);
    assert_eq!(resolved("2001:db8::1:80"), ["[2001:db8::1]:80"]);
}

#[test]
fn a_name_resolves_without_duplicates() {
    let mut endpoints = resolved("localhost:80");
    assert!(!endpoints.is_empty());
    assert!(endpoints.iter().all(|it| it.ends_with(":80")), "{endpoints:?}");
    let all = endpoints.len();
    endpoints.sort();
    endpoints.dedup();
    assert_eq!(endpoints.len(), all);
}

#[test]
fn an_unknown_service_is_said_to_be_one() {
    let error = Address::parse("127.0.0.1:nosuchservice").unwrap().resolve().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot look up \"127.0.0.1:nosuchservice\": unknown serv"), "{text}");
}

#[test]
fn an_unknown_name_gets_the_resolvers_words_alone() {
    // Over 253 characters no name can exist, so that no name server is asked.
    let long = format!("{}.invalid:80", "x.".repeat(150));
    let text = Address::parse(&long).unwrap().resolve().unwrap_err().to_string();
    assert!(text.starts_with("cannot look up "), "{text}");
    assert!(!text.contains("address information"), "{text}");
    assert!(!text.ends_with(": "), "{text}");
}

#[test]
fn endpoints_name_themselves_and_their_domain() {
    let v4 = Endpoint::Tcp("127.0.0.1:80".parse().unwrap());
    let v6 = Endpoint::Tcp("[::1]:80".parse().unwrap());
    assert_eq!((v4.to_string(), v4.domain()), ("127.0.0.1:80".into(), Domain::IPV4));
    assert_eq!((v6.to_string(), v6.domain()), ("[::1]:80".into(), Domain::IPV6));
    let path = Endpoint::Unix("/run/x".into());
    assert_eq!((path.to_string(), path.domain()), ("/run/x".into(), Domain::UNIX));
    assert_eq!(Endpoint::Unix(PathBuf::new()).to_string(), "(unix)");
    assert!(v4.to_sockaddr().unwrap().is_ipv4() && v6.to_sockaddr().unwrap().is_ipv6());
    assert_eq!(path.to_sockaddr().unwrap().as_pathname(), Some(std::path::Path::new("/run/x")));
}
