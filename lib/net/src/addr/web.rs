//! URLs of WebSockets: `ws://`, `wss://` and `ws+unix://`.
//!
//! Owns their grammar, and what a URL says to the layers above the socket. Refuses to connect, and
//! to say which side may be a URL: the programs do. Part of `addr.rs`; what it shares with proxies
//! is in `url.rs`. Next: `../dns.rs`.

use std::path::PathBuf;

use super::credentials::Credentials;
use super::error::UNIX_PATH_LIMIT;
use super::url::{self, Authority};
use super::{Address, Form};

/// What a URL of a WebSocket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl {
    security: Security,
    beneath: Address,
    host: String,
    server_name: String,
    target: Option<String>,
    credentials: Option<Credentials>,
}

/// Whether there is TLS between the socket and the WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// `ws://` and `ws+unix://`.
    Plain,
    /// `wss://`.
    Tls,
}

impl Security {
    fn default_port(self) -> u16 {
        match self {
            Self::Plain => 80,
            Self::Tls => 443,
        }
    }
}

impl WebUrl {
    /// Whether there is TLS.
    #[must_use]
    pub fn security(&self) -> Security {
        self.security
    }

    /// The TCP or UNIX address that carries it all; shown as `host:port` or as the path.
    #[must_use]
    pub fn beneath(&self) -> &Address {
        &self.beneath
    }

    /// What a `Host` header says: the port only if it is not the scheme's.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name or IP address that a certificate has to be for.
    #[must_use]
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// Path and query as they were written, escapes and all. Without them a client asks for `/`,
    /// and a server takes whatever is asked for.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The user and password for Basic authorization.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Reads the `rest` of a URL after its scheme; what is shown of it besides.
    pub(super) fn parse(scheme: &str, rest: &str) -> Result<(Self, String), String> {
        let security = match scheme {
            "ws" => Security::Plain,
            "wss" => Security::Tls,
            "ws+unix" => return Self::parse_unix(rest),
            _ => return Err(unknown(scheme)),
        };
        let (userinfo, host, path) = url::split_authority(rest);
        let authority = Authority::parse(userinfo, host, path)?;
        let port = security.default_port();
        let shown = format!("{scheme}://{host}{path}");
        let parsed = Self {
            security,
            beneath: authority.address(port),
            host: authority.host_header(port),
            server_name: authority.server_name(),
            target: parse_target(path)?,
            credentials: authority.credentials,
        };
        Ok((parsed, shown))
    }

    /// `/path/of/socket`, and perhaps `:/path`; the first `:/` parts the two.
    fn parse_unix(rest: &str) -> Result<(Self, String), String> {
        let (userinfo, host, _) = url::split_authority(rest);
        // Only what stands before the first slash; a file may have an @ in its name.
        let rest = &rest[userinfo.map_or(0, |userinfo| userinfo.len() + 1)..];
        if !host.is_empty() || !rest.starts_with('/') {
            return Err("expected the absolute path of a socket: ws+unix:///path/of/socket, and \
                        perhaps :/path"
                .to_owned());
        }
        let (path, target) = match rest.find(":/") {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        if path.len() >= UNIX_PATH_LIMIT {
            return Err(format!(
                "the path of the UNIX socket is {} bytes long; expected at most {}",
                path.len(),
                UNIX_PATH_LIMIT - 1
            ));
        }
        let beneath = Address { written: path.to_owned(), form: Form::Unix(PathBuf::from(path)) };
        let parsed = Self {
            security: Security::Plain,
            beneath,
            host: "localhost".to_owned(),
            server_name: "localhost".to_owned(),
            target: parse_target(target)?,
            credentials: userinfo.map(Credentials::parse).transpose()?,
        };
        Ok((parsed, format!("ws+unix://{rest}")))
    }
}

fn unknown(scheme: &str) -> String {
    let hint = match scheme {
        "http" => "for the WebSocket of a web server write ws://",
        "https" => "for the WebSocket of a web server write wss://",
        _ => "other URLs have no meaning here",
    };
    format!("unknown scheme {scheme}://; expected ws://, wss:// or ws+unix:// ({hint})")
}

/// Path and query, which go into the request as they are.
fn parse_target(text: &str) -> Result<Option<String>, String> {
    if text.contains('#') {
        return Err("a '#' has no place in a WebSocket's URL; expected %23".to_owned());
    }
    let graphic = |byte: u8| byte.is_ascii_graphic();
    if let Some(odd) = text.chars().find(|&char| !u8::try_from(char).is_ok_and(graphic)) {
        return Err(format!("{odd:?} in the path; expected percent-escapes, %20 for a blank"));
    }
    let mut escapes = text.split('%').skip(1);
    let sound = |escape: &str| {
        let digits = escape.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(sound) {
        return Err("expected two hexadecimal digits after each % of the path (%25 is a % itself)"
            .to_owned());
    }
    Ok(match text.as_bytes().first() {
        None => None,
        Some(b'?') => Some(format!("/{text}")),
        Some(_) => Some(text.to_owned()),
    })
}

#[cfg(test)]
mod tests;
