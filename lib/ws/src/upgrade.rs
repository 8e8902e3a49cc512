//! The HTTP upgrade (RFC 6455, section 4; RFC 9110), in either role.
//!
//! Owns the heads of requests and responses, and what they must say. Refuses compression and
//! subprotocols: none is offered or chosen. Next: nothing; this is the last one.

mod head;

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

pub use head::{Head, MAX_HEAD};

/// The header by which two of ours agree that an empty message ends one direction.
const HALF_CLOSE: &str = "Spiped-Half-Close";

/// RFC 6455, section 1.3: what the server shows that it has understood.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// As much of a head is looked at before it is complete, each time that more comes.
const BEGINNING: usize = 1024;

/// Headers that a request or response may have.
const MAX_HEADERS: usize = 100;

/// Bytes of what an spiped says first.
const NONCE_LEN: usize = 32;

/// As many of such bytes are shown.
const SHOWN_BYTES: usize = 16;

/// Who may have sent what is neither HTTP nor text.
const PLAIN_PEER: &str = " (perhaps a plain spipe or spiped -e: then its -t needs ws://)";

/// Characters of a foreign text that are shown.
const SHOWN: usize = 120;

/// Why there is no WebSocket. One line, fit for a log whatever the peer has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// What is wrong.
    pub reason: String,
    /// What the server answers; a client says nothing more.
    pub response: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refusal {}

/// The answer to whatever is no upgrade of ours: nothing tells what is here.
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\
    Content-Length: 10\r\nConnection: close\r\n\r\nNot Found\n";

/// The answer to another version of the protocol, which has to name ours.
const OTHER_VERSION: &str = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n\
    Upgrade: websocket\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn not_found(reason: String) -> Refusal {
    Refusal { reason, response: NOT_FOUND }
}

/// A foreign text as it may appear in a log: printable, and not endless.
#[must_use]
pub fn printable(text: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in text.trim_ascii().utf8_chunks() {
        for char in chunk.valid().chars().take(SHOWN) {
            match char {
                // These are printable as they are, and no string literal ends with this text.
                '"' | '\'' | '\\' => shown.push(char),
                _ => shown.extend(char.escape_debug()),
            }
        }
        shown.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    shown.chars().take(SHOWN).collect()
}

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    accept: String,
    /// Whether the client knows that an empty message ends one direction.
    pub half_close: bool,
    /// X-Forwarded-For: where the client claims, or a proxy says, that it comes from.
    pub forwarded_for: Option<String>,
}

impl Request {
    /// Reads the head of a request for a WebSocket at `path`, or at any if there is none. A path
    /// without a query takes requests with any.
    ///
    /// # Errors
    ///
    /// Why it is refused, and the response that says so.
    pub fn parse(head: &[u8], path: Option<&str>) -> Result<Self, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let line = || printable(head.split(|byte| *byte == b'\r').next().unwrap_or_default());
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            _ if is_tls_hello(head) => {
                return Err(not_found("this is TLS, not HTTP (is it ws:// at both ends?)".into()));
            }
            // Longer ones are requests with a fault in them.
            _ if head.len() <= NONCE_LEN && !is_text(head) => {
                let shown = printable(&head[..head.len().min(SHOWN_BYTES)]);
                return Err(not_found(format!("{}{PLAIN_PEER}", no_http(&shown))));
            }
            Ok(httparse::Status::Partial) => return Err(not_found(no_http(&line()))),
            Err(error) => return Err(not_found(format!("{}: {error}", no_http(&line())))),
        }
        let no_upgrade = || not_found(format!("no WebSocket is asked for: {}", line()));
        let headers = &*request.headers;
        if request.method != Some("GET")
            || request.version != Some(1)
            || !has_token(headers, "Upgrade", "websocket")
            || !has_token(headers, "Connection", "upgrade")
            || header(headers, "Host").is_none()
        {
            return Err(no_upgrade());
        }
        let target = request.path.unwrap_or_default();
        let asked = match path {
            Some(path) if !path.contains('?') => target.split('?').next().unwrap_or_default(),
            _ => target,
        };
        if path.is_some_and(|path| path != asked) {
            return Err(not_found(format!("another path is asked for: {}", line())));
        }
        if header(headers, "Sec-WebSocket-Version") != Some(b"13") {
            let reason = format!("another version of WebSockets is asked for: {}", line());
            return Err(Refusal { reason, response: OTHER_VERSION });
        }
        let key = header(headers, "Sec-WebSocket-Key").ok_or_else(no_upgrade)?;
        if BASE64.decode(key).map_or(0, |key| key.len()) != 16 {
            return Err(no_upgrade());
        }
        Ok(Self {
            accept: accept(key),
            half_close: header(headers, HALF_CLOSE) == Some(b"1"),
            forwarded_for: header(headers, "X-Forwarded-For").map(printable),
        })
    }

    /// The response that grants it.
    #[must_use]
    pub fn grant(&self) -> String {
        let half_close =
            if self.half_close { format!("{HALF_CLOSE}: 1\r\n") } else { String::new() };
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{half_close}\r\n",
            self.accept
        )
    }
}

/// Whether a request may begin like this. Who speaks another protocol shows it at once, and may
/// wait for an answer instead of sending what would be the end of a head.
#[must_use]
pub fn may_be_request(head: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    head.len() > BEGINNING || httparse::Request::new(&mut headers).parse(head).is_ok()
}

