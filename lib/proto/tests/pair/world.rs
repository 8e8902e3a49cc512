//! Two programs, two cores between them, six streams, a virtual clock, and chance.
//!
//! Owns the order in which things happen: any, as long as each party keeps its contract. A seed
//! repeats it. The faults that tests plan are put into the streams before `run`.

use std::io::ErrorKind;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use spiped_proto::crypt::dh::public_value;
use spiped_proto::wire::{DK1_LEN, DK2_LEN, EXPONENT_LEN, NONCE_LEN, PUBLIC_LEN};
use spiped_proto::{Authenticated, Config, Conn, Entropy, Pfs, Role, Secret, SharedKey, Side};

use crate::node::Node;
use crate::rng::Rng;
use crate::stream::{Ending, Found, Stream};

/// Index of the encrypting end in every pair.
pub(crate) const CLIENT: usize = 0;
/// Index of the decrypting end.
pub(crate) const SERVER: usize = 1;

/// How long a handshake may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// When a program ends its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// As soon as it has sent everything.
    WhenSent,
    /// When it has also seen the end of what it receives.
    AfterPeer,
}

/// A program on the plain side of one end.
pub(crate) struct Program {
    /// What it sends.
    pub(crate) data: Vec<u8>,
    pub(crate) ends: Ends,
    sent: usize,
    ended: bool,
    /// How much of the other program's data it has, all of it right.
    pub(crate) received: usize,
    /// How that came to an end.
    pub(crate) saw: Option<Ending>,
}

/// Everything.
pub(crate) struct World {
    rng: Rng,
    now: Instant,
    pub(crate) programs: [Program; 2],
    pub(crate) nodes: [Node; 2],
    /// From a program to its node.
    pub(crate) up: [Stream; 2],
    /// From a node to its program.
    pub(crate) down: [Stream; 2],
    /// From a node to the other.
    pub(crate) wire: [Stream; 2],
    /// What either node must find out about the other.
    pub(crate) authenticated: [Authenticated; 2],
}

#[derive(Clone, Copy)]
enum Action {
    ProgramWrites,
    ProgramReads,
    NodeReads(Side),
    NodeWrites(Side),
}

impl World {
    /// A world in which nothing goes wrong: lengths, options, keys and segmentation by chance.
    pub(crate) fn new(rng: Rng) -> Self {
        Self::with_coalescing(rng, Duration::ZERO)
    }

    /// As [`Self::new`], with bytes that wait for others to share their packet with.
    pub(crate) fn with_coalescing(mut rng: Rng, coalesce: Duration) -> Self {
        prepare();
        let now = Instant::now();
        let pfs = rng.pick(&[
            [Pfs::Allow, Pfs::Allow],
            [Pfs::Require, Pfs::Allow],
            [Pfs::Allow, Pfs::Require],
            [Pfs::Require, Pfs::Require],
            [Pfs::Refuse, Pfs::Allow],
            [Pfs::Allow, Pfs::Refuse],
            [Pfs::Refuse, Pfs::Refuse],
            [Pfs::Refuse, Pfs::Refuse], // more often, as it is quick
            [Pfs::Refuse, Pfs::Refuse],
            [Pfs::Refuse, Pfs::Refuse],
        ]);
        let keys = 1 + rng.below(3);
        let key = rng.below(keys);
        let mut node = |role, pfs, keys: Arc<[SharedKey]>| {
            let entropy = Entropy::draw(|bytes| {
                rng.fill(bytes);
                bytes[0] |= 1; // the exponent 0 makes the value that stands for doing without
                Ok::<_, std::convert::Infallible>(())
            });
            let Ok(entropy) = entropy;
            let mut config = Config::new(role, keys);
            (config.pfs, config.coalesce) = (pfs, coalesce);
            config.handshake_timeout = Some(PATIENCE);
            Node::new(|now| Conn::new(&config, entropy, now), now)
        };
        let file = |number: usize| SharedKey::from_pieces([[number as u8; 32].as_slice()]);
        let nodes = [
            node(Role::Encrypt, pfs[CLIENT], Arc::from([file(key)])),
            node(Role::Decrypt, pfs[SERVER], (0..keys).map(file).collect()),
        ];
        let mut stream = |grains: &[usize]| {
            let room = rng.pick(&[1, 500, 8_000, 200_000]);
            Stream::new(room, rng.pick(grains))
        };
        let wire = [(); 2].map(|()| stream(&[1, 20, 500, 1060, 5_000, 70_000]));
        let up = [(); 2].map(|()| stream(&[1, 20, 600, 1024, 5_000, 70_000]));
        let down = [(); 2].map(|()| stream(&[1, 20, 600, 1024, 5_000, 70_000]));
        let ends = rng.pick(&[
            [Ends::WhenSent, Ends::WhenSent],
            [Ends::AfterPeer, Ends::WhenSent],
            [Ends::WhenSent, Ends::AfterPeer],
        ]);
        let programs = [CLIENT, SERVER].map(|end| {
            let slowest = wire[end].piece().min(down[1 - end].piece());
            Program::new(&mut rng, ends[end], slowest, up[end].piece())
        });
        let forward_secrecy = !pfs.contains(&Pfs::Refuse);
        let authenticated = [0, key].map(|key| Authenticated::new(key, forward_secrecy));
        Self { rng, now, programs, nodes, up, down, wire, authenticated }
    }

    /// What the packets before `number` carry from `sender` on.
    pub(crate) fn data_before(&self, sender: usize, number: usize) -> usize {
        self.nodes[sender].packets[..number].iter().sum()
    }

