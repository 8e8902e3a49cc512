//! A core and a peer that may hold the key and still keeps to nothing: any value and any tag in the
//! handshake; packets that lie about their length, are altered, repeated, reflected, cut.
//!
//! Owns the peer's part and what must come of it, to the byte: each run tells beforehand how the
//! connection has to end. What it sends after the handshake is in `script.rs`, the next file. The
//! fuzzer runs the same, with its bytes in place of chance.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spiped_proto::crypt::dh::{ONE, PeerPublic, public_value, shared_value};
use spiped_proto::crypt::packet::Opener;
use spiped_proto::crypt::{HandshakeKeys, Nonces, SessionKeys};
use spiped_proto::wire::{MAC_LEN, NONCE_LEN, PACKET_LEN, PUBLIC_LEN, PUBLIC_MESSAGE_LEN};
use spiped_proto::{
    Authenticated, CloseReason, Config, Conn, Entropy, Event, HandshakeError, Pfs, Role, Secret,
    SharedKey, Side,
};

use crate::node::Node;
use crate::rng::Rng;
use crate::script::Script;
use crate::stream::{Ending, Fault, Found, Stall, Stream, What};
use crate::world::{PATIENCE, prepare};

/// Our core, and what the script knows of it.
struct Stage<'a> {
    rng: &'a mut Rng,
    node: Node,
    now: Instant,
    role: Role,
    pfs: Pfs,
    ring: Arc<[SharedKey]>,
    /// Ours, that is the core's.
    exponent: Secret<32>,
    /// To the core, and from it, on either side.
    wire_in: Stream,
    wire_out: Stream,
    plain_in: Stream,
    plain_out: Stream,
    /// All that the core has said, on either side.
    said: Vec<u8>,
    came_out: Vec<u8>,
    /// How the stream towards the plain side ended.
    plain_end: Option<Ending>,
}

/// Room of a stream; and how much a script may be before its last act, so that all of it has room.
const ROOM: usize = 1 << 20;
const LONGEST_SCRIPT: usize = ROOM / 2;

/// One run.
pub(crate) fn run(rng: &mut Rng) {
    let mut stage = Stage::new(rng);
    // Each read makes a packet at least, so not too many of them.
    let plain = 1 + stage.rng.below(20 * stage.plain_in.grain.min(150));
    let plain = stage.rng.bytes(plain);
    assert_eq!(stage.plain_in.write(&plain), Ok(plain.len()));
    let Some(keys) = stage.handshake() else {
        // Whoever is not let in gets nothing, and nothing of theirs comes out.
        assert_eq!(stage.came_out, [], "bytes for the target of a stranger");
        return stage.node.assert_stays_closed();
    };
    stage.packets(&keys, &plain);
}

impl<'a> Stage<'a> {
    fn new(rng: &'a mut Rng) -> Self {
        prepare();
        let role = rng.pick(&[Role::Encrypt, Role::Decrypt]);
        let pfs = rng.pick(&[Pfs::Refuse, Pfs::Refuse, Pfs::Allow, Pfs::Require]);
        let keys = 1 + rng.below(3);
        let ring: Arc<[SharedKey]> = (0..keys).map(key).collect();
        let mut exponent = Secret::zeroed();
        let Ok(entropy) = Entropy::draw(|bytes| {
            rng.fill(bytes);
            bytes[0] |= 1; // the exponent 0 makes the value that stands for doing without
            if bytes.len() == 32 {
                exponent = Secret::filled(|x| x.copy_from_slice(bytes)); // the nonce came first
            }
            Ok::<_, std::convert::Infallible>(())
        });
        let coalesce = Duration::from_millis(rng.pick(&[0, 0, 5]));
        let mut config = Config::new(role, Arc::clone(&ring));
        (config.pfs, config.handshake_timeout, config.coalesce) = (pfs, Some(PATIENCE), coalesce);
        let now = Instant::now();
        let node = Node::new(|now| Conn::new(&config, entropy, now), now);
        let mut stream = || Stream::new(ROOM, rng.pick(&[1, 30, 500, 1060, 5000]));
        let [wire_in, wire_out, plain_in, plain_out] = [stream(), stream(), stream(), stream()];
        let (said, came_out, plain_end) = (vec![], vec![], None);
        Self {
            rng,
            node,
            now,
            role,
            pfs,
            ring,
            exponent,
            wire_in,
            wire_out,
            plain_in,
            plain_out,
            said,
            came_out,
            plain_end,
        }
    }

