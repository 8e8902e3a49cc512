//! Plays one trick on a subject: what the tricks have to work with, and what is looked at
//! afterwards. Next: `outcome.rs`.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use socket2::Socket;
use spiped_peer::{Handshake, NONCE, PACKET, PUBLIC, Raw, Secrecy, Side, random};

use crate::outcome::{Arrived, Outcome, Saw};
use crate::stage::{DEADLINE, GREETING, Role, Stage, Subject};
use crate::tricks::{GOOD, Trick};

/// What an honest peer says.
const HONEST: &[u8] = b"honest";
/// What the daemon has not ended by then, it has left open. Much more than its `-o` where that is
/// waited for.
const PATIENCE: Duration = Duration::from_secs(8);

/// A trick that is being played.
pub struct Attack<'a> {
    stage: &'a Stage,
    /// The connection that it is played on.
    socket: Option<Socket>,
    /// Bytes of the daemon that were read on it.
    read: usize,
}

impl Attack<'_> {
    /// What the tester plays.
    #[must_use]
    pub fn side(&self) -> Side {
        self.stage.role().tester()
    }

    /// What is in the key file.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        self.stage.secret()
    }

    /// The connection to play on. What came of an earlier one does not count.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn connect(&mut self) -> io::Result<Socket> {
        self.socket = None;
        self.stage.wait_for_ends();
        self.stage.take_arrived();
        let socket = self.stage.connection()?;
        (self.socket, self.read) = (Some(socket.try_clone()?), 0);
        Ok(socket)
    }

    /// The same, up to both nonces, with the right key.
    ///
    /// # Errors
    ///
    /// If the daemon ends it.
    pub fn nonces(&mut self, secrecy: Secrecy) -> io::Result<Handshake> {
        let secret = self.secret().to_owned();
        self.nonces_with(random(), &secret, secrecy)
    }

    /// The same with this nonce and this key.
    ///
    /// # Errors
    ///
    /// If the daemon ends it.
    pub fn nonces_with(
        &mut self,
        nonce: [u8; NONCE],
        secret: &[u8],
        secrecy: Secrecy,
    ) -> io::Result<Handshake> {
        let socket = self.connect()?;
        let handshake = Handshake::start_with(socket, nonce, secret, self.side(), secrecy)?;
        self.read += NONCE;
        Ok(handshake)
    }

    /// Reads the daemon's value.
    ///
    /// # Errors
    ///
    /// If the daemon ends it, or says nonsense.
    pub fn value(&mut self, handshake: &mut Handshake) -> io::Result<[u8; 256]> {
        let value = handshake.read_public()?;
        self.read += PUBLIC;
        Ok(value)
    }

    /// Sends `message` as the tester's value, and reads the daemon's, in the order of the protocol.
    ///
    /// # Errors
    ///
    /// If the daemon ends it, or says nonsense.
    pub fn exchange(&mut self, handshake: &mut Handshake, message: &[u8]) -> io::Result<[u8; 256]> {
        if self.side() == Side::Client {
            handshake.socket().write_all(message)?;
            return self.value(handshake);
        }
        let value = self.value(handshake)?;
        handshake.socket().write_all(message)?;
        Ok(value)
    }

    /// A whole handshake; the plain side has said something, and it was read.
    ///
    /// # Errors
    ///
    /// If the daemon ends it, or says nonsense.
    pub fn let_in(&mut self, secrecy: Secrecy) -> io::Result<Raw> {
        let mut handshake = self.nonces(secrecy)?;
        let message = handshake.public();
        let value = self.exchange(&mut handshake, &message)?;
        let mut raw = handshake.keyed(&value);
        self.greeting(&mut raw)?;
        Ok(raw)
    }

    /// Has the plain side say something, and reads it.
    ///
    /// # Errors
    ///
    /// If it does not come.
    pub fn greeting(&mut self, raw: &mut Raw) -> io::Result<()> {
        let Some(packet) = self.greeting_packet(&mut raw.socket)? else { return Ok(()) };
        if raw.opening.open(&packet)? != GREETING {
            return Err(Error::new(ErrorKind::InvalidData, "not what the plain side has said"));
        }
        Ok(())
    }

    /// Has the plain side say something, and reads the packet that it comes in; none if what is
    /// said there is not ours to say.
    ///
    /// # Errors
    ///
    /// If it does not come.
    pub fn greeting_packet(&mut self, socket: &mut Socket) -> io::Result<Option<[u8; PACKET]>> {
        if !self.stage.sees_behind() {
            return Ok(None);
        }
        self.stage.greet()?;
        let mut packet = [0; PACKET];
        socket.read_exact(&mut packet)?;
        self.read += PACKET;
        Ok(Some(packet))
    }

    /// Sends back whatever comes, until the daemon ends that.
    ///
    /// # Errors
    ///
    /// If it ends it in the middle of something.
    pub fn send_all_back(&mut self, socket: &mut Socket) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let count = socket.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            self.read += count;
            socket.write_all(&buffer[..count])?;
        }
    }

    /// Ends the tester's stream.
    ///
    /// # Errors
    ///
    /// If the daemon has ended the connection.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.socket.as_ref().map_or(Ok(()), |socket| socket.shutdown(Shutdown::Write))
    }

    /// Resets the connection, once the trick has dropped its own handle of it.
    ///
    /// # Errors
    ///
    /// If the system has none of it.
    pub fn reset(&mut self) -> io::Result<()> {
        self.socket.take().map_or(Ok(()), |socket| socket.set_linger(Some(Duration::ZERO)))
    }

    /// The first packet has arrived behind the daemon.
    pub fn good_has_arrived(&self) {
        self.stage.wait_for(GOOD);
    }

    /// Reads what else the daemon says on the connection of the trick; whether it is left open.
    fn read_to_end(&mut self) -> bool {
        let Some(mut socket) = self.socket.take() else { return false };
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            // It is connected, or the next read says that it is not.
            let _ = socket.set_read_timeout(Some(left));
            match socket.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.read += count,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ => return false,
                },
            }
        }
    }

    fn saw(&self) -> Saw {
        let stages = [NONCE, PUBLIC, PACKET].into_iter().scan(0, |sum, part| {
            *sum += part;
            Some(*sum)
        });
        match stages.filter(|stage| *stage <= self.read).count() {
            0 => Saw::Nothing,
            1 => Saw::Nonce,
            2 => Saw::Value,
            _ => Saw::Data,
        }
    }
}

