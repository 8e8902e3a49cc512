//! A crowd at the door of a decrypting daemon: strangers who hold connections and never prove the
//! key, while friends come and go.
//!
//! It owns what is promised about numbers: friends are served, `-n` counts friends only, and who
//! yields when there are too many. What single strangers try is in `hostile.rs`; how the one that
//! yields is chosen is tested beside the code. Next: `pressure.rs`.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};
use spiped_peer::{Handshake, Raw, Secrecy, Side};

use support::address::limit;
use support::kernel::{self, raise_descriptor_limit};
use support::process::{Role, Spiped};
use support::{
    Address, Daemon, Implementation::Ours, QUIET, Room, Server, holds_within, wait_until,
};

/// Where friends come from; strangers have addresses of their own.
const FRIEND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Where all strangers come from, if they have one address.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

fn decrypting(room: &Room, target: &Address, flags: &[&str]) -> Daemon {
    // Whoever is not told otherwise stays as long as it likes: time decides nothing here.
    let daemon = Spiped::new(Ours, Role::Decrypt, room, &Address::any_v4(), target);
    if flags.contains(&"-o") {
        return daemon.flags(flags).start();
    }
    daemon.flags(&["-o", "600"]).flags(flags).start()
}

/// A connection to the daemon from this address of the loopback network.
fn connect_from(ip: Ipv4Addr, daemon: &Daemon) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    limit(&socket).expect("timeouts");
    socket.bind(&SocketAddrV4::new(ip, 0).into()).expect("bind");
    let Address::Tcp(address) = daemon.address() else { panic!("a TCP address") };
    socket.connect(&(*address).into()).expect("connect");
    socket
}

/// A friend comes, is served, and leaves.
fn serve_friend(room: &Room, daemon: &Daemon) {
    let socket = connect_from(FRIEND, daemon);
    let mut friend = Raw::client(socket, &room.secret(), Secrecy::None).expect("a handshake");
    friend.send(b"hello").expect("send");
    assert_eq!(friend.receive_exactly(5).expect("an echo"), b"hello");
}

