//! `spipe --check`: a handshake, and no more.
//!
//! Owns the one line that says what worked. Refuses to carry a byte of anybody's: the connection is
//! over with the handshake, and what failed the loop has said by then. Next: `event_loop.rs` of
//! lib/net, whose purpose this is.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use spiped_net::addr::Address;
use spiped_net::signal::Signal;
use spiped_net::{EndReason, EventLoop, Outcome};
use spiped_proto::Authenticated;

use super::run::End;

/// Shakes hands with the target, named as the user has named it.
pub(super) fn run(mut event_loop: EventLoop, target: &Address) -> Result<End, String> {
    // Open to the end: the plain side of this connection says nothing.
    let (_silent, plain) =
        UnixStream::pair().map_err(|error| format!("cannot set up the connection: {error}"))?;
    let started = Instant::now();
    event_loop.adopt(plain).map_err(|error| format!("cannot set up the connection: {error}"))?;
    let outcome =
        event_loop.run().map_err(|error| format!("waiting for events failed: {error}"))?;
    match outcome {
        Outcome::Idle(Some(EndReason::HandshakeDone(Authenticated {
            forward_secrecy, ..
        }))) => {
            let with = if forward_secrecy { "with" } else { "without" };
            let took = started.elapsed().as_secs_f64() * 1000.0;
            let said = writeln!(
                io::stdout(),
                "{target} has the same key: handshake done in {took:.1} ms, {with} forward secrecy"
            );
            said.map_err(|error| format!("standard output cannot be written: {error}"))?;
            Ok(End::Finished)
        }
        Outcome::Idle(_) => Ok(End::Failed),
        Outcome::Signal(signal) => {
            let cut = format!("{target}: ended by {signal} before the handshake was done");
            // Of no use as an answer, so not the status of one.
            if signal == Signal::Terminate {
                return Err(cut);
            }
            log::error!("{cut}");
            Ok(End::Signal(signal))
        }
    }
}
