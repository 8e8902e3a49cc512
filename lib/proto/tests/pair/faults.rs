//! What goes wrong after, or during, a handshake: bits, cuts, resets, and writes that fail.
//!
//! Owns the promise that every good byte before a fault is delivered, that nothing after it is, and
//! that the end is told as what it was. Runs by chance come first, then the same by hand.

use std::io::ErrorKind;
use std::time::Instant;

use spiped_proto::wire::{NONCE_LEN, PACKET_DATA_LEN, PACKET_LEN};
use spiped_proto::{CloseReason, Event, HandshakeError, Input, PacketError, Side};

use crate::chaos::{HANDSHAKE_LEN, packet_at};
use crate::lockstep::{established, hear, tell};
use crate::rng::{Rng, for_each_seed};
use crate::stream::{Ending, Fault, What};
use crate::world::{CLIENT, Ends, SERVER, World};

const RESET: Ending = Ending::Failed(ErrorKind::ConnectionReset);

/// Plans a fault at a byte of what `sender` certainly sends; returns that byte.
fn plan(world: &mut World, sender: usize, what: What, rng: &mut Rng) -> usize {
    let packets = world.programs[sender].data.len().div_ceil(PACKET_DATA_LEN);
    let at = match rng.below(4) {
        0 => rng.below(HANDSHAKE_LEN),
        1 => HANDSHAKE_LEN + PACKET_LEN * rng.below(packets),
        _ => HANDSHAKE_LEN + rng.below(packets * PACKET_LEN),
    };
    world.wire[sender].fault = Some(Fault { at, what });
    at
}

/// The receiver of a broken stream has all that was good, and was told that this was not all.
fn assert_cut_short(world: &World, receiver: usize, received: usize) {
    let program = &world.programs[receiver];
    assert_eq!((program.received, program.saw), (received, Some(RESET)));
}

#[test]
fn a_flipped_bit_ends_the_run_before_the_packet_it_is_in() {
    for_each_seed(300, |seed, mut rng| {
        let mut world = World::new(Rng::new(rng.next()));
        let (sender, receiver) = if seed % 2 == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let what = What::FlipBit(rng.below(8) as u32);
        let at = plan(&mut world, sender, what, &mut rng);
        world.run();
        let Some((number, _)) = packet_at(at) else {
            // A nonce that differs is found by the server, whosever it is.
            let judge = if at < NONCE_LEN { SERVER } else { receiver };
            let refused = CloseReason::Handshake(HandshakeError::WrongKey);
            assert_eq!(world.nodes[judge].reason(), refused);
            assert_eq!(world.nodes[judge].events.len(), 1, "no peer was authenticated");
            assert!(!world.nodes[1 - judge].reason().is_clean());
            return (0..2).for_each(|end| assert_cut_short(&world, end, 0));
        };
        let bad = CloseReason::BadPacket { number: number as u64, error: PacketError::BadTag };
        assert_eq!(world.nodes[receiver].reason(), bad);
        let good = world.data_before(sender, number);
        assert_cut_short(&world, receiver, good);
        assert_eq!(world.nodes[receiver].bytes().1, good as u64);
    });
}

#[test]
fn a_cut_inside_a_packet_or_the_handshake_is_not_an_end() {
    for_each_seed(300, |seed, mut rng| {
        let mut world = World::new(Rng::new(rng.next()));
        let (sender, receiver) = if seed % 2 == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let at = plan(&mut world, sender, What::Cut, &mut rng);
        world.run();
        let reason = world.nodes[receiver].reason();
        match packet_at(at) {
            None => {
                assert_eq!(reason, CloseReason::EndInHandshake);
                assert_eq!(world.nodes[receiver].events.len(), 1, "no peer was authenticated");
                assert_cut_short(&world, receiver, 0);
            }
            Some((number, 0)) => {
                // The protocol has no mark for the end, so this is one.
                assert_eq!(reason, CloseReason::Finished);
                let program = &world.programs[receiver];
                assert_eq!(program.received, world.data_before(sender, number));
                assert_eq!(program.saw, Some(Ending::End));
            }
            Some((number, received)) => {
                assert_eq!(reason, CloseReason::CutInPacket { number: number as u64, received });
                assert_cut_short(&world, receiver, world.data_before(sender, number));
            }
        }
    });
}

/// Whether this end had verified the other before anything went wrong.
fn was_authenticated(world: &World, end: usize) -> bool {
    matches!(world.nodes[end].events[0], Event::PeerAuthenticated(_))
}

