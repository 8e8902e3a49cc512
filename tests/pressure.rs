//! Too much: receivers that do not read, more clients than descriptors, more clients than -n.
//!
//! It owns what the daemons do when a resource runs out: wait, and go on when it is back.
//! Next: `daemon.rs`.

mod support;

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::Socket;
use spiped_peer::pattern::{Checker, Pattern};
use spiped_peer::{Raw, Secrecy};

use support::address::reset;
use support::kernel::{self, resident_kib};
use support::process::{Role, Spiped};
use support::servers::{echo_once, try_echo};
use support::tunnel::{Ends, Tunnel};
use support::{Address, DEADLINE, Implementation::Ours, QUIET, Room, Server, wait_until};

/// What a sender would like to get rid of, in bytes.
const OFFERED: u64 = 1 << 30;
/// What the kernel's buffers on the way may hold of it, at most: three TCP connections.
const IN_KERNEL: u64 = 100 << 20;
/// By how much a daemon may grow meanwhile, in KiB: some pages of the allocator.
const GROWTH_KIB: u64 = 1024;
/// How long a write that makes no progress is taken for blocked.
const BLOCKED: Duration = Duration::from_secs(1);

/// Sends a pattern until nothing more is taken; returns the bytes that were.
fn send_until_blocked(socket: &mut Socket) -> u64 {
    socket.set_write_timeout(Some(BLOCKED)).expect("timeout");
    let (mut pattern, mut sent) = (Pattern::new(9), 0);
    while sent < OFFERED {
        let block = pattern.take(64 * 1024);
        let mut rest = &block[..];
        while !rest.is_empty() {
            match socket.write(rest) {
                Ok(count) => {
                    rest = &rest[count..];
                    sent += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return sent,
                Err(error) => panic!("after {sent} bytes: {error}"),
            }
        }
    }
    sent
}

/// One end sends, the other does not read; then it does.
fn back_pressure(from_client: bool) {
    let (room, server) = (Room::new(), Server::holding());
    let tunnel = Tunnel::start(&room, Ends::ours(), server.address());
    // The memory of a connection in use is not growth.
    let warm = tunnel.connect();
    support::tunnel::exchange(warm, server.accept(), 1 << 20);
    let daemons = [tunnel.encrypt.pid(), tunnel.decrypt.pid()];
    let before = daemons.map(resident_kib);

    let client = tunnel.connect();
    let target = server.accept();
    let (mut from, mut to) = if from_client { (client, target) } else { (target, client) };
    let sent = send_until_blocked(&mut from);
    assert!(sent < IN_KERNEL, "{sent} bytes were taken though nobody reads");
    let after = daemons.map(resident_kib);
    for (before, after) in before.iter().zip(after) {
        assert!(after <= before + GROWTH_KIB, "grew from {before} to {after} KiB");
    }

    // Nothing was lost: the reader gets all that was taken, and the end.
    from.shutdown(Shutdown::Write).expect("shutdown");
    let mut checker = Checker::new(9);
    checker.read_all(&mut to).expect("the rest arrives");
    assert_eq!(checker.received(), sent);
}

#[test]
fn a_target_that_stops_reading_stops_the_client() {
    back_pressure(true);
}

#[test]
fn a_client_that_stops_reading_stops_the_target() {
    back_pressure(false);
}

#[test]
fn a_stalled_connection_does_not_stall_others() {
    let (room, server) = (Room::new(), Server::holding());
    let tunnel = Tunnel::start(&room, Ends::ours(), server.address());
    let mut stalled = tunnel.connect();
    let _unread = server.accept();
    send_until_blocked(&mut stalled);
    let client = tunnel.connect();
    support::tunnel::exchange(client, server.accept(), 1 << 20);
}

/// 100 clients come at once and stay until they may leave; the daemons have `descriptors`.
fn few_descriptors(encrypt: Option<u32>, decrypt: Option<u32>) {
    const CLIENTS: usize = 100;
    const AT_ONCE: usize = 10;
    let (room, server) = (Room::new(), Server::echo());
    let any = Address::any_v4();
    let start = |role, target: &Address, descriptors: Option<u32>| {
        // Whoever waits for its turn must not be given up; and -n is not what stops us here.
        let daemon = Spiped::new(Ours, role, &room, &any, target).flags(&["-o", "60", "-n", "0"]);
        match descriptors {
            Some(count) => daemon.descriptors(count).start(),
            None => daemon.start(),
        }
    };
    let mut decrypting = start(Role::Decrypt, server.address(), decrypt);
    let mut encrypting = start(Role::Encrypt, decrypting.address(), encrypt);
    let (served, leave) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sockets: Vec<Socket> =
        (0..CLIENTS).map(|_| encrypting.address().connect().expect("connect")).collect();
    std::thread::scope(|scope| {
        for mut socket in sockets {
            let (served, leave) = (&served, &leave);
            scope.spawn(move || {
                socket.set_read_timeout(Some(2 * DEADLINE)).expect("timeout");
                // Those who are not served are counted below.
                if try_echo(&mut socket, b"my turn").is_ok() {
                    served.fetch_add(1, Ordering::SeqCst);
                    wait_until("leave to go", || leave.load(Ordering::SeqCst));
                }
            });
        }
        // Nobody has left yet: so many at once.
        let enough = support::holds_within(DEADLINE, || served.load(Ordering::SeqCst) >= AT_ONCE);
        // Whatever was seen, let the clients go: a panic in here would wait for them.
        leave.store(true, Ordering::SeqCst);
        assert!(enough, "only {} clients at once", served.load(Ordering::SeqCst));
    });
    assert_eq!(served.load(Ordering::SeqCst), CLIENTS, "everybody is served in the end");
    assert!(encrypting.running(), "spiped -e has ended");
    assert!(decrypting.running(), "spiped -d has ended");
    // All is as before.
    echo_once(&mut encrypting.address().connect().expect("connect"), b"afterwards");
}

#[test]
fn few_descriptors_at_both_ends() {
    few_descriptors(Some(40), Some(40));
}

#[test]
fn few_descriptors_at_the_decrypting_end() {
    few_descriptors(None, Some(40));
}

#[test]
fn few_descriptors_at_the_encrypting_end() {
    few_descriptors(Some(40), None);
}

#[test]
fn descriptors_come_back() {
    let (room, server) = (Room::new(), Server::echo());
    let tunnel = Tunnel::start(&room, Ends::ours(), server.address());
    let daemons = [tunnel.encrypt.pid(), tunnel.decrypt.pid()];
    let before = daemons.map(kernel::descriptors);
    for _ in 0..30 {
        // One that ends well, one that is reset, one with the wrong key, one that says nothing.
        echo_once(&mut tunnel.connect(), b"hello");
        let mut client = tunnel.connect();
        echo_once(&mut client, b"hello");
        reset(client);
        let connect = || tunnel.decrypt.address().connect().expect("connect");
        support::refused(Raw::client(connect(), b"wrong", Secrecy::None));
        drop(connect());
    }
    wait_until("all descriptors to be closed", || daemons.map(kernel::descriptors) == before);
}

/// With -n 3 the fourth client waits until one of the others leaves.
fn limit(ends: Ends) {
    let (room, server) = (Room::new(), Server::echo());
    let tunnel = Tunnel::start(&room, ends, server.address());
    let mut clients: Vec<Socket> = (0..3)
        .map(|_| {
            let mut client = tunnel.connect();
            echo_once(&mut client, b"hello");
            client
        })
        .collect();
    let mut fourth = tunnel.connect();
    fourth.write_all(b"my turn").expect("send");
    assert!(!support::holds_within(QUIET, || server.connections() > 3), "a fourth one got in");
    // The other three are served meanwhile.
    clients.iter_mut().for_each(|client| echo_once(client, b"still here"));
    drop(clients.pop());
    let mut back = [0; 7];
    std::io::Read::read_exact(&mut fourth, &mut back).expect("the fourth has its turn");
    assert_eq!(&back, b"my turn");
}

#[test]
fn limit_of_the_encrypting_end() {
    limit(Ends { encrypt_flags: &["-n", "3"], ..Ends::ours() });
}

#[test]
fn limit_of_the_decrypting_end() {
    limit(Ends { decrypt_flags: &["-n", "3"], ..Ends::ours() });
}
