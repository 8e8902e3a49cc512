//! From a connected socket to a usable stream.
//!
//! Owns the order of what lies between: the talk with a proxy, TLS, the upgrade to a WebSocket,
//! each only where it is wanted. Refuses to wait and to know a deadline: `connector.rs` does. Each
//! turn tries everything, since nobody has kept the socket's events. Part of `transport.rs`.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use spiped_ws::upgrade::{Head, MAX_HEAD, Offer};
use spiped_ws::{Role, Session};
use zeroize::Zeroizing;

use super::Transport;
use super::link::Link;
use super::socket::Stream;
use super::tls::Tls;
use super::web::Web;
use crate::proxy::{Negotiation, Via};
use crate::tls::describe;
use crate::web::WebClient;

/// Read at once of an answer: most fit.
const PIECE: usize = 1024;

/// What is between a socket and a usable stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening {
    pub(crate) via: Option<Arc<Via>>,
    pub(crate) web: Option<Arc<WebClient>>,
}

impl Opening {
    /// Whether a socket is usable as it is.
    pub(crate) fn is_none(&self) -> bool {
        self.via.is_none() && self.web.is_none()
    }
}

/// What a stream has to get past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hurdle {
    /// The proxy, named by this option or variable, lets us through.
    Proxy(&'static str),
    /// TLS's handshake.
    Tls,
    /// The upgrade to a WebSocket.
    Upgrade,
}

impl fmt::Display for Hurdle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy(source) => write!(f, "no way through the proxy of {source}"),
            Self::Tls => f.write_str("TLS failed"),
            Self::Upgrade => f.write_str("no WebSocket"),
        }
    }
}

/// A stream that is being opened.
#[derive(Debug)]
pub(crate) struct Dial {
    opening: Opening,
    /// What is to be sent; it may hold passwords.
    out: Zeroizing<Vec<u8>>,
    step: Step,
}

enum Step {
    Proxy(Stream, Box<Negotiation>),
    Tls(Box<Tls>),
    Upgrade(Link, Box<(Offer, Head)>),
    /// It is open, or never will be.
    Over,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proxy(..) => "Proxy",
            Self::Tls(..) => "Tls",
            Self::Upgrade(..) => "Upgrade",
            Self::Over => "Over",
        })
    }
}

/// Why a stream cannot be opened: one line, printable whatever the far end has sent.
pub(crate) type Reason = String;

impl Dial {
    /// Begins to open a stream on a socket that is connected. Behind a proxy it goes to the
    /// destination of this number.
    pub(crate) fn new(
        opening: Opening,
        stream: Stream,
        destination: usize,
    ) -> Result<Self, Reason> {
        stream.hurry(); // the end of TLS's handshake must not hold up the request behind it
        let mut dial = Self { opening, out: Zeroizing::default(), step: Step::Over };
        if let Some(via) = &dial.opening.via {
            let negotiation = Negotiation::new(&via.proxy, &via.destinations[destination]);
            dial.step = Step::Proxy(stream, Box::new(negotiation));
        } else if let Some(web) = dial.opening.web.clone() {
            dial.step = dial.begin_web(stream, &web)?;
        }
        Ok(dial)
    }

    /// What the stream is at.
    pub(crate) fn hurdle(&self) -> Hurdle {
        match &self.step {
            Step::Proxy(..) => {
                Hurdle::Proxy(self.opening.via.as_ref().map_or("--proxy", |via| via.source))
            }
            Step::Tls(..) => Hurdle::Tls,
            Step::Upgrade(..) | Step::Over => Hurdle::Upgrade,
        }
    }

    /// Whether a proxy is trying the destination, so that it may have more luck with another one.
    pub(crate) fn has_asked_proxy(&self) -> bool {
        matches!(&self.step, Step::Proxy(_, negotiation) if negotiation.has_asked())
    }

    /// Why it is given up when the time is up.
    pub(crate) fn out_of_time(&self) -> Reason {
        format!("it did not answer in time{}", self.step.guess())
    }

