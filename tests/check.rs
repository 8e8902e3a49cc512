//! `spipe --check`: what it says of peers that are as they should be, and of those that are not.
//!
//! It owns the one line and the exit status. Next: `check_web.rs`.

mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use socket2::{Domain, SockAddr, Socket, Type};

use support::process::{Finished, Role, Spiped, run, spipe};
use support::{Address, Daemon, Implementation, Implementation::Ours, Room, Server, wait_until};

/// A check, run to its end.
#[track_caller]
fn check(room: &Room, target: &Address, flags: &[&str]) -> Finished {
    run(spipe(Ours, room, target).arg("--check").args(flags), b"")
}

/// The same for a target that is no plain address.
#[track_caller]
fn check_text(target: &str, key: &Path) -> Finished {
    let mut command = Command::new(Ours.path(support::Program::Spipe));
    command.args(["--check", "-t", target, "-k"]).arg(key).env_remove("RUST_LOG");
    run(&mut command, b"")
}

/// A `spiped -d` of this make, with these options.
fn daemon(make: Implementation, room: &Room, server: &Server, flags: &[&str]) -> Daemon {
    let spiped = Spiped::new(make, Role::Decrypt, room, &Address::any_v4(), server.address());
    spiped.flags(flags).start()
}

/// Status 0, one line on standard output and none on standard error; returns the line.
#[track_caller]
fn succeeds(finished: &Finished) -> String {
    let said = String::from_utf8(finished.stdout.clone()).expect("UTF-8");
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said.trim_end().to_owned()
}

/// Status 1, one line on standard error and none on standard output; returns the line.
#[track_caller]
fn fails(finished: &Finished) -> String {
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert_eq!(String::from_utf8_lossy(&finished.stdout), "");
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    finished.stderr.trim_end().to_owned()
}

/// What a check says of an spiped of this make, with all combinations of forward secrecy.
fn all_is_well(implementation: Implementation) {
    for (theirs, ours, with) in
        [(None, None, true), (Some("-f"), None, false), (None, Some("-f"), false)]
    {
        let (room, server) = (Room::new(), Server::holding());
        let daemon = daemon(implementation, &room, &server, theirs.as_slice());
        let said = succeeds(&check(&room, daemon.address(), ours.as_slice()));
        let (first, rest) = said.split_once(": handshake done in ").expect("how long it took");
        assert_eq!(first, format!("{} has the same key", daemon.address().spec()));
        let (time, rest) = rest.split_once(" ms, ").expect("milliseconds");
        assert!(time.parse::<f64>().is_ok_and(|time| time > 0.0), "{said}");
        assert_eq!(rest, if with { "with forward secrecy" } else { "without forward secrecy" });
        // The target hears that there is nothing to hear, if it was contacted at all.
        let mut target = server.accept();
        let mut byte = [0];
        assert_eq!(target.read(&mut byte).expect("an end, not a reset"), 0);
    }
}

/// The guess at who hangs up after a nonce.
const ANOTHER_KEY: &str = " (is the key the same at both ends? or is it a C spiped that cannot \
                           reach its target?)";

#[test]
fn an_spiped_with_the_same_key_is_well() {
    all_is_well(Ours);
}

#[test]
fn a_c_spiped_with_the_same_key_is_well() {
    if support::peer::have_c("a_c_spiped_with_the_same_key_is_well") {
        all_is_well(Implementation::C);
    }
}

#[test]
fn a_unix_socket_is_checked_as_well() {
    let (room, server) = (Room::new(), Server::holding());
    let source = Address::Unix(room.path("socket"));
    let _daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address()).start();
    succeeds(&check(&room, &source, &[]));
}

#[test]
fn a_websocket_is_checked_as_well() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), server.address())
        .source_text("ws://127.0.0.1:0/a")
        .start();
    let check = |path: &str, key: &Path| {
        check_text(&format!("ws://127.0.0.1:{}{path}", daemon.address().port()), key)
    };
    assert!(succeeds(&check("/a", &room.key())).starts_with("ws://127.0.0.1:"));
    let said = fails(&check("/a", &room.wrong_key()));
    assert!(said.ends_with(ANOTHER_KEY), "{said}");
    let said = fails(&check("/b", &room.key()));
    assert!(said.contains("404"), "{said}");
}

fn a_wrong_key_is_named(implementation: Implementation) {
    let (room, server) = (Room::new(), Server::holding());
    let any = Address::any_v4();
    let daemon = Spiped::new(implementation, Role::Decrypt, &room, &any, server.address())
        .key(&room.wrong_key())
        .start();
    let said = fails(&check(&room, daemon.address(), &[]));
    assert!(said.contains(&format!(":{}: the ", daemon.address().port())), "{said}");
    assert!(said.ends_with(ANOTHER_KEY), "{said}");
}

