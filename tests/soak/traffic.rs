//! What is sent: connections that go well, connections that break, and those who lack the key or
//! have it and lie. Next: `crowd.rs`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use socket2::Socket;
use spiped_peer::pattern::{Checker, Pattern, send};
use spiped_peer::{Handshake, MOST, PACKET, PUBLIC, Raw, Secrecy, Side, random};

use crate::Soak;
use crate::dice::Dice;
use crate::scene::Which;
use crate::support::address::reset;
use crate::support::refused;
use crate::target::{Order, TAKEN, order};

/// Longer than anything takes while the machine is busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most bytes of a connection that is one of many.
const MANY: u64 = 4 << 20;
/// Most bytes where the amount is not the question.
const SOME: u64 = 200_000;

/// A connection to a daemon, on which `bytes` have been sent.
#[track_caller]
pub(crate) fn open(soak: &Soak, which: Which, bytes: &[u8]) -> Socket {
    let mut socket = soak.scene.at(which).connect().expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.set_write_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(bytes).expect("send");
    socket
}

/// A connection of some kind.
pub(crate) fn any(soak: &Soak, dice: &mut Dice) {
    let tunnel = if dice.below(3) == 0 { Which::UnixEncrypt } else { Which::Encrypt };
    // The last two take a second or more.
    match dice.below(100) {
        0..20 => echo(soak, tunnel, dice),
        20..30 => small_writes(soak, tunnel, dice),
        30..40 => take(soak, tunnel, dice),
        40..50 => give(soak, tunnel, dice),
        50..58 => reset_by_client(soak, tunnel, dice),
        58..66 => reset_by_target(soak, tunnel, dice),
        66..70 => closed_by_target(soak, tunnel),
        70..74 => refused_by_target(soak),
        74..82 => stranger(soak, dice),
        82..88 => liar(soak, dice),
        88..98 => damaged(soak, dice),
        98 => never_read(soak),
        _ => silent(soak),
    }
}

/// Reads to the end, which has to be a reset, or nothing at all if `socket` is a UNIX one.
#[track_caller]
fn breaks(socket: &mut Socket, checker: &mut Checker) {
    match checker.read_all(socket) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        Ok(()) => {
            let domain = socket.local_addr().expect("connected");
            assert!(domain.is_unix(), "a broken connection looks finished");
        }
    }
}

/// There and back, both at once.
fn echo(soak: &Soak, tunnel: Which, dice: &mut Dice) {
    let (seed, count) = (dice.any(), dice.size(MANY));
    let mut socket = open(soak, tunnel, &order(Order::Echo, seed, count));
    let mut writer = socket.try_clone().expect("dup");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            send(&mut writer, &mut Pattern::new(seed), count).expect("send");
            writer.shutdown(Shutdown::Write).expect("shutdown");
        });
        let mut checker = Checker::new(seed);
        checker.read_all(&mut socket).expect("a clean end");
        assert_eq!(checker.received(), count, "bytes came back");
    });
    soak.count(2 * count);
}

/// As somebody types.
fn small_writes(soak: &Soak, tunnel: Which, dice: &mut Dice) {
    let seed = dice.any();
    let mut socket = open(soak, tunnel, &order(Order::Echo, seed, 0));
    let (mut pattern, mut checker) = (Pattern::new(seed), Checker::new(seed));
    for round in 0..dice.below(50) {
        let count = dice.below(40) + 1;
        send(&mut socket, &mut pattern, count).expect("send");
        // Now and then the answer is awaited, otherwise it comes whenever it comes.
        if round % 3 == 0 {
            checker.read_exactly(&mut socket, count).expect("receive");
        } else {
            checker.read_exactly(&mut socket, count.div_ceil(2)).expect("receive");
            checker.read_exactly(&mut socket, count / 2).expect("receive");
        }
    }
    socket.shutdown(Shutdown::Write).expect("shutdown");
    let before = checker.received();
    checker.read_all(&mut socket).expect("a clean end");
    assert_eq!(checker.received(), before, "more than was sent");
    soak.count(2 * before);
}

