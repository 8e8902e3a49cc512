//! Which proxy each target gets from `--proxy` and from the environment.

use super::*;

/// The proxy for `target` in an environment of `NAME=value`.
fn chosen(option: Option<&str>, target: &str, environment: &[&str]) -> Result<String, String> {
    let choice = option.map_or(Choice::Environment, |text| Choice::parse(text).unwrap());
    let variable = |name: &str| {
        let mut pairs = environment.iter().map(|pair| pair.split_once('=').unwrap());
        pairs.find(|pair| pair.0 == name).map(|pair| OsString::from(pair.1))
    };
    let target = Address::parse(target).unwrap();
    let found = select(&choice, &target, variable)?;
    Ok(found.map_or_else(|| "none".to_owned(), |found| found.to_string()))
}

fn environment(target: &str, environment: &[&str]) -> String {
    chosen(None, target, environment).unwrap()
}

#[test]
fn each_scheme_has_its_variables_in_their_order() {
    let all = &[
        "http_proxy=plain:1",
        "HTTP_PROXY=never:2",
        "HTTPS_PROXY=upper:3",
        "https_proxy=http://lower:4",
        "ALL_PROXY=socks5://all:5",
        "all_proxy=socks5h://all:6",
    ];
    assert_eq!(environment("ws://h/", all), "http://plain:1 (http_proxy)");
    assert_eq!(environment("wss://h/", all), "http://lower:4 (https_proxy)");
    assert_eq!(environment("wss://h/", &all[..3]), "http://upper:3 (HTTPS_PROXY)");
    assert_eq!(environment("ws://h/", &all[1..]), "socks5h://all:6 (all_proxy)");
    assert_eq!(environment("ws://h/", &all[1..5]), "socks5://all:5 (ALL_PROXY)");
    assert_eq!(environment("ws://h/", &all[1..4]), "none");
    assert_eq!(environment("wss://h/", &all[..2]), "none");
    assert_eq!(
        environment("wss://h/", &["https_proxy=", "all_proxy=p"]),
        "http://p:80 (all_proxy)"
    );
}

#[test]
fn the_environment_is_for_websockets_over_tcp_alone() {
    let all = &["http_proxy=p:1", "https_proxy=p:1", "all_proxy=p:1"];
    for target in ["h:80", "[127.0.0.1]:80", "/run/x", "ws+unix:///run/x:/p"] {
        assert_eq!(environment(target, all), "none", "{target}");
    }
}

#[test]
fn the_option_beats_the_environment_and_serves_tcp_too() {
    let all = &["http_proxy=p:1", "https_proxy=p:1", "all_proxy=p:1", "no_proxy=*"];
    for target in ["h:80", "[127.0.0.1]:80", "ws://h/", "wss://h/"] {
        let option = Some("socks5h://joe:hush@q");
        assert_eq!(chosen(option, target, all).unwrap(), "socks5h://q:1080 (--proxy)");
        assert_eq!(chosen(Some("none"), target, &all[..3]).unwrap(), "none");
    }
    for target in ["/run/x", "ws+unix:///run/x:/p"] {
        let error = chosen(Some("http://p:1"), target, &[]).unwrap_err();
        assert_eq!(error, "--proxy: no proxy can reach the UNIX socket /run/x");
        assert_eq!(chosen(Some("none"), target, &[]).unwrap(), "none");
    }
}

#[test]
fn a_variable_that_names_no_proxy_is_an_error_without_its_password() {
    let error = chosen(None, "wss://h/", &["https_proxy=https://joe:hush@p"]).unwrap_err();
    assert_eq!(
        error,
        "https_proxy: bad proxy \"https://...@p\": unknown scheme https://; expected http://, \
         socks5:// or socks5h:// (--proxy none does without)"
    );
    // Nobody asks for it.
    assert_eq!(environment("wss://h/", &["https_proxy=https://p", "no_proxy=h"]), "none");
}

#[test]
fn no_proxy_exempts_what_its_entries_cover() {
    let covered = [
        ("*", "wss://h/"),
        ("example.com", "wss://example.com/"),
        ("example.com", "wss://a.b.Example.COM/"),
        (".example.com", "wss://example.com/"),
        (".example.com", "wss://a.example.com./"),
        ("*.example.com", "wss://a.example.com/"),
        ("x, example.com ,y", "wss://example.com/"),
        ("x example.com", "wss://example.com/"),
        ("example.com:8443", "wss://example.com:8443/"),
        ("127.0.0.1", "wss://127.0.0.1/"),
        ("127.0.0.0/8", "wss://127.9.9.9/"),
        ("0.0.0.0/0", "wss://127.9.9.9/"),
        ("10.1.2.3/31", "wss://10.1.2.2/"),
        ("10.0.0.1:443", "wss://10.0.0.1/"),
        ("10.0.0.1", "wss://[::ffff:10.0.0.1]/"),
        ("::1", "wss://[::1]/"),
        ("[::1]", "wss://[::1]/"),
        ("[::1]:443", "wss://[::1]/"),
        ("fd00::/8", "wss://[fdff::1]/"),
    ];
    let proxy = "https_proxy=http://p:1";
    for (list, target) in covered {
        for name in ["no_proxy", "NO_PROXY"] {
            let list = format!("{name}={list}");
            assert_eq!(environment(target, &[proxy, &list]), "none", "{list} {target}");
        }
    }
    let not_covered = [
        ("", "wss://h/"),
        (",", "wss://h/"),
        (".", "wss://h/"),
        ("*.", "wss://h/"),
        ("example.com", "wss://badexample.com/"),
        ("example.com", "wss://example.com.evil/"),
        ("a.example.com", "wss://example.com/"),
        ("example.com:8443", "wss://example.com/"),
        ("10.0.0.0/8", "wss://11.0.0.1/"),
        ("10.0.0.0/33", "wss://10.0.0.0/"),
        ("10.0.0.0/x", "wss://10.0.0.0/"),
        ("0.1", "wss://10.0.0.1/"),
        ("::/0", "wss://10.0.0.1/"),
        ("é", "wss://e/"),
    ];
    for (list, target) in not_covered {
        let list = format!("no_proxy={list}");
        let found = environment(target, &[proxy, &list]);
        assert_eq!(found, "http://p:1 (https_proxy)", "{list} {target}");
    }
    // Lower case first.
    let both = [proxy, "no_proxy=x", "NO_PROXY=*"];
    assert_eq!(environment("wss://h/", &both), "http://p:1 (https_proxy)");
}
