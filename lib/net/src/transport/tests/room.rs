//! TLS on a socket that has no room, from the handshake to the Close.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};
use rustls::ServerConnection;
use socket2::{Domain, Socket, Type};
use spiped_peer::certify;
use spiped_ws::upgrade::Request;
use spiped_ws::{Role, Session};

use super::super::Transport;
use super::super::dial::{Dial, Hurdle, Opening};
use super::super::link::Link;
use super::super::socket::Stream;
use super::super::web::Web;
use super::records::{connected, load, sockets, trusting, until};
use crate::addr::Endpoint;
use crate::web::{WebClient, WebServer};

/// Writes until the socket takes no more; how much that was.
fn stuff(socket: &mut TcpStream) -> usize {
    let mut stuffed = 0;
    for size in [4096, 1] {
        while let Ok(written) = socket.write(&[0; 4096][..size]) {
            stuffed += written;
        }
    }
    stuffed
}

/// What tells of a socket's events.
struct Watch {
    poll: Poll,
    events: Events,
}

impl Watch {
    fn new(stream: &mut Stream) -> Self {
        let poll = Poll::new().unwrap();
        stream.register_for_room(poll.registry(), Token(0)).unwrap();
        Self { poll, events: Events::with_capacity(8) }
    }

    /// Waits a little for an event.
    fn each(&mut self, note: impl FnMut(&Event)) {
        self.poll.poll(&mut self.events, Some(Duration::from_millis(5))).unwrap();
        self.events.iter().for_each(note);
    }
}

#[test]
fn a_handshake_goes_on_when_the_socket_has_room_again() {
    let directory = tempfile::tempdir().unwrap();
    if !certify(directory.path()) {
        return;
    }
    let tls = Some(load(directory.path()));
    let server = Arc::new(WebServer { path: None, tls, ping: None });
    let mut client = trusting(directory.path()).start().unwrap();
    let (mut theirs, ours, mut same) = sockets();
    let mut web = Web::accept(ours, &server).unwrap();
    let mut watch = Watch::new(web.stream_mut());

    // The socket takes nothing when the first flight is due.
    let mut stuffed = stuff(&mut same);
    client.write_tls(&mut theirs).unwrap();
    let mut turn = |web: &mut Web| {
        watch.each(|event| web.note(event));
        web.advance(Instant::now());
    };
    until(|| {
        turn(&mut web);
        same.peek(&mut [0; 5]).ok()
    });
    stuffed += stuff(&mut same); // what the peer's side has taken meanwhile
    assert_eq!(web.read(&mut [0; 32]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(same.write(&[0]).is_err(), "nothing of the flight had room");

    theirs.read_exact(&mut vec![0; stuffed]).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut first = [0];
    until(|| {
        turn(&mut web);
        theirs.read(&mut first).ok()
    });
    assert_eq!(first, [22], "a record of the handshake");
}

#[test]
fn a_close_that_is_stuck_in_tls_has_an_end_and_the_end_of_the_stream_has_none() {
    let directory = tempfile::tempdir().unwrap();
    if !certify(directory.path()) {
        return;
    }
    let limit = Duration::from_secs(5);
    for half_close in [false, true] {
        let (tls, mut same, mut client) = connected(directory.path());
        let stuffed = stuff(&mut same);
        let session = Session::new(Role::Server, half_close);
        let mut web = Web::open(Link::Tls(Box::new(tls)), session, Vec::new(), None);
        let mut now = Instant::now();
        web.shutdown_write();
        assert!(web.waiting() > 0, "TLS has it, and the socket has no room");
        if half_close {
            // Behind the mark there is a Close, but who reads slowly must not lose what comes
            // before.
            for _ in 0..10 {
                assert!(!web.finish(now, Some(limit)));
                assert_eq!(web.poll_timeout(), None);
                now += limit;
            }
        } else {
            assert!(!web.finish(now, Some(limit)));
            assert!(!web.finish(now + limit / 2, Some(limit)));
            assert_eq!(web.poll_timeout(), Some(now + limit));
            assert!(web.finish(now + limit, Some(limit)), "nobody takes it");
        }
        // Whoever reads at last gets all of it, in its order.
        client.sock.read_exact(&mut vec![0; stuffed]).unwrap();
        client.sock.set_nonblocking(true).unwrap();
        let (mut said, mut watch) = (Vec::new(), Watch::new(web.stream_mut()));
        let expected =
            if half_close { &b"\x82\0\x88\x02\x03\xe8"[..] } else { b"\x88\x02\x03\xe8" };
        until(|| {
            watch.each(|event| web.note(event));
            web.finish(now, Some(limit));
            let mut piece = [0; 16];
            let read = client.read(&mut piece).unwrap_or(0);
            said.extend_from_slice(&piece[..read]);
            (said.len() >= expected.len()).then_some(())
        });
        assert_eq!(said, expected);
    }
}

/// What `server` has come to know, beside what it knew already.
fn hear(server: &mut ServerConnection, socket: &mut TcpStream, known: &mut Vec<u8>) {
    match server.read_tls(socket) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        Ok(read) => assert!(read > 0, "it ends too early"),
    }
    server.process_new_packets().unwrap();
    match server.reader().read_to_end(known) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        Ok(_) => panic!("it ends too early"),
    }
}