#[test]
fn another_key_is_the_likely_reason() {
    a_wrong_key_is_named(Ours);
}

#[test]
fn another_key_is_the_likely_reason_with_c() {
    if support::peer::have_c("another_key_is_the_likely_reason_with_c") {
        a_wrong_key_is_named(Implementation::C);
    }
}

#[test]
fn forward_secrecy_that_is_asked_for_and_not_there_is_a_failure() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = daemon(Ours, &room, &server, &["-f"]);
    let said = fails(&check(&room, daemon.address(), &["-g"]));
    assert!(said.contains("handshake refused: the peer does without forward secrecy"), "{said}");
}

#[test]
fn forward_secrecy_that_the_peer_asks_for_is_a_likely_reason() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = daemon(Ours, &room, &server, &["-g"]);
    let said = fails(&check(&room, daemon.address(), &["-f"]));
    assert!(said.contains("does the peer do without -g, as our -f needs it?"), "{said}");
    succeeds(&check(&room, daemon.address(), &[]));
}

#[test]
fn a_websocket_where_there_is_none_is_named() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = daemon(Ours, &room, &server, &[]);
    for (scheme, reason) in [
        ("ws", "it speaks no HTTP (a plain spiped -d? then -t needs no ws://)"),
        ("wss", "this is not TLS (is it wss:// at both ends?)"),
    ] {
        let target = format!("{scheme}://127.0.0.1:{}/", daemon.address().port());
        let said = fails(&check_text(&target, &room.key()));
        assert!(said.contains(reason), "{said}");
    }
    wait_until("the line", || daemon.log().contains("for WebSockets -s needs ws://"));
    let tls = "(the peer speaks TLS: if it wants a WebSocket, -s needs wss://)";
    wait_until("the line about TLS", || daemon.log().contains(tls));
}

#[test]
fn a_websocket_that_is_not_asked_for_is_named() {
    let (room, server) = (Room::new(), Server::holding());
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), server.address())
        .source_text("ws://127.0.0.1:0/a")
        .start();
    // It is told at once, and not when its time is up.
    let said = fails(&check(&room, daemon.address(), &["-o", "3600"]));
    let expected = "it says \"HTTP/1.1 404 Not Found\"; if it takes WebSockets, -t needs ws://)";
    assert!(said.ends_with(expected), "{said}");
    wait_until("the line", || daemon.log().contains("this is not HTTP: "));
}

/// What a check says of a server that gives each connection to `serve`.
#[track_caller]
fn stranger(serve: impl Fn(Socket) + Clone + Send + 'static, flags: &[&str]) -> String {
    let server = Server::each_at(&Address::any_v4(), serve);
    fails(&check(&Room::new(), server.address(), flags))
}

