//! TLS's records on a socket that breaks.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use rustls::{ClientConnection, StreamOwned};

use super::super::socket::Stream;
use super::super::tls::Tls;
use super::super::web::Web;
use super::echo::DEADLINE;
use super::raw::connection;
use crate::addr::Endpoint;
use crate::tls::{TlsClient, TlsServer};
use crate::web::WebServer;

/// A certificate that vouches for itself; false, after saying so, if there is no openssl here.
fn certify(directory: &Path) -> bool {
    let line = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem \
                -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
                -addext basicConstraints=critical,CA:FALSE";
    let command =
        Command::new("openssl").args(line.split_whitespace()).current_dir(directory).output();
    let Ok(output) = command else {
        assert!(std::env::var_os("CI").is_none(), "openssl is not installed");
        eprintln!("*** skipped: openssl is not installed");
        return false;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

type Client = StreamOwned<ClientConnection, TcpStream>;

/// Our end of a connection, a second handle of its socket, and a peer; after the handshake.
fn connected(directory: &Path) -> (Tls, TcpStream, Client) {
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| directory.join(name));
    let server = TlsServer::load(&certificate, &key).unwrap();
    let client = TlsClient::new("localhost", Some(&certificate)).unwrap().start().unwrap();
    let (theirs, ours) = connection();
    ours.set_nonblocking(true).unwrap();
    let same = ours.try_clone().unwrap();
    let peer = Endpoint::Tcp(ours.peer_addr().unwrap());
    let mut tls = Tls::new(Stream::new(ours.into(), &peer), server.start().unwrap().into());
    let shaking = thread::spawn(move || {
        let mut client = StreamOwned::new(client, theirs);
        client.conn.complete_io(&mut client.sock).expect("a handshake");
        client
    });
    let until = Instant::now() + DEADLINE;
    while !tls.shake_hands().expect("a handshake") {
        assert!(Instant::now() < until, "the handshake comes to an end");
        tls.stream_mut().refresh();
        thread::yield_now();
    }
    (tls, same, shaking.join().unwrap())
}

#[test]
fn what_came_before_a_reset_is_read_though_something_waits_to_be_written() {
    let directory = tempfile::tempdir().unwrap();
    if !certify(directory.path()) {
        return;
    }
    for room in [1000, 70_000] {
        let (mut tls, same, mut client) = connected(directory.path());
        while tls.waiting() == 0 {
            tls.write(&[], &[1; 60_000]).expect("it is taken, or waits");
        }
        client.write_all(&[2; 9000]).unwrap();
        socket2::SockRef::from(&client.sock).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let until = Instant::now() + DEADLINE;
        while same.peer_addr().is_ok() {
            assert!(Instant::now() < until, "the reset arrives at once");
        }
        tls.stream_mut().refresh(); // an event tells of it
        let (mut buffer, mut come) = (vec![0; room], 0);
        while come < 9000 {
            let read = tls.read(&mut buffer).expect("all that came before");
            assert!(read > 0 && buffer[..read].iter().all(|byte| *byte == 2));
            come += read;
        }
        let error = tls.write(&[], &[1]).expect_err("nobody takes it");
        assert_ne!(error.kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn a_handshake_goes_on_when_the_socket_has_room_again() {
    let directory = tempfile::tempdir().unwrap();
    if !certify(directory.path()) {
        return;
    }
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    let tls = Some(TlsServer::load(&certificate, &key).unwrap());
    let server = Arc::new(WebServer { path: None, tls, ping: None });
    let mut client = TlsClient::new("localhost", Some(&certificate)).unwrap().start().unwrap();
    let (mut theirs, ours) = connection();
    ours.set_nonblocking(true).unwrap();
    let mut same = ours.try_clone().unwrap();
    let peer = Endpoint::Tcp(ours.peer_addr().unwrap());
    let mut web = Web::accept(Stream::new(ours.into(), &peer), &server).unwrap();
    let mut poll = Poll::new().unwrap();
    web.stream().register(poll.registry(), Token(0)).unwrap();

    // The socket takes nothing when the first flight is due.
    let mut stuffed = 0;
    let mut stuff = |socket: &mut TcpStream| {
        for size in [4096, 1] {
            while let Ok(written) = socket.write(&[0; 4096][..size]) {
                stuffed += written;
            }
        }
    };
    stuff(&mut same);
    client.write_tls(&mut theirs).unwrap();
    let until = Instant::now() + DEADLINE;
    let mut events = Events::with_capacity(8);
    let mut turn = |web: &mut Web| {
        poll.poll(&mut events, Some(Duration::from_millis(10))).unwrap();
        events.iter().for_each(|event| web.note(event));
        web.advance(Instant::now());
        assert!(Instant::now() < until, "no event brings it on");
    };
    turn(&mut web);
    while same.peek(&mut [0; 5]).is_err() {
        turn(&mut web);
    }
    stuff(&mut same); // what the peer's side has taken meanwhile
    assert_eq!(web.read(&mut [0; 32]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(same.write(&[0]).is_err(), "nothing of the flight had room");

    theirs.read_exact(&mut vec![0; stuffed]).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut first = [0];
    while theirs.read(&mut first).is_err() {
        turn(&mut web);
    }
    assert_eq!(first, [22], "a record of the handshake");
}
