//! A peer that makes its frames by hand, and takes those that come apart.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use spiped_ws::upgrade::{Head, Offer, Request};

use super::echo::{DEADLINE, Echo, Side};
use crate::web::{WebClient, WebServer};

pub(super) const TEXT: u8 = 0x81;
pub(super) const BINARY: u8 = 0x82;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
pub(super) const PONG: u8 = 0x8a;

/// The first byte of a frame that others follow, and of those that follow.
pub(super) const FIRST_TEXT: u8 = 0x01;
pub(super) const FIRST: u8 = 0x02;
pub(super) const NEXT: u8 = 0x00;
pub(super) const LAST: u8 = 0x80;

/// Which end the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plays {
    Client,
    Server,
}

pub(super) const BOTH: [Plays; 2] = [Plays::Client, Plays::Server];

/// Whether the peer knows what an empty message may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HalfClose {
    Known,
    Unknown,
}

/// The peer, after the upgrade.
pub(super) struct Raw {
    pub(super) socket: TcpStream,
    pub(super) plays: Plays,
}

/// A connection on the loopback interface.
pub(super) fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(DEADLINE)).unwrap();
    peer.set_write_timeout(Some(DEADLINE)).unwrap();
    peer.set_nodelay(true).unwrap();
    (peer, listener.accept().unwrap().0)
}

/// Reads a head, and not a byte more.
pub(super) fn read_head(socket: &mut TcpStream) -> Head {
    let mut head = Head::default();
    let mut byte = [0];
    loop {
        socket.read_exact(&mut byte).expect("a head");
        if head.push(&byte).expect("a short head").1 {
            return head;
        }
    }
}

/// The bytes of a frame, whatever is wrong with it.
pub(super) fn frame(plays: Plays, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = (plays == Plays::Client).then_some([0x12, 0x34, 0x56, 0x78]);
    spiped_peer::frame(first, payload, mask)
}

impl Raw {
    /// A peer, and an echo at its other end.
    pub(super) fn start(
        plays: Plays,
        half_close: HalfClose,
        ping: Option<Duration>,
    ) -> (Self, Echo) {
        let (mut socket, ours) = connection();
        let known = |text: String| match half_close {
            HalfClose::Known => text,
            HalfClose::Unknown => text.replace("Spiped-Half-Close: 1\r\n", ""),
        };
        let echo = match plays {
            Plays::Client => {
                let server = WebServer { path: Some("/path".to_owned()), tls: None, ping };
                let echo = Echo::start(ours, Side::Accepts(server));
                let offer = Offer::new("host", "/path?a=b", &[], *b"0123456789abcdef");
                socket.write_all(known(offer.request().to_owned()).as_bytes()).unwrap();
                let head = read_head(&mut socket);
                let agreed = offer.accept(head.bytes()).expect("it is granted");
                assert_eq!(agreed, half_close == HalfClose::Known);
                echo
            }
            Plays::Server => {
                let (host, target) = ("host".to_owned(), "/path?a=b".to_owned());
                let client = WebClient { host, target, headers: Vec::new(), tls: None, ping };
                let echo = Echo::start(ours, Side::Asks(client));
                let head = read_head(&mut socket);
                let request = Request::parse(head.bytes(), Some("/path?a=b")).expect("it asks");
                socket.write_all(known(request.grant()).as_bytes()).unwrap();
                echo
            }
        };
        (Self { socket, plays }, echo)
    }

    /// The bytes of a frame of this peer.
    pub(super) fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        frame(self.plays, first, payload)
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, first: u8, payload: &[u8]) {
        let bytes = self.frame(first, payload);
        self.socket.write_all(&bytes).expect("the peer takes it");
    }

    /// Sends several frames in pieces of `piece` bytes, or as many of them as the peer takes.
    pub(super) fn send_chopped(&mut self, frames: &[(u8, &[u8])], piece: usize) {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| self.frame(*first, payload)).collect();
        let _ = bytes.chunks(piece).try_for_each(|chunk| self.socket.write_all(chunk));
    }

    /// The next frame: its first byte and its payload.
    pub(super) fn try_receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let frame = spiped_peer::read_frame(&mut self.socket)?;
        let masked = self.plays == Plays::Server;
        assert_eq!(frame.mask.is_some(), masked, "clients mask, servers do not");
        assert!(frame.payload.len() <= 64 << 10, "a message of {} bytes", frame.payload.len());
        Ok((frame.first, frame.payload))
    }

    #[track_caller]
    pub(super) fn receive(&mut self) -> (u8, Vec<u8>) {
        self.try_receive().expect("a frame")
    }

    /// Receives messages until `count` bytes are there; answers no Ping.
    #[track_caller]
    pub(super) fn receive_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let (first, payload) = self.receive();
            assert_eq!(first, BINARY, "a frame of another kind: {payload:x?}");
            bytes.extend(payload);
        }
        bytes
    }

    /// A Close with this code comes, and then the end of the connection, or its reset where we have
    /// sent what nobody reads any more.
    #[track_caller]
    pub(super) fn expect_close(&mut self, code: u16) {
        assert_eq!(self.receive(), (CLOSE, code.to_be_bytes().to_vec()));
    }

    /// The connection is over.
    #[track_caller]
    pub(super) fn expect_end(&mut self) {
        match self.socket.read(&mut [0; 16]) {
            Ok(0) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            other => panic!("the connection goes on: {other:?}"),
        }
    }
}
