//! Everything that is tried, and what is due to whoever tries it.
//!
//! A trick may end early because the daemon ends the connection: that is no failure of it, but what
//! it wanted to know. Next: `attack.rs`.

use std::io::{self, Write};
use std::net::Shutdown;
use std::time::Duration;

use socket2::Socket;
use spiped_peer::pattern::Pattern;
use spiped_peer::{MOST, NONCE, PACKET, Raw, Secrecy, Side, prime, random};

use crate::attack::Attack;
use crate::outcome::{Arrived, End, Outcome, Saw};
use crate::stage::Role;

/// What the first good packet carries.
pub const GOOD: &[u8] = b"good";
/// What comes after something bad, and must not arrive.
const LATE: &[u8] = b"late";

/// What is due to a peer, by the protocol and its security argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// To be thrown out, with nothing learnt, and with nothing to be noticed behind `-d`.
    Nothing,
    /// To have this arrive, and then the end of the stream.
    Served(&'static [u8]),
    /// To have this arrive, and then a reset: what broke must not look finished.
    Cut(&'static [u8]),
    /// To be left in peace until it goes, which must then look as it was.
    Left(End),
}

/// A trick.
pub struct Trick {
    /// What the tester does.
    pub name: &'static str,
    /// The side that can do so; none if both can.
    pub only: Option<Side>,
    /// The daemon's `-o`, in seconds.
    pub timeout: u32,
    /// Does it.
    pub play: fn(&mut Attack<'_>) -> io::Result<()>,
    /// What is due.
    pub due: Due,
}

impl Trick {
    /// Whether it can be played on this end of the tunnel.
    #[must_use]
    pub fn fits(&self, role: Role) -> bool {
        self.only.is_none_or(|side| side == role.tester())
    }

    /// Whether an outcome is what is due; `behind` tells whether somebody could see behind the
    /// daemon.
    #[must_use]
    pub fn is_due(&self, role: Role, outcome: &Outcome) -> bool {
        let arrives = |bytes: &[u8], end| Some(Arrived { bytes: bytes.to_owned(), end });
        let (saw, open, arrived) = match self.due {
            // A client that has the key may have sent its value before it could know better.
            Due::Nothing if role == Role::Encrypt => {
                (outcome.saw.min(Saw::Value), false, arrives(b"", End::Reset))
            }
            Due::Nothing => (Saw::Nonce, false, None),
            Due::Served(bytes) => (Saw::Data, false, arrives(bytes, End::Finished)),
            Due::Cut(bytes) => (Saw::Data, false, arrives(bytes, End::Reset)),
            Due::Left(end) => (Saw::Data, true, arrives(b"", end)),
        };
        *outcome == Outcome { saw, open, fault: None, arrived, serves: true }
    }
}

/// A trick that both sides can play, and that waits for nothing.
const fn trick(name: &'static str, due: Due, play: fn(&mut Attack<'_>) -> io::Result<()>) -> Trick {
    // Not in the way, however busy the machine is.
    Trick { name, only: None, timeout: 60, play, due }
}

/// A trick that waits for the daemon's `-o` to pass.
const fn slow(name: &'static str, due: Due, play: fn(&mut Attack<'_>) -> io::Result<()>) -> Trick {
    Trick { timeout: 1, ..trick(name, due, play) }
}

/// A trick that sees the daemon's `-o` pass and is left in peace, once the handshake is done in
/// time.
const fn left(name: &'static str, due: End, play: fn(&mut Attack<'_>) -> io::Result<()>) -> Trick {
    Trick { timeout: 5, ..trick(name, Due::Left(due), play) }
}

