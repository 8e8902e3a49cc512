//! TLS's records: before a reset, and such as have nothing in them. Next: `room.rs`.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ClientConnection, Connection, ConnectionTrafficSecrets, ContentType, ProtocolVersion,
    ServerConfig, ServerConnection, StreamOwned, SupportedCipherSuite,
};
use spiped_peer::certify;

use super::super::socket::Stream;
use super::super::tls::{MAX_RECORD, Tls};
use super::echo::DEADLINE;
use super::raw::connection;
use crate::addr::Endpoint;
use crate::tls::{TlsClient, TlsServer};

pub(super) type Client = StreamOwned<ClientConnection, TcpStream>;

pub(super) fn load(directory: &Path) -> TlsServer {
    TlsServer::load(&directory.join("cert.pem"), &directory.join("key.pem")).unwrap()
}

pub(super) fn trusting(directory: &Path) -> TlsClient {
    TlsClient::new("localhost", Some(&directory.join("ca.pem"))).unwrap()
}

/// Our end of a connection, a second handle of its socket, and a peer; after the handshake.
pub(super) fn connected(directory: &Path) -> (Tls, TcpStream, Client) {
    let client = trusting(directory).start().unwrap().into();
    let (tls, same, peer, sock) = shaken(load(directory).start().unwrap().into(), client);
    let Connection::Client(client) = peer else { panic!("it was one before") };
    (tls, same, StreamOwned::new(client, sock))
}

/// The same for any two.
fn shaken(ours: Connection, mut theirs: Connection) -> (Tls, TcpStream, Connection, TcpStream) {
    let (mut socket, stream, same) = sockets();
    let mut tls = Tls::new(stream, ours);
    let shaking = thread::spawn(move || {
        theirs.complete_io(&mut socket).expect("a handshake");
        (theirs, socket)
    });
    until(|| {
        tls.stream_mut().refresh();
        tls.shake_hands().expect("a handshake").then_some(())
    });
    let (theirs, socket) = shaking.join().unwrap();
    (tls, same, theirs, socket)
}

/// The peer's socket, and ours twice.
pub(super) fn sockets() -> (TcpStream, Stream, TcpStream) {
    let (theirs, ours) = connection();
    ours.set_nonblocking(true).unwrap();
    let same = ours.try_clone().unwrap();
    let peer = Endpoint::Tcp(ours.peer_addr().unwrap());
    (theirs, Stream::new(ours.into(), &peer), same)
}

/// Takes turns until something is there.
#[track_caller]
pub(super) fn until<T>(mut turn: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = turn() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come");
        thread::yield_now();
    }
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

/// A server whose records can be made by hand.
fn open_hearted(directory: &Path) -> ServerConnection {
    let certificate = CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.enable_secret_extraction = true;
    ServerConnection::new(Arc::new(config)).unwrap()
}

/// A ticket for a session to come, as servers send them at any time.
const TICKET: [u8; 18] = [4, 0, 0, 14, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0];

/// What comes next from `server`: so many records with nothing of the stream in them, and one with
/// a byte. Empty ones rustls refuses by itself.
fn tickets(server: Connection, count: u64) -> Vec<u8> {
    let Some(SupportedCipherSuite::Tls13(suite)) = server.negotiated_cipher_suite() else {
        panic!("TLS 1.3 was agreed");
    };
    let (first, secrets) = server.dangerous_extract_secrets().unwrap().tx;
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        panic!("another cipher");
    };
    let mut sealer = suite.aead_alg.encrypter(key, iv);
    let mut seal = |typ, payload, number| {
        let (version, payload) = (ProtocolVersion::TLSv1_2, OutboundChunks::Single(payload));
        let plain = OutboundPlainMessage { typ, version, payload };
        sealer.encrypt(plain, first + number).unwrap().encode()
    };
    let mut bytes: Vec<u8> =
        (0..count).flat_map(|number| seal(ContentType::Handshake, &TICKET, number)).collect();
    bytes.extend(seal(ContentType::ApplicationData, b"x", count));
    bytes
}

#[test]
fn a_flood_of_records_without_data_takes_a_turn_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    if !certify(directory.path()) {
        return;
    }
    // Four kilobytes are read at once where there is little room, and eight where there is this
    // much.
    for (room, most) in [(1000, 4 << 10), (MAX_RECORD + (8 << 10), 8 << 10)] {
        let ours = trusting(directory.path()).start().unwrap().into();
        let theirs = open_hearted(directory.path()).into();
        let (mut tls, same, server, mut sock) = shaken(ours, theirs);
        let flood = tickets(server, 4000);
        socket2::SockRef::from(&same).set_recv_buffer_size(4 * flood.len()).unwrap();
        let sending = flood.clone();
        let sent = thread::spawn(move || sock.write_all(&sending).map(|()| sock));
        let mut all = vec![0; flood.len()];
        until(|| same.peek(&mut all).ok().filter(|come| *come >= flood.len()));
        tls.stream_mut().refresh(); // an event tells of it
        let (mut buffer, mut turns) = (vec![0; room], 0);
        let read = loop {
            match tls.read(&mut buffer) {
                Ok(read) => break read,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            turns += 1;
            assert!(tls.readable(), "no event tells of the rest");
        };
        assert_eq!(buffer[..read], *b"x");
        let fewest = flood.len() / most / 9; // the first read and eight more
        assert!((fewest.max(1)..=2 * fewest + 1).contains(&turns), "{turns} turns, not {fewest}");
        drop(sent.join().unwrap().unwrap());
    }
}