/// To a target that answers after the end of the stream, quick or slow.
fn take(soak: &Soak, tunnel: Which, dice: &mut Dice) {
    let (seed, slow) = (dice.any(), dice.below(4) == 0);
    let (what, most) = if slow { (Order::TakeSlowly, 1 << 20) } else { (Order::Take, MANY) };
    let count = dice.size(most);
    let mut socket = open(soak, tunnel, &order(what, seed, count));
    send(&mut socket, &mut Pattern::new(seed), count).expect("send");
    socket.shutdown(Shutdown::Write).expect("shutdown");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("a clean end");
    assert_eq!(answer, TAKEN);
    soak.count(count);
}

/// From a target that ends its stream first; the client is quick or slow, and ends later.
fn give(soak: &Soak, tunnel: Which, dice: &mut Dice) {
    let (seed, count) = (dice.any(), dice.size(MANY));
    let mut socket = open(soak, tunnel, &order(Order::Give, seed, count));
    let mut checker = Checker::new(seed);
    if dice.below(4) == 0 {
        let mut buffer = [0; 8 * 1024];
        for _ in 0..100 {
            let read = socket.read(&mut buffer).expect("receive");
            checker.accept(&buffer[..read]);
            // Slowness is what this is about; nothing waits for it.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    checker.read_all(&mut socket).expect("a clean end");
    assert_eq!(checker.received(), count, "bytes of the target");
    // This direction is still open, and the target reads as a client may send: the same pattern.
    let more = dice.size(SOME);
    send(&mut socket, &mut Pattern::new(seed), more).expect("one direction is still open");
    soak.count(count);
}

fn reset_by_client(soak: &Soak, tunnel: Which, dice: &mut Dice) {
    let (seed, count) = (dice.any(), dice.size(SOME));
    let mut socket = open(soak, tunnel, &order(Order::Survive, seed, count));
    send(&mut socket, &mut Pattern::new(seed), count).expect("send");
    reset(socket);
    soak.count(0);
}

fn reset_by_target(soak: &Soak, tunnel: Which, dice: &mut Dice) {
    let (seed, count) = (dice.any(), dice.size(SOME));
    let mut socket = open(soak, tunnel, &order(Order::GiveAndReset, seed, count));
    let mut checker = Checker::new(seed);
    breaks(&mut socket, &mut checker);
    assert!(checker.received() <= count, "more than was sent");
    soak.count(checker.received());
}

fn closed_by_target(soak: &Soak, tunnel: Which) {
    let mut socket = open(soak, tunnel, &order(Order::Close, 0, 0));
    let read = socket.read(&mut [0; 1]).expect("a clean end");
    assert_eq!(read, 0, "bytes from nowhere");
    soak.count(0);
}

fn refused_by_target(soak: &Soak) {
    let mut socket = soak.scene.at(Which::Lost).connect().expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    breaks(&mut socket, &mut Checker::new(0));
    soak.count(0);
}

/// Somebody without the key, at a decrypting daemon.
fn stranger(soak: &Soak, dice: &mut Dice) {
    let mut socket = open(soak, Which::Decrypt, b"");
    // It may be thrown out before it has said all it wanted.
    let _ = match dice.below(5) {
        0 => Ok(()),
        1 => socket.write_all(&Pattern::new(dice.any()).take(5000)),
        2 => socket.write_all(&random::<20>()),
        3 => part_of_a_value(socket, dice),
        _ => {
            refused(Raw::client(socket, b"wrong", Secrecy::Forward));
            Ok(())
        }
    };
    soak.count(0);
}

fn part_of_a_value(socket: Socket, dice: &mut Dice) -> io::Result<()> {
    let mut handshake = Handshake::start(socket, b"wrong", Side::Client, Secrecy::None)?;
    let public = handshake.public();
    let part = usize::try_from(dice.below(PUBLIC as u64)).expect("a length");
    handshake.socket().write_all(&public[..part])
}

/// A target without the key, or one that has it and breaks the protocol, for an encrypting daemon.
fn liar(soak: &Soak, dice: &mut Dice) {
    let mut client = open(soak, Which::LiedTo, b"");
    // Liars are all alike, so it does not matter whose connection this one gets; another may have
    // got ours, and then it may be over before we have said anything.
    let said = client.write_all(b"secret").map_err(|error| error.kind());
    let mut socket = soak.scene.liar.accept();
    match dice.below(4) {
        0 => reset(socket),
        1 => drop(socket),
        2 => {
            // It may be thrown out at the first byte.
            let _ = socket.write_all(&Pattern::new(dice.any()).take(5000));
            let _ = socket.read_to_end(&mut Vec::new());
        }
        _ => drop(Raw::server(socket, b"wrong", Secrecy::Forward)),
    }
    // A reset is told once.
    let outcome = said.and_then(|()| client.read(&mut [0; 1]).map_err(|error| error.kind()));
    assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "looks like a clean end");
    soak.count(0);
}

/// A peer with the key whose stream breaks: cut, flipped, repeated, or a length that is none.
fn damaged(soak: &Soak, dice: &mut Dice) {
    let (seed, count) = (dice.any(), dice.size(SOME));
    let which = if dice.below(3) == 0 { Which::UnixDecrypt } else { Which::Decrypt };
    let secret = soak.scene.room.secret();
    let socket = open(soak, which, b"");
    let mut raw = Raw::client(socket, &secret, Secrecy::None).expect("handshake");
    let mut packets = raw.sealing.seal(&order(Order::Survive, seed, count)).to_vec();
    let data = Pattern::new(seed).take(usize::try_from(count).expect("a length"));
    packets.extend(data.chunks(MOST).flat_map(|chunk| raw.sealing.seal(chunk)));
    let place = usize::try_from(dice.below(packets.len() as u64)).expect("an index");
    match dice.below(4) {
        0 => packets.truncate(place),
        1 => packets[place] ^= 1 << dice.below(8),
        2 => packets.extend_from_within(..PACKET),
        _ => packets.extend(raw.sealing.seal_as(b"", 0)),
    }
    // It may be thrown out before all is sent; in the end it is, and how does not matter to it.
    let _ = raw.socket.write_all(&packets);
    let _ = raw.socket.shutdown(Shutdown::Write);
    let _ = raw.socket.read_to_end(&mut Vec::new());
    soak.count(count);
}

/// Many bytes for a target that does not read, then a reset.
fn never_read(soak: &Soak) {
    let socket = open(soak, Which::Hasty, b"");
    socket.set_write_timeout(Some(Duration::from_millis(100))).expect("timeout");
    let secret = soak.scene.room.secret();
    // A busy machine may make us too late for its short limit.
    let Ok(mut raw) = Raw::client(socket, &secret, Secrecy::None) else { return };
    let packets = raw.sealing.seal(&order(Order::Hold, 0, 0));
    let _ = raw.socket.write_all(&packets);
    let chunk = vec![0; 32 * MOST];
    // Until nothing more is taken.
    while raw.send(&chunk).is_ok() {}
    reset(raw.socket);
    soak.count(0);
}

/// Somebody who says nothing is thrown out.
fn silent(soak: &Soak) {
    let mut socket = open(soak, Which::Hasty, b"");
    let mut rest = Vec::new();
    // Its nonce, and an end of whatever kind.
    let outcome = socket.read_to_end(&mut rest).map_err(|error| error.kind());
    assert!(matches!(outcome, Ok(_) | Err(ErrorKind::ConnectionReset)), "held: {outcome:?}");
    soak.count(0);
}
