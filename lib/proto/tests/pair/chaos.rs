//! Everything at once: any faults on any streams, silences of any length, and what holds all the
//! same.
//!
//! Owns the promises that do not depend on what went wrong: what arrives is the beginning of what
//! was sent; an end that looks clean comes after all of it, unless a cut at a packet border took
//! the rest; and every reason has a cause. The promises about each call are in `node.rs`. The
//! fuzzer plans by the same functions.

use std::io::ErrorKind;
use std::time::Duration;

use spiped_proto::wire::{NONCE_LEN, PACKET_DATA_LEN, PACKET_LEN, PUBLIC_MESSAGE_LEN};
use spiped_proto::{CloseReason, Event, HandshakeError, PacketError, Side};

use crate::rng::Rng;
use crate::stream::{Ending, Fault, Stall, Stream, What};
use crate::world::{CLIENT, Ends, PATIENCE, SERVER, World};

/// Bytes that either side sends before its first packet.
pub(crate) const HANDSHAKE_LEN: usize = NONCE_LEN + PUBLIC_MESSAGE_LEN;

/// Runs a world in which anything may go wrong, and checks what holds all the same.
pub(crate) fn run(rng: &mut Rng, world: Rng) {
    let coalesce = rng.pick(&[0, 0, 1, 60_000]);
    let mut world = World::with_coalescing(world, Duration::from_millis(coalesce));
    for end in [CLIENT, SERVER] {
        let sent = world.programs[end].data.len();
        let on_wire = HANDSHAKE_LEN + sent.div_ceil(PACKET_DATA_LEN) * PACKET_LEN;
        // With both directions gone and nobody told, nobody would ever know.
        let may_refuse = !refuses_writes(&world.wire[1 - end]);
        plan(rng, &mut world.wire[end], on_wire, true, may_refuse);
        plan(rng, &mut world.up[end], sent + 1, false, false);
        plan(rng, &mut world.down[1 - end], sent + 1, false, true);
    }
    if [&world.wire, &world.down].into_iter().flatten().any(refuses_writes) {
        // Nobody can be told of the end for which these programs would wait.
        world.programs.iter_mut().for_each(|program| program.ends = Ends::WhenSent);
    }
    tell_plan(&world);
    world.run();
    for end in [CLIENT, SERVER] {
        check_what_arrived(&world, end, coalesce > 0);
        assert!(has_cause(&world, end, true), "{:?} for nothing", world.nodes[end].reason());
    }
    let causeless = [CLIENT, SERVER].iter().all(|&end| !has_cause(&world, end, false));
    assert!(!causeless, "each end has failed only because the other has");
}

/// Tells what was planned, to whoever repeats a run alone.
fn tell_plan(world: &World) {
    if std::env::var_os("SPIPED_SEED").is_none() {
        return;
    }
    for (name, ends) in [("wire", &world.wire), ("up", &world.up), ("down", &world.down)] {
        for (end, stream) in ends.iter().enumerate() {
            eprintln!("{name} of {end}: {:?}, {:?}", stream.fault, stream.stall);
        }
    }
}

/// Plans faults for one stream, or none. Bits flip only where a MAC will tell; a program's writes
/// do not fail by themselves.
fn plan(rng: &mut Rng, stream: &mut Stream, length: usize, flips: bool, refuses: bool) {
    let at = |rng: &mut Rng| match rng.below(3) {
        0 => rng.below(length.min(HANDSHAKE_LEN)),
        1 => (HANDSHAKE_LEN + PACKET_LEN * rng.below(8)).min(length),
        _ => rng.below(length),
    };
    if rng.below(3) == 0 {
        let kind = rng.pick(&[ErrorKind::ConnectionReset, ErrorKind::TimedOut]);
        let refusal = rng.pick(&[ErrorKind::ConnectionReset, ErrorKind::BrokenPipe]);
        let what = match rng.below(4) {
            0 if flips => What::FlipBit(rng.below(8) as u32),
            1 if refuses => What::RefuseWrites(refusal),
            2 => What::Reset(kind),
            _ => What::Cut,
        };
        stream.fault = Some(Fault { at: at(rng), what });
    }
    if rng.below(4) == 0 {
        let milliseconds = rng.pick(&[1, 59_000, 61_000, 3_600_000]);
        stream.stall = Some(Stall { at: at(rng), lasts: Duration::from_millis(milliseconds) });
    }
}

