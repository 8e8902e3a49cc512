//! What carries the encrypted side: from options and URLs to the settings of the loop.
//!
//! Owns the files that are read for it (certificates, headers) and the header that shows user and
//! password. Refuses to judge which options fit together: `options/web.rs` has. The way to the
//! target is in `route.rs`.

use std::fs;
use std::path::Path;

use spiped_net::addr::{Address, Security, WebUrl};
use spiped_net::explain::unreadable;
use spiped_net::tls::{TlsClient, TlsServer};
use spiped_net::web::{Carrier, WebClient, WebServer};
use spiped_ws::upgrade;
use zeroize::Zeroizing;

use crate::options::{Accepts, Hidden, WebOptions};

/// Bytes of the longest file of headers: no server takes more.
const MAX_HEADERS: u64 = 64 * 1024;

/// What carries connections to `target`, the encrypted side of `-e` and `spipe`.
///
/// # Errors
///
/// One line that names the option.
pub fn to_target(target: &Address, options: &WebOptions) -> Result<Carrier, String> {
    let Some(url) = target.web() else { return Ok(Carrier::Socket) };
    let tls = match url.security() {
        Security::Plain => None,
        Security::Tls => {
            let authorities = options.authorities.as_deref();
            let option = if authorities.is_some() { "--tls-ca" } else { "-t" };
            let client = TlsClient::new(url.server_name(), authorities);
            Some(client.map_err(|error| format!("{option}: {error}"))?)
        }
    };
    Ok(Carrier::WebClient(WebClient {
        host: url.host().to_owned(),
        target: url.target().unwrap_or("/").to_owned(),
        headers: headers(url, &options.headers)?,
        tls,
        ping: options.ping,
    }))
}

/// What carries connections that come to `-s`, the encrypted side of `-d`, whose URL this is if it
/// has one.
///
/// # Errors
///
/// One line that names the option.
pub fn from_source(source: Option<&WebUrl>, options: &WebOptions) -> Result<Carrier, String> {
    let Accepts::WebSockets(certificate) = &options.accepts else { return Ok(Carrier::Socket) };
    let tls = match certificate {
        None => None,
        Some(files) => {
            let server = TlsServer::load(&files.certificate, &files.key);
            Some(server.map_err(|error| format!("--tls-cert, --tls-key: {error}"))?)
        }
    };
    let path = source.and_then(WebUrl::target).map(ToOwned::to_owned);
    Ok(Carrier::WebServer(WebServer { path, tls, ping: options.ping }))
}

/// The lines that the request has besides its own.
fn headers(url: &WebUrl, given: &[Hidden]) -> Result<Vec<Zeroizing<String>>, String> {
    let mut lines = Vec::new();
    for header in given {
        match header.text().strip_prefix('@') {
            Some(file) => read_headers(Path::new(file), &mut lines)?,
            None => lines.push(checked(header.text(), "--http-header")?),
        }
    }
    if let Some(credentials) = url.credentials() {
        let is_other = |line: &Zeroizing<String>| {
            line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("Authorization"))
        };
        if lines.iter().any(is_other) {
            return Err("--http-header: there is an Authorization already, from the user and \
                        password of -t; expected one of the two"
                .to_owned());
        }
        let basic = upgrade::basic(credentials.user(), credentials.password());
        lines.push(format!("Authorization: {}", *basic).into());
    }
    Ok(lines)
}

/// Every line of the file that is not empty.
fn read_headers(file: &Path, lines: &mut Vec<Zeroizing<String>>) -> Result<(), String> {
    let whose = format!("--http-header: {}", file.display());
    let unread = |error| format!("{whose}: {}", unreadable(&error, "a file of header lines"));
    let length = fs::metadata(file).map_err(unread)?.len();
    if length > MAX_HEADERS {
        return Err(format!("{whose}: it is {length} bytes long; expected a few lines"));
    }
    let text = fs::read_to_string(file).map_err(unread)?;
    let text = Zeroizing::new(text);
    let before = lines.len();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        lines.push(checked(line, &format!("{whose}, line {}", number + 1))?);
    }
    if lines.len() == before {
        return Err(format!("{whose}: it is empty; expected lines such as 'Name: value'"));
    }
    Ok(())
}

/// The line, which is not shown if it is none: it may be a secret.
fn checked(line: &str, whose: &str) -> Result<Zeroizing<String>, String> {
    let line = line.trim_end();
    upgrade::check_header(line).map_err(|expected| format!("{whose}: {expected}"))?;
    Ok(line.to_owned().into())
}

#[cfg(test)]
mod tests;
