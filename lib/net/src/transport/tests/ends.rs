//! Ends, Pings of ours, stalls, and what a stranger gets.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spiped_ws::{Role, Session};

use super::super::link::Link;
use super::super::socket::Stream;
use super::super::web::Web;
use super::echo::{Command, DEADLINE, Echo, Side};
use super::raw::*;
use crate::addr::Endpoint;
use crate::web::WebServer;

/// A WebSocket without a loop, and its peer.
fn alone(ping: Option<Duration>) -> (Raw, Web, std::net::TcpStream) {
    let (socket, ours) = connection();
    ours.set_nonblocking(true).unwrap();
    let same = ours.try_clone().unwrap();
    let peer = Endpoint::Tcp(ours.peer_addr().unwrap());
    let link = Link::Plain(Stream::new(ours.into(), &peer));
    let web = Web::open(link, Session::new(Role::Server, true), Vec::new(), ping);
    (Raw { socket, plays: Plays::Client }, web, same)
}

#[test]
fn a_flood_of_pings_takes_a_turn_and_no_more() {
    let (mut raw, mut web, same) = alone(None);
    raw.send_chopped(&[(PING, &b""[..]); 500], usize::MAX);
    raw.send(BINARY, b"and a byte");
    let sent = 500 * 6 + 6 + 10;
    let until = Instant::now() + DEADLINE;
    while same.peek(&mut [0; 4096]).unwrap_or(0) < sent {
        assert!(Instant::now() < until, "it arrives at once");
    }
    // A small buffer, as while the core wants a few bytes.
    let mut buffer = [0; 32];
    let mut turns = 0;
    loop {
        web.advance(Instant::now());
        match web.read(&mut buffer) {
            Ok(read) => break assert!(b"and a byte".starts_with(&buffer[..read])),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        // No event tells of the rest.
        assert!(web.readable() && web.poll_timeout().is_some_and(|due| due <= Instant::now()));
        turns += 1;
    }
    assert!(turns > 5, "{turns} turns for {sent} bytes");
    assert_eq!(raw.receive(), (PONG, Vec::new()));
}

/// The peer's reset has come.
fn reset(raw: Raw, ours: &std::net::TcpStream) {
    socket2::SockRef::from(&raw.socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(raw);
    let until = Instant::now() + DEADLINE;
    while ours.peer_addr().is_ok() {
        assert!(Instant::now() < until, "the reset arrives at once");
    }
}

#[test]
fn a_side_that_breaks_while_its_end_is_read_is_a_broken_side() {
    let (mut raw, mut web, same) = alone(None);
    raw.send_chopped(&[(PING, b""), (BINARY, b"")], usize::MAX);
    reset(raw, &same);
    // The answer to the Ping finds the connection gone; the end of the stream counts all the same.
    assert_eq!(web.read(&mut [0; 100]).unwrap(), 0);
    web.advance(Instant::now());
    assert!(web.take_breakage().is_some());
}

#[test]
fn a_goodbye_that_nobody_takes_has_an_end() {
    let limit = Duration::from_secs(5);
    for full in [false, true] {
        let (_raw, mut web, mut same) = alone(None);
        while full && same.write(&[0; 4096]).is_ok() {} // now not even a Close has room
        web.shutdown_write();
        let now = Instant::now();
        assert!(!web.finish(now, Some(limit)));
        let due = web.poll_timeout().expect("it does not wait for ever");
        assert!(due >= now + limit, "no turn before it is of use");
        assert!(!web.finish(now + limit / 2, Some(limit)));
        // What the peer's system has taken meanwhile is progress, from which on it counts anew.
        let mut at = web.poll_timeout().unwrap();
        let mut turns = 0;
        while !web.finish(at, Some(limit)) {
            at = web.poll_timeout().unwrap();
            turns += 1;
            assert!(turns < 100, "there is no end");
        }
    }
}

#[test]
fn one_direction_ends_by_an_empty_message_where_that_is_agreed() {
    for plays in BOTH {
        // The peer's stream ends first; what it has sent still comes back, and more could.
        let (mut raw, echo) = Raw::start(plays, HalfClose::Known, None);
        raw.send_chopped(&[(BINARY, b"last words"), (BINARY, b"")], usize::MAX);
        assert_eq!(raw.receive(), (BINARY, b"last words".to_vec()));
        assert_eq!(raw.receive(), (BINARY, Vec::new()));
        raw.expect_close(1000);
        raw.send(CLOSE, &1000_u16.to_be_bytes());
        raw.expect_end();
        echo.outcome().unwrap();

        // Ours ends first; the peer goes on, and its Pings are still answered.
        let (mut raw, echo) = Raw::start(plays, HalfClose::Known, None);
        echo.tell(Command::End);
        assert_eq!(raw.receive(), (BINARY, Vec::new()));
        raw.send_chopped(&[(BINARY, b"to nobody"), (PING, b"there?")], usize::MAX);
        assert_eq!(raw.receive(), (PONG, b"there?".to_vec()));
        raw.send(BINARY, b"");
        raw.expect_close(1000);
        raw.send(CLOSE, &1000_u16.to_be_bytes());
        raw.expect_end();
        echo.outcome().unwrap();
    }
}

#[test]
fn without_agreement_the_end_is_a_close_and_what_comes_before_the_answer_counts() {
    for plays in BOTH {
        let (mut raw, echo) = Raw::start(plays, HalfClose::Unknown, None);
        echo.tell(Command::End);
        raw.expect_close(1000);
        raw.send_chopped(&[(BINARY, b""), (BINARY, b"late"), (CLOSE, b"\x03\xe8")], 3);
        raw.expect_end();
        echo.outcome().unwrap();
    }
}

#[test]
fn a_connection_that_ends_without_a_word_was_cut() {
    for plays in BOTH {
        for half_close in [HalfClose::Known, HalfClose::Unknown] {
            for frames in [&[][..], &[(BINARY, &b"x"[..])], &[(FIRST, b"x")]] {
                let (mut raw, echo) = Raw::start(plays, half_close, None);
                raw.send_chopped(frames, usize::MAX);
                if !frames.is_empty() {
                    assert_eq!(raw.receive_bytes(1), b"x");
                }
                drop(raw);
                let error = echo.outcome().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{error}");
            }
        }
        // The peer's end has come, and then nothing, while our stream was still open.
        let (mut raw, echo) = Raw::start(plays, HalfClose::Known, None);
        echo.tell(Command::Keep);
        raw.send_chopped(&[(BINARY, b""), (PING, b"")], usize::MAX);
        assert_eq!(raw.receive().0, PONG);
        drop(raw);
        assert_eq!(echo.outcome().unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_close_with_another_code_is_no_end() {
    for plays in BOTH {
        let (mut raw, echo) = Raw::start(plays, HalfClose::Known, None);
        raw.send(CLOSE, b"\x03\xf3trouble");
        raw.expect_close(1000);
        let error = echo.outcome().unwrap_err();
        assert!(error.to_string().contains("1011"), "{error}");
    }
}

#[test]
fn two_pings_without_an_answer_end_it() {
    let period = Duration::from_millis(400); // a busy machine may be late by much of it
    for plays in BOTH {
        // As long as they are answered it goes on.
        let (mut raw, echo) = Raw::start(plays, HalfClose::Known, Some(period));
        for _ in 0..3 {
            assert_eq!(raw.receive(), (PING, Vec::new()));
            raw.send(PONG, b"");
        }
        let (first, second) = (raw.receive(), raw.receive());
        assert_eq!([first.0, second.0], [PING, PING]);
        raw.expect_end();
        let error = echo.outcome().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
}

#[test]
fn pings_do_not_end_what_is_stalled() {
    let period = Duration::from_millis(250);
    for plays in BOTH {
        // We do not read: the Pongs stand behind what we leave, while we go on to ask.
        let (mut raw, echo) = Raw::start(plays, HalfClose::Known, Some(period));
        echo.tell(Command::Stall);
        raw.send(BINARY, &[1; 200_000]);
        let (mut pings, mut come) = (0, 0);
        while come < 200_000 {
            let (first, payload) = raw.receive();
            match first {
                // Some may have been read before it was told not to.
                BINARY => come += payload.len(),
                PING if pings < 4 => pings += 1,
                PING => {
                    echo.tell(Command::Resume);
                    raw.send(PONG, b"");
                }
                _ => panic!("a frame of kind {first:x}"),
            }
        }
        drop(raw);

        // The peer does not read: the system takes no more of ours, Pings included.
        let frame = frame(plays, BINARY, &vec![2; 40 << 20]);
        let (raw, echo) = Raw::start(plays, HalfClose::Known, Some(period));
        let mut sending = raw.socket.try_clone().unwrap();
        let flood = std::thread::spawn(move || sending.write_all(&frame));
        let ended = echo.ended_within(6 * period);
        assert!(ended.is_none(), "it was given up: {ended:?}");
        drop(raw.socket.shutdown(std::net::Shutdown::Both));
        assert!(flood.join().unwrap().is_err(), "40 MiB were on the way");
    }
}

#[test]
fn what_asks_for_no_websocket_gets_a_404_and_no_more() {
    for request in [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /other HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
        "\x16\x03\x01 nonsense\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n", // and waits for an answer
        "\x07",                    // of a plain spiped
    ] {
        let (mut socket, ours) = connection();
        let server = WebServer { path: Some("/path".to_owned()), tls: None, ping: None };
        let echo = Echo::start(ours, Side::Accepts(server));
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer and an end");
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nNot Found\n"), "{answer}");
        assert_eq!(echo.outcome().unwrap_err().kind(), ErrorKind::InvalidData);
    }
    // The log says for whom it was asked.
    let (mut socket, ours) = connection();
    let peer = Endpoint::Tcp(ours.peer_addr().unwrap());
    let server = Arc::new(WebServer { path: None, tls: None, ping: None });
    let mut web = Web::accept(Stream::new(ours.into(), &peer), &server).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n").unwrap();
    assert_eq!(web.read(&mut [0; 32]).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(web.take_claim().as_deref(), Some("192.0.2.7"));
    // Who never comes to an end is cut off without a word.
    let (mut socket, ours) = connection();
    let server = WebServer { path: None, tls: None, ping: None };
    let echo = Echo::start(ours, Side::Accepts(server));
    let endless = ["GET / HTTP/1.1\r\nX: ", &"y".repeat(20_000)].concat();
    let _ = socket.write_all(endless.as_bytes());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(echo.outcome().unwrap_err().kind(), ErrorKind::InvalidData);
}