/// An end may come early only because of a cut that nobody could have told from an end.
fn check_what_arrived(world: &World, receiver: usize, coalesced: bool) {
    let sender = 1 - receiver;
    let (program, data) = (&world.programs[receiver], &world.programs[sender].data);
    let (sealed, opened) = (world.nodes[sender].bytes().0, world.nodes[receiver].bytes().1);
    assert!(opened <= sealed && sealed <= data.len() as u64, "{opened} {sealed} {}", data.len());
    assert!(program.received as u64 <= opened, "{} {opened}", program.received);
    match program.saw.expect("every stream ends somehow") {
        Ending::Failed(_) => {}
        Ending::End if program.received == data.len() => {}
        Ending::End => {
            let cuts = [&world.up[sender], &world.down[receiver]].map(cut_at);
            let by_program = cuts.contains(&Some(program.received));
            let on_wire = cut_at(&world.wire[sender]).and_then(packet_at);
            let at_border = on_wire.is_some_and(|(number, inside)| {
                // A cut that was planned for later than the last packet cuts nothing.
                inside == 0
                    && number <= world.nodes[sender].packets.len()
                    && match coalesced {
                        // How many bytes each packet carries is then not recorded.
                        true => program.received <= number * PACKET_DATA_LEN,
                        false => program.received == world.data_before(sender, number),
                    }
            });
            assert!(by_program || at_border, "an end after {} of {}", program.received, data.len());
        }
    }
}

fn refuses_writes(stream: &Stream) -> bool {
    matches!(stream.fault, Some(Fault { what: What::RefuseWrites(_), .. }))
}

fn cut_at(stream: &Stream) -> Option<usize> {
    match stream.fault {
        Some(Fault { at, what: What::Cut }) => Some(at),
        _ => None,
    }
}

/// The packet of which byte `at` of a wire is a part, and how many of its bytes come before.
pub(crate) fn packet_at(at: usize) -> Option<(usize, usize)> {
    at.checked_sub(HANDSHAKE_LEN).map(|at| (at / PACKET_LEN, at % PACKET_LEN))
}

/// Whether something was planned that explains why the connection ended at `end` as it did, or, if
/// that counts, whether the other end has failed.
fn has_cause(world: &World, end: usize, others: bool) -> bool {
    let other = 1 - end;
    let fault = |stream: &Stream, fits: &dyn Fn(usize, What) -> bool| {
        stream.fault.is_some_and(|fault| fits(fault.at, fault.what))
    };
    let resets = |stream| fault(stream, &|_, what| matches!(what, What::Reset(_)));
    let refuses = refuses_writes;
    let (incoming, outgoing) = (&world.wire[other], &world.wire[end]);
    let failed = others && world.nodes[other].is_broken();
    match world.nodes[end].reason() {
        CloseReason::Finished => true,
        CloseReason::Handshake(HandshakeError::WrongKey) => {
            let flips = |at, what| at < HANDSHAKE_LEN && matches!(what, What::FlipBit(_));
            fault(incoming, &flips) || fault(outgoing, &flips)
        }
        CloseReason::HandshakeTimeout => {
            let late =
                |stream: &Stream| stream.stall.is_some_and(|stall| stall.lasts > PATIENCE / 3);
            late(incoming) || late(outgoing) || refuses(incoming)
        }
        CloseReason::EndInHandshake => cut_at(incoming).is_some_and(|at| at < HANDSHAKE_LEN),
        CloseReason::FailedInHandshake(_) => failed || resets(incoming) || refuses(outgoing),
        CloseReason::BadPacket { number, error: PacketError::BadTag } => {
            fault(incoming, &|at, what| {
                let here = packet_at(at).is_some_and(|(flipped, _)| flipped as u64 == number);
                here && matches!(what, What::FlipBit(_))
            })
        }
        CloseReason::CutInPacket { number, received } => {
            cut_at(incoming).and_then(packet_at) == Some((number as usize, received))
        }
        CloseReason::ReadFailed(Side::Encrypted, _) => {
            failed || resets(incoming) || refuses(outgoing)
        }
        CloseReason::ReadFailed(Side::Plain, _) => {
            resets(&world.up[end]) || refuses(&world.down[end])
        }
        CloseReason::WriteFailed(Side::Encrypted, _) => failed || refuses(outgoing),
        CloseReason::WriteFailed(Side::Plain, _) => refuses(&world.down[end]),
        _ => false,
    }
}

/// A silence of any length at any byte: shorter than the patience it changes nothing, longer it
/// ends a handshake, and once the peer is authenticated nobody minds.
pub(crate) fn silence(rng: Rng, sender: usize, at: usize, lasts: Duration) {
    let mut world = World::new(rng);
    world.wire[sender].stall = Some(Stall { at, lasts });
    world.run();
    let receiver = 1 - sender;
    if at < HANDSHAKE_LEN && lasts >= PATIENCE {
        let events = &world.nodes[receiver].events;
        assert_eq!(*events, [Event::Closed(CloseReason::HandshakeTimeout)], "{at} {lasts:?}");
        assert_eq!(world.programs[receiver].received, 0);
        return;
    }
    for (end, peer) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        assert_eq!(world.nodes[end].reason(), CloseReason::Finished, "{at} {lasts:?}");
        assert_eq!(world.programs[end].received, world.programs[peer].data.len());
    }
}
