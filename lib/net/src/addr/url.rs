//! What the URLs of WebSockets and of proxies have in common.
//!
//! Owns schemes, authorities (`user:password@host:port`) and how a URL is shown without its
//! credentials. Refuses to know what a scheme means: `web.rs`, the next file, and `../proxy.rs` do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::credentials::Credentials;
use super::{Address, Form};

/// Bytes of the longest name that DNS has.
const MAX_NAME: usize = 253;

/// Splits `scheme://rest`; the scheme in lower case.
pub(crate) fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let sound = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (sound && scheme.bytes().all(inner)).then(|| (scheme.to_ascii_lowercase(), rest))
}

/// The text as an error may show it: without whatever may be a password, even if the rest is wrong.
/// Of what stands before the last @ that leaves the scheme.
pub(crate) fn shown(text: &str) -> String {
    let Some(at) = text.rfind('@') else { return text.to_owned() };
    match split_scheme(&text[..at]) {
        Some((scheme, _)) => format!("{scheme}://...{}", &text[at..]),
        None => format!("...{}", &text[at..]),
    }
}

/// The part of a URL between `//` and the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) credentials: Option<Credentials>,
    host: Host,
    /// The host as it was written, brackets and all.
    written: String,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name,
    Ip(IpAddr),
}

/// Splits what follows `//` into credentials, host and port, and path and query.
pub(crate) fn split_authority(rest: &str) -> (Option<&str>, &str, &str) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // At the last @: who forgets to escape one in a password means this.
    match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host, path),
        None => (None, authority, path),
    }
}

impl Authority {
    /// Reads credentials, and `host`, `host:port`, `[IP]` or `[IP]:port`; `path` is what follows.
    ///
    /// # Errors
    ///
    /// What was expected. What was found is said only where it cannot be the half of a password.
    pub(crate) fn parse(userinfo: Option<&str>, host: &str, path: &str) -> Result<Self, String> {
        let credentials = userinfo.map(Credentials::parse).transpose()?;
        let (written, port) = match host.rsplit_once(':') {
            // A colon within brackets is none before a port.
            Some((host, port)) if !port.contains(']') => {
                let port = parse_port(port).ok_or_else(|| bad_port(port, path))?;
                (host, Some(port))
            }
            _ => (host, None),
        };
        let host = parse_host(written)?;
        Ok(Self { credentials, host, written: written.to_owned(), port })
    }

    /// The port, or the one of the scheme.
    pub(crate) fn port(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }

    /// The address that it stands for, shown as `host:port`.
    pub(crate) fn address(&self, default_port: u16) -> Address {
        let port = self.port(default_port);
        let form = match self.host {
            Host::Ip(ip) => Form::Ip(SocketAddr::new(ip, port)),
            Host::Name => Form::Name { host: self.written.clone(), service: port.to_string() },
        };
        Address { written: format!("{}:{port}", self.written), form }
    }

    /// The host without brackets, as certificates name it.
    pub(crate) fn server_name(&self) -> String {
        match self.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name => self.written.trim_end_matches('.').to_owned(),
        }
    }

    /// Host and port as a `Host` header names them.
    pub(crate) fn host_header(&self, default_port: u16) -> String {
        let host = match self.host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            Host::Ip(IpAddr::V4(ip)) => ip.to_string(),
            Host::Name => self.written.clone(),
        };
        match self.port(default_port) {
            port if port == default_port => host,
            port => format!("{host}:{port}"),
        }
    }
}

/// Port 0 is any free one, for who listens.
fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// What is wrong with a port. An '@' behind it tells that it is no port, but in a password.
fn bad_port(text: &str, path: &str) -> String {
    if path.contains('@') {
        return "bad port; expected a number from 1 to 65535 (%2F is a / in a password)".to_owned();
    }
    format!("bad port {text:?}; expected a number from 1 to 65535")
}

fn parse_host(text: &str) -> Result<Host, &'static str> {
    if let Some(ip) = text.strip_prefix('[') {
        let ip = ip.strip_suffix(']').and_then(|ip| {
            let v6 = ip.parse::<Ipv6Addr>().map(IpAddr::V6);
            v6.or_else(|_| ip.parse::<Ipv4Addr>().map(IpAddr::V4)).ok()
        });
        return ip.map(Host::Ip).ok_or("bad host; expected one IP address in the brackets");
    }
    if text.is_empty() {
        return Err("no host; expected a name or an IP address after the //");
    }
    if text.contains(':') {
        return Err("bad host; expected brackets around an IPv6 address");
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !text.bytes().all(sound) || text.trim_end_matches('.').is_empty() {
        return Err(
            "bad host; expected letters, digits, '-' and '.' (other alphabets in their form \
                    with xn--)",
        );
    }
    if text.len() > MAX_NAME {
        return Err("bad host; expected at most 253 bytes");
    }
    Ok(Host::Name)
}