    /// Runs until nothing happens any more, then checks what holds for every run.
    pub(crate) fn run(&mut self) {
        let sides = [Side::Plain, Side::Encrypted];
        let mut actions = vec![Action::ProgramWrites, Action::ProgramReads];
        actions.extend(sides.map(Action::NodeReads));
        actions.extend(sides.map(Action::NodeWrites));
        let mut turns: Vec<_> =
            actions.iter().flat_map(|&action| [(action, CLIENT), (action, SERVER)]).collect();
        for _ in 0..2_000_000 {
            // Not later in the turn: at its end, who has been told to wait still has to.
            self.now += Duration::from_micros(self.rng.below(100) as u64);
            for end in [CLIENT, SERVER] {
                self.nodes[end].tick(self.now);
                self.tell_peers_of_a_broken(end);
            }
            self.rng.shuffle(&mut turns);
            // Most rounds leave something out; one that leaves out nothing can tell that all is
            // over.
            let left_out = self.rng.pick(&[0, 3, 6, 11]);
            let mut progress = false;
            for &(action, end) in &turns[left_out..] {
                progress |= self.act(action, end);
            }
            if left_out == 0 && !progress {
                // All wait. If one of them does so for a time that will come, let it come.
                match self.next_moment() {
                    Some(moment) => self.now = moment,
                    None => return self.nodes.iter_mut().for_each(Node::assert_stays_closed),
                }
            }
        }
        panic!("the run does not come to an end");
    }

    /// When the next deadline comes, or the end of a silence.
    fn next_moment(&self) -> Option<Instant> {
        let deadlines = self.nodes.iter().filter_map(Node::deadline);
        let streams = [&self.up, &self.down, &self.wire];
        let silences = streams.into_iter().flatten().filter_map(|stream| stream.thaws(self.now));
        deadlines.chain(silences).min()
    }

    /// Whether anything happened.
    fn act(&mut self, action: Action, end: usize) -> bool {
        let (node, rng) = (&mut self.nodes[end], &mut self.rng);
        let happened = match action {
            Action::ProgramWrites => return self.programs[end].write(&mut self.up[end], rng),
            Action::ProgramReads => return self.program_reads(end),
            Action::NodeReads(Side::Plain) => node.read(Side::Plain, &mut self.up[end], rng),
            Action::NodeWrites(Side::Plain) => node.write(Side::Plain, &mut self.down[end], rng),
            Action::NodeReads(Side::Encrypted) => {
                node.read(Side::Encrypted, &mut self.wire[1 - end], rng)
            }
            Action::NodeWrites(Side::Encrypted) => {
                node.write(Side::Encrypted, &mut self.wire[end], rng)
            }
        };
        self.tell_peers_of_a_broken(end);
        happened
    }

    /// Whoever writes to a node that has failed finds that out; the rest is the node's own doing.
    fn tell_peers_of_a_broken(&mut self, end: usize) {
        if self.nodes[end].is_broken() {
            for source in [&mut self.up[end], &mut self.wire[1 - end]] {
                source.refuse_writes(ErrorKind::ConnectionReset);
            }
        }
    }

    /// What arrives must be the next of what the other program has sent.
    fn program_reads(&mut self, end: usize) -> bool {
        let stream = &mut self.down[end];
        let found = stream.read(1 + self.rng.below(2 * stream.grain), self.now);
        let sent = &self.programs[1 - end].data[..self.programs[1 - end].sent];
        let received = self.programs[end].received;
        match found {
            Found::Nothing => return false,
            Found::Data(data) => {
                assert!(sent[received..].starts_with(&data), "wrong bytes after {received}");
                self.programs[end].received += data.len();
            }
            Found::Ending(ending) => self.programs[end].saw = Some(ending),
        }
        true
    }
}

/// Has made what all connections share, which is no connection's memory: the tables of powers, and
/// the vault's lists of free slots of each size that a connection has secrets of.
pub(crate) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = public_value(&Secret::zeroed());
        slots::<EXPONENT_LEN>();
        slots::<DK1_LEN>();
        slots::<DK2_LEN>();
        slots::<PUBLIC_LEN>();
        slots::<{ 2 * NONCE_LEN + PUBLIC_LEN }>();
    });
}

/// As many slots at once as all threads of the tests together may have, and then none.
fn slots<const N: usize>() {
    drop((0..256).map(|_| Secret::<N>::zeroed()).collect::<Vec<_>>());
}

impl Program {
    /// With at least one byte to send, and not more than makes some dozens of packets,
    /// or a few where they take long.
    fn new(rng: &mut Rng, ends: Ends, slowest: usize, piece: usize) -> Self {
        let most_packets = if slowest < 100 { 3 } else { 40 };
        let length = 1 + rng.below(most_packets * piece.min(1024));
        Self { data: rng.bytes(length), ends, sent: 0, ended: false, received: 0, saw: None }
    }

    fn write(&mut self, stream: &mut Stream, rng: &mut Rng) -> bool {
        if self.ended {
            return false;
        }
        let rest = &self.data[self.sent..];
        if rest.is_empty() {
            self.ended = self.ends == Ends::WhenSent || self.saw.is_some();
            if self.ended {
                stream.finish(Ending::End);
            }
            return self.ended;
        }
        match stream.write(&rest[..rest.len().min(1 + rng.below(2 * stream.grain))]) {
            Ok(taken) => {
                self.sent += taken;
                taken > 0
            }
            Err(_) => {
                self.ended = true;
                true
            }
        }
    }
}
