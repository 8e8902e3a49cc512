//! Whether a target is reached through a proxy, and through which.
//!
//! Owns `--proxy` and the variables of the environment that curl and its like honour:
//! `https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`. Refuses to read the environment by itself.
//! `no_proxy` is in `select/exempt.rs`. Part of `../proxy.rs`.

mod exempt;

use std::ffi::OsString;
use std::fmt;

use super::{Proxy, ProxyError};
use crate::addr::{Address, Form, Security};

/// What `--proxy` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// It is not given: the environment decides, for WebSockets.
    #[default]
    Environment,
    /// `none`.
    Direct,
    /// A proxy, whatever the environment says.
    Proxy(Box<Proxy>),
}

impl Choice {
    /// Reads `none` or a proxy.
    ///
    /// # Errors
    ///
    /// As [`Proxy::parse`].
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        if text == "none" {
            Ok(Self::Direct)
        } else {
            Proxy::parse(text).map(|proxy| Self::Proxy(Box::new(proxy)))
        }
    }
}

/// A proxy, and who has named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The proxy.
    pub proxy: Proxy,
    /// `--proxy`, or the name of the variable.
    pub source: &'static str,
}

/// As the log names it: never with credentials.
impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.proxy, self.source)
    }
}

/// The proxy for connections to `target`; `variable` reads the environment.
///
/// # Errors
///
/// One line, with the name of the option or variable, about a proxy that cannot be used.
pub fn select(
    choice: &Choice,
    target: &Address,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Selected>, String> {
    let is_unix = matches!(target.socket().form(), Form::Unix(_));
    match (choice, target.web()) {
        (Choice::Direct, _) => Ok(None),
        (Choice::Proxy(_), _) if is_unix => {
            Err(format!("--proxy: no proxy can reach the UNIX socket {}", target.socket()))
        }
        (Choice::Proxy(proxy), _) => {
            Ok(Some(Selected { proxy: proxy.as_ref().clone(), source: "--proxy" }))
        }
        (Choice::Environment, Some(url)) if !is_unix => {
            from_environment(url.security(), target.socket(), variable)
        }
        (Choice::Environment, _) => Ok(None),
    }
}

fn from_environment(
    security: Security,
    target: &Address,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Selected>, String> {
    // An empty variable is as good as none.
    let set = |name: &'static str| {
        variable(name).filter(|value| !value.is_empty()).map(|value| (name, value))
    };
    // No HTTP_PROXY: in a CGI program it is what a client's header "Proxy" says.
    let names: &[&str] = match security {
        Security::Tls => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        Security::Plain => &["http_proxy", "all_proxy", "ALL_PROXY"],
    };
    let Some((source, value)) = names.iter().find_map(|name| set(name)) else { return Ok(None) };
    let exempt = ["no_proxy", "NO_PROXY"].into_iter().find_map(set);
    if exempt.is_some_and(|(_, list)| exempt::lists(&list.to_string_lossy(), target)) {
        return Ok(None);
    }
    let advice = "(--proxy none does without)";
    let Some(text) = value.to_str() else {
        return Err(format!("{source}: expected UTF-8 text {advice}"));
    };
    let proxy = Proxy::parse(text).map_err(|error| format!("{source}: {error} {advice}"))?;
    Ok(Some(Selected { proxy, source }))
}

#[cfg(test)]
mod tests;
