//! Processes and hosts that fail: killed, stopped, vanished, and targets that hang up.
//!
//! It owns what the other end and the next client see of it. What is wrong with bytes is in
//! `tamper.rs`, targets that do not read and descriptors that run out are in `pressure.rs`, names
//! that cannot be looked up in `replaced.rs`. Next: `clocks.rs`.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::sys::signal::Signal;
use socket2::Socket;
use spiped_peer::pattern::{Checker, Pattern, send};
use spiped_peer::{Raw, Secrecy};

use support::address::reset;
use support::process::{Role, Spiped};
use support::servers::{echo_once, try_echo};
use support::tunnel::{Ends, Spipe, Tunnel, exchange};
use support::{Address, DEADLINE, Daemon, Implementation::Ours, Room, Server, kernel, wait_until};

/// Much more than fits the buffers on the way.
const MUCH: u64 = 64 << 20;

/// Reads to an end of any kind. A kill is none of our doing: the kernel ends the connections as it
/// likes, and a cut at the border of a packet cannot be told from an end.
#[track_caller]
fn ends(socket: &mut Socket) {
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

/// Echoes, sooner or later.
#[track_caller]
fn is_served_again(address: &Address) {
    wait_until("clients are served again", || {
        address.connect().is_ok_and(|mut client| try_echo(&mut client, b"again").is_ok())
    });
}

/// The daemon that is killed, the one that stays, and who sees the end of what.
fn kill_minus_nine(killed: Role) {
    let (room, server) = (Room::new(), Server::echo());
    let Tunnel { mut encrypt, mut decrypt } = Tunnel::start(&room, Ends::ours(), server.address());
    let mut clients: Vec<Socket> =
        (0..20).map(|_| encrypt.address().connect().expect("connect")).collect();
    clients.iter_mut().for_each(|client| echo_once(client, b"before"));
    let (victim, target) = match killed {
        Role::Encrypt => (&mut encrypt, decrypt.address().clone()),
        Role::Decrypt => (&mut decrypt, server.address().clone()),
    };
    let address = victim.address().clone();
    victim.signal(Signal::SIGKILL);
    victim.wait();
    clients.iter_mut().for_each(ends);
    drop(clients);
    let survivor = if killed == Role::Encrypt { &mut decrypt } else { &mut encrypt };
    wait_until("the survivor lets go of its connections", || {
        survivor.log().matches("connection from").count() >= 20
    });
    assert!(survivor.running());

    // One more at the same address, and all is well. Until then the survivor has told its clients.
    let again = Spiped::new(Ours, killed, &room, &address, &target).start();
    let source = if killed == Role::Encrypt { again.address() } else { encrypt.address() };
    is_served_again(source);
}

#[test]
fn a_killed_decrypting_daemon_can_be_replaced_under_the_other() {
    kill_minus_nine(Role::Decrypt);
}

#[test]
fn a_killed_encrypting_daemon_can_be_replaced_under_the_other() {
    kill_minus_nine(Role::Encrypt);
}

#[test]
fn a_spipe_whose_peer_is_killed_ends() {
    let (room, server) = (Room::new(), Server::holding());
    let mut far =
        Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), server.address()).start();
    let mut spipe = Spipe::start(Ours, &room, far.address(), &[]);
    let (_stdin, mut stdout) = spipe.pipes();
    server.accept().write_all(b"hello").expect("send");
    let mut received = [0; 5];
    stdout.read_exact(&mut received).expect("receive");
    far.signal(Signal::SIGKILL);
    far.wait();
    // Whether that looks like an end or like a reset is the kernel's affair.
    stdout.read_to_end(&mut Vec::new()).expect("the end of stdout");
}

