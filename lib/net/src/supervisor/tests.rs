//! A service manager's socket, played.

use super::*;

/// A manager, and a supervisor that speaks to it.
fn pair(watchdog: Option<Duration>) -> (tempfile::TempDir, UnixDatagram, Supervisor) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let supervisor = Supervisor::connect(path.as_os_str(), watchdog).unwrap();
    (dir, manager, supervisor)
}

fn heard(manager: &UnixDatagram) -> Vec<String> {
    let mut messages = Vec::new();
    let mut buffer = [0; 1000];
    while let Ok(length) = manager.recv(&mut buffer) {
        messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    messages
}

fn friends(friends: usize) -> Counts {
    Counts { friends, ..Counts::default() }
}

const DRAINING: Counts = Counts { friends: 3, strangers: 0, draining: true };

#[test]
fn the_manager_is_asked_for_the_time_of_the_drain_until_it_has_heard() {
    let (_dir, manager, mut supervisor) = pair(None);
    supervisor.say_ready();
    heard(&manager);
    let now = Instant::now();
    let second = Duration::from_secs(1);
    // Longer than 32 bits of microseconds.
    let until = now + 7200 * second;
    while supervisor.socket.send(b"fill").is_ok() {}
    supervisor.say_stopping(DRAINING, Some(until), now);
    assert_eq!(supervisor.wait(now), Some(second));
    heard(&manager);
    supervisor.report(DRAINING, now + second / 2);
    assert_eq!(heard(&manager), [""; 0]);
    supervisor.report(friends(2), now + second);
    let stopping = "STOPPING=1\nSTATUS=2 connections\nEXTEND_TIMEOUT_USEC=7209000000\n";
    assert_eq!(heard(&manager), [stopping]);
    // Once is enough.
    supervisor.report(friends(2), now + 9 * second);
    assert_eq!(heard(&manager), [""; 0]);
    assert_eq!(supervisor.wait(now), None);
}

#[test]
fn the_status_is_said_once_a_second_at_most_and_only_if_it_has_changed() {
    let (_dir, manager, mut supervisor) = pair(None);
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    supervisor.say_ready();
    assert_eq!(heard(&manager), ["READY=1\nSTATUS=0 connections\n"]);
    assert_eq!(supervisor.wait(start), None);
    supervisor.report(friends(1), at(10));
    assert_eq!(heard(&manager), ["STATUS=1 connection\n"]);
    supervisor.report(friends(2), at(20));
    assert_eq!(heard(&manager), [""; 0]);
    assert_eq!(supervisor.wait(at(110)), Some(Duration::from_millis(900)));
    supervisor.report(friends(3), at(1010));
    assert_eq!(heard(&manager), ["STATUS=3 connections\n"]);
    // Back to what it was before it may be said: there is nothing to say.
    supervisor.report(friends(4), at(1020));
    supervisor.report(friends(3), at(1030));
    assert_eq!(supervisor.wait(at(1030)), None);
    let strangers = Counts { friends: 3, strangers: 1, draining: false };
    supervisor.report(strangers, at(5000));
    assert_eq!(heard(&manager), ["STATUS=3 connections, 1 unfinished handshake\n"]);
    supervisor.say_stopping(DRAINING, None, at(6000));
    let stopping = "STOPPING=1\nSTATUS=stopping: 3 connections left to finish\n";
    assert_eq!(heard(&manager), [stopping]);
}

#[test]
fn the_watchdog_hears_from_us_twice_in_its_time() {
    let (_dir, manager, mut supervisor) = pair(Some(Duration::from_secs(10)));
    assert_eq!(supervisor.wait(Instant::now()), None, "not before we are ready");
    supervisor.say_ready();
    heard(&manager);
    let now = Instant::now();
    assert!(supervisor.wait(now).unwrap() <= Duration::from_secs(5));
    supervisor.report(friends(0), now);
    assert_eq!(heard(&manager), [""; 0]);
    let later = now + Duration::from_secs(6);
    assert_eq!(supervisor.wait(later), Some(Duration::ZERO));
    supervisor.report(friends(0), later);
    assert_eq!(heard(&manager), ["WATCHDOG=1\n"]);
    assert_eq!(supervisor.wait(later), Some(Duration::from_secs(5)));
}

#[test]
fn a_manager_that_does_not_listen_holds_nobody_up() {
    let (_dir, manager, mut supervisor) = pair(Some(Duration::from_secs(10)));
    supervisor.say_ready();
    while supervisor.socket.send(b"fill").is_ok() {}
    let now = Instant::now() + Duration::from_secs(6);
    supervisor.report(friends(1), now);
    // Both are tried again: the sign of life soon, the status when it may be said.
    assert_eq!(supervisor.wait(now), Some(Duration::from_millis(500)));
    heard(&manager);
    supervisor.report(friends(1), now + Duration::from_secs(1));
    assert_eq!(heard(&manager), ["WATCHDOG=1\n", "STATUS=1 connection\n"]);
}

#[test]
fn a_manager_that_was_started_again_hears_us() {
    let (dir, manager, mut supervisor) = pair(None);
    supervisor.say_ready();
    drop(manager);
    let path = dir.path().join("notify");
    std::fs::remove_file(&path).unwrap();
    supervisor.report(friends(1), Instant::now()); // lost, without harm
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    supervisor.report(friends(1), Instant::now() + STATUS_INTERVAL);
    assert_eq!(heard(&manager), ["STATUS=1 connection\n"]);
}

#[test]
fn while_names_are_not_found_the_start_may_take_longer() {
    let (_dir, manager, supervisor) = pair(None);
    supervisor.say_waiting("-t: a\nb", Duration::from_secs(2));
    assert_eq!(heard(&manager), ["STATUS=-t: a b\nEXTEND_TIMEOUT_USEC=2000000\n"]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_begins_with_an_at() {
    let address = address_of(OsStr::new("@spiped test")).unwrap();
    let name = std::os::linux::net::SocketAddrExt::as_abstract_name(&address);
    assert_eq!(name, Some(b"spiped test".as_slice()));
}