#[test]
fn a_reset_comes_after_every_byte_before_it() {
    let kind = ErrorKind::ConnectionReset;
    for_each_seed(300, |seed, mut rng| {
        let mut world = World::new(Rng::new(rng.next()));
        let (sender, receiver) = if seed % 2 == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        if seed % 4 < 2 {
            let at = plan(&mut world, sender, What::Reset(kind), &mut rng);
            world.run();
            let reason = world.nodes[receiver].reason();
            let in_handshake = !was_authenticated(&world, receiver);
            assert_eq!(
                reason,
                match in_handshake {
                    true => CloseReason::FailedInHandshake(kind),
                    false => CloseReason::ReadFailed(Side::Encrypted, kind),
                }
            );
            let good = packet_at(at).map_or(0, |(n, _)| world.data_before(sender, n));
            assert_cut_short(&world, receiver, good);
        } else {
            // The program that sends resets its plain connection.
            let at = rng.below(world.programs[sender].data.len());
            world.up[sender].fault = Some(Fault { at, what: What::Reset(kind) });
            world.run();
            let reason = world.nodes[sender].reason();
            assert_eq!(reason, CloseReason::ReadFailed(Side::Plain, kind));
            assert_cut_short(&world, receiver, at);
        }
    });
}

#[test]
fn a_failed_write_ends_its_own_direction_only() {
    let kind = ErrorKind::BrokenPipe;
    for_each_seed(300, |seed, mut rng| {
        let mut world = World::new(Rng::new(rng.next()));
        world.programs.iter_mut().for_each(|program| program.ends = Ends::WhenSent);
        let (sender, receiver) = if seed % 2 == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let what = What::RefuseWrites(kind);
        let (failing, side) = if seed % 4 < 2 {
            let at = rng.below(world.programs[sender].data.len());
            world.down[receiver].fault = Some(Fault { at, what });
            (receiver, Side::Plain)
        } else {
            let at = plan(&mut world, sender, what, &mut rng);
            if sender == SERVER && (NONCE_LEN..HANDSHAKE_LEN).contains(&at) {
                return assert_client_gives_up(&mut world);
            }
            (sender, Side::Encrypted)
        };
        world.run();
        let node = &world.nodes[failing];
        if !was_authenticated(&world, failing) && side == Side::Encrypted {
            assert_eq!(node.reason(), CloseReason::FailedInHandshake(kind));
        } else {
            assert_eq!(node.reason(), CloseReason::WriteFailed(side, kind));
        }
        if was_authenticated(&world, failing) {
            // The direction towards `receiver` is the broken one; the other has come to its end.
            assert_eq!(world.programs[sender].received, world.programs[receiver].data.len());
            assert!(node.events.contains(&Event::EndOfStream(side.other())));
            assert!(!node.events.contains(&Event::EndOfStream(side)));
        } else {
            assert_eq!(node.events.len(), 1);
        }
        assert!(world.programs[receiver].received < world.programs[sender].data.len());
    });
}

/// The server has let the client in, which will never know: only its deadline ends this.
fn assert_client_gives_up(world: &mut World) {
    world.run();
    assert_eq!(world.nodes[CLIENT].events, [Event::Closed(CloseReason::HandshakeTimeout)]);
    let failed = CloseReason::ReadFailed(Side::Encrypted, ErrorKind::ConnectionReset);
    assert_eq!(world.nodes[SERVER].reason(), failed);
    (0..2).for_each(|end| assert_cut_short(world, end, 0));
}

/// Both ends of a pair, one on either side of the core that is looked at.
fn both() -> [(spiped_proto::Conn, spiped_proto::Conn); 2] {
    let (client, server) = established();
    let (other_client, other_server) = established();
    [(client, server), (other_server, other_client)]
}

#[test]
fn an_end_after_a_write_was_reset_is_a_failed_read() {
    let reset = ErrorKind::ConnectionReset;
    for side in [Side::Plain, Side::Encrypted] {
        for (mut conn, _) in both() {
            assert_eq!(tell(&mut conn, side, Input::WriteFailed(reset)), []);
            // What would go to the peer is not read any more; what the peer sends for a program
            // that is gone has to be, or its sender would wait for ever.
            let other = if side == Side::Plain { usize::MAX } else { 0 };
            assert_eq!(conn.read_limit(side.other()), other);
            assert_eq!(conn.read_limit(side), usize::MAX);
            let failed = CloseReason::ReadFailed(side, reset);
            assert_eq!(tell(&mut conn, side, Input::End), [Event::Closed(failed)]);
        }
    }
}

#[test]
fn an_end_after_a_broken_pipe_is_an_end_and_the_loss_is_told() {
    let broken = ErrorKind::BrokenPipe;
    for side in [Side::Plain, Side::Encrypted] {
        for (mut conn, _) in both() {
            assert_eq!(tell(&mut conn, side, Input::WriteFailed(broken)), []);
            let lost = CloseReason::WriteFailed(side, broken);
            let expected = [Event::EndOfStream(side.other()), Event::Closed(lost)];
            assert_eq!(tell(&mut conn, side, Input::End), expected);
        }
    }
}

