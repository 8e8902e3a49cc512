//! Replays conversations with the real C spiped, recorded once by `vectors/record_c.py`.
//!
//! Owns the check that ours, put in the recorder's place, sends the bytes to which C spiped
//! answered as it did, accepts these answers, and reads C's packets. It needs no C spiped; tests
//! that run the programs against it are in the root package.

#[path = "common/records.rs"]
mod records;
#[path = "common/replay.rs"]
mod replay;

use records::Case;
use replay::{Arrival, letters, replay};
use spiped_proto::Role;

/// Plays `role` in every conversation of a file.
fn replay_all(text: &str, role: Role) {
    let cases = Case::parse_all(text);
    let (us, them) = letters(role);
    let flags = |case: &Case| (case.flag(&format!("f_{us}")), case.flag(&format!("f_{them}")));
    let flags: Vec<_> = cases.iter().map(flags).collect();
    assert_eq!(flags, [(false, false), (false, true), (true, false)]);
    for case in &cases {
        assert_eq!(case.bytes(&format!("x_{them}")), [], "C's exponent cannot be known");
        for arrival in [Arrival::Whole, Arrival::ByteByByte] {
            replay(case, role, arrival);
        }
    }
}

#[test]
fn our_client_talks_as_the_one_that_the_c_server_understood() {
    replay_all(include_str!("vectors/c-spiped-1.6.2-server.txt"), Role::Encrypt);
}

#[test]
fn our_server_talks_as_the_one_that_the_c_client_understood() {
    replay_all(include_str!("vectors/c-spiped-1.6.2-client.txt"), Role::Decrypt);
}