/// All tricks: the honest ones, those of strangers, those of holders of the key.
pub const TRICKS: &[Trick] = &[
    trick("nothing wrong", Due::Served(GOOD), |attack| {
        let raw = attack.let_in(Secrecy::Forward)?;
        say_good(raw)
    }),
    trick("nothing wrong, y = 1 as with `-f`", Due::Served(GOOD), |attack| {
        let raw = attack.let_in(Secrecy::None)?;
        say_good(raw)
    }),
    trick("every byte in a write of its own", Due::Served(GOOD), byte_by_byte),
    trick("early data: y = 1 and packets at once, not waiting", Due::Served(GOOD), early_data),
    slow("silence", Due::Nothing, |attack| attack.connect().map(drop)),
    slow("half a nonce, then silence", Due::Nothing, |attack| {
        attack.connect()?.write_all(&random::<{ NONCE / 2 }>())
    }),
    slow("a nonce, then silence", Due::Nothing, |attack| attack.nonces(Secrecy::Forward).map(drop)),
    slow("half of y, then silence", Due::Nothing, |attack| begin_value(attack, 128)),
    slow("y without its MAC, then silence", Due::Nothing, |attack| begin_value(attack, 256)),
    slow("all but a byte of the MAC, then silence", Due::Nothing, |attack| {
        begin_value(attack, 287)
    }),
    slow("a good handshake that takes longer than `-o`", Due::Nothing, trickle),
    trick("half of y, then the end", Due::Nothing, |attack| {
        begin_value(attack, 128)?;
        attack.shutdown()
    }),
    trick("half of y, then a reset", Due::Nothing, |attack| {
        begin_value(attack, 128)?;
        attack.reset()
    }),
    trick("noise", Due::Nothing, |attack| attack.connect()?.write_all(&Pattern::new(1).take(5000))),
    trick("the wrong key", Due::Nothing, |attack| {
        let mut handshake = attack.nonces_with(random(), b"wrong", Secrecy::Forward)?;
        // What the daemon says cannot be checked with the wrong key.
        let message = handshake.public();
        handshake.socket().write_all(&message)
    }),
    trick("a flipped bit in the MAC of y", Due::Nothing, |attack| {
        let mut handshake = attack.nonces(Secrecy::Forward)?;
        let mut message = handshake.public();
        message[287] ^= 1;
        attack.exchange(&mut handshake, &message).map(drop)
    }),
    trick("y under the MAC key of the other side", Due::Nothing, |attack| {
        let mut handshake = attack.nonces(Secrecy::Forward)?;
        let value = handshake.public()[..256].try_into().expect("256 bytes");
        let message = handshake.public_as(attack.side().other(), &value);
        attack.exchange(&mut handshake, &message).map(drop)
    }),
    slow("reflected: all that it sees, sent back", Due::Nothing, reflect),
    trick("replayed: a recorded handshake", Due::Nothing, |attack| replay(attack, 0)),
    trick("replayed: a recorded connection, with its packets", Due::Nothing, |attack| {
        replay(attack, 3)
    }),
    trick("y = 0", Due::Served(GOOD), |attack| degenerate(attack, [0; 256])),
    trick("y = p - 1", Due::Served(GOOD), |attack| degenerate(attack, near_prime(-1))),
    trick("y = p", Due::Nothing, |attack| too_large(attack, near_prime(0))),
    trick("y = p + 1", Due::Nothing, |attack| too_large(attack, near_prime(1))),
    trick("y = 2^2048 - 1", Due::Nothing, |attack| too_large(attack, [0xff; 256])),
    left("silence after the handshake", End::Finished, |attack| {
        attack.let_in(Secrecy::None).map(drop)
    }),
    left("half a packet, then silence", End::Reset, |attack| {
        let mut raw = attack.let_in(Secrecy::None)?;
        let packet = raw.sealing.seal(GOOD);
        raw.socket.write_all(&packet[..PACKET / 2])
    }),
    trick("a good handshake, and noise behind it", Due::Cut(b""), |attack| {
        let mut raw = attack.let_in(Secrecy::None)?;
        raw.socket.write_all(&Pattern::new(2).take(3 * PACKET))
    }),
    trick("a packet of length 0", Due::Cut(GOOD), |attack| lie(attack, 0)),
    trick("a packet of length 1025", Due::Cut(GOOD), |attack| lie(attack, 1025)),
    trick("a packet of length 2^32 - 1", Due::Cut(GOOD), |attack| lie(attack, u32::MAX)),
    trick("a flipped bit in the data", Due::Cut(GOOD), |attack| flip(attack, 0)),
    trick("a flipped bit in the length", Due::Cut(GOOD), |attack| flip(attack, MOST + 3)),
    trick("a flipped bit in the MAC of a packet", Due::Cut(GOOD), |attack| {
        flip(attack, PACKET - 1)
    }),
    trick("replayed: a packet twice", Due::Cut(GOOD), |attack| {
        rearrange(attack, |good, late| vec![good, good, late])
    }),
    trick("reordered: two packets swapped", Due::Cut(b""), |attack| {
        rearrange(attack, |good, late| vec![late, good])
    }),
    trick("a packet left out", Due::Cut(b""), |attack| rearrange(attack, |_, late| vec![late])),
    trick("reflected: a packet of the daemon's own", Due::Cut(GOOD), |attack| {
        let mut raw = attack.let_in(Secrecy::None)?;
        // As the daemon has sent it, or would have.
        let reflected = raw.opening.seal(LATE);
        let packets = [raw.sealing.seal(GOOD), reflected].concat();
        raw.socket.write_all(&packets)
    }),
    trick("a packet of another connection", Due::Cut(b""), |attack| {
        let mut other = attack.let_in(Secrecy::None)?;
        let packet = other.sealing.seal(LATE);
        drop(other);
        let mut raw = attack.let_in(Secrecy::None)?;
        raw.socket.write_all(&packet)
    }),
    trick("a cut inside a packet", Due::Cut(GOOD), |attack| {
        let mut raw = attack.let_in(Secrecy::None)?;
        let mut packets = [raw.sealing.seal(GOOD), raw.sealing.seal(LATE)].concat();
        packets.pop();
        raw.socket.write_all(&packets)?;
        attack.shutdown()
    }),
    trick("a cut between packets, which cannot be told", Due::Served(GOOD), |attack| {
        let mut raw = attack.let_in(Secrecy::None)?;
        let packets = [raw.sealing.seal(GOOD), raw.sealing.seal(LATE)].concat();
        raw.socket.write_all(&packets[..PACKET])?;
        attack.shutdown()
    }),
    trick("a reset after a packet", Due::Cut(GOOD), |attack| {
        let mut raw = attack.let_in(Secrecy::None)?;
        raw.send(GOOD)?;
        attack.good_has_arrived();
        drop(raw);
        attack.reset()
    }),
];

