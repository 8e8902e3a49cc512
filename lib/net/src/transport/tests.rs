//! WebSockets at the seam, against a peer that makes its frames by hand.
//!
//! `tests/echo.rs` sends back what comes out of a transport, as Autobahn's test suite wants it of
//! whom it tests; `tests/raw.rs` is the peer, in either role; `tests/cases.rs` has the groups of
//! Autobahn's cases by their numbers, and `tests/ends.rs` what is not in them: ends, Pings of ours,
//! and stalls. `tests/records.rs` and `tests/room.rs` have what is TLS's own.

mod cases;
mod echo;
mod ends;
mod raw;
mod records;
mod room;
