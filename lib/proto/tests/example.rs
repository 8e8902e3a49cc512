//! The example, run as a program against a peer that speaks the protocol by itself.
//!
//! Owns the promise that the example works and that it is short.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use socket2::Socket;
use spiped_peer::{Raw, Secrecy};

const KEY: &[u8] = b"a key file of 32 bytes, or more!";

/// How long a peer waits for the example.
const LIMIT: Duration = Duration::from_secs(30);

/// The program: cargo builds examples before it runs tests, beside the directory of the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let built = test.parent().and_then(|deps| deps.parent()).expect("target/debug/deps");
    built.join("examples/blocking")
}

/// Runs the example with `request`, against a server that is given its connection.
fn run(request: &'static [u8], serve: impl FnOnce(Socket) + Send + 'static) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("an address").to_string();
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("accept");
        socket.set_read_timeout(Some(LIMIT)).expect("timeout");
        serve(socket.into());
    });
    let mut key = tempfile::NamedTempFile::new().expect("a key file");
    key.write_all(KEY).expect("a key file");
    let mut child = Command::new(example())
        .arg(address)
        .arg(key.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", example().display()));
    child.stdin.take().expect("piped").write_all(request).expect("the example reads it all");
    let output = child.wait_with_output().expect("the example ends");
    server.join().expect("the server is content");
    output
}

#[test]
fn it_asks_and_prints_the_answer() {
    for secrecy in [Secrecy::Forward, Secrecy::None] {
        let output = run(b"what is it?", move |socket| {
            let mut raw = Raw::server(socket, KEY, secrecy).expect("a handshake");
            assert_eq!(raw.receive().expect("a packet"), b"what is it?");
            assert_eq!(std::io::Read::read(&mut raw.socket, &mut [0]).expect("the end"), 0);
            for part in [&b"it is "[..], b"a longer answer, in several packets"] {
                raw.send(part).expect("send");
            }
        });
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"it is a longer answer, in several packets");
    }
}

#[test]
fn it_fails_with_the_reason() {
    let output = run(b"", |socket| {
        let refused = Raw::server(socket, b"another key", Secrecy::Forward);
        assert!(refused.is_err(), "the example has another key");
    });
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]), "{said}");
    assert!(said.contains("handshake"), "{said}");
}

#[test]
fn it_is_short() {
    let text = include_str!("../examples/blocking.rs");
    assert!(text.lines().count() < 80, "{} lines", text.lines().count());
}
