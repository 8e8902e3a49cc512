//! What a handshake costs each role, with forward secrecy and without.
//!
//! `cargo bench -p spiped-proto`. The peer's messages are made beforehand: only our own side's work
//! is measured, from the first nonce to the keys.

use std::time::Instant;

use divan::{Bencher, black_box};
use spiped_proto::{Config, Conn, Entropy, Event, Input, Pfs, Role, SharedKey, Side};

fn main() {
    divan::main();
}

#[divan::bench(args = [Pfs::Allow, Pfs::Refuse])]
fn encrypting(bencher: Bencher<'_, '_>, pfs: Pfs) {
    bench(bencher, Role::Encrypt, pfs);
}

#[divan::bench(args = [Pfs::Allow, Pfs::Refuse])]
fn decrypting(bencher: Bencher<'_, '_>, pfs: Pfs) {
    bench(bencher, Role::Decrypt, pfs);
}

fn bench(bencher: Bencher<'_, '_>, role: Role, pfs: Pfs) {
    let messages = peer_messages(role, pfs);
    let config = config(role, pfs);
    // All handshakes are the same one, so that the peer's answers fit; the time is that of any.
    bencher.bench_local(|| {
        let mut conn = start(&config);
        let mut said = Vec::new();
        feed(&mut conn, black_box(&messages), &mut said);
        assert!(matches!(conn.poll_event(), Some(Event::PeerAuthenticated(_))));
        said
    });
}

/// What the peer of `role` says in the handshake.
fn peer_messages(role: Role, pfs: Pfs) -> Vec<u8> {
    let other = match role {
        Role::Encrypt => Role::Decrypt,
        Role::Decrypt => Role::Encrypt,
    };
    let (mut ours, mut theirs) = (start(&config(role, pfs)), start(&config(other, pfs)));
    let (mut from_us, mut from_them) = (Vec::new(), Vec::new());
    let (mut to_us, mut to_them) = (0, 0);
    for _ in 0..4 {
        ours.poll_transmit(&mut from_us);
        theirs.poll_transmit(&mut from_them);
        to_us += feed(&mut ours, &from_them[to_us..], &mut from_us);
        to_them += feed(&mut theirs, &from_us[to_them..], &mut from_them);
    }
    from_them
}

/// Passes in as much as is wanted, appends what is answered; returns how much was taken.
fn feed(conn: &mut Conn, bytes: &[u8], said: &mut Vec<u8>) -> usize {
    let mut taken = 0;
    while taken < bytes.len() {
        let wanted = conn.read_limit(Side::Encrypted).min(bytes.len() - taken);
        let piece = &bytes[taken..taken + wanted];
        conn.handle_input(Instant::now(), Side::Encrypted, Input::Data(piece), &mut Vec::new());
        conn.poll_transmit(said);
        taken += wanted;
    }
    taken
}

fn config(role: Role, pfs: Pfs) -> Config {
    let mut config = Config::new(role, [SharedKey::from_pieces([b"key".as_slice()])]);
    (config.pfs, config.handshake_timeout) = (pfs, None);
    config
}

fn start(config: &Config) -> Conn {
    let seed = match config.role {
        Role::Encrypt => 0x5a,
        Role::Decrypt => 0xa5,
    };
    let fill = |bytes: &mut [u8]| {
        bytes.fill(seed);
        Ok::<_, ()>(())
    };
    let entropy = Entropy::draw(fill).expect("cannot fail");
    Conn::new(config, entropy, Instant::now())
}
