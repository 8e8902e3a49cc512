//! Clocks that jump, or begin anywhere: the wall clock does not matter at all, and the monotonic
//! one does what it should.
//!
//! It owns daemons with clocks of their own: `support/clocks.c`, compiled here and preloaded, adds
//! to each clock what the test says, and time namespaces let them begin elsewhere. That nobody asks
//! for the wall clock is also a rule of the linter (clippy.toml). Next: `faults.rs`.

#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use nix::time::{ClockId, clock_gettime};
use socket2::Socket;
use spiped_peer::{Handshake, Raw, Secrecy, Side};

use support::process::{Role, Spiped};
use support::servers::echo_once;
use support::{Address, Daemon, Implementation::Ours, QUIET, Room, Server};

const DAY: i64 = 24 * 3600;

/// Which clock; the order of the numbers in the file.
#[derive(Clone, Copy)]
enum Clock {
    Wall = 0,
    Monotonic = 1,
}

/// Clocks that a test sets, and a daemon under them.
struct Scene {
    room: Room,
    server: Server,
    jumps: File,
    wrapper: Vec<String>,
}

impl Scene {
    /// None, and it says so, if there is no C compiler.
    fn new(test: &str) -> Option<Self> {
        let (room, server) = (Room::new(), Server::echo());
        let (library, path) = (room.path("clocks.so"), room.path("jumps"));
        let source: PathBuf =
            [env!("CARGO_MANIFEST_DIR"), "tests/support/clocks.c"].iter().collect();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        if !compiled.is_ok_and(|status| status.success()) {
            support::skip(test, "no C compiler, or it fails");
            return None;
        }
        let jumps = File::options().read(true).write(true).create_new(true).open(&path);
        let jumps = jumps.expect("a new file");
        jumps.write_all_at(&[0; 16], 0).expect("write");
        let wrapper = vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", library.display()),
            format!("SPIPED_TEST_CLOCKS={}", path.display()),
        ];
        Some(Self { room, server, jumps, wrapper })
    }

    /// Lets a clock jump to so many seconds away from what the system says.
    fn jump(&self, clock: Clock, seconds: i64) {
        self.jumps.write_all_at(&seconds.to_ne_bytes(), 8 * clock as u64).expect("write");
    }

    /// A decrypting daemon that gives strangers a minute.
    fn daemon(&self) -> Daemon {
        let any = Address::any_v4();
        Spiped::new(Ours, Role::Decrypt, &self.room, &any, self.server.address())
            .flags(&["-o", "60"])
            .wrapped(self.wrapper.clone())
            .start()
    }

    fn friend(&self, daemon: &Daemon) -> Raw {
        let socket = daemon.address().connect().expect("connect");
        Raw::client(socket, &self.room.secret(), Secrecy::None).expect("served")
    }

    /// Somebody with half of a handshake behind him.
    fn half(&self, daemon: &Daemon) -> Handshake {
        let socket = daemon.address().connect().expect("connect");
        let secret = self.room.secret();
        Handshake::start(socket, &secret, Side::Client, Secrecy::None).expect("nonces")
    }
}

#[track_caller]
fn echoes(peer: &mut Raw) {
    peer.send(b"tick").expect("send");
    assert_eq!(peer.receive_exactly(4).expect("the echo"), b"tick");
}

