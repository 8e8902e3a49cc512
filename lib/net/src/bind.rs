//! From which local address connections to the target are made (`-b`).
//!
//! Owns binding a socket to the first address of the right family, and the trial at the start: who
//! runs a daemon should not have to wait for its first connection to hear that none can succeed.
//! Refuses to choose among addresses. Next: `connector.rs`.

use std::fmt;
use std::io;

use socket2::{Domain, Protocol, Socket, Type};

use crate::addr::Endpoint;
use crate::explain::unbindable;

/// Why connections cannot be made from the addresses of `-b`.
#[derive(Debug)]
pub enum BindError {
    /// None of them is of the family of any address of the target; one of each is named.
    Family(Endpoint, Endpoint),
    /// The system does not let us have this one, now.
    Refused(Endpoint, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(ours, target) => write!(
                f,
                "no connection from {ours}, {}, can be made to {target}, {}",
                family(ours),
                family(target)
            ),
            Self::Refused(ours, error) => {
                let (reason, _) = unbindable(ours, error);
                write!(f, "no connection can be made from {ours} now: {reason}")
            }
        }
    }
}

impl std::error::Error for BindError {}

fn family(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Tcp(address) if address.is_ipv4() => "an IPv4 address",
        Endpoint::Tcp(_) => "an IPv6 address",
        Endpoint::Unix(_) => "a UNIX socket",
    }
}

/// Tries whether connections to one of `targets` at least can be made from the addresses of `-b`.
///
/// # Errors
///
/// Why not. Nothing is said of an address of a UNIX socket: to try it is to make its file.
pub fn check(bind: &[Endpoint], targets: &[Endpoint]) -> Result<(), BindError> {
    let mut refused = None;
    for target in targets {
        let Some(ours) = bind.iter().find(|ours| family(ours) == family(target)) else { continue };
        match try_bind(ours) {
            Ok(()) => return Ok(()),
            Err(error) => refused = Some(BindError::Refused(ours.clone(), error)),
        }
    }
    match (refused, bind, targets) {
        (Some(refused), _, _) => Err(refused),
        (None, [ours, ..], [target, ..]) => Err(BindError::Family(ours.clone(), target.clone())),
        (None, _, _) => Ok(()),
    }
}

fn try_bind(ours: &Endpoint) -> io::Result<()> {
    let Endpoint::Tcp(address) = ours else { return Ok(()) };
    let domain = Domain::for_address(*address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&(*address).into())
}

/// Binds a socket that is to be connected. An address of another family than the target's is no
/// help, and the attempt is skipped.
pub(crate) fn bind_socket(socket: &Socket, domain: Domain, bind: &[Endpoint]) -> io::Result<()> {
    if bind.is_empty() {
        return Ok(());
    }
    let Some(ours) = bind.iter().find(|ours| ours.domain() == domain) else {
        let text = format!("-b {}, {}, is of another family", bind[0], family(&bind[0]));
        return Err(io::Error::other(text));
    };
    socket.set_reuse_address(true)?;
    socket.bind(&ours.to_sockaddr()?).map_err(|error| {
        let (reason, _) = unbindable(ours, &error);
        io::Error::new(error.kind(), format!("not from {ours} (-b): {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Endpoint {
        Endpoint::Tcp(text.parse().unwrap())
    }

    fn checked(bind: &[Endpoint], targets: &[Endpoint]) -> String {
        check(bind, targets).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_can_work_for_one_address_of_the_target_is_fine() {
        let v4 = tcp("127.0.0.1:0");
        assert_eq!(checked(&[], &[tcp("[::1]:1")]), "");
        assert_eq!(checked(std::slice::from_ref(&v4), &[tcp("[::1]:1"), tcp("127.0.0.1:1")]), "");
        assert_eq!(checked(&[v4], &[]), "");
        let unix = [Endpoint::Unix("/nowhere/at/all".into())];
        assert_eq!(checked(&unix, &unix), "");
    }

    #[test]
    fn the_wrong_family_is_named() {
        assert_eq!(
            checked(&[tcp("127.0.0.1:0")], &[tcp("[::1]:22")]),
            "no connection from 127.0.0.1:0, an IPv4 address, can be made to [::1]:22, an IPv6 \
             address"
        );
        let unix = [Endpoint::Unix("/run/x".into())];
        assert!(checked(&[tcp("[::1]:0")], &unix).ends_with("/run/x, a UNIX socket"));
    }

    #[test]
    fn an_address_of_others_is_named() {
        // For documentation (RFC 5737): nobody has it.
        let said = checked(&[tcp("192.0.2.1:0")], &[tcp("127.0.0.1:1")]);
        assert!(said.starts_with("no connection can be made from 192.0.2.1:0 now: "), "{said}");
    }
}