/// A packet, and the end of the stream.
fn say_good(mut raw: Raw) -> io::Result<()> {
    raw.send(GOOD)?;
    raw.socket.shutdown(Shutdown::Write)
}

/// Writes each byte by itself, and waits in between.
fn write_slowly(socket: &mut Socket, bytes: &[u8], pause: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    for byte in bytes {
        socket.write_all(&[*byte])?;
        // The slowness of a peer is what this is about.
        std::thread::sleep(pause);
    }
    Ok(())
}

fn byte_by_byte(attack: &mut Attack<'_>) -> io::Result<()> {
    let mut handshake = attack.nonces(Secrecy::None)?;
    let message = handshake.public();
    if attack.side() == Side::Client {
        write_slowly(handshake.socket(), &message, Duration::ZERO)?;
    }
    let value = attack.value(&mut handshake)?;
    if attack.side() == Side::Server {
        write_slowly(handshake.socket(), &message, Duration::ZERO)?;
    }
    let mut raw = handshake.keyed(&value);
    attack.greeting(&mut raw)?;
    let packet = raw.sealing.seal(GOOD);
    write_slowly(&mut raw.socket, &packet, Duration::ZERO)?;
    raw.socket.shutdown(Shutdown::Write)
}

/// Without forward secrecy the keys are known as soon as the nonces are.
fn early_data(attack: &mut Attack<'_>) -> io::Result<()> {
    let mut handshake = attack.nonces(Secrecy::None)?;
    let (mut sealing, _) = handshake.directions(&[0; 256]);
    let message = [&handshake.public()[..], &sealing.seal(GOOD)].concat();
    handshake.socket().write_all(&message)?;
    let value = attack.value(&mut handshake)?;
    let mut raw = handshake.keyed(&value);
    attack.greeting(&mut raw)?;
    raw.socket.shutdown(Shutdown::Write)
}

/// So many bytes of a good value.
fn begin_value(attack: &mut Attack<'_>, bytes: usize) -> io::Result<()> {
    let mut handshake = attack.nonces(Secrecy::Forward)?;
    let message = handshake.public();
    handshake.socket().write_all(&message[..bytes])
}

