//! Two event loops, one connected to the other, over every carrier of the encrypted side.

mod loops;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use loops::{DEADLINE, run, settings};
use spiped_net::Settings;
use spiped_net::signal::Signals;
use spiped_net::tls::{TlsClient, TlsServer};
use spiped_net::web::{Carrier, WebClient, WebServer};
use spiped_peer::certify;
use spiped_peer::pattern::{Checker, Pattern, send};
use spiped_proto::Role;

/// What lies between the two loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ws,
    Wss,
}

/// A loop for each end, for as long as the test's process lives, and a target.
struct Pair {
    entry: SocketAddr,
    middle: SocketAddr,
    target: TcpListener,
}

impl Pair {
    /// `None`, after saying so, where there are no certificates to be had.
    fn start(kind: Kind, directory: &Path) -> Option<Self> {
        let (client, server) = match kind {
            Kind::Ws => (None, None),
            Kind::Wss if certify(directory) => {
                let file = |name| directory.join(name);
                let client = TlsClient::new("localhost", Some(&file("ca.pem"))).expect("a client");
                (Some(client), Some(load(directory)))
            }
            Kind::Wss => return None,
        };
        Some(Self::start_with(client, server, None))
    }

    fn start_with(
        client: Option<TlsClient>,
        server: Option<TlsServer>,
        signals: Option<Signals>,
    ) -> Self {
        let target = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let ping = Some(Duration::from_millis(400));
        let server = WebServer { path: Some("/a%20path".to_owned()), tls: server, ping };
        let address = target.local_addr().expect("an address");
        let middle = run(settings(Role::Decrypt, address, Carrier::WebServer(server)), signals);
        let entry = run(settings(Role::Encrypt, middle, Carrier::WebClient(asks(client))), None);
        Self { entry, middle, target }
    }

    /// A connection through both.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.entry).expect("the entry");
        let (served, _) = self.target.accept().expect("the target is reached");
        for socket in [&client, &served] {
            socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        }
        (client, served)
    }
}

fn asks(tls: Option<TlsClient>) -> WebClient {
    WebClient {
        host: "localhost".to_owned(),
        target: "/a%20path?with=a&query".to_owned(),
        headers: vec!["X-Forwarded-For: 192.0.2.1".to_owned().into()],
        tls,
        ping: Some(Duration::from_millis(400)),
    }
}

fn load(directory: &Path) -> TlsServer {
    TlsServer::load(&directory.join("cert.pem"), &directory.join("key.pem")).expect("a server")
}

fn on_each_carrier(test: impl Fn(&Pair)) {
    let directory = tempfile::tempdir().expect("a directory");
    for kind in [Kind::Ws, Kind::Wss] {
        if let Some(pair) = Pair::start(kind, directory.path()) {
            test(&pair);
        }
    }
}

#[test]
fn a_hundred_megabytes_go_both_ways_at_once_and_each_end_is_passed_on_by_itself() {
    const COUNT: u64 = 100_000_000;
    on_each_carrier(|pair| {
        let (client, served) = pair.connect();
        let (end_seen, wait) = channel();
        thread::scope(|scope| {
            let mut writer = client.try_clone().expect("dup");
            scope.spawn(move || {
                send(&mut writer, &mut Pattern::new(1), COUNT).expect("it is taken");
                writer.shutdown(Shutdown::Write).expect("its end");
            });
            let (mut writer, mut reader) = (served.try_clone().expect("dup"), served);
            scope.spawn(move || {
                let mut pattern = Pattern::new(2);
                send(&mut writer, &mut pattern, COUNT).expect("it is taken");
                // The client's end has come, and this direction still goes on.
                wait.recv_timeout(DEADLINE).expect("the client's end");
                send(&mut writer, &mut pattern, 1000).expect("it is taken");
                writer.shutdown(Shutdown::Write).expect("its end");
            });
            scope.spawn(move || {
                let mut checker = Checker::new(1);
                checker.read_all(&mut reader).expect("all of it");
                assert_eq!(checker.received(), COUNT);
                end_seen.send(()).expect("somebody waits for it");
            });
            let (mut checker, mut reader) = (Checker::new(2), client);
            checker.read_all(&mut reader).expect("all of it");
            assert_eq!(checker.received(), COUNT + 1000);
        });
    });
}

