//! What the system's errors mean to whoever has named a file or an address.
//!
//! Owns the words for those that are mistakes of that person, with what to do; the others are left
//! in the system's. Refuses to name option, file or address: who calls does. Next: `addr.rs`.

use std::io::{self, ErrorKind};

use nix::libc;
use nix::unistd::geteuid;

use crate::addr::Endpoint;

/// Why a file that was to be read is not, where `expected` says what it should be.
#[must_use]
pub fn unreadable(error: &io::Error, expected: &str) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!("there is no such file, expected {expected}"),
        ErrorKind::PermissionDenied => format!(
            "permission denied for user number {}: start as its owner, or let that user read it \
             and pass its directories",
            geteuid()
        ),
        ErrorKind::IsADirectory => format!("is a directory, expected {expected}"),
        ErrorKind::NotADirectory => {
            format!("a part of its path is no directory, expected {expected}")
        }
        ErrorKind::InvalidData => format!("is not text, expected {expected}"),
        _ => format!("cannot be read: {error}"),
    }
}

/// Why an address cannot be connected to: what is wrong, and what helps, if we know.
pub(crate) fn unreachable(endpoint: &Endpoint, error: &io::Error) -> (String, &'static str) {
    // Words of our own, such as about the address to connect from.
    if error.raw_os_error().is_none() {
        return (error.to_string(), "");
    }
    match (endpoint, error.kind()) {
        (Endpoint::Tcp(_), ErrorKind::ConnectionRefused) => (
            "connection refused".to_owned(),
            "nothing listens there: is it running, and are host and port right?",
        ),
        (Endpoint::Tcp(_), ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
            (in_words(error), "is the network up, and is the address right?")
        }
        (Endpoint::Tcp(_), ErrorKind::TimedOut) => {
            ("no answer".to_owned(), "is the host up, and does no firewall drop this?")
        }
        (Endpoint::Tcp(_), ErrorKind::PermissionDenied) => {
            (in_words(error), "a firewall or another rule of this host forbids it")
        }
        (Endpoint::Unix(_), ErrorKind::NotFound) => (
            "there is no such socket".to_owned(),
            "is the program that makes it running, and is the path right?",
        ),
        (Endpoint::Unix(_), ErrorKind::ConnectionRefused) => (
            "connection refused".to_owned(),
            "nobody listens at this socket any more: is the program that made it running?",
        ),
        (Endpoint::Unix(_), ErrorKind::PermissionDenied) => (
            format!("user number {} may not use this socket", geteuid()),
            "whoever connects needs the right to write to it and to pass its directories (a \
             socket's mode is what the umask leaves to who makes it)",
        ),
        _ => (in_words(error), ""),
    }
}

/// The system's words for its error, without their number.
#[must_use]
pub fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => text.trim_end_matches(&format!(" (os error {number})")).to_owned(),
        None => text,
    }
}

/// Why a socket cannot be bound to an address: what is wrong with it, and what helps, if we know.
pub(crate) fn unbindable(endpoint: &Endpoint, error: &io::Error) -> (String, &'static str) {
    match (endpoint, error.kind(), error.raw_os_error()) {
        (Endpoint::Tcp(_), ErrorKind::AddrNotAvailable, _) => (
            "this host has no such address".to_owned(),
            "expected one that it has, or 0.0.0.0 or [::] for any",
        ),
        (Endpoint::Tcp(address), _, Some(libc::EAFNOSUPPORT)) => (
            format!("this host has no IPv{}", if address.is_ipv4() { 4 } else { 6 }),
            "expected an address of the other version",
        ),
        (Endpoint::Tcp(address), ErrorKind::PermissionDenied, _) if is_low(address.port()) => (
            format!("user number {} may not use port {}", geteuid(), address.port()),
            "start as root (a daemon can give that up later), give it CAP_NET_BIND_SERVICE, or \
             choose another port, such as one above 1023",
        ),
        (Endpoint::Tcp(_), ErrorKind::PermissionDenied, _) => {
            (in_words(error), "a rule of this host forbids it, such as SELinux's or a container's")
        }
        (Endpoint::Tcp(_), ErrorKind::AddrInUse, _) => {
            (in_words(error), "stop the other program or choose another port")
        }
        (Endpoint::Unix(_), ErrorKind::NotFound, _) => {
            ("its directory does not exist".to_owned(), "make it first, or choose another path")
        }
        (Endpoint::Unix(_), ErrorKind::NotADirectory, _) => {
            ("a part of its path is no directory".to_owned(), "choose another path")
        }
        (Endpoint::Unix(_), ErrorKind::PermissionDenied, _) => (
            format!("user number {} may not make a socket there", geteuid()),
            "start as the owner of its directory, or choose another path",
        ),
        _ => (in_words(error), ""),
    }
}

