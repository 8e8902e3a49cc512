//! The CONNECT method of HTTP (RFC 9110, section 9.3.6).
//!
//! Owns the request, and where the response ends: what follows its head is the destination's,
//! whatever headers say about a length. Refuses other answers than 2xx, with their status line.
//! Part of `../proxy.rs`; next: `socks.rs`.

use spiped_ws::upgrade::{self, Head};
use zeroize::Zeroizing;

use super::Refusal;
use super::destination::Destination;
use crate::addr::Credentials;

/// Headers that a response may have.
const MAX_HEADERS: usize = 100;

#[derive(Debug)]
pub(super) struct Connect {
    head: Head,
    /// The request had a user and a password.
    authorized: bool,
    done: bool,
}

impl Connect {
    /// The machine, and the request.
    pub(super) fn new(
        destination: &Destination,
        credentials: Option<&Credentials>,
    ) -> (Self, Zeroizing<Vec<u8>>) {
        let mut request = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
        let line = Zeroizing::new(credentials.map_or_else(String::new, |credentials| {
            let basic = upgrade::basic(credentials.user(), credentials.password());
            format!("Proxy-Authorization: {}\r\n", *basic)
        }));
        // In one piece, since what grows leaves copies behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(request.len() + line.len() + 2));
        whole.append(&mut std::mem::take(&mut request).into_bytes());
        whole.extend_from_slice(line.as_bytes());
        whole.extend_from_slice(b"\r\n");
        let authorized = credentials.is_some();
        (Self { head: Head::default(), authorized, done: false }, whole)
    }

    pub(super) fn handle_input(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let mut taken = 0;
        // More than once for an interim response, which another one follows.
        while !self.done && taken < input.len() {
            let pushed = self.head.push(&input[taken..]);
            let (length, complete) = pushed.map_err(|_| {
                Refusal(format!("the proxy's answer has no end: {}", self.status_line()))
            })?;
            taken += length;
            if complete {
                self.done = !self.is_interim()?;
                self.head = Head::default();
            }
        }
        Ok(taken)
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the complete head announces another one.
    fn is_interim(&self) -> Result<bool, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(self.head.bytes());
        match (parsed, response.code) {
            (Ok(httparse::Status::Complete(_)), Some(200..300)) => Ok(false),
            (Ok(httparse::Status::Complete(_)), Some(100 | 102..200)) => Ok(true),
            (Ok(httparse::Status::Complete(_)), code) => Err(self.refusal(code)),
            (Ok(httparse::Status::Partial) | Err(_), _) => {
                Err(Refusal(format!("this is no HTTP proxy: {}", self.status_line())))
            }
        }
    }

    fn refusal(&self, code: Option<u16>) -> Refusal {
        let line = self.status_line();
        Refusal(match (code, self.authorized) {
            (Some(407), true) => {
                format!("the proxy does not take this user and password: {line}")
            }
            (Some(407), false) => format!("the proxy asks for a user and a password: {line}"),
            _ => format!("the proxy refuses: {line}"),
        })
    }

    fn status_line(&self) -> String {
        let line = self.head.bytes().split(|byte| *byte == b'\r').next();
        upgrade::printable(line.unwrap_or_default())
    }
}
