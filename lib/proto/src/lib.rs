//! The spiped protocol, version 1.6, as a pure state machine.
//!
//! Owns every byte on the wire and every secret of a connection. Refuses sockets, files, threads,
//! clocks and random numbers: time and random bytes are passed in, so that two cores joined by a
//! test replay exactly. Read on in `conn.rs` (a connection), `handshake.rs`, `pipe.rs`, `crypt.rs`.
//!
//! # The contract
//!
//! **After every [`Conn::handle_input`] and [`Conn::handle_timeout`]: write what was appended to
//! `out` to the other side, drain [`Conn::poll_transmit`] to the encrypted side, act on every
//! [`Conn::poll_event`], and call [`Conn::handle_timeout`] no later than [`Conn::poll_timeout`]
//! says. Pass in no more than [`Conn::read_limit`] allows.**
//!
//! ```
//! use std::time::Instant;
//! use spiped_proto::{Config, Conn, Entropy, Event, Input, Role, SharedKey, Side};
//!
//! let now = Instant::now();
//! let core = |role, seed: u8| {
//!     let keys = [SharedKey::from_pieces([b"the key file".as_slice()])];
//!     let config = Config::new(role, keys);
//!     // A real caller fills with the system's random numbers.
//!     let entropy = Entropy::draw(|bytes| Ok::<_, ()>(bytes.fill(seed))).unwrap();
//!     Conn::new(&config, entropy, now)
//! };
//! let mut client = core(Role::Encrypt, 1);
//! let mut server = core(Role::Decrypt, 2);
//!
//! // The handshake: carry what each core says to the other, as much as it wants at a time.
//! let mut wires = [Vec::new(), Vec::new()]; // to the server, to the client
//! for _ in 0..4 {
//!     client.poll_transmit(&mut wires[0]);
//!     server.poll_transmit(&mut wires[1]);
//!     for (core, wire) in [(&mut server, 0), (&mut client, 1)] {
//!         let taken = core.read_limit(Side::Encrypted).min(wires[wire].len());
//!         let piece: Vec<u8> = wires[wire].drain(..taken).collect();
//!         core.handle_input(now, Side::Encrypted, Input::Data(&piece), &mut Vec::new());
//!     }
//! }
//! assert!(matches!(server.poll_event(), Some(Event::PeerAuthenticated(_))));
//!
//! // One byte from the client's plain side to the server's.
//! let (mut packet, mut plain) = (Vec::new(), Vec::new());
//! client.handle_input(now, Side::Plain, Input::Data(b"!"), &mut packet);
//! server.handle_input(now, Side::Encrypted, Input::Data(&packet), &mut plain);
//! assert_eq!((packet.len(), plain.as_slice()), (1060, b"!".as_slice()));
//! ```
//!
//! `examples/blocking.rs` is a whole client over a blocking socket, in one screen: that is the loop
//! to begin with.
//!
//! # Versions
//!
//! Types that are expected to grow are `#[non_exhaustive]`. [`Event`], [`Input`], [`Role`],
//! [`Side`] and [`Pfs`] are not: a driver that passes over one of them is wrong, so another one
//! will be a new major version. No type of another crate is part of the interface, but for the
//! trait `ZeroizeOnDrop` of zeroize 1. The numbers in [`wire`] are the protocol's, but for
//! [`wire::BATCH_PACKETS`], which is ours and may change.
#![forbid(unsafe_code)]

mod conn;
#[doc(hidden)] // for vectors, fuzzers and benchmarks: it may change in any version
pub mod crypt;
mod handshake;
mod pipe;
mod secret;
pub mod wire;

pub use conn::{CloseReason, Config, Conn, Event, Heard, Input, Side, Words};
pub use crypt::packet::PacketError;
pub use crypt::{KeyHasher, SharedKey};
pub use handshake::{Authenticated, Entropy, HandshakeError, Pfs, Role};
pub use secret::{Secret, wipe_stack};
