//! What text that is no address was probably meant to be.
//!
//! Owns the mistakes that look like `host:port` and never are, so that nobody is told of a host
//! that cannot be looked up. Refuses what some system may take for a name. Part of `addr.rs`; how
//! each reads is in `error.rs`, the next file.

use std::net::Ipv6Addr;

use super::error::Problem;
use crate::listener::inherited::PREFIX;

/// What is wrong with what is neither path nor URL nor in brackets, and has no '@'.
pub(super) fn misread(text: &str) -> Option<Problem> {
    let (host, service) = text.rsplit_once(':').unwrap_or((text, ""));
    if let Some((scheme, rest)) = text.split_once(':')
        && ["ws", "wss", "ws+unix", "http", "https"].contains(&scheme)
        && rest.contains(['/', ':'])
    {
        return Some(Problem::Slashes);
    }
    if text.starts_with(PREFIX) && service.contains(|c: char| !c.is_ascii_digit()) {
        return Some(Problem::Inherited);
    }
    if text.contains('/') {
        return Some(Problem::RelativePath);
    }
    if host.contains(':') && !is_ipv6(host) {
        return Some(in_brackets(text).map_or(Problem::Colons, Problem::NoBrackets));
    }
    None
}

/// What is right in place of an IPv6 address without brackets, if this is one; its port ends at the
/// last colon.
#[must_use]
pub fn in_brackets(text: &str) -> Option<String> {
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match text.rsplit_once(':') {
        Some((ip, port)) if is_ipv6(ip) && digits(port) => Some(format!("[{ip}]:{port}")),
        Some((ip, _)) if is_ipv6(ip) => Some(format!("[{ip}]:port")),
        _ if is_ipv6(text) => Some(format!("[{text}]:port")),
        _ => None,
    }
}

/// Whether it is an IPv6 address, perhaps with the interface that it belongs to.
fn is_ipv6(text: &str) -> bool {
    let (ip, _scope) = text.split_once('%').unwrap_or((text, ""));
    ip.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_put_where_they_belong() {
        let cases = [
            ("::1:80", Some("[::1]:80")),
            (":::80", Some("[::]:80")),
            ("::1", Some("[::1]:port")),
            ("::1:ssh", Some("[::1]:port")),
            ("2001:db8::1", Some("[2001:db8::1]:port")),
            ("2001:db8::1:80", Some("[2001:db8::1]:80")),
            (":80", None),
            ("h:80", None),
            ("a:b:c", None),
        ];
        for (text, right) in cases {
            assert_eq!(in_brackets(text).as_deref(), right, "{text}");
        }
    }

    #[test]
    fn what_may_be_a_name_is_none_of_this() {
        for text in ["ws:80", "ws:http", "systemd:80", "h:ssh", "fe80::1%eth0:80", "2001:db8::1:80"]
        {
            assert_eq!(misread(text), None, "{text}");
        }
    }
}
