//! Packets: what comes out of an opener is what an independent one finds, whatever goes in.
//!
//! Owns runs of packets that are good, that say any length under a valid MAC, that are altered,
//! repeated, swapped, or made of the fuzzer's bytes. The oracle is `tests/peer`. Next:
//! `handshake.rs`.
// smoke: 3000 runs
#![no_main]

#[path = "../rng.rs"]
#[allow(dead_code)]
mod rng;

use libfuzzer_sys::fuzz_target;
use rng::Rng;
use spiped_peer::{Direction, MOST, PACKET};
use spiped_proto::PacketError;
use spiped_proto::crypt::packet::{Opener, Sealer};

fuzz_target!(|data: &[u8]| {
    let mut rng = Rng::new(data);
    let mut keys = [0; 64];
    keys[0] = rng.below(256) as u8;
    sealed_as_the_oracle_seals(&mut rng, &keys);
    let packets = packets(&mut rng, &keys);
    opened_as_the_oracle_opens(&mut rng, &keys, &packets);
});

fn split(keys: &[u8; 64]) -> (&[u8; 32], &[u8; 32]) {
    let (cipher, mac) = keys.split_at(32);
    (cipher.try_into().expect("32 bytes"), mac.try_into().expect("32 bytes"))
}

/// However the data comes, the packets are those of the oracle.
fn sealed_as_the_oracle_seals(rng: &mut Rng, keys: &[u8; 64]) {
    let (mut sealer, mut oracle) = (Sealer::new(split(keys)), Direction::new(keys));
    for _ in 0..rng.below(4) {
        let length = rng.pick(&[0, 1, 1023, 1024, 1025, 4000, 20_000]) + rng.below(64);
        let data = rng.bytes(length);
        let (mut ours, mut theirs) = (vec![], vec![]);
        sealer.seal(&data, &mut ours);
        data.chunks(MOST).for_each(|chunk| theirs.extend(oracle.seal(chunk)));
        assert!(ours == theirs, "{length} bytes");
    }
}

fn packets(rng: &mut Rng, keys: &[u8; 64]) -> Vec<[u8; PACKET]> {
    let mut oracle = Direction::new(keys);
    let mut packets: Vec<[u8; PACKET]> = vec![];
    for _ in 0..rng.below(80) {
        let length = 1 + rng.below(MOST);
        match rng.below(32) {
            0 => {
                let length = rng.pick(&[0, 1, 1023, 1024, 1025, u32::MAX, 1 << 16]);
                packets.push(oracle.seal_as(&[1; 3], length ^ rng.pick(&[0, 0, 1, 1 << 31])));
            }
            1 => packets.push(rng.bytes(PACKET).try_into().expect("as long")),
            2 if !packets.is_empty() => {
                let (packet, byte) = (rng.below(packets.len()), rng.below(PACKET));
                packets[packet][byte] ^= 1 << rng.below(8);
            }
            3 if !packets.is_empty() => {
                let (from, to) = (rng.below(packets.len()), rng.below(packets.len()));
                packets.swap(from, to);
            }
            4 if !packets.is_empty() => packets.push(packets[rng.below(packets.len())]),
            _ => packets.push(oracle.seal(&vec![length as u8; length])),
        }
    }
    packets
}

fn opened_as_the_oracle_opens(rng: &mut Rng, keys: &[u8; 64], packets: &[[u8; PACKET]]) {
    let (mut oracle, mut expected) = (Direction::new(keys), vec![]);
    let mut fault = None;
    let mut good = 0;
    for packet in packets {
        match oracle.unseal(packet) {
            None => fault = Some(PacketError::BadTag),
            Some((_, 0)) => fault = Some(PacketError::BadLength),
            Some((_, length)) if length > MOST as u32 => fault = Some(PacketError::BadLength),
            Some((data, length)) => expected.extend_from_slice(&data[..length as usize]),
        }
        if fault.is_some() {
            break;
        }
        good += 1;
    }

    let (mut opener, mut out) = (Opener::new(split(keys)), vec![]);
    let mut rest = packets;
    let mut found = Ok(());
    while !rest.is_empty() && found.is_ok() {
        let (run, later) = rest.split_at(1 + rng.below(rest.len()));
        found = opener.open(run.as_flattened(), &mut out);
        rest = later;
    }
    assert_eq!(found.err(), fault);
    assert!(out == expected, "{} bytes instead of {}", out.len(), expected.len());
    assert_eq!(opener.next_packet(), good);
}
