//! Two cores joined by streams on a virtual clock, with every read and write cut at random.
//!
//! Owns the runs in which nothing goes wrong; `pair/faults.rs` has those in which something does,
//! `pair/handshake.rs` who is let in. A failure tells its seed, and `SPIPED_SEED=N cargo test -p
//! spiped-proto --test pair NAME` repeats it alone. Read on in `pair/world.rs`.

#[path = "pair/faults.rs"]
mod faults;
#[path = "pair/handshake.rs"]
mod handshake;
#[path = "pair/lockstep.rs"]
mod lockstep;
#[path = "pair/node.rs"]
mod node;
#[path = "pair/rng.rs"]
mod rng;
#[path = "pair/stream.rs"]
mod stream;
#[path = "pair/world.rs"]
mod world;

use spiped_proto::{CloseReason, Event, Side};

use rng::for_each_seed;
use stream::Ending;
use world::{CLIENT, SERVER, World};

#[test]
fn streams_arrive_whole_however_they_are_cut() {
    for_each_seed(300, |_, rng| {
        let mut world = World::new(rng);
        world.run();
        for (end, peer) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            let (program, node) = (&world.programs[end], &world.nodes[end]);
            assert_eq!(program.received, world.programs[peer].data.len());
            assert_eq!(program.saw, Some(Ending::End));
            assert_eq!(node.bytes().0, program.data.len() as u64);
            assert_eq!(node.bytes().1, program.received as u64);

            let (first, rest) = node.events.split_first().expect("events");
            assert_eq!(*first, Event::PeerAuthenticated(world.authenticated[end]));
            let (last, ends) = rest.split_last().expect("more events");
            assert_eq!(*last, Event::Closed(CloseReason::Finished));
            assert_eq!(ends.len(), 2, "{ends:?}");
            for side in [Side::Plain, Side::Encrypted] {
                assert!(ends.contains(&Event::EndOfStream(side)), "{ends:?}");
            }
        }
    });
}

/// With nothing to send there is nothing on the wire but the handshake, and the ends still come.
#[test]
fn empty_streams_end_too() {
    for_each_seed(40, |seed, rng| {
        let mut world = World::new(rng);
        let empty = [&[CLIENT][..], &[SERVER], &[CLIENT, SERVER]][seed as usize % 3];
        empty.iter().for_each(|&end| world.programs[end].data.clear());
        world.run();
        for (end, peer) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            assert_eq!(world.nodes[end].reason(), CloseReason::Finished);
            assert_eq!(world.programs[end].received, world.programs[peer].data.len());
        }
    });
}