    /// Lets the core do all it can, however long that takes.
    fn pump(&mut self) {
        loop {
            self.node.tick(self.now);
            let mut progress = self.node.read(Side::Encrypted, &mut self.wire_in, self.rng);
            progress |= self.node.read(Side::Plain, &mut self.plain_in, self.rng);
            progress |= self.node.write(Side::Encrypted, &mut self.wire_out, self.rng);
            progress |= self.node.write(Side::Plain, &mut self.plain_out, self.rng);
            while let Found::Data(data) = self.wire_out.read(usize::MAX, self.now) {
                self.said.extend(data);
            }
            loop {
                match self.plain_out.read(usize::MAX, self.now) {
                    Found::Data(data) => self.came_out.extend(data),
                    Found::Ending(ending) => self.plain_end = Some(ending),
                    Found::Nothing => break,
                }
            }
            if !progress {
                // Time passes only where something wants it to: a silence, or bytes that wait.
                let thaws = self.wire_in.thaws(self.now);
                let deadline = self.node.deadline();
                let deadline = deadline.filter(|_| thaws.is_some() || self.is_open());
                match thaws.into_iter().chain(deadline).min() {
                    Some(moment) => self.now = moment,
                    None => return,
                }
            }
        }
    }

    fn is_open(&self) -> bool {
        !self.node.events.is_empty()
    }

    fn send(&mut self, bytes: &[u8]) {
        assert_eq!(self.wire_in.write(bytes), Ok(bytes.len()), "there is room");
    }

    /// The peer's part of the handshake, with or without the key; the keys if it is let in.
    fn handshake(&mut self) -> Option<SessionKeys> {
        let broken = self.plan_a_break();
        self.pump();
        let ours: [u8; NONCE_LEN] = *self.said.first_chunk().expect("a nonce, unasked");
        let theirs: [u8; NONCE_LEN] = match self.rng.below(8) {
            0 => ours,
            _ => self.rng.bytes(NONCE_LEN).try_into().expect("as long"),
        };
        self.send(&theirs);
        self.pump();
        let nonces = match self.role {
            Role::Encrypt => Nonces { client: ours, server: theirs },
            Role::Decrypt => Nonces { client: theirs, server: ours },
        };
        let our_public = if self.pfs == Pfs::Refuse { ONE } else { public_value(&self.exponent) };

        let public = self.public(&our_public);
        let index = match self.role {
            Role::Encrypt => 0,
            Role::Decrypt => self.rng.below(self.ring.len()),
        };
        let (tag, right) = self.tag(index, &nonces, &public, &our_public);
        self.send(&[public.as_slice(), &tag].concat());
        self.pump();

        let expected = match PeerPublic::validate(&public) {
            _ if broken.is_some() => Err(broken.expect("asked just now")),
            _ if !right => Err(CloseReason::Handshake(HandshakeError::WrongKey)),
            None => Err(CloseReason::Handshake(HandshakeError::PublicValueTooLarge)),
            Some(peer) if peer.is_one() && self.pfs == Pfs::Require => {
                Err(CloseReason::Handshake(HandshakeError::NoForwardSecrecy))
            }
            Some(peer) => Ok(peer),
        };
        self.check_said(&our_public, &nonces, index, expected.is_ok());
        let peer = match expected {
            Err(reason) => {
                assert_eq!(self.node.events, [Event::Closed(reason)]);
                return None;
            }
            Ok(peer) => peer,
        };
        let forward_secrecy = self.pfs != Pfs::Refuse && !peer.is_one();
        let authenticated = Authenticated::new(index, forward_secrecy);
        assert_eq!(self.node.events, [Event::PeerAuthenticated(authenticated)]);
        let shared = match forward_secrecy {
            true => shared_value(&peer, &self.exponent),
            false => Secret::filled(|one| *one = ONE),
        };
        Some(SessionKeys::derive(&key(index), &nonces, &shared))
    }

    /// Perhaps the peer ends, resets or falls silent before it has said all; what comes of that.
    fn plan_a_break(&mut self) -> Option<CloseReason> {
        let at = self.rng.below(NONCE_LEN + PUBLIC_MESSAGE_LEN);
        let kind = ErrorKind::ConnectionReset;
        let (what, reason) = match self.rng.below(9) {
            0 => (What::Cut, CloseReason::EndInHandshake),
            1 => (What::Reset(kind), CloseReason::FailedInHandshake(kind)),
            2 => {
                self.wire_in.stall = Some(Stall { at, lasts: 2 * PATIENCE });
                return Some(CloseReason::HandshakeTimeout);
            }
            3 => {
                // Late, but not too late.
                self.wire_in.stall = Some(Stall { at, lasts: PATIENCE / 2 });
                return None;
            }
            _ => return None,
        };
        self.wire_in.fault = Some(Fault { at, what });
        Some(reason)
    }

