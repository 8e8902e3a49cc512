//! Runs of packets against single ones: how many are made or opened at a time changes no byte.
//!
//! Owns this comparison. Without it, a mistake that is made alike when a run is sealed and when it
//! is opened would show only to another implementation; single packets are held to the published
//! vectors by `vectors.rs`.

use spiped_proto::PacketError;
use spiped_proto::crypt::packet::{Opener, Sealer};
use spiped_proto::wire::{BATCH_PACKETS, PACKET_DATA_LEN, PACKET_LEN};

const KEYS: (&[u8; 32], &[u8; 32]) = (&[0x3a; 32], &[0xc5; 32]);

/// More than two full batches, with a rest that fills no lane evenly.
const MOST_PACKETS: usize = 2 * BATCH_PACKETS + 3;

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Every packet by itself.
fn sealed_singly(data: &[u8]) -> Vec<u8> {
    let (mut sealer, mut wire) = (Sealer::new(KEYS), Vec::new());
    data.chunks(PACKET_DATA_LEN).for_each(|chunk| sealer.seal(chunk, &mut wire));
    wire
}

#[test]
fn a_run_of_any_length_is_the_packets_one_by_one() {
    let data = data(MOST_PACKETS * PACKET_DATA_LEN);
    let singly = sealed_singly(&data);
    for packets in 0..=MOST_PACKETS {
        let (mut sealer, mut wire) = (Sealer::new(KEYS), Vec::new());
        // The rest comes in a second run, so that runs start at every number.
        let (first, second) = data.split_at(packets * PACKET_DATA_LEN);
        sealer.seal(first, &mut wire);
        sealer.seal(second, &mut wire);
        assert!(wire == singly, "{packets} packets, then the rest");

        let (mut opener, mut back) = (Opener::new(KEYS), Vec::new());
        let (first, second) = singly.split_at(packets * PACKET_LEN);
        opener.open(first, &mut back).expect("the first run");
        opener.open(second, &mut back).expect("the second run");
        assert!(back == data, "{packets} packets, then the rest");
    }
}

#[test]
fn the_last_packet_of_a_run_may_be_short() {
    for packets in [1, 2, 3, 4, 5, 8, BATCH_PACKETS, BATCH_PACKETS + 1] {
        for short in [1, 517, PACKET_DATA_LEN - 1] {
            let data = data((packets - 1) * PACKET_DATA_LEN + short);
            let mut wire = Vec::new();
            Sealer::new(KEYS).seal(&data, &mut wire);
            assert!(wire == sealed_singly(&data), "{packets} packets, the last of {short} bytes");
        }
    }
}

#[test]
fn a_bad_packet_is_found_wherever_it_is_in_a_run() {
    let data = data(MOST_PACKETS * PACKET_DATA_LEN);
    let wire = sealed_singly(&data);
    for bad in 0..MOST_PACKETS {
        // In the data, in the length and in the tag.
        for at in [0, PACKET_DATA_LEN + 1, PACKET_LEN - 1] {
            let mut altered = wire.clone();
            altered[bad * PACKET_LEN + at] ^= 0x10;
            let (mut opener, mut back) = (Opener::new(KEYS), Vec::new());
            assert_eq!(opener.open(&altered, &mut back), Err(PacketError::BadTag));
            assert_eq!(opener.next_packet(), bad as u64);
            assert!(back == data[..bad * PACKET_DATA_LEN], "packet {bad}, byte {at}");
        }
    }
}