/// X-Forwarded-For of a request, also of one that is refused.
#[must_use]
pub fn forwarded_for(head: &[u8]) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok()?;
    header(request.headers, "X-Forwarded-For").map(printable)
}

/// Whether a client of TLS begins so: with a record of its handshake.
fn is_tls_hello(head: &[u8]) -> bool {
    matches!(head, [22, 3, 0..=4, ..])
}

/// Whether it may be the head of some protocol of text.
fn is_text(head: &[u8]) -> bool {
    head.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
}

fn no_http(line: &str) -> String {
    format!("this is not HTTP: {line}")
}

/// What a client asks for, and by which it knows the answer. What it asks may hold passwords: it is
/// wiped, and not shown.
pub struct Offer {
    request: Zeroizing<String>,
    accept: String,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offer(..)")
    }
}

impl Offer {
    /// A request to `host` for `target`, a path with perhaps a query. The key is 16 random bytes;
    /// `headers` are whole lines without their ends, each checked by [`check_header`].
    #[must_use]
    pub fn new(host: &str, target: &str, headers: &[Zeroizing<String>], key: [u8; 16]) -> Self {
        let key = BASE64.encode(key);
        let own_host = headers.iter().any(|line| {
            line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("Host"))
        });
        let host = if own_host { "" } else { &*format!("Host: {host}\r\n") };
        let own = format!(
            "{host}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {key}\r\n{HALF_CLOSE}: 1\r\n"
        );
        let lines = headers.iter().flat_map(|line| [line.as_str(), "\r\n"]);
        let parts =
            ["GET ", target, " HTTP/1.1\r\n", &own].into_iter().chain(lines).chain(["\r\n"]);
        // It does not grow, which would leave copies behind.
        let length = parts.clone().map(str::len).sum();
        let mut request = Zeroizing::new(String::with_capacity(length));
        parts.for_each(|part| request.push_str(part));
        Self { request, accept: accept(key.as_bytes()) }
    }

    /// The head of the request.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.request
    }

    /// Reads the head of the response: whether an empty message ends one direction.
    ///
    /// # Errors
    ///
    /// Why it is no upgrade.
    pub fn accept(&self, head: &[u8]) -> Result<bool, Refusal> {
        let refuse = |reason| Refusal { reason, response: "" };
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let line = printable(head.split(|byte| *byte == b'\r').next().unwrap_or_default());
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(refuse(no_http(&line))),
            Err(error) => return Err(refuse(format!("{}: {error}", no_http(&line)))),
        }
        if response.code != Some(101) {
            let guess = guess(response.code.unwrap_or_default());
            return Err(refuse(format!("the answer is {line}{guess}")));
        }
        let headers = &*response.headers;
        if !has_token(headers, "Upgrade", "websocket")
            || !has_token(headers, "Connection", "upgrade")
            || header(headers, "Sec-WebSocket-Accept") != Some(self.accept.as_bytes())
        {
            let text = "the answer does not fit the question: some cache, or no WebSocket server";
            return Err(refuse(text.to_owned()));
        }
        for name in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
            if header(headers, name).is_some_and(|value| !value.is_empty()) {
                return Err(refuse(format!("the answer has a {name}, which nobody offered")));
            }
        }
        Ok(header(headers, HALF_CLOSE) == Some(b"1"))
    }
}

/// What a status other than 101 is likely to mean.
fn guess(status: u16) -> &'static str {
    match status {
        200..=299 => {
            " (at this path it has something else: is it the one at which it passes WebSockets on?)"
        }
        301 | 302 | 303 | 307 | 308 => {
            " (it points to another URL; if it wants TLS, that begins with wss://)"
        }
        400 => " (does it want TLS, and so wss://? or is the path another?)",
        401 => " (it wants a user and a password)",
        403 => " (it does not let us in)",
        404 | 405 | 410 | 426 => " (it takes no WebSocket at this path: is the path right?)",
        429 | 500..=599 => " (is what the web server passes this on to running?)",
        _ => "",
    }
}

/// A header line for a request, `Name: value`, as a user wrote it.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_header(line: &str) -> Result<(), &'static str> {
    let Some((name, value)) = line.split_once(':') else {
        return Err("expected a header such as 'Name: value'");
    };
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err("expected a header such as 'Name: value', its name of letters, digits and -");
    }
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err("expected one line without control characters");
    }
    let own = ["Upgrade", "Connection", "Content-Length", "Transfer-Encoding", HALF_CLOSE];
    let lower = name.to_ascii_lowercase();
    if own.iter().any(|own| own.eq_ignore_ascii_case(name)) || lower.starts_with("sec-websocket") {
        return Err("expected a header that the upgrade itself does not need");
    }
    Ok(())
}

/// The value of `Proxy-Authorization` or `Authorization` for a user and a password.
#[must_use]
pub fn basic(user: &str, password: &str) -> Zeroizing<String> {
    let both = Zeroizing::new(format!("{user}:{password}"));
    let encoded = Zeroizing::new(BASE64.encode(&*both));
    Zeroizing::new(format!("Basic {}", *encoded))
}

/// What a server shows for a key.
fn accept(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// The value of the first header of this name.
fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Whether a header of this name lists `token`, whatever else it lists.
fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name))
        .flat_map(|header| header.value.split(|byte| *byte == b','))
        .any(|entry| entry.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests;