/// Keeps those that the daemon has not dropped.
fn keep_open(strangers: &mut Vec<Socket>) {
    strangers.retain_mut(|socket| {
        socket.set_nonblocking(true).expect("O_NONBLOCK");
        // The nonce, then what becomes of the connection.
        loop {
            match socket.read(&mut [0; 64]) {
                Ok(1..) => {}
                Ok(0) => panic!("a stranger sees a clean end"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("{error}"),
            }
        }
    });
}

/// 2,000 strangers stay, more come all the while, and one friend after the other is served.
/// Returns how many strangers are left.
fn crowd(flags: &[&str], address: impl Fn(u16) -> Ipv4Addr) -> usize {
    const HELD: u16 = 2_000;
    const MORE: u16 = 40;
    const FRIENDS: u16 = 10;
    raise_descriptor_limit(u64::from(HELD) + 1_000);
    let (room, server) = (Room::new(), Server::echo());
    let mut daemon = decrypting(&room, server.address(), flags);
    let mut strangers: Vec<Socket> =
        (0..HELD).map(|number| connect_from(address(number), &daemon)).collect();
    for friend in 0..FRIENDS {
        let from = HELD + friend * MORE;
        strangers.extend((from..from + MORE).map(|number| connect_from(address(number), &daemon)));
        // A third of them trickle, a byte each time. The others are silent.
        let mut number = 0;
        strangers.retain_mut(|stranger| {
            number += 1;
            // An error says that it was dropped.
            number % 3 != 0 || stranger.write_all(b"x").is_ok()
        });
        serve_friend(&room, &daemon);
        keep_open(&mut strangers);
    }
    assert_eq!(server.connections(), usize::from(FRIENDS), "connections that the target saw");
    assert!(daemon.running());
    wait_until("the daemon has those that it has not dropped, and no others", || {
        keep_open(&mut strangers);
        kernel::descriptors(daemon.pid()).abs_diff(strangers.len()) < 30
    });
    strangers.len()
}

#[test]
fn a_crowd_takes_no_place_of_friends() {
    assert_eq!(crowd(&["-n", "1"], |_| STRANGER), 2_400, "there was room for all of them");
}

#[test]
fn a_crowd_from_one_address_yields_first() {
    let left = crowd(&["-n", "1", "--max-handshakes", "1000"], |_| STRANGER);
    assert!(left <= 1_000, "{left} strangers where there is room for 1000");
}

#[test]
fn a_crowd_from_a_few_addresses_yields_first() {
    let [a, b, ..] = STRANGER.octets();
    let left = crowd(&["-n", "1", "--max-handshakes", "1000"], |number| {
        Ipv4Addr::new(a, b, 1, (number % 50) as u8)
    });
    assert!(left <= 1_000, "{left} strangers where there is room for 1000");
}

#[test]
fn the_newcomer_gets_in_and_the_other_learns_why() {
    let (room, server) = (Room::new(), Server::echo());
    let daemon = decrypting(&room, server.address(), &["--max-handshakes", "1"]);
    let mut first = vec![connect_from(STRANGER, &daemon)];
    let _second = connect_from(STRANGER, &daemon);
    wait_until("the first yields", || {
        keep_open(&mut first);
        first.is_empty()
    });
    wait_until("a line in the log", || daemon.log().contains("too many handshakes at once"));
    // And so does the second to a friend.
    serve_friend(&room, &daemon);
}

/// The first half of a handshake.
fn half(room: &Room, daemon: &Daemon) -> Handshake {
    let socket = connect_from(FRIEND, daemon);
    Handshake::start(socket, &room.secret(), Side::Client, Secrecy::None).expect("nonces")
}

#[test]
fn who_has_proved_the_key_never_yields() {
    let (room, server) = (Room::new(), Server::echo());
    let daemon = decrypting(&room, server.address(), &["-n", "1", "--max-handshakes", "2"]);
    // Two at the same time; the one that comes second waits, which takes a place of -n that is
    // full.
    let (first, second) = (half(&room, &daemon), half(&room, &daemon));
    let mut first = first.finish().expect("a handshake");
    first.send(b"one").expect("send");
    assert_eq!(first.receive_exactly(3).expect("an echo"), b"one");
    let mut second = second.finish().expect("the answer does not wait");
    second.send(b"two").expect("send");

    // Nobody is accepted now, but these two have been; nobody else waits for a place.
    assert!(!holds_within(QUIET, || server.connections() > 1), "above -n");
    drop(first);
    assert_eq!(second.receive_exactly(3).expect("an echo"), b"two");
    assert_eq!(server.connections(), 2);

    // With the place taken by a friend, strangers come and go as before once it is free again.
    drop(second);
    let strangers: Vec<Socket> = (0..4).map(|_| connect_from(STRANGER, &daemon)).collect();
    serve_friend(&room, &daemon);
    drop(strangers);
}

/// Both are there when the daemon looks: it reads what it has been sent before it lets anybody
/// yield to who has come.
#[test]
fn a_proof_that_comes_together_with_a_newcomer_is_heard_first() {
    let (room, server) = (Room::new(), Server::echo());
    let daemon = decrypting(&room, server.address(), &["--max-handshakes", "1"]);
    for _ in 0..2 {
        let mut friend = half(&room, &daemon);
        // It has had its time to itself, and would have to yield now.
        let since = Instant::now();
        wait_until("a second is over", || since.elapsed() > Duration::from_secs(1));
        daemon.signal(Signal::SIGSTOP);
        let proof = friend.public();
        friend.socket().write_all(&proof).expect("send");
        let newcomer = connect_from(STRANGER, &daemon);
        daemon.signal(Signal::SIGCONT);
        let peer = friend.read_public().expect("the daemon's answer");
        let mut friend = friend.keyed(&peer);
        friend.send(b"here").expect("send");
        assert_eq!(friend.receive_exactly(4).expect("an echo"), b"here");
        drop(newcomer);
    }
}

#[test]
fn a_friend_in_its_place_outlives_any_crowd() {
    let (room, server) = (Room::new(), Server::echo());
    let daemon = decrypting(&room, server.address(), &["--max-handshakes", "100"]);
    let mut friend = half(&room, &daemon).finish().expect("a handshake");
    let mut strangers: Vec<Socket> = (0..300).map(|_| connect_from(FRIEND, &daemon)).collect();
    wait_until("strangers yield to strangers", || {
        keep_open(&mut strangers);
        strangers.len() <= 100
    });
    friend.send(b"still here").expect("send");
    assert_eq!(friend.receive_exactly(10).expect("an echo"), b"still here");
}

#[test]
fn waiting_for_a_place_has_an_end() {
    let (room, server) = (Room::new(), Server::echo());
    let mut daemon = decrypting(&room, server.address(), &["-n", "1", "-o", "1"]);
    let (first, second) = (half(&room, &daemon), half(&room, &daemon));
    let mut first = first.finish().expect("a handshake");
    let mut second = second.finish().expect("the answer does not wait");
    // No place becomes free, so this one never gets to the target.
    let outcome = second.socket.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "looks like a clean end");
    wait_until("a line in the log", || daemon.log().contains("as many connections as -n allows"));
    assert_eq!(server.connections(), 1);
    first.send(b"one").expect("send");
    assert_eq!(first.receive_exactly(3).expect("an echo"), b"one");
    assert!(daemon.running());
}

/// What health checks do, of ours and of load balancers. Whoever has said something is told of.
#[test]
fn who_goes_without_a_word_is_no_line_in_the_log() {
    let (room, server) = (Room::new(), Server::echo());
    for (flags, line) in [(&[][..], false), (&["--log-level", "debug"][..], true)] {
        let daemon = decrypting(&room, server.address(), flags);
        let mut silent = connect_from(STRANGER, &daemon);
        silent.read_exact(&mut [0; 32]).expect("a nonce");
        drop(silent);
        let mut reset = connect_from(STRANGER, &daemon);
        reset.read_exact(&mut [0; 32]).expect("a nonce");
        support::address::reset(reset);
        let mut talker = connect_from(FRIEND, &daemon);
        talker.write_all(b"hello, is this a web server?").expect("write");
        drop(talker);
        wait_until("who has talked is told of", || daemon.log().contains(&FRIEND.to_string()));
        if line {
            let ended = || daemon.log().matches(&STRANGER.to_string()).count() == 4;
            wait_until("the beginnings and ends of the silent ones", ended);
        } else {
            serve_friend(&room, &daemon);
            assert!(!daemon.log().contains(&STRANGER.to_string()), "{}", daemon.log());
        }
    }
}
