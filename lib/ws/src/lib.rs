//! WebSockets (RFC 6455) as carriers of a byte stream, as a pure state machine.
//!
//! Owns the HTTP upgrade in either role, frames, masks and Close codes. Refuses sockets, clocks and
//! random numbers, and to hold a message: payload is passed on as it arrives, in the buffer it came
//! in. Borders of messages mean nothing here. Read on in `session.rs` (a connection after its
//! upgrade), `frame.rs` (headers and masks), `close.rs`, `upgrade.rs`.
//!
//! # The contract
//!
//! **Pass every byte that arrives to [`Session::decode`] until it returns `None`; what it leaves at
//! the front of the buffer is the stream. Act on every [`Signal`]: answer a Ping by a Pong and a
//! Close by a Close. After an error send a Close with its code, and nothing else.**
//!
//! ```
//! use spiped_ws::{Cursor, Role, Session, Signal};
//!
//! let (client, mut server) = (Session::new(Role::Client, true), Session::new(Role::Server, true));
//! let key = [1, 2, 3, 4]; // a real caller draws a new one for each frame
//!
//! // The client sends some bytes in one message, and then the end of its stream.
//! let mut payload = *b"to the server";
//! let header = client.seal(&mut payload, key);
//! let mut wire = [header.as_slice(), &payload, client.end_mark(key).as_slice()].concat();
//!
//! let mut cursor = Cursor::default();
//! assert!(matches!(server.decode(&mut wire, &mut cursor), Ok(Some(Signal::End))));
//! assert!(matches!(server.decode(&mut wire, &mut cursor), Ok(None)));
//! assert_eq!(&wire[..cursor.payload()], b"to the server");
//! ```
//!
//! # Versions
//!
//! Types that are expected to grow are `#[non_exhaustive]`. [`Signal`] and [`Role`] are not: a
//! driver that passes over one of them is wrong, so another one will be a new major version. Of
//! another crate only `Zeroizing` of zeroize 1 is part of the interface.
#![forbid(unsafe_code)]

mod close;
mod frame;
mod session;
pub mod upgrade;

pub use close::Code;
pub use frame::{Header, MAX_MESSAGE};
pub use session::{Cursor, Role, Session, Signal, Violation};
