//! That every byte of a side comes by events alone, and none is lost at its end.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use socket2::SockRef;

use super::*;
use crate::addr::Endpoint;
use crate::transport::Stream;

/// A side that is registered with a poll of its own.
struct Watched {
    end: End,
    poll: Poll,
}

impl Watched {
    fn new(mut transport: Transport) -> Self {
        let poll = Poll::new().unwrap();
        transport.register(poll.registry(), Token(0)).unwrap();
        Self::registered(transport, poll)
    }

    fn registered(transport: Transport, poll: Poll) -> Self {
        Self { end: End::new(transport, 64 << 10), poll }
    }

    /// As the loop does: all that the events so far allow, until `until` says that it is
    /// enough. Panics if the events do not tell of it.
    fn read_until(&mut self, until: impl Fn(&[u8], bool) -> bool) -> (Vec<u8>, bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let (mut got, mut ended) = (Vec::new(), false);
        while !until(&got, ended) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no event told of the rest, after {got:?}");
            self.wait(left);
            let mut buffer = [0; 64];
            while self.end.readable() && !ended {
                if let Ok(read) = self.end.read(&mut buffer) {
                    got.extend_from_slice(&buffer[..read]);
                    ended = read == 0;
                }
            }
        }
        (got, ended)
    }

    fn wait(&mut self, limit: Duration) {
        let mut events = Events::with_capacity(8);
        self.poll.poll(&mut events, Some(limit)).unwrap();
        events.iter().for_each(|event| self.end.note(event));
    }
}

fn tcp() -> (TcpStream, Watched) {
    let (peer, stream) = streams();
    (peer, Watched::new(Transport::Socket(stream)))
}

fn streams() -> (TcpStream, Stream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let peer = TcpStream::connect(address).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    (peer, Stream::new(ours.into(), &Endpoint::Tcp(address)))
}

#[test]
fn every_byte_comes_by_events_alone_however_it_is_sent() {
    let (mut peer, mut side) = tcp();
    for round in 0..50_u8 {
        peer.write_all(&[round; 10]).unwrap();
        let (got, _) = side.read_until(|got, _| got.len() >= 10);
        assert_eq!(got, [round; 10]);
    }
}

#[test]
fn what_was_read_ahead_comes_first_and_in_order() {
    let (mut peer, mut side) = tcp();
    peer.write_all(b"abcd").unwrap();
    let mut buffer = [0; 64];
    side.wait(Duration::from_secs(10));
    assert_eq!(side.end.read_message(&mut buffer[..4]).unwrap(), 3);
    assert_eq!(&buffer[..3], b"abc");
    assert!(side.end.readable());
    peer.write_all(b"ef").unwrap();
    assert_eq!(side.read_until(|got, _| got.len() >= 3).0, b"def");
}

#[test]
fn a_message_that_was_all_there_was_leaves_nothing_to_be_tried() {
    let (mut peer, mut side) = tcp();
    peer.write_all(b"abc").unwrap();
    side.wait(Duration::from_secs(10));
    assert_eq!(side.end.read_message(&mut [0; 4]).unwrap(), 3);
    assert_eq!(side.end.readable(), !cfg!(target_os = "linux"));
    drop(peer);
    assert_eq!(side.read_until(|_, ended| ended), (Vec::new(), true));
}

#[test]
fn urgent_data_hides_nothing_of_what_follows_it() {
    for _ in 0..20 {
        let (mut peer, mut side) = tcp();
        peer.write_all(b"ab").unwrap();
        SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        peer.write_all(b"cd").unwrap();
        // All of it is there before the first look. The urgent byte is no part of the stream.
        let (got, _) = side.read_until(|got, _| got.len() >= 4);
        assert_eq!(got, b"abcd");
        peer.write_all(b"ef").unwrap();
        let (got, _) = side.read_until(|got, _| got.len() >= 2);
        assert_eq!(got, b"ef");
    }
}

#[test]
fn an_end_that_comes_with_the_last_bytes_is_seen() {
    for _ in 0..20 {
        let (mut peer, mut side) = tcp();
        peer.write_all(b"bye").unwrap();
        drop(peer);
        assert_eq!(side.read_until(|_, ended| ended), (b"bye".to_vec(), true));
    }
}

#[test]
fn an_end_whose_event_was_spent_on_the_connection_attempt_is_seen() {
    let ((mut peer, mut stream), poll) = (streams(), Poll::new().unwrap());
    stream.register_for_room(poll.registry(), Token(0)).unwrap();
    let Watched { mut end, mut poll } = Watched::registered(Transport::Socket(stream), poll);
    peer.write_all(b"bye").unwrap();
    drop(peer);
    // Nobody takes note of the events.
    let mut events = Events::with_capacity(8);
    poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
    let (mut buffer, mut got, mut ended) = ([0; 64], Vec::new(), false);
    while end.readable() && !ended {
        let read = end.read(&mut buffer).unwrap();
        got.extend_from_slice(&buffer[..read]);
        ended = read == 0;
    }
    assert_eq!((got.as_slice(), ended), (&b"bye"[..], true));
}

#[test]
fn a_unix_socket_is_read_until_it_would_block() {
    let (mut peer, ours) = UnixStream::pair().unwrap();
    let mut side = Watched::new(Transport::from_pair(ours.into()).unwrap());
    peer.write_all(b"abc").unwrap();
    assert!(!side.end.readable(), "nothing has been told yet");
    side.wait(Duration::from_secs(10));
    assert_eq!(side.end.read(&mut [0; 64]).unwrap(), 3);
    assert!(side.end.readable(), "a short read says nothing here");
    drop(peer);
    assert_eq!(side.read_until(|_, ended| ended), (Vec::new(), true));
}
