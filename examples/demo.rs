//! `make demo`: a message through both ends of an encrypted pipe, and what an eavesdropper saw.
//!
//! Owns the story: a key, a small server, `spiped -d` before it, a relay on the "network" that
//! keeps a copy of every byte, `spiped -e` before that, a stranger and a client; what it shows of
//! them, and what it insists on. It talks to the programs only as their users do, and needs
//! nothing but std. It refuses fixed ports, waits without a deadline, and leaving anything behind.
//! `demo [DIRECTORY]` takes the programs from there; otherwise from beside this example.
//! Next: demo/stage.rs, the actors.

#[path = "demo/stage.rs"]
mod stage;

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use stage::{Daemon, Eavesdropper, Outcome, PATIENCE, Scratch, Server};

/// What the client says. Short enough for one packet, which is 1024 bytes of it at most.
const MESSAGE: &str = "Dear server, the combination of the safe is 7-3-9-1.\n\
                       Please read it back to me, as loudly as you can.\n";

/// The parts of each direction of an encrypted connection, in bytes, in the order of sending.
const NONCE: usize = 32;
const EXCHANGE: usize = 256 + 32;
const PACKET: usize = 1060;

fn main() -> ExitCode {
    match run() {
        Ok(()) => {
            println!("\nAll as it should be. Programs stopped, key removed, nothing left behind.");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("\ndemo: FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The tour itself. Whatever it started is stopped when it returns, well or not.
fn run() -> Outcome<()> {
    let programs = program_directory()?;
    let scratch = Scratch::new()?;
    let key = scratch.make_key()?;
    println!("A key:        32 random bytes in {}", key.display());

    let server = Server::start()?;
    println!("A server:     {}, answers in capitals", server.addr);
    let inner = Daemon::start(&programs, "-d", server.addr, &key)?;
    let eavesdropper = Eavesdropper::start(inner.addr)?;
    println!("The network:  {}, with an eavesdropper on it", eavesdropper.addr);
    let outer = Daemon::start(&programs, "-e", eavesdropper.addr, &key)?;

    // The stranger comes first: should the server ever hear of it, then before it hears of the
    // client, so that the count below cannot miss it.
    println!("\nA STRANGER without the key connects to spiped -d and sends noise.");
    let got = stranger(inner.addr)?;
    println!("It got {got} bytes (at most a nonce, 32 random bytes), and the door was shut.");

    println!("\nWHAT WENT IN, to {}:\n{}", outer.addr, indent(MESSAGE));
    let answer = client(outer.addr)?;
    let tapes = eavesdropper.tapes()?;
    println!("WHAT THE EAVESDROPPER SAW on the way to the server:");
    print!("{}", describe(&tapes.to_server)?);
    println!("and on the way back:");
    print!("{}", describe(&tapes.to_client)?);
    println!("\nWHAT CAME OUT:\n{}", indent(&answer));

    let expected = MESSAGE.to_uppercase();
    if answer != expected {
        return Err(format!("the answer should have been {expected:?}"));
    }
    for words in [MESSAGE, &expected] {
        // Any eight bytes in a row would do to show that something leaked.
        let leaked = |tape: &[u8]| {
            words.as_bytes().windows(8).any(|part| tape.windows(8).any(|seen| seen == part))
        };
        if leaked(&tapes.to_server) || leaked(&tapes.to_client) {
            return Err("a part of the message crossed the network unencrypted".into());
        }
    }
    let visits = server.visits.load(Ordering::SeqCst);
    if visits != 1 {
        return Err(format!("the server had {visits} connections; only the client's was due"));
    }
    println!("The server had 1 connection: the client's. It never heard of the stranger.");
    outer.stop()?;
    inner.stop()
}

/// Where `spiped` is: the directory given, or the one above this example's own.
fn program_directory() -> Outcome<PathBuf> {
    if let Some(given) = std::env::args_os().nth(1) {
        return Ok(given.into());
    }
    let own =
        std::env::current_exe().map_err(|e| format!("cannot find the demo's own path: {e}"))?;
    let above = own.parent().and_then(Path::parent).map(Path::to_path_buf);
    above.ok_or_else(|| format!("no directory above {}", own.display()))
}

/// A connection whose single reads and writes give up after [`PATIENCE`].
fn connect(addr: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE)
        .and_then(|s| s.set_read_timeout(Some(PATIENCE)).map(|()| s))
        .and_then(|s| s.set_write_timeout(Some(PATIENCE)).map(|()| s));
    stream.map_err(|e| format!("cannot connect to {addr}: {e}"))
}

/// Says [`MESSAGE`], ends its own direction, and returns everything that comes back.
fn client(addr: SocketAddr) -> Outcome<String> {
    let mut stream = connect(addr)?;
    let mut answer = String::new();
    stream
        .write_all(MESSAGE.as_bytes())
        .and_then(|()| stream.shutdown(Shutdown::Write))
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(|e| format!("the client got no whole answer from {addr}: {e}"))?;
    Ok(answer)
}

/// Sends as many bytes of nonsense as a handshake has, and returns how many it was given back.
fn stranger(addr: SocketAddr) -> Outcome<usize> {
    let mut stream = connect(addr)?;
    let mut got = Vec::new();
    let talk =
        stream.write_all(&[0x55; NONCE + EXCHANGE]).and_then(|()| stream.read_to_end(&mut got));
    match talk {
        Ok(_) => {}
        // Thrown out with a reset instead of an end of stream: just as good.
        Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        Err(e) => return Err(format!("the stranger was not thrown out: {e}")),
    }
    if got.len() > NONCE {
        return Err(format!("the stranger was given {} bytes, more than a nonce", got.len()));
    }
    Ok(got.len())
}

/// One direction of the tape, part by part, as a hex dump of the first bytes of each.
fn describe(tape: &[u8]) -> Outcome<String> {
    let body = tape.len().checked_sub(NONCE + EXCHANGE).filter(|n| *n > 0 && n % PACKET == 0);
    let Some(body) = body else {
        return Err(format!("{} bytes are not a handshake and whole packets", tape.len()));
    };
    let (nonce, rest) = tape.split_at(NONCE);
    let (exchange, packets) = rest.split_at(EXCHANGE);
    let mut text = format!("  {} bytes: handshake and {} packet(s)\n", tape.len(), body / PACKET);
    dump(&mut text, "nonce", nonce);
    dump(&mut text, "key exchange value and its MAC", exchange);
    for packet in packets.chunks(PACKET) {
        dump(&mut text, "packet", packet);
    }
    Ok(text)
}

/// The first two rows of `bytes`, sixteen to a row, with what would be legible of them.
fn dump(text: &mut String, title: &str, bytes: &[u8]) {
    let shown = bytes.len().min(32);
    let _ = writeln!(text, "  {title}, {} bytes:", bytes.len());
    for row in bytes[..shown].chunks(16) {
        let hex: String = row.iter().map(|b| format!("{b:02x} ")).collect();
        let legible = |b: &u8| if b.is_ascii_graphic() { char::from(*b) } else { '.' };
        let _ = writeln!(text, "      {hex} |{}|", row.iter().map(legible).collect::<String>());
    }
    if shown < bytes.len() {
        let _ = writeln!(text, "      ... and {} more", bytes.len() - shown);
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