#[test]
fn the_server_may_end_its_stream_first() {
    on_each_carrier(|pair| {
        let (mut client, mut served) = pair.connect();
        served.write_all(b"all there is").expect("it is taken");
        served.shutdown(Shutdown::Write).expect("its end");
        let mut got = Vec::new();
        client.read_to_end(&mut got).expect("its end");
        assert_eq!(got, b"all there is");
        thread::sleep(Duration::from_millis(500)); // Pings come and go meanwhile
        client.write_all(b"an answer").expect("it is taken");
        client.shutdown(Shutdown::Write).expect("its end");
        got.clear();
        served.read_to_end(&mut got).expect("its end");
        assert_eq!(got, b"an answer");
    });
}

#[test]
fn a_reset_arrives_as_one_behind_all_that_came_before() {
    on_each_carrier(|pair| {
        let (mut client, served) = pair.connect();
        client.write_all(&[7; 50_000]).expect("it is taken");
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("linger");
        // The reset must not overtake the bytes on this first hop.
        let mut served = served;
        let mut got = vec![0; 50_000];
        served.read_exact(&mut got).expect("every byte before the reset");
        drop(client);
        let error = served.read(&mut [0]).expect_err("no clean end");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_idle_connection_lives_on_its_pings_and_a_stalled_one_despite_them() {
    on_each_carrier(|pair| {
        let (mut client, mut served) = pair.connect();
        // A reader that stops for many periods, with more on the way than anybody's buffers hold.
        let flood = thread::spawn(move || {
            send(&mut served, &mut Pattern::new(3), 60_000_000).expect("it is taken");
            served
        });
        thread::sleep(Duration::from_millis(3000));
        let mut checker = Checker::new(3);
        let mut buffer = vec![0; 100_000];
        while checker.received() < 60_000_000 {
            let read = client.read(&mut buffer).expect("it was not given up");
            checker.accept(&buffer[..read]);
        }
        let mut served = flood.join().expect("the flood");
        thread::sleep(Duration::from_millis(1000));
        client.write_all(b"still there").expect("it is taken");
        let mut got = [0; 11];
        served.read_exact(&mut got).expect("still there");
    });
}

#[test]
fn strangers_do_not_reach_the_target() {
    on_each_carrier(|pair| {
        pair.target.set_nonblocking(true).expect("non-blocking");
        for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "nonsense\r\n\r\n", ""] {
            let mut stranger = TcpStream::connect(pair.middle).expect("it listens");
            stranger.write_all(request.as_bytes()).expect("it is taken");
            stranger.shutdown(Shutdown::Write).expect("its end");
            stranger.set_read_timeout(Some(DEADLINE)).expect("a timeout");
            let _ = stranger.read_to_end(&mut Vec::new());
        }
        assert!(pair.target.accept().is_err(), "a stranger has reached the target");
        pair.target.set_nonblocking(false).expect("blocking");
        pair.connect(); // friends still do
    });
}

#[test]
fn a_stranger_who_floods_with_pings_holds_up_nobody_and_has_to_go() {
    let target = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = target.local_addr().expect("an address");
    let server = WebServer { path: None, tls: None, ping: None };
    let impatient = Settings {
        timeout: Some(Duration::from_secs(5)),
        ..settings(Role::Decrypt, address, Carrier::WebServer(server))
    };
    let middle = run(impatient, None);
    let entry = run(settings(Role::Encrypt, middle, Carrier::WebClient(asks(None))), None);
    let pair = Pair { entry, middle, target };

    let mut stranger = TcpStream::connect(middle).expect("it listens");
    let request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
    stranger.write_all(request.as_bytes()).expect("it is taken");
    stranger.set_write_timeout(Some(DEADLINE)).expect("a timeout");
    let mut answers = stranger.try_clone().expect("dup");
    let reading = thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
    let (flows, flowing) = channel();
    let flood = thread::spawn(move || {
        // Pings and empty messages, masked with zeros.
        let frames = [0x89, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0].repeat(5000);
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            if let Err(error) = stranger.write_all(&frames) {
                return Some(error.kind()); // it was thrown out
            }
            let _ = flows.send(());
        }
        None
    });
    flowing.recv_timeout(DEADLINE).expect("the flood flows");

    let (mut client, mut served) = pair.connect();
    client.write_all(b"a friend").expect("it is taken");
    served.read_exact(&mut [0; 8]).expect("it arrives");
    let thrown_out = flood.join().expect("the flood").expect("the deadline of strangers");
    assert_ne!(thrown_out, std::io::ErrorKind::WouldBlock, "nobody reads it any more");
    let _ = reading.join();
    served.write_all(b"the answer").expect("it is taken");
    client.read_exact(&mut [0; 10]).expect("it arrives");
}

#[test]
fn who_shows_no_certificate_of_ours_is_not_talked_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let [ours, other] = ["ours", "other"].map(|name| directory.path().join(name));
    if !(certify(&ours) && certify(&other)) {
        return;
    }
    let cases = [("localhost", other.join("ca.pem")), ("elsewhere", ours.join("ca.pem"))];
    for (name, authority) in cases {
        let client = TlsClient::new(name, Some(&authority)).expect("a client");
        let pair = Pair::start_with(Some(client), Some(load(&ours)), None);
        let mut client = TcpStream::connect(pair.entry).expect("the entry");
        client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let error = client.read(&mut [0]).expect_err("no clean end");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{name}");
        pair.target.set_nonblocking(true).expect("non-blocking");
        assert!(pair.target.accept().is_err());
    }
}