/// A daemon that does not run for longer than every limit, in the middle of a transfer.
fn stopped(which: fn(&Tunnel) -> &Daemon) {
    let flags: &[&str] = &["-o", "1"];
    let ends = Ends { encrypt_flags: flags, decrypt_flags: flags, ..Ends::ours() };
    let (room, server) = (Room::new(), Server::holding());
    let tunnel = Tunnel::start(&room, ends, server.address());
    let (mut client, mut target) = (tunnel.connect(), server.accept());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            send(&mut client, &mut Pattern::new(1), MUCH).expect("send");
            client.shutdown(Shutdown::Write).expect("shutdown");
        });
        let mut checker = Checker::new(1);
        checker.read_exactly(&mut target, 100_000).expect("it has begun");
        which(&tunnel).signal(Signal::SIGSTOP);
        // Somebody comes meanwhile, and may be too late.
        let _unlucky = tunnel.connect();
        // That time passes is what this is about.
        std::thread::sleep(Duration::from_millis(1500));
        which(&tunnel).signal(Signal::SIGCONT);
        checker.read_all(&mut target).expect("a clean end");
        assert_eq!(checker.received(), MUCH, "bytes");
    });
    // The unlucky one may have got as far as the target; what comes now is a new one.
    let mut late = tunnel.connect();
    late.write_all(b"afterwards").expect("send");
    wait_until("a new client is served", || {
        let mut target = server.accept();
        let mut received = [0; 10];
        target.read_exact(&mut received).is_ok() && &received == b"afterwards"
    });
}

#[test]
fn a_stopped_encrypting_daemon_goes_on_where_it_was() {
    stopped(|tunnel| &tunnel.encrypt);
}

#[test]
fn a_stopped_decrypting_daemon_goes_on_where_it_was() {
    stopped(|tunnel| &tunnel.decrypt);
}

/// Destroys a TCP socket without a word to its peer, as the crash of a host does. False if we may
/// not.
#[cfg(target_os = "linux")]
fn vanish(socket: Socket) -> bool {
    use nix::{errno::Errno, libc};
    use std::os::fd::AsRawFd;

    let on: libc::c_int = 1;
    // SAFETY: the option's value is the int that is pointed to, of the length that is given.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_REPAIR,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if rc == -1 {
        assert_eq!(Errno::last(), Errno::EPERM, "TCP_REPAIR");
        return false;
    }
    drop(socket);
    true
}

/// Half-open: the peer's host knows nothing of the connection any more. That shows when something
/// is sent there; who never sends is found by keep-alives (`addresses.rs`), who waits for an answer
/// in vain by `--ack-timeout` (`silence.rs`).
#[cfg(target_os = "linux")]
#[test]
fn a_half_open_connection_is_a_reset_to_whoever_sends() {
    for role in [Role::Decrypt, Role::Encrypt] {
        let (room, server) = (Room::new(), Server::holding());
        let daemon = Spiped::new(Ours, role, &room, &Address::any_v4(), server.address()).start();
        let socket = daemon.address().connect().expect("connect");
        let secret = room.secret();
        let (raw, mut plain) = if role == Role::Decrypt {
            let raw = Raw::client(socket, &secret, Secrecy::None).expect("handshake");
            (raw, server.accept())
        } else {
            let raw = Raw::server(server.accept(), &secret, Secrecy::None);
            (raw.expect("handshake"), socket)
        };
        // All that is under way has to arrive first, or vanishing would not be silent.
        wait_until("all is acknowledged", || kernel::acknowledged(&raw.socket));
        if !vanish(raw.socket) {
            let test = "a_half_open_connection_is_a_reset_to_whoever_sends";
            return support::skip(test, "only root may let sockets vanish");
        }
        plain.write_all(b"are you there?").expect("send");
        let outcome = plain.read(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "{role:?}: looks like a clean end");
    }
}

#[test]
fn a_target_that_accepts_and_closes_is_an_end() {
    let (room, server) = (Room::new(), Server::holding());
    let tunnel = Tunnel::start(&room, Ends::ours(), server.address());
    for _ in 0..3 {
        let mut client = tunnel.connect();
        drop(server.accept());
        assert_eq!(client.read(&mut [0; 1]).expect("a clean end"), 0);
    }
    exchange(tunnel.connect(), server.accept(), 100_000);
}

