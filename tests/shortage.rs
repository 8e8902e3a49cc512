//! The system runs out of something: the daemons wait and go on, and never end.
//!
//! It owns errors that no test can cause by itself: strace makes chosen system calls fail (its
//! `-e inject`). What happens when descriptors really run out is in `pressure.rs`. Next:
//! `leaks.rs`.

mod support;

use std::io::{ErrorKind, Read};

use spiped_peer::{Raw, Secrecy};

use support::foreign::have_strace;
use support::process::{Role, Spiped};
use support::servers::echo_once;
use support::{Address, Daemon, Implementation::Ours, Room, Server, wait_until};

/// The shortages that accept(2), socket(2) and connect(2) may report.
const SHORTAGES: [&str; 4] = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

/// A daemon whose system calls fail as `inject` says, in the words of strace.
fn start(role: Role, room: &Room, target: &Address, inject: &[String], flags: &[&str]) -> Daemon {
    // -D: strace is a process beside ours, which stays our child. Only what is named is traced.
    let mut wrapper: Vec<String> =
        ["strace", "-D", "-f", "-qq", "-o", "/dev/null"].map(str::to_owned).to_vec();
    for rule in inject {
        wrapper.extend(["-e".to_owned(), format!("inject={rule}")]);
    }
    Spiped::new(Ours, role, room, &Address::any_v4(), target).flags(flags).wrapped(wrapper).start()
}

/// Both ends meet the same shortage in every call on the way of a connection, several times, and
/// every client is served.
fn passing(error: &str) {
    let (room, server) = (Room::new(), Server::echo());
    // The first socket() is the listener's. The loop accepts until nobody is there, so several of
    // these come for each client.
    let inject = [
        format!("accept4:error={error}:when=1..3"),
        format!("socket:error={error}:when=2..4"),
        format!("connect:error={error}:when=2..3"),
        format!("epoll_ctl:error={error}:when=7..8"),
    ];
    let flags = ["-o", "60", "--log-level", "debug"];
    let mut decrypt = start(Role::Decrypt, &room, server.address(), &inject, &flags);
    let mut encrypt = start(Role::Encrypt, &room, decrypt.address(), &inject, &flags);
    let connect = |daemon: &Daemon| daemon.address().connect().expect("connect");
    // Which connections meet the errors of epoll_ctl() depends on the order of things. Each fails
    // alone, with a reset, two at either end; all others are served.
    let failures = (0..10).filter(|_| {
        let echo = support::servers::try_echo(&mut connect(&encrypt), b"hello");
        echo.is_err_and(|error| {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            true
        })
    });
    assert!(failures.count() <= 4, "an error of epoll_ctl() has ended more than its connection");
    echo_once(&mut connect(&encrypt), b"afterwards");
    assert!(encrypt.running() && decrypt.running());
    for daemon in [&encrypt, &decrypt] {
        let said = |text: &str| wait_until(text, || daemon.log().contains(text));
        said("accepting pauses until the system has room again");
        said("is put off: ");
    }
}

#[test]
fn shortages_that_pass_are_waited_out() {
    if have_strace("shortages_that_pass_are_waited_out") {
        std::thread::scope(|scope| {
            SHORTAGES.iter().for_each(|error| drop(scope.spawn(|| passing(error))));
        });
    }
}

/// The system does not say when a target can be written to again: the connection ends, with the
/// reason, and nothing else does.
#[test]
fn who_cannot_be_watched_for_room_is_reset() {
    if !have_strace("who_cannot_be_watched_for_room_is_reset") {
        return;
    }
    let (room, server) = (Room::new(), Server::holding());
    // Six come before there is anybody, and then the peer and the target.
    let inject = ["epoll_ctl:error=ENOMEM:when=9".to_owned()];
    let daemon = start(Role::Decrypt, &room, server.address(), &inject, &["-o", "0.3"]);
    let connect = || {
        let socket = daemon.address().connect().expect("connect");
        Raw::client(socket, &room.secret(), Secrecy::None).expect("handshake")
    };
    let mut raw = connect();
    let target = server.accept();
    let error = loop {
        if let Err(error) = raw.send(&[0; 64 << 10]) {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    wait_until("the reason", || {
        daemon.log().contains("decrypted, ") && daemon.log().contains("Cannot allocate memory")
    });
    drop(target);
    connect();
    drop(server.accept());
}

/// No socket for the target, ever: that connection fails, with the reason, and nothing else does.
fn lasting(role: Role, call: &str) {
    let (room, server) = (Room::new(), Server::echo());
    let inject = [format!("{call}:error=ENOBUFS:when={}+", if call == "socket" { 2 } else { 1 })];
    let mut daemon = start(role, &room, server.address(), &inject, &["-o", "0.3"]);
    for _ in 0..2 {
        let mut client = daemon.address().connect().expect("connect");
        if role == Role::Decrypt {
            client = Raw::client(client, &room.secret(), Secrecy::None)
                .expect("a handshake needs no socket")
                .socket;
        }
        let outcome = client.read(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(outcome, Err(ErrorKind::ConnectionReset), "looks like a clean end");
    }
    let reason = "the system had no room for a connection in time";
    wait_until("two lines in the log", || daemon.log().matches(reason).count() == 2);
    assert!(daemon.running());
}

#[test]
fn a_shortage_that_lasts_ends_the_connection_and_nothing_else() {
    if have_strace("a_shortage_that_lasts_ends_the_connection_and_nothing_else") {
        std::thread::scope(|scope| {
            for role in [Role::Encrypt, Role::Decrypt] {
                ["socket", "connect"].iter().for_each(|call| {
                    scope.spawn(move || lasting(role, call));
                });
            }
        });
    }
}
