//! Addresses: any text is read without a panic, shown as it was written, and means the same when it
//! is written by us.
//!
//! Owns the promises of `lib/net/src/addr.rs`; nothing is looked up. Next: `proxies.rs`.
// smoke: 20000 runs
#![no_main]

use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use spiped_net::addr::{Address, AddressError, Endpoint, Form, WebUrl};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let connect = check(text, Address::parse(text));
    let bind = check(text, Address::parse_bind(text));
    // Whatever can be connected to can be bound to, and is then the same; but for URLs.
    if let Some(connect) = connect {
        let is_url = connect.web().is_some();
        assert_eq!((!is_url).then_some(connect), bind);
    }
});

fn check(text: &str, parsed: Result<Address, AddressError>) -> Option<Address> {
    let address = match parsed {
        Ok(address) => address,
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains("expected"), "{said}");
            assert!(!said.contains(char::is_control), "more than a line: {said:?}");
            return None;
        }
    };
    if let Some(url) = address.web() {
        check_url(text, &address, url);
        return Some(address);
    }
    assert_eq!(address.to_string(), text, "shown as it was written");
    assert_eq!(address.is_name(), matches!(address.form(), Form::Name { .. }));
    match address.form() {
        Form::Unix(path) => {
            assert_eq!(path.as_os_str().as_bytes(), text.as_bytes());
            let endpoint = Endpoint::Unix(path.clone());
            assert!(path.as_os_str().as_bytes().contains(&0) || endpoint.to_sockaddr().is_ok());
        }
        Form::Ip(ip) => {
            let ours = format!("[{}]:{}", ip.ip(), ip.port());
            let again = Address::parse_bind(&ours).expect("an address as we write it");
            assert_eq!(again.form(), address.form(), "{ours}");
            let back = Endpoint::Tcp(*ip).to_sockaddr().expect("an IP address").as_socket();
            assert_eq!(back, Some(*ip));
        }
        Form::Name { host, service } => {
            assert!(!host.is_empty() && !service.is_empty());
            assert!(!service.contains(':') && !host.starts_with(['/', ':', '[']));
            assert!([format!("{host}:{service}"), host.clone()].iter().any(|ours| ours == text));
        }
        Form::Web(_) => unreachable!("checked above"),
    }
    Some(address)
}

/// A URL means the same when it is read again as it is shown, which is without credentials.
fn check_url(text: &str, address: &Address, url: &WebUrl) {
    let shown = address.to_string();
    let again = Address::parse(&shown).expect("a URL as we show it");
    assert_eq!(again.to_string(), shown);
    let again = again.web().expect("a URL");
    assert_eq!((again.beneath(), again.target()), (url.beneath(), url.target()), "{shown}");
    assert_eq!((again.host(), again.credentials()), (url.host(), None), "{shown}");
    assert!(url.credentials().is_none() || text.contains('@'));
    // All that goes into a request is one word.
    let words = [url.host(), url.target().unwrap_or("/"), url.server_name()];
    assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_graphic())));
    assert!(url.target().is_none_or(|target| target.starts_with('/')));
}