/// Whether the daemon has thrown this one out.
fn is_closed(socket: &mut Socket) -> bool {
    socket.set_read_timeout(Some(QUIET)).expect("timeout");
    match socket.read(&mut [0; 1]) {
        Ok(0) => true,
        Ok(_) => panic!("an answer to half a handshake"),
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn the_wall_clock_does_not_matter() {
    let Some(scene) = Scene::new("the_wall_clock_does_not_matter") else { return };
    // It does jump: date(1) says so.
    scene.jump(Clock::Wall, -60 * 365 * DAY);
    let mut date = Command::new(&scene.wrapper[0]);
    let said = date.args(&scene.wrapper[1..]).args(["date", "+%s"]).output().expect("date");
    assert!(said.stdout.starts_with(b"-"), "not before 1970: {said:?}");

    let daemon = scene.daemon();
    let mut friend = scene.friend(&daemon);
    for years in [0, 100, -60, 13, 0] {
        let (mut half, mut silent) = (scene.half(&daemon), scene.half(&daemon));
        scene.jump(Clock::Wall, years * 365 * DAY);
        echoes(&mut friend);
        echoes(&mut scene.friend(&daemon));
        // Nobody's time is up, and a handshake that was under way goes on.
        assert!(!is_closed(silent.socket()), "thrown out by a jump of {years} years");
        let message = half.public();
        half.socket().write_all(&message).expect("send");
        let value = half.read_public().expect("the answer");
        echoes(&mut half.keyed(&value));
    }
}

#[test]
fn an_hour_that_has_passed_at_once_ends_handshakes_and_nothing_else() {
    let test = "an_hour_that_has_passed_at_once_ends_handshakes_and_nothing_else";
    let Some(scene) = Scene::new(test) else { return };
    let daemon = scene.daemon();
    let (mut friend, mut silent) = (scene.friend(&daemon), scene.half(&daemon));
    echoes(&mut friend);
    assert!(!is_closed(silent.socket()));
    scene.jump(Clock::Monotonic, 3600);
    // The next event is when the daemon sees what time it is.
    echoes(&mut scene.friend(&daemon));
    silent.socket().set_read_timeout(Some(support::DEADLINE)).expect("timeout");
    assert!(matches!(silent.socket().read(&mut [0; 1]), Ok(0) | Err(_)), "its time is up");
    echoes(&mut friend);
}

/// The system never does that; should it, nobody is to be harmed.
#[test]
fn a_monotonic_clock_that_goes_back_harms_nobody() {
    let Some(scene) = Scene::new("a_monotonic_clock_that_goes_back_harms_nobody") else { return };
    let daemon = scene.daemon();
    let mut friend = scene.friend(&daemon);
    for days in [-1, -2, -1000] {
        let mut half = scene.half(&daemon);
        scene.jump(Clock::Monotonic, days * DAY);
        echoes(&mut friend);
        echoes(&mut scene.friend(&daemon));
        assert!(!is_closed(half.socket()), "thrown out by a jump of {days} days");
    }
}

/// Just after the start of the system, and after a very long time. The kernel has to agree here, as
/// threads wait until moments of its clock: in a time namespace it does.
#[test]
fn clocks_may_begin_anywhere() {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the time").tv_sec();
    for begin in [1 - now, 100 * 365 * DAY] {
        let clock = format!("--monotonic={begin}");
        let wrapper = ["unshare", "--time", &clock, "--fork", "--kill-child"].map(str::to_owned);
        let tried = Command::new(&wrapper[0]).args(&wrapper[1..]).arg("true").output();
        if !tried.is_ok_and(|output| output.status.success()) {
            let why = "only root may have a time namespace, outside of most containers";
            return support::skip_even_in_ci("clocks_may_begin_anywhere", why);
        }
        let (room, server) = (Room::new(), Server::echo());
        let start = |role, target: &Address, flags: &[&str]| {
            let daemon = Spiped::new(Ours, role, &room, &Address::any_v4(), target).flags(flags);
            daemon.wrapped(wrapper.to_vec()).start()
        };
        let decrypt = start(Role::Decrypt, server.address(), &["-o", "1"]);
        let encrypt = start(Role::Encrypt, decrypt.address(), &[]);
        let mut silent = decrypt.address().connect().expect("connect");
        echo_once(&mut encrypt.address().connect().expect("connect"), b"through both");
        // Deadlines come as ever: its nonce, and then an end of whatever kind.
        let end = silent.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
        assert!(matches!(end, Ok(_) | Err(ErrorKind::ConnectionReset)), "held: {end:?}");
    }
}