/// 288 times 20 ms are some seconds, which no single wait is.
fn trickle(attack: &mut Attack<'_>) -> io::Result<()> {
    let mut handshake = attack.nonces(Secrecy::Forward)?;
    let message = handshake.public();
    write_slowly(handshake.socket(), &message, Duration::from_millis(20))
}

fn reflect(attack: &mut Attack<'_>) -> io::Result<()> {
    let mut socket = attack.connect()?;
    attack.send_all_back(&mut socket)
}

/// A good connection, and then the same bytes again on another one, with so many packets of it.
fn replay(attack: &mut Attack<'_>, packets: usize) -> io::Result<()> {
    let nonce = random();
    let secret = attack.secret().to_owned();
    let mut handshake = attack.nonces_with(nonce, &secret, Secrecy::Forward)?;
    let message = handshake.public();
    let value = attack.exchange(&mut handshake, &message)?;
    let mut raw = handshake.keyed(&value);
    attack.greeting(&mut raw)?;
    let sent: Vec<u8> = (0..3).flat_map(|_| raw.sealing.seal(GOOD)).collect();
    raw.socket.write_all(&sent)?;
    raw.socket.shutdown(Shutdown::Write)?;
    drop(raw);
    let mut socket = attack.connect()?;
    let recorded = [&nonce[..], &message, &sent[..packets * PACKET]].concat();
    socket.write_all(&recorded)
}

/// The prime and `add`.
fn near_prime(add: i8) -> [u8; 256] {
    let mut value = prime();
    match add {
        -1 => value[255] -= 1, // it ends with 64 ones
        1 => {
            value[255 - 8] += 1; // and before them there is something that is not ff
            value[256 - 8..].fill(0);
        }
        _ => {}
    }
    value
}

/// A value whose powers are known: 0, or 1 and -1.
fn degenerate(attack: &mut Attack<'_>, value: [u8; 256]) -> io::Result<()> {
    let mut handshake = attack.nonces(Secrecy::Forward)?;
    let message = handshake.public_of(&value);
    attack.exchange(&mut handshake, &message)?;
    // Whether the daemon's exponent is odd shows when it says something.
    let mut one = [0; 256];
    one[255] = 1;
    let candidates = if value == [0; 256] { vec![value] } else { vec![one, value] };
    let mut socket = handshake.socket().try_clone()?;
    let packet = attack.greeting_packet(&mut socket)?;
    for common in candidates {
        let (sealing, mut opening) = handshake.directions_from(&common);
        if packet.is_none_or(|packet| opening.open(&packet).is_ok()) {
            return say_good(Raw { socket, sealing, opening });
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "a packet under some other key"))
}

fn too_large(attack: &mut Attack<'_>, value: [u8; 256]) -> io::Result<()> {
    let mut handshake = attack.nonces(Secrecy::Forward)?;
    let message = handshake.public_of(&value);
    attack.exchange(&mut handshake, &message).map(drop)
}

/// A packet between two good ones that says it has so many bytes.
fn lie(attack: &mut Attack<'_>, length: u32) -> io::Result<()> {
    let mut raw = attack.let_in(Secrecy::None)?;
    let sealing = &mut raw.sealing;
    let packets = [sealing.seal(GOOD), sealing.seal_as(b"", length), sealing.seal(LATE)];
    raw.socket.write_all(&packets.concat())
}

/// A bit flipped at this offset of the second packet.
fn flip(attack: &mut Attack<'_>, offset: usize) -> io::Result<()> {
    let mut raw = attack.let_in(Secrecy::None)?;
    let mut packets = [raw.sealing.seal(GOOD), raw.sealing.seal(LATE)].concat();
    packets[PACKET + offset] ^= 1;
    raw.socket.write_all(&packets)
}

/// Two good packets in whatever way.
fn rearrange(
    attack: &mut Attack<'_>,
    order: impl Fn([u8; PACKET], [u8; PACKET]) -> Vec<[u8; PACKET]>,
) -> io::Result<()> {
    let mut raw = attack.let_in(Secrecy::None)?;
    let (good, late) = (raw.sealing.seal(GOOD), raw.sealing.seal(LATE));
    raw.socket.write_all(&order(good, late).concat())
}
