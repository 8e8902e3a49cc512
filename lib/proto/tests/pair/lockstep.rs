//! Two cores side by side without chance: for tests that are about one message.
//!
//! Owns the few lines that carry messages by hand. Runs by chance are in `world.rs`.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use spiped_proto::{Config, Conn, Entropy, Event, Input, Pfs, Role, SharedKey, Side};

use crate::rng::Rng;

/// How long the handshakes of this file may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// A core that started at `now` and whose keys are made of these key files.
pub(crate) fn core_at(now: Instant, role: Role, pfs: Pfs, key_files: &[&str]) -> Conn {
    let keys = key_files.iter().map(|file| SharedKey::from_pieces([file.as_bytes()]));
    let mut config = Config::new(role, keys.collect::<Vec<_>>());
    (config.pfs, config.handshake_timeout) = (pfs, Some(LIMIT));
    let mut rng = Rng::new(role as u64);
    let Ok(entropy) = Entropy::draw(|bytes| {
        rng.fill(bytes);
        Ok::<_, Infallible>(())
    });
    Conn::new(&config, entropy, now)
}

/// A core for which time does not matter.
pub(crate) fn core(role: Role, pfs: Pfs, key_files: &[&str]) -> Conn {
    core_at(Instant::now(), role, pfs, key_files)
}

/// Both cores with one key, after their handshake, with their events taken.
pub(crate) fn established() -> (Conn, Conn) {
    let mut client = core(Role::Encrypt, Pfs::Refuse, &["key"]);
    let mut server = core(Role::Decrypt, Pfs::Refuse, &["key"]);
    carry_all(&mut client, &mut server);
    for conn in [&mut client, &mut server] {
        let events = events(conn);
        assert!(matches!(events[..], [Event::PeerAuthenticated(_)]), "{events:?}");
    }
    (client, server)
}

/// What the core itself has to say.
pub(crate) fn said(conn: &mut Conn) -> Vec<u8> {
    let mut said = Vec::new();
    conn.poll_transmit(&mut said);
    said
}

/// Lets bytes arrive on the encrypted side, as many at a time as the core wants; what goes to the
/// plain side is returned.
pub(crate) fn hear(conn: &mut Conn, mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(bytes.len().min(conn.read_limit(Side::Encrypted)));
        if piece.is_empty() {
            break;
        }
        conn.handle_input(Instant::now(), Side::Encrypted, Input::Data(piece), &mut out);
        bytes = rest;
    }
    out
}

/// One input from which nothing is to come but events.
pub(crate) fn tell(conn: &mut Conn, side: Side, input: Input<'_>) -> Vec<Event> {
    let mut out = Vec::new();
    conn.handle_input(Instant::now(), side, input, &mut out);
    assert_eq!(out, [], "{input:?} on the {side} has brought forth bytes");
    assert_eq!(said(conn), [], "{input:?} on the {side} was answered");
    events(conn)
}

/// All events so far.
pub(crate) fn events(conn: &mut Conn) -> Vec<Event> {
    std::iter::from_fn(|| conn.poll_event()).collect()
}

/// Carries what the cores have to say until they are silent.
pub(crate) fn carry_all(client: &mut Conn, server: &mut Conn) {
    loop {
        let (from_client, from_server) = (said(client), said(server));
        if from_client.is_empty() && from_server.is_empty() {
            return;
        }
        assert_eq!(hear(server, &from_client), []);
        assert_eq!(hear(client, &from_server), []);
    }
}
