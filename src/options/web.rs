//! The options for WebSockets, TLS and proxies, and which of them fit together.
//!
//! Owns their definitions and what their values say; both ends of the work are elsewhere: files are
//! read and addresses taken apart in `../carrier.rs`. Refuses to show a value that may be a secret,
//! so these values are not clap's to complain about.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use spiped_net::addr::{Address, Security, WebUrl};
use spiped_proto::Role;
use zeroize::Zeroizing;

use super::number::{DEFAULT_PING, parse_ping};

/// Text that may hold a password. Not shown, and wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Zeroizing<String>);

impl Hidden {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// The options that both programs have: those of a client. The doc comments are the help text.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// Reach the target through this proxy: http://, socks5:// or socks5h:// and host:port, with
    /// user:password@ before it if need be; none for no proxy [default: for WebSockets, what
    /// https_proxy, http_proxy, all_proxy and no_proxy say]
    #[arg(long, value_name = "URL", display_order = 899, allow_hyphen_values = true)]
    proxy: Option<Hidden>,

    /// Send a ping over each WebSocket this often, so that nobody on the way thinks it is dead when
    /// it is silent; 0 for never [default: 30]
    #[arg(long, value_name = "SECONDS", display_order = 899)]
    #[arg(value_parser = parse_ping, allow_hyphen_values = true)]
    ws_ping: Option<Duration>,

    /// With -t ws:// or wss://: send this line, such as 'Name: value', with the request; @FILE
    /// reads lines from a file. May be repeated
    #[arg(long, value_name = "HEADER", display_order = 899, allow_hyphen_values = true)]
    #[arg(action = ArgAction::Append)]
    http_header: Vec<Hidden>,

    /// With -t wss://: trust the authorities in this file of PEM certificates, and no others
    /// [default: those that the system trusts]
    #[arg(long, value_name = "FILE", display_order = 899, allow_hyphen_values = true)]
    tls_ca: Option<PathBuf>,
}

/// The options that only `spiped` has: those of a server.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// With -d: accept WebSockets at -s, whatever path they ask for; like ws:// before the address
    #[arg(short, long, display_order = 897)]
    websocket: bool,

    /// With -d and -s wss://: show this certificate, a file of PEM with those after it that lead to
    /// an authority; SIGHUP reads it again
    #[arg(long, value_name = "FILE", display_order = 898, allow_hyphen_values = true)]
    tls_cert: Option<PathBuf>,

    /// With -d and -s wss://: the private key of the certificate, PEM
    #[arg(long, value_name = "FILE", display_order = 898, allow_hyphen_values = true)]
    tls_key: Option<PathBuf>,
}

/// What the options of a client say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebOptions {
    /// --proxy, as written.
    pub proxy: Option<Hidden>,
    /// --ws-ping; `None` is never.
    pub ping: Option<Duration>,
    /// --http-header, as written.
    pub headers: Vec<Hidden>,
    /// --tls-ca.
    pub authorities: Option<PathBuf>,
    /// What -s accepts, with -d.
    pub accepts: Accepts,
}

/// What arrives at the encrypted side of `spiped -d`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Accepts {
    /// Streams, as C spiped does; or there is no such side.
    #[default]
    Streams,
    /// WebSockets: -w, or a URL at -s.
    WebSockets(Option<Certificate>),
}

/// --tls-cert and --tls-key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and those that lead to an authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The WebSocket's URL that an address is. What is wrong with an address is said elsewhere.
fn url(address: &str) -> Option<WebUrl> {
    Address::parse(address).ok().and_then(|address| address.web().cloned())
}

impl ClientArgs {
    /// What they say for a program that encrypts to `target`.
    ///
    /// # Errors
    ///
    /// Options that do not fit together, in one line.
    pub(crate) fn check(self, target: &str) -> Result<WebOptions, String> {
        let url = url(target);
        self.check_client(url.as_ref())?;
        if self.ws_ping.is_some() && url.is_none() {
            return Err("--ws-ping is for WebSockets; expected -t ws:// or wss://".to_owned());
        }
        Ok(self.into_options(Accepts::Streams))
    }

