//! Addresses: any text is read without a panic, shown as it was written, and means the same when it
//! is written by us.
//!
//! Owns the promises of `lib/net/src/addr.rs`; nothing is looked up. Next: `command_line.rs`.
// smoke: 20000 runs
#![no_main]

use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use spiped_net::addr::{Address, AddressError, Endpoint, Form};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let connect = check(text, Address::parse(text));
    let bind = check(text, Address::parse_bind(text));
    // Whatever can be connected to can be bound to, and is then the same.
    if let Some(connect) = connect {
        assert_eq!(Some(connect), bind);
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
    }
    Some(address)
}