    fn public(&mut self, ours: &[u8; PUBLIC_LEN]) -> [u8; PUBLIC_LEN] {
        let mut p = spiped_group14::modulus();
        match self.rng.below(9) {
            0 => p,
            1 => {
                p[PUBLIC_LEN - 1] -= 1; // it was ff
                p
            }
            2 => [0; PUBLIC_LEN],
            3 => [0xff; PUBLIC_LEN],
            4 => *ours,
            5 => self.rng.bytes(PUBLIC_LEN).try_into().expect("as long"),
            _ => ONE,
        }
    }

    /// A tag, and whether it is the right one.
    fn tag(
        &mut self,
        index: usize,
        nonces: &Nonces,
        public: &[u8; PUBLIC_LEN],
        ours: &[u8; PUBLIC_LEN],
    ) -> ([u8; MAC_LEN], bool) {
        let tag_by = |number: usize, role: Role, public: &[u8; PUBLIC_LEN]| {
            let keys = HandshakeKeys::derive(&key(number), nonces);
            match role {
                Role::Encrypt => keys.server_tag(public),
                Role::Decrypt => keys.client_tag(public),
            }
        };
        let other = if self.role == Role::Encrypt { Role::Decrypt } else { Role::Encrypt };
        let mut tag = tag_by(index, self.role, public);
        match self.rng.below(12) {
            0 => tag[self.rng.below(MAC_LEN)] ^= 1 << self.rng.below(8),
            1 => tag = tag_by(self.ring.len(), self.role, public),
            2 => tag = tag_by(index, other, ours), // as the core says it: a reflection
            3 => tag = self.rng.bytes(MAC_LEN).try_into().expect("as long"),
            _ => {}
        }
        (tag, tag == tag_by(index, self.role, public))
    }

    /// The core says its nonce, a client its value, a server its value to those it lets in, and
    /// nothing else.
    fn check_said(&self, public: &[u8; PUBLIC_LEN], nonces: &Nonces, index: usize, let_in: bool) {
        let message = &self.said[NONCE_LEN..];
        let keys = HandshakeKeys::derive(&key(index), nonces);
        match self.role {
            Role::Encrypt if message.is_empty() => assert!(!let_in),
            Role::Encrypt => {
                let tag = keys.client_tag(public);
                let said = message.first_chunk::<PUBLIC_MESSAGE_LEN>().expect("a whole message");
                assert!(*said == [public.as_slice(), &tag].concat()[..]);
            }
            Role::Decrypt if let_in => {
                let tag = keys.server_tag(public);
                let said = message.first_chunk::<PUBLIC_MESSAGE_LEN>().expect("a whole message");
                assert!(*said == [public.as_slice(), &tag].concat()[..]);
            }
            Role::Decrypt => assert_eq!(message, [], "an answer to a stranger"),
        }
    }

    /// The peer's packets, and what must come of them.
    fn packets(&mut self, keys: &SessionKeys, plain: &[u8]) {
        let (theirs, ours) = match self.role {
            Role::Encrypt => (keys.server(), keys.client()),
            Role::Decrypt => (keys.client(), keys.server()),
        };
        let mut script = Script::new(theirs, self.said[NONCE_LEN + PUBLIC_MESSAGE_LEN..].to_vec());
        while script.end.is_none() && script.wire.len() < LONGEST_SCRIPT && self.rng.below(8) > 0 {
            script.act(self.rng);
        }
        self.send(&script.wire);
        match script.ending {
            Some(Ending::Failed(kind)) => self.wire_in.finish(Ending::Failed(kind)),
            _ => self.wire_in.finish(Ending::End),
        }
        self.plain_in.finish(Ending::End);
        self.pump();

        assert!(self.came_out == script.data, "{} bytes came out", self.came_out.len());
        let reason = script.end.unwrap_or(CloseReason::Finished);
        if self.node.reason() == CloseReason::Finished {
            assert_eq!(self.plain_end, Some(Ending::End));
        } else {
            assert_eq!(self.plain_end, Some(Ending::Failed(ErrorKind::ConnectionReset)));
        }
        assert_eq!(self.node.reason(), reason);
        // What the core has sealed is the beginning of the plain stream, and all of it at the end.
        let packets = &self.said[NONCE_LEN + PUBLIC_MESSAGE_LEN..];
        assert_eq!(packets.len() % PACKET_LEN, 0);
        let mut opened = vec![];
        Opener::new(ours).open(packets, &mut opened).expect("the core's own packets are good");
        assert!(plain.starts_with(&opened) && opened.len() as u64 == self.node.bytes().0);
        assert!(reason != CloseReason::Finished || opened == plain);
        self.node.assert_stays_closed();
    }
}

/// The key with this number; those of the ring come first.
fn key(number: usize) -> SharedKey {
    SharedKey::from_pieces([[number as u8; 32].as_slice()])
}