/// Whether a port is one that most systems keep for root; 0 stands for one that they choose.
fn is_low(port: u16) -> bool {
    (1..1024).contains(&port)
}

/// A reason, and what helps, in one.
pub(crate) fn with_advice((reason, advice): (String, &'static str)) -> String {
    if advice.is_empty() { reason } else { format!("{reason}; {advice}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_said_in_words_and_the_rest_in_the_systems() {
        let cases = [
            (libc::ENOENT, "there is no such file, expected one"),
            (libc::EISDIR, "is a directory, expected one"),
            (libc::ENOTDIR, "a part of its path is no directory, expected one"),
        ];
        for (number, said) in cases {
            assert_eq!(unreadable(&io::Error::from_raw_os_error(number), "one"), said);
        }
        let denied = unreadable(&io::Error::from_raw_os_error(libc::EACCES), "one");
        assert!(denied.starts_with("permission denied for user number "), "{denied}");
        let other = unreadable(&io::Error::from_raw_os_error(libc::EIO), "one");
        assert!(other.starts_with("cannot be read: "), "{other}");
    }

    #[test]
    fn addresses_that_cannot_be_bound_come_with_advice() {
        let (tcp, unix) =
            (Endpoint::Tcp("192.0.2.1:80".parse().unwrap()), Endpoint::Unix("/no/x".into()));
        let cases = [
            (&tcp, libc::EADDRNOTAVAIL, "this host has no such address; expected one that it has"),
            (&tcp, libc::EAFNOSUPPORT, "this host has no IPv4; expected"),
            (&tcp, libc::EACCES, " may not use port 80; start as root"),
            (&tcp, libc::EADDRINUSE, "; stop the other program or choose another port"),
            (&unix, libc::ENOENT, "its directory does not exist; make it first"),
            (&unix, libc::ENOTDIR, "a part of its path is no directory; choose another path"),
            (&unix, libc::EACCES, " may not make a socket there; start as the owner"),
        ];
        for (endpoint, number, said) in cases {
            let error = io::Error::from_raw_os_error(number);
            let text = with_advice(unbindable(endpoint, &error));
            assert!(text.contains(said), "{text}");
        }
        let other = io::Error::from_raw_os_error(libc::ENOMEM);
        assert_eq!(with_advice(unbindable(&tcp, &other)), "Cannot allocate memory");
        // The port is not to blame, nor is there an option to name.
        for port in [0, 1024, 8025] {
            let tcp = Endpoint::Tcp(([127, 0, 0, 1], port).into());
            let denied = io::Error::from_raw_os_error(libc::EACCES);
            let text = with_advice(unbindable(&tcp, &denied));
            assert!(text.starts_with("Permission denied; a rule of this host"), "{text}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_reached_come_with_advice() {
        let (tcp, unix) =
            (Endpoint::Tcp("192.0.2.1:80".parse().unwrap()), Endpoint::Unix("/no/x".into()));
        let cases = [
            (&tcp, libc::ECONNREFUSED, "connection refused; nothing listens there: is it running"),
            (&tcp, libc::EHOSTUNREACH, "; is the network up"),
            (&tcp, libc::ENETUNREACH, "; is the network up"),
            (&tcp, libc::ETIMEDOUT, "no answer; is the host up"),
            (&tcp, libc::EACCES, "Permission denied; a firewall"),
            (&unix, libc::ENOENT, "there is no such socket; is the program that makes it"),
            (&unix, libc::ECONNREFUSED, "connection refused; nobody listens at this socket any"),
            (&unix, libc::EACCES, " may not use this socket; whoever connects needs the right"),
        ];
        for (endpoint, number, said) in cases {
            let error = io::Error::from_raw_os_error(number);
            let text = with_advice(unreachable(endpoint, &error));
            assert!(text.contains(said) && !text.contains("os error"), "{text}");
        }
        let ours = io::Error::new(ErrorKind::PermissionDenied, "not from there (-b)");
        assert_eq!(with_advice(unreachable(&tcp, &ours)), "not from there (-b)");
    }
}
