//! What text that is no address was probably meant to be.
//!
//! Owns the mistakes that look like `host:port` and never are, so that nobody is told of a host
//! that cannot be looked up. Refuses what some system may take for a name. Part of `addr.rs`; how
//! each reads is in `error.rs`, the next file.

use std::net::Ipv6Addr;

use super::INHERITED_PREFIX;
use super::error::Problem;

/// What is wrong with what is neither path nor URL nor in brackets, and has no '@'.
pub(super) fn misread(text: &str) -> Option<Problem> {
    let (host, service) = text.rsplit_once(':').unwrap_or((text, ""));
    if let Some((scheme, rest)) = text.split_once(':')
        && ["ws", "wss", "ws+unix", "http", "https"].contains(&scheme)
        && rest.contains(['/', ':'])
    {
        return Some(Problem::Slashes);
    }
    if text.starts_with(INHERITED_PREFIX) && service.contains(|c: char| !c.is_ascii_digit()) {
        return Some(Problem::Inherited);
    }
    if text.contains('/') {
        return Some(Problem::RelativePath);
    }
    if host.contains(':') && !is_ipv6(host) {
        return Some(match in_brackets(text) {
            Some(right) => Problem::NoBrackets(right),
            None if is_ipv6(text) => Problem::NoPort,
            None => Problem::Colons,
        });
    }
    None
}

/// What is right in place of an IPv6 address without brackets, if this is one; its port is behind
/// the last colon. With an interface (`%eth0`) it is not written in brackets.
#[must_use]
pub fn in_brackets(text: &str) -> Option<String> {
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let bare = |ip: &str| ip.parse::<Ipv6Addr>().is_ok();
    match text.rsplit_once(':') {
        Some((ip, port)) if bare(ip) && digits(port) => Some(format!("[{ip}]:{port}")),
        Some((ip, _)) if bare(ip) => Some(format!("[{ip}]:port")),
        _ if bare(text) => Some(format!("[{text}]:port")),
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
            ("fe80::1%eth0:80", None),
            ("fe80::1%\n", None),
        ];
        for (text, right) in cases {
            assert_eq!(in_brackets(text).as_deref(), right, "{text}");
        }
    }

    #[test]
    fn an_interface_needs_a_port_behind_it() {
        assert_eq!(misread("fe80::1%eth0"), Some(Problem::NoPort));
        assert_eq!(misread("fe80::1%eth0:80"), None);
    }

    #[test]
    fn what_may_be_a_name_is_none_of_this() {
        for text in ["ws:80", "ws:http", "systemd:80", "h:ssh", "fe80::1%eth0:80", "2001:db8::1:80"]
        {
            assert_eq!(misread(text), None, "{text}");
        }
    }
}
