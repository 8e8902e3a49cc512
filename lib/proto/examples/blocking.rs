//! A client over a blocking socket: sends standard input to an spiped -d, prints what comes back.
//!
//!     printf 'HELP\r\nQUIT\r\n' | cargo run --example blocking -- localhost:8025 keyfile
//!
//! It sends all of its input before it reads an answer; a program that carries much both ways at
//! once needs a thread for each, or an event loop as in spiped itself.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use spiped_proto::{Config, Conn, Entropy, Event, Input, Role, SharedKey, Side};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, target, key_file] = arguments.as_slice() else {
        return Err("usage: blocking HOST:PORT KEYFILE".into());
    };
    let key = SharedKey::from_pieces([std::fs::read(key_file)?.as_slice()]);
    let mut request = Vec::new();
    io::stdin().read_to_end(&mut request)?;

    let mut socket = TcpStream::connect(target)?;
    let entropy = Entropy::draw(getrandom::fill).map_err(|error| error.to_string())?;
    let mut conn = Conn::new(&Config::new(Role::Encrypt, [key]), entropy, Instant::now());
    let (mut to_peer, mut to_user) = (Vec::new(), Vec::new());
    loop {
        // First whatever is to be written, so that an event finds it gone.
        conn.poll_transmit(&mut to_peer);
        socket.write_all(&to_peer)?;
        io::stdout().write_all(&to_user)?;
        (to_peer, to_user) = (Vec::new(), Vec::new());

        let now = Instant::now();
        match conn.poll_event() {
            // The peer has our key: what we have to say may go out, and that was all.
            Some(Event::PeerAuthenticated(_)) => {
                conn.handle_input(now, Side::Plain, Input::Data(&request), &mut to_peer);
                conn.handle_input(now, Side::Plain, Input::End, &mut to_peer);
            }
            Some(Event::EndOfStream(Side::Encrypted)) => socket.shutdown(Shutdown::Write)?,
            Some(Event::EndOfStream(Side::Plain)) => io::stdout().flush()?,
            Some(Event::Closed(reason)) if reason.is_clean() => return Ok(()),
            Some(Event::Closed(reason)) => return Err(reason.to_string().into()),
            None => read(&mut socket, &mut conn, &mut to_user)?,
        }
    }
}

/// Waits for the peer, as long as the core wants to, and passes on what has come.
fn read(socket: &mut TcpStream, conn: &mut Conn, to_user: &mut Vec<u8>) -> io::Result<()> {
    // A time of zero is refused by the socket.
    let left = conn.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
    socket.set_read_timeout(left.map(|left| left.max(Duration::from_millis(1))))?;
    let mut buffer = [0; 16 * 1024];
    // During the handshake this is what is missing of one message.
    let limit = conn.read_limit(Side::Encrypted).min(buffer.len());
    let input = match socket.read(&mut buffer[..limit]) {
        Ok(0) => Input::End,
        Ok(count) => Input::Data(&buffer[..count]),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            conn.handle_timeout(Instant::now());
            return Ok(());
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
        Err(error) => Input::ReadFailed(error.kind()),
    };
    conn.handle_input(Instant::now(), Side::Encrypted, input, to_user);
    Ok(())
}