fn tell(server: &mut ServerConnection, socket: &mut TcpStream) {
    while server.wants_write() {
        server.write_tls(socket).unwrap();
    }
}

#[test]
fn what_had_no_room_while_dialling_goes_out_later_even_after_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    if !certify(directory.path()) {
        return;
    }
    // A request of several records, more than both ends of the socket hold together.
    let long = format!("X-Long: {}", "x".repeat(40_000));
    let web = WebClient {
        host: "localhost".to_owned(),
        target: "/".to_owned(),
        headers: vec![long.clone().into()],
        tls: Some(trusting(directory.path())),
        ping: None,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let theirs = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    theirs.set_recv_buffer_size(4096).unwrap();
    theirs.connect(&listener.local_addr().unwrap().into()).unwrap();
    let (ours, mut theirs) = (Socket::from(listener.accept().unwrap().0), TcpStream::from(theirs));
    ours.set_send_buffer_size(4096).unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut same: TcpStream = ours.try_clone().unwrap().into();
    let peer = Endpoint::Tcp(same.peer_addr().unwrap());
    let opening = Opening { via: None, web: Some(Arc::new(web)) };
    let mut dial = Dial::new(opening, Stream::new(ours, &peer), 0).unwrap();
    let mut server = load(directory.path()).start().unwrap();

    // The end of the handshake and the request find no room at first.
    let mut known = Vec::new();
    assert!(dial.advance().unwrap().is_none());
    theirs.set_nonblocking(true).unwrap();
    until(|| {
        hear(&mut server, &mut theirs, &mut known);
        server.wants_write().then_some(())
    });
    let stuffed = stuff(&mut same);
    tell(&mut server, &mut theirs);
    until(|| {
        assert!(dial.advance().unwrap().is_none());
        (dial.hurdle() == Hurdle::Upgrade).then_some(())
    });
    theirs.set_nonblocking(false).unwrap();
    theirs.read_exact(&mut vec![0; stuffed]).unwrap();
    theirs.set_nonblocking(true).unwrap();

    // The answer comes when only its first record is there.
    until(|| {
        assert!(dial.advance().unwrap().is_none());
        hear(&mut server, &mut theirs, &mut known);
        known.windows(8).any(|window| window == b"X-Long: ").then_some(())
    });
    let text = String::from_utf8(known.clone()).unwrap();
    let (head, _) = text.split_once("X-Long").unwrap();
    let request = Request::parse(format!("{head}\r\n").as_bytes(), None).unwrap();
    server.writer().write_all(request.grant().as_bytes()).unwrap();
    tell(&mut server, &mut theirs);
    let mut transport = until(|| dial.advance().unwrap());
    assert!(transport.waiting() > 0, "the rest of the request is still here");
    let mut watch = Watch::new(transport.stream_mut());
    let mut turn = |transport: &mut Transport| {
        watch.each(|event| transport.note(event));
        transport.advance(Instant::now());
        hear(&mut server, &mut theirs, &mut known);
        known.clone()
    };
    until(|| {
        turn(&mut transport).ends_with(&[long.as_bytes(), b"\r\n\r\n"].concat()).then_some(())
    });
    let (mut data, mut taken) = (*b"data", 0);
    let known = until(|| {
        taken += transport.write(&mut data[taken..]).unwrap();
        Some(turn(&mut transport)).filter(|known| known.len() == head.len() + long.len() + 4 + 10)
    });
    let frame = &mut &known[known.len() - 10..];
    assert_eq!(spiped_peer::read_frame(frame).unwrap().payload, b"data");
}
