//! A peer that speaks the spiped protocol by hand, so that a test can break it at any byte.
//!
//! [`Raw::client`] plays the encrypting side, [`Raw::server`] the decrypting one, each on a
//! connected socket; [`Handshake`] is for those who stop half way. Afterwards packets are made
//! by [`Direction::seal`] and sent in whatever shape the test wants. What a peer sends that is not
//! as it should be is an error of the kind `InvalidData`. Next: `crypt.rs`.

use std::io::{self, Read, Write};

use socket2::Socket;

use crate::crypt::{
    Direction, MOST, NONCE, PACKET, PUBLIC, derive, mac, not_as_it_should_be, one, public, shared,
};

/// The side a raw peer plays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Encrypting: its value goes first.
    Client,
    /// Decrypting.
    Server,
}

impl Side {
    /// Its peer.
    #[must_use]
    pub fn other(self) -> Self {
        if self == Self::Client { Self::Server } else { Self::Client }
    }
}

/// What a raw peer offers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// A fresh Diffie-Hellman value.
    Forward,
    /// The value 1, as with `-f`.
    None,
}

/// A handshake after the exchange of nonces.
pub struct Handshake {
    socket: Socket,
    secret: Vec<u8>,
    side: Side,
    nonces: [u8; 2 * NONCE],
    exponent: Option<Vec<u8>>,
}

/// A peer after the handshake.
pub struct Raw {
    /// The connection.
    pub socket: Socket,
    /// What this side sends with.
    pub sealing: Direction,
    /// What this side receives with.
    pub opening: Direction,
}

/// The secrets of a connection.
pub struct Secrets {
    /// dk_1: the MAC keys of the handshake, the client's first.
    pub handshake: [u8; 64],
    /// y_SC, the common Diffie-Hellman value.
    pub common: [u8; 256],
    /// dk_2: cipher key and MAC key of the client, then of the server.
    pub session: [u8; 128],
}

/// Random bytes. A repeated nonce would do no harm here, but would prove less.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut source = std::fs::File::open("/dev/urandom").expect("/dev/urandom");
    source.read_exact(&mut bytes).expect("/dev/urandom has no end");
    bytes
}

impl Handshake {
    /// Sends a nonce and reads the peer's.
    pub fn start(socket: Socket, secret: &[u8], side: Side, secrecy: Secrecy) -> io::Result<Self> {
        Self::start_with(socket, random(), secret, side, secrecy)
    }

    /// Sends this nonce and reads the peer's.
    pub fn start_with(
        mut socket: Socket,
        ours: [u8; NONCE],
        secret: &[u8],
        side: Side,
        secrecy: Secrecy,
    ) -> io::Result<Self> {
        let mut theirs = [0; NONCE];
        socket.write_all(&ours)?;
        socket.read_exact(&mut theirs)?;
        let (client, server) = if side == Side::Client { (ours, theirs) } else { (theirs, ours) };
        let mut nonces = [0; 2 * NONCE];
        nonces[..NONCE].copy_from_slice(&client);
        nonces[NONCE..].copy_from_slice(&server);
        let exponent = (secrecy == Secrecy::Forward).then(|| random::<32>().to_vec());
        Ok(Self { socket, secret: secret.to_owned(), side, nonces, exponent })
    }

    /// The connection.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// This side's value and its MAC.
    pub fn public(&self) -> [u8; PUBLIC] {
        self.public_of(&self.exponent.as_ref().map_or_else(one, |exponent| public(exponent)))
    }

    /// Any value at all, with the MAC of this side.
    pub fn public_of(&self, value: &[u8; 256]) -> [u8; PUBLIC] {
        self.public_as(self.side, value)
    }

    /// Any value at all, with the MAC of either side.
    pub fn public_as(&self, side: Side, value: &[u8; 256]) -> [u8; PUBLIC] {
        let mut message = [0; PUBLIC];
        message[..256].copy_from_slice(value);
        message[256..].copy_from_slice(&mac(&self.mac_key(side), &[value]));
        message
    }

