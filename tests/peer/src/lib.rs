//! A second implementation of the spiped protocol, and what it takes to test others with it.
//!
//! It is written from the text in DESIGN.md and shares no line with the code under test, is slow,
//! and keeps no secret. [`Raw`] speaks the protocol as it should be, [`Handshake`] and
//! [`Direction`] let a test break it at any byte, [`pattern`] makes bytes that are cheap to check,
//! and [`frame`] and [`read_frame`] do by hand what WebSockets do, [`certify`] makes certificates.
//! Next: `raw.rs`.

mod certificate;
mod crypt;
mod frames;
pub mod pattern;
mod raw;

pub use certificate::certify;
pub use crypt::{Direction, MOST, NONCE, PACKET, PUBLIC, prime};
pub use frames::{Frame, frame, read_frame};
pub use raw::{Handshake, Raw, Secrecy, Secrets, Side, random};