    /// Goes on as far as the socket lets; the stream when it is usable.
    pub(crate) fn advance(&mut self) -> Result<Option<Transport>, Reason> {
        self.step.stream().refresh();
        loop {
            match self.try_advance() {
                Ok(Some(transport)) => return Ok(Some(transport)),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(format!("it ended the connection{}", self.step.guess()));
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Err(format!("it reset the connection{}", self.step.guess()));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// One step. `WouldBlock` until it is done; the stream if it was the last one.
    fn try_advance(&mut self) -> io::Result<Option<Transport>> {
        match &mut self.step {
            Step::Proxy(stream, negotiation) => {
                if !negotiate(stream, negotiation, &mut self.out)? {
                    return Err(ErrorKind::WouldBlock.into());
                }
            }
            Step::Tls(tls) => {
                if !tls.shake_hands()? {
                    return Err(ErrorKind::WouldBlock.into());
                }
            }
            Step::Upgrade(link, asked) => {
                while !self.out.is_empty() {
                    let written = link.write(&[], &self.out)?;
                    self.out.drain(..written);
                }
                link.flush()?; // what TLS has of it
                let (offer, head) = &mut **asked;
                let early = read_head(link, head)?;
                let half_close = offer.accept(head.bytes()).map_err(invalid)?;
                let session = Session::new(Role::Client, half_close);
                let ping = self.opening.web.as_ref().and_then(|web| web.ping);
                let Step::Upgrade(link, _) = std::mem::replace(&mut self.step, Step::Over) else {
                    return Ok(None);
                };
                let web = Web::open(link, session, early, ping);
                return Ok(Some(Transport::Web(Box::new(web))));
            }
            Step::Over => return Err(io::Error::other("it is open already")),
        }
        let web = self.opening.web.clone();
        match (std::mem::replace(&mut self.step, Step::Over), web) {
            (Step::Proxy(stream, _), Some(web)) => {
                self.step = self.begin_web(stream, &web).map_err(io::Error::other)?;
                Ok(None)
            }
            (Step::Proxy(stream, _), None) => Ok(Some(Transport::Socket(stream))),
            (Step::Tls(tls), Some(web)) => {
                self.step = self.ask(Link::Tls(tls), &web)?;
                Ok(None)
            }
            _ => Err(io::Error::other("nothing is to be opened")),
        }
    }

    fn begin_web(&mut self, stream: Stream, web: &WebClient) -> Result<Step, Reason> {
        match &web.tls {
            Some(tls) => {
                let connection = tls.start().map_err(|error| describe(&error))?;
                Ok(Step::Tls(Box::new(Tls::new(stream, connection.into()))))
            }
            None => self.ask(Link::Plain(stream), web).map_err(|error| error.to_string()),
        }
    }

    /// Asks for the WebSocket.
    fn ask(&mut self, link: Link, web: &WebClient) -> io::Result<Step> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let offer = Offer::new(&web.host, &web.target, &web.headers, key);
        self.out.extend_from_slice(offer.request().as_bytes());
        Ok(Step::Upgrade(link, Box::new((offer, Head::default()))))
    }
}

impl Step {
    /// Why who is there may have nothing to do with us.
    fn guess(&self) -> &'static str {
        match self {
            Self::Tls(_) => " (does it speak TLS? if not, -t needs ws://, or no URL)",
            Self::Upgrade(Link::Plain(_), _) => {
                " (is it a web server, or an spiped -d with -s ws://? if it speaks TLS, -t needs \
                 wss://)"
            }
            Self::Upgrade(Link::Tls(_), _) => " (is it a web server, or an spiped -d?)",
            Self::Proxy(..) | Self::Over => "",
        }
    }

    fn stream(&mut self) -> &mut Stream {
        match self {
            Self::Proxy(stream, _) => stream,
            Self::Tls(tls) => tls.stream_mut(),
            Self::Upgrade(link, _) => link.stream_mut(),
            Self::Over => unreachable!("whoever has the stream does not come back"),
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Talks with a proxy; true when the rest is the destination's. Not a byte of that is taken from
/// the socket.
fn negotiate(
    stream: &mut Stream,
    negotiation: &mut Negotiation,
    out: &mut Zeroizing<Vec<u8>>,
) -> io::Result<bool> {
    let mut piece = [0; PIECE];
    loop {
        negotiation.poll_transmit(out);
        while !out.is_empty() {
            let written = stream.write(out)?;
            out.drain(..written);
        }
        if negotiation.is_done() {
            return Ok(true);
        }
        let come = stream.peek(&mut piece)?;
        if come == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let taken = negotiation.handle_input(&piece[..come]).map_err(invalid)?;
        stream.read_exact(&mut piece[..taken])?;
        if taken == 0 && !negotiation.is_done() {
            return Err(io::Error::other("it talks without an end"));
        }
    }
}

/// Reads the head of an answer; what came behind it.
fn read_head(link: &mut Link, head: &mut Head) -> io::Result<Vec<u8>> {
    let mut piece = [0; PIECE];
    loop {
        let read = link.read(&mut piece)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let (taken, complete) = head.push(&piece[..read]).map_err(|_| {
            let text = format!("the answer has no end ({} KiB of it)", MAX_HEAD >> 10);
            io::Error::new(ErrorKind::InvalidData, text)
        })?;
        if complete {
            return Ok(piece[taken..read].to_vec());
        }
        if !may_be_http(head.bytes()) {
            let text = if is_tls_alert(head.bytes()) {
                "it speaks TLS, so -t needs wss://"
            } else {
                "it speaks no HTTP (a plain spiped -d? then -t needs no ws://)"
            };
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
    }
}

/// Whether an answer begins as one does. Who says something else, and an spiped does, waits for
/// more than we send.
fn may_be_http(head: &[u8]) -> bool {
    head.iter().zip(b"HTTP/").all(|(byte, expected)| byte == expected)
}

/// Whether an answer begins as the alert does by which TLS says that it was not spoken to.
fn is_tls_alert(head: &[u8]) -> bool {
    head.iter().zip([21, 3]).all(|(byte, expected)| *byte == expected)
}