/// A target whose queue of connections is full answers nobody. Whoever waits for it and is reset
/// waits no longer, whatever -o says.
#[cfg(target_os = "linux")]
#[test]
fn who_is_reset_while_the_target_does_not_answer_is_given_up() {
    for role in [Role::Decrypt, Role::Encrypt] {
        let room = Room::new();
        let (_target, place, _queue) = Address::any_v4().listen_to_nobody().expect("listen");
        let daemon = Spiped::new(Ours, role, &room, &Address::any_v4(), &place);
        let daemon = daemon.flags(&["-o", "inf"]).start();
        let socket = daemon.address().connect().expect("connect");
        let socket = match role {
            Role::Decrypt => {
                let raw = Raw::client(socket, &room.secret(), Secrecy::None);
                raw.expect("handshake").socket
            }
            Role::Encrypt => socket,
        };
        reset(socket);
        wait_until("the connection is given up", || {
            daemon.log().contains("failed: connection reset")
        });
    }
}

/// What came before the reset is for the target, however late that answers.
#[cfg(target_os = "linux")]
#[test]
fn what_was_sent_before_a_reset_reaches_a_target_that_answers_later() {
    let room = Room::new();
    let (target, place, queue) = Address::any_v4().listen_to_nobody().expect("listen");
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), &place);
    let daemon = daemon.flags(&["-o", "inf"]).start();
    let socket = daemon.address().connect().expect("connect");
    let mut raw = Raw::client(socket, &room.secret(), Secrecy::None).expect("handshake");
    raw.send(b"last words").expect("send");
    wait_until("all is acknowledged", || kernel::acknowledged(&raw.socket));
    reset(raw.socket);
    // Those in the queue come first, and go.
    drop(queue);
    let mut got = Vec::new();
    while got.is_empty() {
        let (mut accepted, _) = target.accept().expect("accept");
        support::address::limit(&accepted).expect("timeouts");
        let _ = accepted.read_to_end(&mut got); // a reset ends it
    }
    assert_eq!(got, b"last words");
}

/// The target's process is killed, and comes again.
#[test]
fn a_target_may_go_and_come_back() {
    let room = Room::new();
    let place = Address::Unix(room.path("target.sock"));
    let tunnel = {
        let server = Server::echo_at(&place);
        let tunnel = Tunnel::start(&room, Ends::ours(), &place);
        echo_once(&mut tunnel.connect(), b"there");
        drop(server);
        tunnel
    };
    std::fs::remove_file(room.path("target.sock")).expect("the socket's file");
    let mut client = tunnel.connect();
    client.set_read_timeout(Some(DEADLINE)).expect("timeout");
    let outcome = client.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "looks like a clean end");
    let _server = Server::echo_at(&place);
    echo_once(&mut tunnel.connect(), b"there again");
}

/// One direction fails and the other ends: whoever has got all of that one sees its end, before the
/// reset that tells of the other.
#[test]
fn an_end_is_not_overtaken_by_the_reset_for_the_other_direction() {
    let room = Room::new();
    let path = room.path("target");
    let listener = UnixListener::bind(&path).expect("bind");
    let target = Address::Unix(path);
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), &target).start();
    for _ in 0..20 {
        let socket = daemon.address().connect().expect("connect");
        let mut raw = Raw::client(socket, &room.secret(), Secrecy::None).expect("handshake");
        let (mut served, _) = listener.accept().expect("accept");
        served.shutdown(Shutdown::Read).expect("shutdown");
        raw.send(b"for nobody").expect("send");
        served.write_all(b"an answer").expect("write");
        assert_eq!(raw.receive_exactly(9).expect("the answer"), b"an answer");
        // This acknowledges it, so that nothing but the end is left to be delivered.
        raw.send(b"more").expect("send");
        drop(served);
        assert_eq!(raw.socket.read(&mut [0]).map_err(|error| error.kind()), Ok(0), "no end");
    }
    wait_until("the log has the failures", || {
        daemon.log().matches("failed: broken pipe").count() == 20
    });
}