/// A program that takes nothing any more but still sends: the peer, who cannot be told, must not
/// come to a standstill over what nobody wants.
#[test]
fn what_nobody_wants_is_dropped_until_its_end() {
    let broken = ErrorKind::BrokenPipe;
    for (mut from, mut to) in both() {
        let mut wire = Vec::new();
        let data = [7; 3 * PACKET_DATA_LEN];
        from.handle_input(Instant::now(), Side::Plain, Input::Data(&data), &mut wire);
        assert_eq!(hear(&mut to, &wire[..PACKET_LEN + 10]), [7; PACKET_DATA_LEN]);
        assert_eq!(tell(&mut to, Side::Plain, Input::WriteFailed(broken)), []);
        assert_eq!(hear(&mut to, &wire[PACKET_LEN + 10..]), []);
        assert_eq!(tell(&mut to, Side::Encrypted, Input::End), [], "the loss is told at the end");
        assert_eq!(to.read_limit(Side::Encrypted), 0, "nothing comes after the end");
        assert!(to.has_stopped_reading(Side::Encrypted));
        // The other direction is open all the while.
        let mut packet = Vec::new();
        to.handle_input(Instant::now(), Side::Plain, Input::Data(b"last words"), &mut packet);
        assert_eq!(hear(&mut from, &packet), b"last words");
        let lost = CloseReason::WriteFailed(Side::Plain, broken);
        let expected = [Event::EndOfStream(Side::Encrypted), Event::Closed(lost)];
        assert_eq!(tell(&mut to, Side::Plain, Input::End), expected);
        assert_eq!(to.bytes().1, PACKET_DATA_LEN as u64);
    }
}

/// The end of one direction has come when the rest of the other cannot be written.
#[test]
fn a_write_that_fails_after_the_end_of_its_stream_is_told() {
    for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
        for side in [Side::Plain, Side::Encrypted] {
            for (mut conn, _) in both() {
                let other = side.other();
                assert_eq!(tell(&mut conn, other, Input::End), [Event::EndOfStream(side)]);
                assert_eq!(conn.read_limit(other), 0, "nothing comes after the end");
                assert_eq!(conn.read_limit(side), usize::MAX);
                assert_eq!(tell(&mut conn, side, Input::WriteFailed(kind)), []);
                let failed = CloseReason::ReadFailed(side, kind);
                let lost = CloseReason::WriteFailed(side, kind);
                let expected = match kind {
                    ErrorKind::BrokenPipe => {
                        vec![Event::EndOfStream(other), Event::Closed(lost)]
                    }
                    _ => vec![Event::Closed(failed)],
                };
                assert_eq!(tell(&mut conn, side, Input::End), expected);
            }
        }
    }
}

#[test]
fn when_neither_side_can_be_written_to_it_is_over() {
    for (mut conn, _) in both() {
        let (broken, reset) = (ErrorKind::BrokenPipe, ErrorKind::ConnectionReset);
        assert_eq!(tell(&mut conn, Side::Plain, Input::WriteFailed(broken)), []);
        let events = tell(&mut conn, Side::Encrypted, Input::WriteFailed(reset));
        assert_eq!(events, [Event::Closed(CloseReason::WriteFailed(Side::Plain, broken))]);
    }
}

/// One read may bring good packets, a bad one and more: the good ones come out.
#[test]
fn good_packets_in_the_same_read_as_a_bad_one_come_out() {
    for (mut from, mut to) in both() {
        let mut wire = Vec::new();
        from.handle_input(
            Instant::now(),
            Side::Plain,
            Input::Data(&[7; 5 * PACKET_DATA_LEN]),
            &mut wire,
        );
        wire[3 * PACKET_LEN + 100] ^= 1;
        let first = 2 * PACKET_LEN + 500; // the bad one is not complete, nor is the one before
        assert_eq!(hear(&mut to, &wire[..first]), [7; 2 * PACKET_DATA_LEN]);
        let mut out = Vec::new();
        to.handle_input(Instant::now(), Side::Encrypted, Input::Data(&wire[first..]), &mut out);
        assert_eq!(out, [7; PACKET_DATA_LEN]);
        let bad = CloseReason::BadPacket { number: 3, error: PacketError::BadTag };
        assert_eq!(to.poll_event(), Some(Event::Closed(bad)));
        assert_eq!(to.bytes().1, 3 * PACKET_DATA_LEN as u64);
    }
}
