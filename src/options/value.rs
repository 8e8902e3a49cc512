//! The values of options: text in, checked types out.
//!
//! Owns what is no number: addresses, key files, levels. Refuses to name the option: `exit.rs` puts
//! the name and the value before the expectation that is returned here as error. Next: `number.rs`.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use log::LevelFilter;
use spiped_net::addr;

use super::KeySource;

/// Checks as much of an address as C checks while it reads its options; the text is returned.
///
/// # Errors
///
/// What was expected.
// THE PLACE TO CONVERT: the text becomes an address in main, which says in its error which option
// it came from; only what needs no knowledge of address families is refused here.
pub fn parse_address(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("expected an address: /path, host:port, [ipv4]:port or [ipv6]:port".to_owned());
    }
    if text.starts_with(':') {
        return Err(match addr::in_brackets(text) {
            Some(right) => format!("expected brackets around an IPv6 address: {right}"),
            None => "expected a host before the port, such as localhost:8025".to_owned(),
        });
    }
    Ok(text.to_owned())
}

/// Reads `-k`: a file name, or `-` for standard input.
///
/// # Errors
///
/// What was expected.
pub fn parse_key_source(text: &OsStr) -> Result<KeySource, String> {
    match text.as_encoded_bytes() {
        b"" => Err("it is empty; expected the name of a file, or -".to_owned()),
        b"-" => Ok(KeySource::Stdin),
        _ => Ok(KeySource::File(PathBuf::from(text))),
    }
}

/// Reads `--log-level`.
///
/// # Errors
///
/// What was expected.
pub fn parse_log_level(text: &str) -> Result<LevelFilter, String> {
    match text.to_ascii_lowercase().as_str() {
        "error" => Ok(LevelFilter::Error),
        "warn" | "warning" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        "trace" => Ok(LevelFilter::Trace),
        _ => Err("expected error, warn, info, debug or trace".to_owned()),
    }
}

/// [`parse_key_source`] for clap: file names need not be UTF-8, and clap takes plain functions
/// for UTF-8 values only.
#[derive(Clone)]
pub(crate) struct KeySourceParser;

impl TypedValueParser for KeySourceParser {
    type Value = KeySource;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<KeySource, clap::Error> {
        parse_key_source(value).map_err(|expected| refusal(command, arg, value, expected))
    }
}

/// [`parse_log_level`] for clap, with the words that completions offer.
#[derive(Clone)]
pub(crate) struct LogLevelParser;

impl TypedValueParser for LogLevelParser {
    type Value = LevelFilter;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<LevelFilter, clap::Error> {
        parse_log_level(&value.to_string_lossy())
            .map_err(|expected| refusal(command, arg, value, expected))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = ["error", "warn", "info", "debug", "trace"];
        Some(Box::new(words.into_iter().map(PossibleValue::new)))
    }
}

/// What clap makes of an error of a plain function.
fn refusal(
    command: &clap::Command,
    arg: Option<&clap::Arg>,
    value: &OsStr,
    expected: String,
) -> clap::Error {
    let arg = arg.map(ToString::to_string).unwrap_or_default();
    let value = value.to_string_lossy().into_owned();
    let mut error = clap::Error::new(ErrorKind::ValueValidation).with_cmd(command);
    error.insert(ContextKind::InvalidArg, ContextValue::String(arg));
    error.insert(ContextKind::InvalidValue, ContextValue::String(value));
    error.insert(ContextKind::Custom, ContextValue::String(expected));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_host() {
        assert_eq!(parse_address("/run/x.sock"), Ok("/run/x.sock".to_owned()));
        assert!(parse_address("").is_err());
        assert!(parse_address(":80").unwrap_err().contains("host"));
        assert!(parse_address("::1:80").unwrap_err().ends_with(" [::1]:80"));
    }

    #[test]
    fn a_lone_hyphen_is_standard_input() {
        let source = |text: &str| parse_key_source(OsStr::new(text));
        assert_eq!(source("-"), Ok(KeySource::Stdin));
        assert_eq!(source("-k"), Ok(KeySource::File(PathBuf::from("-k"))));
        assert!(source("").is_err());
    }

    #[test]
    fn log_levels_have_five_names() {
        assert_eq!(parse_log_level("Debug"), Ok(LevelFilter::Debug));
        assert_eq!(parse_log_level("warning"), Ok(LevelFilter::Warn));
        assert!(parse_log_level("off").unwrap_err().contains("error, warn, info, debug or trace"));
    }
}