    /// That what is for connecting to a WebSocket has one to connect to.
    fn check_client(&self, url: Option<&WebUrl>) -> Result<(), String> {
        if !self.http_header.is_empty() && url.is_none() {
            return Err("--http-header is for WebSockets; expected -t ws:// or wss://".to_owned());
        }
        if self.tls_ca.is_some() && url.is_none_or(|url| url.security() != Security::Tls) {
            return Err("--tls-ca is for TLS; expected -t wss://".to_owned());
        }
        Ok(())
    }

    fn into_options(self, accepts: Accepts) -> WebOptions {
        let ping = self.ws_ping.unwrap_or(DEFAULT_PING);
        WebOptions {
            proxy: self.proxy,
            ping: (!ping.is_zero()).then_some(ping),
            headers: self.http_header,
            authorities: self.tls_ca,
            accepts,
        }
    }
}

/// Where WebSockets may be, for errors about where they may not.
const SIDES: &str = "WebSockets carry the encrypted side: -t of -e and of spipe, -s of -d";

impl ServerArgs {
    /// What these and those of a client say for `spiped` between `source` and `target`.
    ///
    /// # Errors
    ///
    /// Options that do not fit together, in one line.
    pub(crate) fn check(
        self,
        client: ClientArgs,
        role: Role,
        source: &str,
        target: &str,
    ) -> Result<WebOptions, String> {
        match role {
            Role::Encrypt => {
                if url(source).is_some() {
                    return Err(format!("-s is the plain side of -e and can be no URL; {SIDES}"));
                }
                if self.websocket {
                    return Err(format!(
                        "-w is for -d, and -e has WebSockets by -t ws:// or wss://; {SIDES}"
                    ));
                }
                if self.tls_cert.is_some() || self.tls_key.is_some() {
                    let expected = "expected -d with -s wss:// or -w";
                    return Err(format!("--tls-cert and --tls-key are for TLS; {expected}"));
                }
                client.check(target)
            }
            Role::Decrypt => {
                if url(target).is_some() {
                    return Err(format!("-t is the plain side of -d and can be no URL; {SIDES}"));
                }
                client.check_client(None)?;
                let accepts = self.accepts(url(source).as_ref())?;
                if client.ws_ping.is_some() && accepts == Accepts::Streams {
                    let expected = "expected -w, -s ws:// or -s wss://";
                    return Err(format!("--ws-ping is for WebSockets; {expected}"));
                }
                Ok(client.into_options(accepts))
            }
        }
    }

    fn accepts(self, url: Option<&WebUrl>) -> Result<Accepts, String> {
        if url.is_some_and(|url| url.credentials().is_some()) {
            return Err("-s takes no user and password: the key is what is asked for here".into());
        }
        if self.websocket && url.is_some_and(|url| url.target().is_some()) {
            return Err("-w takes whatever path is asked for, but -s has one; leave -w out".into());
        }
        let certificate = match (self.tls_cert, self.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(Certificate { certificate, key }),
            (Some(_), None) => return Err("missing: --tls-key FILE".to_owned()),
            (None, Some(_)) => return Err("missing: --tls-cert FILE".to_owned()),
        };
        match (url.map(WebUrl::security), certificate) {
            (Some(Security::Tls), None) => {
                Err("missing: --tls-cert FILE, --tls-key FILE: -s wss:// shows them".to_owned())
            }
            (Some(Security::Plain), Some(_)) => {
                Err("--tls-cert is for TLS; expected -s wss:// in place of ws://".to_owned())
            }
            (None, Some(_)) if !self.websocket => {
                Err("--tls-cert is for TLS; expected -s wss:// or -w".to_owned())
            }
            (None, None) if !self.websocket => Ok(Accepts::Streams),
            (_, certificate) => Ok(Accepts::WebSockets(certificate)),
        }
    }
}

#[cfg(test)]
mod tests;
