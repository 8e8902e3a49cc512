//! Two cores joined by streams on a virtual clock, with every read and write cut at random.
//!
//! Owns the runs in which nothing goes wrong, and those in which anything may (`pair/chaos.rs`);
//! `pair/faults.rs` has those in which one thing does, `pair/handshake.rs` who is let in,
//! `pair/hostile.rs` what a peer may try. A failure tells its seed, and `SPIPED_SEED=N cargo test
//! -p spiped-proto --test pair NAME` repeats it alone. Read on in `pair/world.rs`.

#[path = "pair/chaos.rs"]
mod chaos;
#[path = "pair/faults.rs"]
mod faults;
#[path = "pair/handshake.rs"]
mod handshake;
#[path = "pair/heap.rs"]
mod heap;
#[path = "pair/hostile.rs"]
mod hostile;
#[path = "pair/lockstep.rs"]
mod lockstep;
#[path = "pair/node.rs"]
mod node;
#[path = "pair/rng.rs"]
mod rng;
#[path = "pair/script.rs"]
mod script;
#[path = "pair/stream.rs"]
mod stream;
#[path = "pair/world.rs"]
mod world;

use std::time::Duration;

use spiped_proto::{CloseReason, Event, Side};

use rng::{Rng, for_each_seed};
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

/// Bytes that wait for others to share their packet with arrive all the same, in order.
#[test]
fn streams_arrive_whole_when_small_writes_share_packets() {
    for_each_seed(200, |seed, rng| {
        let limit = [1, 100, 60_000][seed as usize % 3];
        let mut world = World::with_coalescing(rng, Duration::from_millis(limit));
        world.run();
        for (end, peer) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            assert_eq!(world.nodes[end].reason(), CloseReason::Finished);
            assert_eq!(world.programs[end].received, world.programs[peer].data.len());
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

#[test]
fn whatever_goes_wrong_the_promises_hold() {
    for_each_seed(600, |_, mut rng| {
        let world = Rng::new(rng.next());
        chaos::run(&mut rng, world);
    });
}

#[test]
fn a_silence_at_any_byte_of_the_handshake_ends_it_only_after_its_limit() {
    let limit = world::PATIENCE;
    let moments = [limit / 2, limit - Duration::from_secs(1), limit, 10 * limit];
    for_each_seed(2 * chaos::HANDSHAKE_LEN as u64 + 40, |seed, mut rng| {
        // After the handshake a silence may be as long as it likes.
        let (sender, at) = ((seed % 2) as usize, (seed / 2) as usize);
        let lasts = rng.pick(&moments);
        chaos::silence(rng, sender, at, lasts);
    });
}

#[test]
fn a_hostile_peer_gets_what_the_protocol_says_and_no_byte_more() {
    for_each_seed(1000, |_, mut rng| hostile::run(&mut rng));
}
