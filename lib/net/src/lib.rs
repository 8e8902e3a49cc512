//! The event loop, sockets, timers and name look-ups beneath `spiped` and `spipe`: the only library
//! crate that touches the operating system.
//!
//! Start at `event_loop.rs` (the only `poll()` of a running program), then `relay.rs` (one
//! connection). Everything else is one noun a file, and knows nothing of these two.
//!
//! # Versions
//!
//! This is the lower half of the programs, not a library for others: its types may change in any
//! version, and the programs depend on exactly theirs. The libraries are spiped-proto and
//! spiped-ws.
#![deny(unsafe_code)]

pub mod addr;
pub mod bind;
mod connector;
mod count;
pub mod dns;
mod event_loop;
pub mod explain;
pub mod limits;
pub mod listener;
pub mod lock;
pub mod pause;
pub mod proxy;
pub mod rate;
mod ready;
mod relay;
pub mod signal;
pub mod supervisor;
mod timer;
pub mod tls;
mod token;
mod transport;
pub mod web;

pub use connector::ConnectError;
pub use event_loop::{EventLoop, Outcome, Settings};
pub use relay::{Carried, EndReason, FailedHandshake, Ours, Purpose};
pub use transport::dial::Hurdle;