    /// Reads the peer's value.
    pub fn read_public(&mut self) -> io::Result<[u8; 256]> {
        let mut message = [0; PUBLIC];
        self.socket.read_exact(&mut message)?;
        let (value, tag) = message.split_at(256);
        let peer = self.side.other();
        if tag != mac(&self.mac_key(peer), &[value]) {
            return Err(not_as_it_should_be("the MAC of the peer's value"));
        }
        Ok(value.try_into().expect("256 bytes"))
    }

    /// Sends this side's value and reads the peer's, in the order of the protocol.
    pub fn exchange(&mut self) -> io::Result<[u8; 256]> {
        let message = self.public();
        if self.side == Side::Client {
            self.socket.write_all(&message)?;
            return self.read_public();
        }
        let peer = self.read_public()?;
        self.socket.write_all(&message)?;
        Ok(peer)
    }

    /// The same, and makes the keys.
    pub fn finish(mut self) -> io::Result<Raw> {
        let peer = self.exchange()?;
        Ok(self.keyed(&peer))
    }

    /// What nobody but the two sides may ever know of this connection.
    pub fn secrets(&self, peer: &[u8; 256]) -> Secrets {
        let common = self.common(peer);
        let session = self.session(&common);
        Secrets { handshake: derive(&self.secret, &[&self.nonces]), common, session }
    }

    fn session(&self, common: &[u8; 256]) -> [u8; 128] {
        derive(&self.secret, &[&self.nonces, common])
    }

    fn common(&self, peer: &[u8; 256]) -> [u8; 256] {
        self.exponent.as_ref().map_or_else(one, |exponent| shared(peer, exponent))
    }

    /// The packets' keys, given the peer's value.
    pub fn keyed(self, peer: &[u8; 256]) -> Raw {
        let (sealing, opening) = self.directions(peer);
        Raw { socket: self.socket, sealing, opening }
    }

    /// What this side sends with and receives with. Without forward secrecy the peer's value
    /// does not matter, so packets can be made before it is known.
    pub fn directions(&self, peer: &[u8; 256]) -> (Direction, Direction) {
        self.directions_from(&self.common(peer))
    }

    /// The same for a common value that was not computed, since it is known.
    pub fn directions_from(&self, common: &[u8; 256]) -> (Direction, Direction) {
        let keys = self.session(common);
        let (client, server) = (Direction::new(&keys[..64]), Direction::new(&keys[64..]));
        if self.side == Side::Client { (client, server) } else { (server, client) }
    }

    fn mac_key(&self, side: Side) -> [u8; 32] {
        let keys: [u8; 64] = derive(&self.secret, &[&self.nonces]);
        let half = if side == Side::Client { &keys[..32] } else { &keys[32..] };
        half.try_into().expect("32 bytes")
    }
}

impl Raw {
    /// Plays the encrypting side.
    pub fn client(socket: Socket, secret: &[u8], secrecy: Secrecy) -> io::Result<Self> {
        Handshake::start(socket, secret, Side::Client, secrecy)?.finish()
    }

    /// Plays the decrypting side.
    pub fn server(socket: Socket, secret: &[u8], secrecy: Secrecy) -> io::Result<Self> {
        Handshake::start(socket, secret, Side::Server, secrecy)?.finish()
    }

    /// Sends data, in packets of up to 1024 bytes.
    pub fn send(&mut self, data: &[u8]) -> io::Result<()> {
        let packets: Vec<u8> =
            data.chunks(MOST).flat_map(|chunk| self.sealing.seal(chunk)).collect();
        self.socket.write_all(&packets)
    }

    /// Receives a packet.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut packet = [0; PACKET];
        self.socket.read_exact(&mut packet)?;
        self.opening.open(&packet)
    }

    /// Receives packets until `count` bytes are there.
    pub fn receive_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        while data.len() < count {
            data.extend(self.receive()?);
        }
        if data.len() > count {
            return Err(not_as_it_should_be("more than was asked for"));
        }
        Ok(data)
    }
}
