//! A peer that keeps to the protocol or breaks it at a chosen point, and what comes of that, for
//! any implementation: what the peer saw, what arrived behind the daemon, and whether the next
//! honest peer is served.
//!
//! [`tricks::TRICKS`] lists what is tried; [`play`] tries one of them on a [`Subject`]. The program
//! `hostile-tester` prints tables of it; `tests/hostile.rs` demands of ours what each trick says is
//! due. The protocol is that of `tests/peer`. Next: `tricks.rs`.

pub mod attack;
pub mod outcome;
pub mod stage;
pub mod table;
pub mod tricks;

pub use attack::play;
pub use outcome::Outcome;
pub use stage::{Role, Subject};
pub use tricks::{TRICKS, Trick};