/// Plays `trick` on `subject`, whose end of the tunnel is `role`.
///
/// # Errors
///
/// If the subject cannot be started or met at all.
pub fn play(subject: &Subject, role: Role, trick: &Trick) -> io::Result<Outcome> {
    let stage = Stage::new(subject, role, trick.timeout)?;
    let mut attack = Attack { stage: &stage, socket: None, read: 0 };
    let fault = match (trick.play)(&mut attack) {
        // That the daemon ends the connection is what most tricks come to.
        Ok(()) => None,
        Err(error) if error.kind() == ErrorKind::InvalidData => Some(error.to_string()),
        Err(_) => None,
    };
    let open = attack.read_to_end();
    let saw = attack.saw();

    // An honest peer comes last, so that there is no doubt about what the daemon did before.
    let serves = serves(&stage);
    stage.wait_for_ends();
    let is_honest = |arrived: &Arrived| arrived.bytes.starts_with(HONEST);
    let arrived = stage.take_arrived().into_iter().find(|arrived| !is_honest(arrived));
    Ok(Outcome { saw, open, fault, arrived, serves })
}

/// Whether an honest peer is served; it tries more than once, since the machine may be busy.
fn serves(stage: &Stage) -> bool {
    let end = Instant::now() + DEADLINE;
    loop {
        let before = stage.connections();
        if honest(stage).is_ok() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        // What is there of that attempt is not the trick's doing.
        stage.forget_all_but(before);
        // A step of a wait that has a condition and a deadline.
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn honest(stage: &Stage) -> io::Result<()> {
    let (secret, side) = (stage.secret(), stage.role().tester());
    let handshake = Handshake::start(stage.connection()?, secret, side, Secrecy::Forward)?;
    let mut raw = handshake.finish()?;
    if !stage.sees_behind() {
        return Ok(());
    }
    raw.send(HONEST)?;
    raw.socket.shutdown(Shutdown::Write)?;
    stage.wait_for(HONEST);
    // The rest, which ends because the plain side ends.
    io::copy(&mut raw.socket, &mut io::sink())?;
    Ok(())
}
