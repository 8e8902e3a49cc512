//! SOCKS5 (RFC 1928), with a user and a password (RFC 1929) or without.
//!
//! Owns its four messages, each of a length that its first bytes tell, so that no byte of the
//! destination's is taken. Part of `../proxy.rs`; next: `select.rs`.

use std::net::IpAddr;

use zeroize::Zeroizing;

use super::Refusal;
use super::destination::Destination;
use crate::addr::Credentials;

const VERSION: u8 = 5;
/// RFC 1929 counts by itself.
const PASSWORD_VERSION: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Bytes of the longest user and of the longest password.
const MAX_CREDENTIAL: usize = 255;

/// Whether SOCKS5 can carry them.
///
/// # Errors
///
/// What was expected.
pub(super) fn check(credentials: &Credentials) -> Result<(), String> {
    let fits = |text: &str| text.len() <= MAX_CREDENTIAL;
    if fits(credentials.user()) && fits(credentials.password()) {
        return Ok(());
    }
    Err(format!("expected a user and a password of at most {MAX_CREDENTIAL} bytes for SOCKS5"))
}

#[derive(Debug)]
pub(super) struct Socks {
    destination: Destination,
    credentials: Option<Credentials>,
    awaited: Awaited,
    /// What has come of it.
    message: Vec<u8>,
}

/// The message that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// Which of our methods it takes.
    Method,
    /// Whether it takes the password.
    Verdict,
    /// What has become of the connection.
    Reply,
    /// None any more.
    Nothing,
}

impl Socks {
    /// The machine, and its greeting.
    pub(super) fn new(
        destination: Destination,
        credentials: Option<Credentials>,
    ) -> (Self, Zeroizing<Vec<u8>>) {
        let greeting = match &credentials {
            None => vec![VERSION, 1, NO_AUTHENTICATION],
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, PASSWORD],
        };
        let awaited = Awaited::Method;
        let message = Vec::new();
        (Self { destination, credentials, awaited, message }, Zeroizing::new(greeting))
    }

    pub(super) fn has_asked(&self) -> bool {
        self.awaited == Awaited::Reply
    }

    pub(super) fn is_done(&self) -> bool {
        self.awaited == Awaited::Nothing
    }

    pub(super) fn handle_input(
        &mut self,
        input: &[u8],
        pending: &mut Vec<u8>,
    ) -> Result<usize, Refusal> {
        let mut taken = 0;
        while !self.is_done() {
            let missing = self.length()? - self.message.len();
            let piece = missing.min(input.len() - taken);
            self.message.extend_from_slice(&input[taken..taken + piece]);
            taken += piece;
            if piece < missing {
                break;
            }
            // It may turn out to be longer, now that more of it is there.
            if self.message.len() == self.length()? {
                self.awaited = self.act(pending)?;
                self.message.clear();
            }
        }
        Ok(taken)
    }

    /// Bytes of the message that comes, as far as it is known: all of it, or enough to know more.
    fn length(&self) -> Result<usize, Refusal> {
        // Errors often come without the address that should follow; nobody needs it then.
        let refuses = matches!(self.message.get(..2), Some(start) if start != [VERSION, 0]);
        if self.awaited != Awaited::Reply || self.message.len() < 2 || refuses {
            return Ok(2);
        }
        // Up to the byte that tells how long the address is, and then up to its end.
        match (self.message.get(3), self.message.get(4)) {
            (None, _) => Ok(4),
            (Some(&IPV4), _) => Ok(4 + 4 + 2),
            (Some(&IPV6), _) => Ok(4 + 16 + 2),
            (Some(&NAME), None) => Ok(5),
            (Some(&NAME), Some(&length)) => Ok(5 + usize::from(length) + 2),
            (Some(other), _) => Err(nonsense(&format!("an address of type {other}"))),
        }
    }

    /// Acts on a complete message; what comes after it.
    fn act(&mut self, pending: &mut Vec<u8>) -> Result<Awaited, Refusal> {
        let (version, code) = (self.message[0], self.message[1]);
        match self.awaited {
            Awaited::Method if version != VERSION => {
                let hint = if version == b'H' { ", perhaps HTTP" } else { "" };
                Err(nonsense(&format!("version {version}{hint}")))
            }
            Awaited::Method => self.begin(code, pending),
            Awaited::Verdict if version != PASSWORD_VERSION => {
                Err(nonsense(&format!("version {version} of the password's check")))
            }
            Awaited::Verdict if code != 0 => {
                Err(Refusal("the proxy does not take this user and password".to_owned()))
            }
            Awaited::Verdict => Ok(self.request(pending)),
            Awaited::Reply if version != VERSION => Err(nonsense(&format!("version {version}"))),
            Awaited::Reply if code != 0 => {
                Err(Refusal(format!("the proxy refuses: {} (SOCKS5 reply {code})", describe(code))))
            }
            Awaited::Reply | Awaited::Nothing => Ok(Awaited::Nothing),
        }
    }

    /// Goes on by the method that the proxy has chosen.
    fn begin(&mut self, method: u8, pending: &mut Vec<u8>) -> Result<Awaited, Refusal> {
        match (method, &self.credentials) {
            (NO_AUTHENTICATION, _) => Ok(self.request(pending)),
            (PASSWORD, Some(credentials)) => {
                pending.reserve_exact(3 + 2 * MAX_CREDENTIAL);
                pending.push(PASSWORD_VERSION);
                for text in [credentials.user(), credentials.password()] {
                    push_counted(pending, text);
                }
                Ok(Awaited::Verdict)
            }
            (_, None) => {
                Err(Refusal("the proxy asks for a user and a password, or another proof".into()))
            }
            (_, Some(_)) => Err(Refusal("the proxy takes no user and password".to_owned())),
        }
    }

    fn request(&self, pending: &mut Vec<u8>) -> Awaited {
        pending.extend_from_slice(&[VERSION, CONNECT, 0]);
        match &self.destination {
            Destination::Name { host, .. } => {
                pending.push(NAME);
                push_counted(pending, host);
            }
            Destination::Ip(ip) => match ip.ip() {
                IpAddr::V4(ip) => {
                    pending.push(IPV4);
                    pending.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    pending.push(IPV6);
                    pending.extend_from_slice(&ip.octets());
                }
            },
        }
        pending.extend_from_slice(&self.destination.port().to_be_bytes());
        Awaited::Reply
    }
}

/// The text after its length in one byte.
fn push_counted(pending: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).expect("checked when it was read");
    pending.push(length);
    pending.extend_from_slice(text.as_bytes());
}

fn nonsense(what: &str) -> Refusal {
    Refusal(format!("this is no SOCKS5 proxy: it sent {what}"))
}

/// RFC 1928, section 6.
fn describe(reply: u8) -> &'static str {
    match reply {
        1 => "it has failed",
        2 => "its rules do not allow this",
        3 => "the network cannot be reached",
        4 => "the host cannot be reached",
        5 => "the connection was refused",
        6 => "time to live has run out",
        7 => "it does not know the command",
        8 => "it does not know this type of address",
        _ => "it does not say why",
    }
}
