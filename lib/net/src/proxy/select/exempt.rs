//! `no_proxy`: the hosts that are reached directly.
//!
//! Owns the forms of its entries, as curl reads them: `*`; a domain, which covers all below it,
//! with or without a leading dot or `*.`; an IP address; a range such as 10.0.0.0/8; with a port,
//! of that port only. Names are not looked up, so a range covers what is written as an IP address.
//! What is none of that covers nothing.

use std::net::IpAddr;

use crate::addr::{Address, Form};

/// Whether `list`, separated by commas or blanks, has an entry for `target`.
pub(super) fn lists(list: &str, target: &Address) -> bool {
    let (host, port) = match target.form() {
        Form::Ip(ip) => (Host::Ip(ip.ip().to_canonical()), Some(ip.port())),
        Form::Name { host, service } => match host.parse::<IpAddr>() {
            Ok(ip) => (Host::Ip(ip.to_canonical()), service.parse().ok()),
            Err(_) => (Host::Name(without_dot(host)), service.parse().ok()),
        },
        Form::Unix(_) | Form::Web(_) => return false,
    };
    list.split(|char: char| char == ',' || char.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry == "*" || covers(entry, host, port))
}

#[derive(Clone, Copy)]
enum Host<'a> {
    Name(&'a str),
    Ip(IpAddr),
}

/// The final dot of a name says nothing here.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn covers(entry: &str, host: Host<'_>, port: Option<u16>) -> bool {
    let (entry, only) = split_port(entry);
    if only.is_some() && only != port {
        return false;
    }
    match host {
        Host::Ip(ip) => covers_ip(entry, ip),
        Host::Name(name) => {
            let domain = entry.strip_prefix('*').unwrap_or(entry);
            let domain = without_dot(domain.strip_prefix('.').unwrap_or(domain));
            let ends = name.len().checked_sub(domain.len()).and_then(|at| {
                let (before, end) = name.split_at_checked(at)?;
                Some((before.is_empty() || before.ends_with('.'), end))
            });
            !domain.is_empty()
                && ends.is_some_and(|(border, end)| border && end.eq_ignore_ascii_case(domain))
        }
    }
}

/// `host:port`, unless the colon belongs to an IPv6 address.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            port.parse().map_or((entry, None), |port| (host, Some(port)))
        }
        _ => (entry, None),
    }
}

fn covers_ip(entry: &str, ip: IpAddr) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, Some(bits)),
        None => (entry, None),
    };
    let network = network.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(network);
    let Ok(network) = network.parse::<IpAddr>() else { return false };
    let width = if network.is_ipv4() { 32 } else { 128 };
    let bits = match bits.map(str::parse::<u32>) {
        None => width,
        Some(Ok(bits)) if bits <= width => bits,
        Some(_) => return false,
    };
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            let differ = u32::from(network) ^ u32::from(ip);
            differ.leading_zeros() >= bits
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let differ = u128::from(network) ^ u128::from(ip);
            differ.leading_zeros() >= bits
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
