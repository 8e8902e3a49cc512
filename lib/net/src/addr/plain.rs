//! Addresses that are no URLs: `/path`, `host:port` and `[IP]:port`.
//!
//! Owns their grammar, which is C's but for mistakes that C takes. Refuses to look anything up.
//! Part of `addr.rs`; what is meant by a mistake is in `misread.rs`, the next file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::error::{Problem, UNIX_PATH_LIMIT, Use};
use super::{Form, misread};

/// What the text is, or what is wrong with it.
pub(super) fn parse_form(text: &str, purpose: Use) -> Result<Form, Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if text.starts_with('/') {
        if text.len() >= UNIX_PATH_LIMIT {
            return Err(Problem::PathTooLong(text.len()));
        }
        return Ok(Form::Unix(PathBuf::from(text)));
    }
    if text.starts_with(':') {
        return Err(misread::in_brackets(text).map_or(Problem::NoHost, Problem::NoBrackets));
    }

    if text.starts_with('[') {
        return parse_bracketed(text, purpose).map(Form::Ip);
    }
    if let Some(problem) = misread::misread(text) {
        return Err(problem);
    }
    let (host, service) = match (text.rsplit_once(':'), purpose) {
        (Some(parts), _) => parts,
        (None, Use::Bind) => (text, "0"),
        (None, Use::Listen | Use::Connect) => return Err(Problem::NoPort),
    };
    // getaddrinfo would read an empty port as 0, and 65536 + n as n: both surely are mistakes.
    if service.is_empty() {
        return Err(Problem::NoPort);
    }
    if service.bytes().all(|byte| byte.is_ascii_digit()) {
        match (service.parse::<u16>(), host.parse::<IpAddr>(), purpose) {
            (Err(_), ..) | (Ok(0), _, Use::Connect) => {
                return Err(Problem::BadPort(service.to_owned(), purpose.ports()));
            }
            // getaddrinfo has nothing to look up here, and always gives this one answer.
            (Ok(port), Ok(ip), _) => return Ok(Form::Ip(SocketAddr::new(ip, port))),
            (Ok(_), Err(_), _) => {}
        }
    }
    Ok(Form::Name { host: host.to_owned(), service: service.to_owned() })
}

/// `[IP]:port`, or `[IP]` if the port is optional.
fn parse_bracketed(text: &str, purpose: Use) -> Result<SocketAddr, Problem> {
    let (ip, rest) = text[1..].split_once(']').ok_or(Problem::BadBrackets)?;
    // The family follows from the colon, as in C; the standard parsers accept what inet_pton does.
    let ip = if ip.contains(':') {
        ip.parse::<Ipv6Addr>().map(IpAddr::V6)
    } else {
        ip.parse::<Ipv4Addr>().map(IpAddr::V4)
    }
    .map_err(|_| Problem::BadIp(ip.to_owned()))?;

    if rest.is_empty() {
        return match purpose {
            Use::Bind => Ok(SocketAddr::new(ip, 0)),
            Use::Listen | Use::Connect => Err(Problem::NoPort),
        };
    }
    let digits = rest.strip_prefix(':').ok_or(Problem::BadBrackets)?;
    let bad = || Problem::BadPort(digits.to_owned(), purpose.ports_in_brackets());
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let number: u16 = digits.parse().map_err(|_| bad())?;
    if number == 0 && purpose != Use::Bind {
        return Err(bad());
    }
    Ok(SocketAddr::new(ip, number))
}