#[test]
fn another_protocol_is_recognised_by_its_words() {
    // As web servers do with a request that is none.
    let said = stranger(
        |mut socket| {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        },
        &[],
    );
    let expected = "(the peer is no spiped: it says \"HTTP/1.1 400 Bad Request\"; \
                    if it takes WebSockets, -t needs ws://)";
    assert!(said.ends_with(expected), "{said}");

    // As others do, before they have heard anything: a short greeting, and then they wait.
    let said = stranger(
        |mut socket| {
            let _ = socket.write_all(b"220 mail ready\r\n");
            let _ = socket.read_to_end(&mut Vec::new());
        },
        &["-o", "0.3"],
    );
    assert!(said.contains("handshake not completed in time"), "{said}");
    assert!(said.ends_with(r#"(the peer is no spiped: it says "220 mail ready")"#), "{said}");

    // Binary, and shorter than what an spiped says first: an alert of TLS.
    let said = stranger(
        |mut socket| {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(b"\x15\x03\x01\x00\x02\x02\x46");
        },
        &[],
    );
    assert!(
        said.ends_with("(the peer speaks TLS: if it takes WebSockets, -t needs wss://)"),
        "{said}"
    );
}

#[test]
fn an_echo_is_no_peer() {
    let said = stranger(support::servers::echo, &[]);
    let expected = "handshake refused: the peer does not hold our key \
                    (or is it no spiped -d, but an spiped -e, or a service that echoes?)";
    assert!(said.ends_with(expected), "{said}");
}

#[test]
fn who_hangs_up_at_once_is_no_peer() {
    let said = stranger(drop, &[]);
    let expected = "(is it an spiped -d? if it takes WebSockets, -t needs ws:// or wss://)";
    assert!(said.ends_with(expected), "{said}");
}

#[test]
fn silence_is_given_up() {
    let said = stranger(|mut socket| drop(socket.read_to_end(&mut Vec::new())), &["-o", "0.3"]);
    let expected = "handshake not completed in time: the peer said nothing \
                    (is it an spiped -d, with room for one more connection? \
                    if it takes WebSockets, -t needs ws://)";
    assert!(said.ends_with(expected), "{said}");
}

/// Only what there is at such a place is guessed at: no `ws://` leads to a UNIX socket.
#[test]
fn the_guess_at_a_unix_socket_is_one_for_unix_sockets() {
    let room = Room::new();
    let source = Address::Unix(room.path("silent"));
    let _silent = Server::holding_at(&source);
    let said = fails(&check(&room, &source, &["-o", "0.3"]));
    assert!(
        said.ends_with(
            "with room for one more connection? if it takes WebSockets, -t needs ws+unix://)"
        ),
        "{said}"
    );

    let source = Address::Unix(room.path("gone"));
    let _gone = Server::each_at(&source, drop);
    let said = fails(&check(&room, &source, &[]));
    assert!(
        said.ends_with("(is it an spiped -d? if it takes WebSockets, -t needs ws+unix://)"),
        "{said}"
    );

    let (server, source) = (Server::holding(), Address::Unix(room.path("ours")));
    let daemon = Spiped::new(Ours, Role::Decrypt, &room, &source, server.address()).start();
    let url = format!("ws+unix://{}", source.spec());
    fails(&check_text(&url, &room.key()));
    wait_until("the line", || daemon.log().contains("; for WebSockets -s needs ws+unix://)"));
}

#[test]
fn what_cannot_be_reached_is_said() {
    let room = Room::new();
    let said = fails(&check(&room, &Address::unused(), &[]));
    assert!(said.contains("cannot connect to 127.0.0.1:"), "{said}");
    assert!(said.contains(": connection refused; nothing listens there: is it running"), "{said}");

    let said = fails(&check(&room, &Address::Unix(room.path("nothing")), &[]));
    assert!(
        said.ends_with(
            "there is no such socket; is the program that makes it running, and is the path right?"
        ),
        "{said}"
    );

    // One who has come and is not accepted is all whom this one lets wait.
    let full = Socket::new(Domain::UNIX, Type::STREAM, None).expect("socket");
    let address = SockAddr::unix(room.path("full")).expect("a path");
    full.bind(&address).and_then(|()| full.listen(0)).expect("listen");
    let first = Socket::new(Domain::UNIX, Type::STREAM, None).expect("socket");
    first.connect(&address).expect("connect");
    let said = fails(&check(&room, &Address::Unix(room.path("full")), &["-o", "0.3"]));
    assert!(said.contains("did not accept in time: as many wait there as it lets wait"), "{said}");

    let said = fails(&check_text("no-such-host.invalid:1", &room.key()));
    assert!(said.starts_with("spipe: error: -t: "), "{said}");
    assert!(said.contains("no-such-host.invalid"), "{said}");
}

#[test]
fn being_stopped_is_no_success() {
    use nix::sys::signal::{Signal, kill};
    use std::os::unix::process::ExitStatusExt;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (room, silent) = (Room::new(), Server::holding());
        let mut command = spipe(Ours, &room, silent.address());
        let mut child = command
            .args(["--check", "-o", "inf"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("spawn");
        let log = support::process::Log::read(child.stderr.take().expect("stderr is piped"));
        // It reacts to signals before it connects.
        let _held = silent.accept();
        kill(support::process::pid_of(&child), signal).expect("spipe runs");
        let status = support::process::wait_for(&mut child);
        let said = String::from_utf8(log.all()).expect("UTF-8");
        match signal {
            Signal::SIGTERM => assert_eq!(status.code(), Some(1), "{said}"),
            other => assert_eq!(status.signal(), Some(other as i32), "{said}"),
        }
        let target = silent.address().spec();
        let expected =
            format!("spipe: error: {target}: ended by {signal} before the handshake was done\n");
        assert_eq!(said, expected);
    }
}

#[test]
fn a_check_leaves_one_line_in_the_log_of_the_peer() {
    let (room, server) = (Room::new(), Server::echo());
    let daemon = daemon(Ours, &room, &server, &[]);
    succeeds(&check(&room, daemon.address(), &[]));
    let line = "0 bytes encrypted, 0 bytes decrypted";
    wait_until("the line", || daemon.log().contains(line));
    assert!(daemon.log().contains(": finished"), "{}", daemon.log());
}