/// The subject's serial number of the certificate that a server shows, as openssl sees it.
fn shown(address: SocketAddr, directory: &Path) -> String {
    let client = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "openssl s_client -connect {address} -CAfile ca.pem </dev/null 2>/dev/null | \
             openssl x509 -noout -serial"
        ))
        .current_dir(directory)
        .output()
        .expect("openssl was there before");
    String::from_utf8_lossy(&client.stdout).into_owned()
}

#[test]
fn sighup_takes_a_new_certificate_and_keeps_the_old_one_if_there_is_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let path: PathBuf = directory.path().to_owned();
    if !certify(&path) {
        return;
    }
    let signals = Signals::new().expect("signals");
    let client = TlsClient::new("localhost", Some(&path.join("ca.pem"))).expect("a client");
    let pair = Pair::start_with(Some(client), Some(load(&path)), Some(signals));
    let (mut old_client, mut old_served) = pair.connect();
    let first = shown(pair.middle, &path);
    assert!(first.starts_with("serial="), "{first}");

    let hang_up = || nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).expect("SIGHUP");
    let certificate = fs::read(path.join("cert.pem")).expect("a certificate");
    fs::write(path.join("cert.pem"), b"nonsense").expect("a file");
    hang_up();
    // A second SIGHUP comes when the first one has been seen to: each is told once.
    thread::sleep(Duration::from_millis(300));
    assert_eq!(shown(pair.middle, &path), first);
    fs::write(path.join("cert.pem"), certificate).expect("a file");

    assert!(certify(&path));
    hang_up();
    let until = Instant::now() + DEADLINE;
    while shown(pair.middle, &path) == first {
        assert!(Instant::now() < until, "the new certificate is not shown");
    }
    // Who is there already notices nothing.
    old_client.write_all(b"unmoved").expect("it is taken");
    old_served.read_exact(&mut [0; 7]).expect("it arrives");
}
