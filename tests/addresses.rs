//! Every kind of address, at both ends, and names. Next: `spipe.rs`.

mod support;

use support::address::tcp_address;
use support::kernel::keeps_alive;
use support::process::{Role, Spiped, run};
use support::servers::echo_once;
use support::tunnel::exchange;
use support::{Address, DEADLINE, Implementation, Room, Server, holds_within, wait_until};

use Implementation::{C, Ours};

/// Bytes each way.
const SOME: u64 = 1 << 20;

/// A tunnel with these addresses at its plain ends and in the middle, both orders of ends.
fn through(
    room: &Room,
    decrypt: Implementation,
    source: &Address,
    middle: &Address,
    target: &Address,
) {
    let server = Server::holding_at(target);
    let decrypting = Spiped::new(decrypt, Role::Decrypt, room, middle, server.address()).start();
    let encrypting = Spiped::new(Ours, Role::Encrypt, room, source, decrypting.address()).start();
    let client = encrypting.address().connect().expect("connect");
    exchange(client, server.accept(), SOME);
    let client = encrypting.address().connect().expect("connect");
    exchange(server.accept(), client, SOME);
}

/// The same with ourselves and, if it is there, with C at the decrypting end.
fn with_both(test: &str, addresses: impl Fn(&Room) -> [Address; 3]) {
    for decrypt in [Ours, C] {
        if decrypt == Ours || support::peer::have_c(test) {
            let room = Room::new();
            let [source, middle, target] = addresses(&room);
            through(&room, decrypt, &source, &middle, &target);
        }
    }
}

fn unix(room: &Room, name: &str) -> Address {
    Address::Unix(room.path(name))
}

#[test]
fn unix_to_tcp_to_unix() {
    with_both("unix_to_tcp_to_unix", |room| {
        [unix(room, "source"), Address::any_v4(), unix(room, "target")]
    });
}

#[test]
fn tcp_to_unix_to_tcp() {
    with_both("tcp_to_unix_to_tcp", |room| {
        [Address::any_v4(), unix(room, "middle"), Address::any_v4()]
    });
}

#[test]
fn unix_everywhere() {
    with_both("unix_everywhere", |room| {
        [unix(room, "source"), unix(room, "middle"), unix(room, "target")]
    });
}

#[test]
fn ipv6_everywhere() {
    if !support::address::have_ipv6() {
        return support::skip_even_in_ci("ipv6_everywhere", "no IPv6 on loopback");
    }
    for target in [Address::any_v6(), Address::any_v4()] {
        let room = Room::new();
        // Port 0 is refused in brackets, and without them an IPv6 address begins with a colon.
        let source = support::address::unused_v6();
        let middle = support::address::unused_v6();
        through(&room, Ours, &source, &middle, &target);
    }
}

#[test]
fn names_of_hosts() {
    let (room, server) = (Room::new(), Server::echo());
    let target = format!("localhost:{}", server.address().port());
    let any = Address::any_v4();
    let decrypting =
        Spiped::new(Ours, Role::Decrypt, &room, &any, server.address()).target(&target).start();
    let target = format!("localhost:{}", decrypting.address().port());
    let encrypting =
        Spiped::new(Ours, Role::Encrypt, &room, &any, decrypting.address()).target(&target).start();
    echo_once(&mut encrypting.address().connect().expect("connect"), b"by name");
}

/// Which of two daemons on one port a connection comes to is the kernel's choice, so some come to
/// either; and when one of them ends, the other serves all.
#[test]
fn two_daemons_share_a_port() {
    let (room, servers) = (Room::new(), [Server::echo(), Server::echo()]);
    let source = Address::unused();
    let daemon =
        |server: &Server| Spiped::new(Ours, Role::Decrypt, &room, &source, server.address());
    let shared = |server: &Server| daemon(server).flags(&["--reuse-port"]);
    let mut first = shared(&servers[0]).start();
    let _second = shared(&servers[1]).start();
    let served = || {
        let secrecy = spiped_peer::Secrecy::None;
        let stream = source.connect().expect("connect");
        let mut peer = spiped_peer::Raw::client(stream, &room.secret(), secrecy).expect("served");
        peer.send(b"x").expect("send");
        assert_eq!(peer.receive_exactly(1).expect("an echo"), b"x");
    };
    wait_until("either has served", || {
        served();
        servers.iter().all(|server| server.connections() > 0)
    });

    // Whoever does not ask for it does not get in between.
    let alone = run(daemon(&servers[0]).command().arg("-F"), b"");
    assert_eq!(alone.status.code(), Some(1));
    assert!(alone.stderr.contains("stop the other program"), "{}", alone.stderr);

    first.signal(nix::sys::signal::Signal::SIGTERM);
    first.wait();
    let before = servers[1].connections();
    (0..8).for_each(|_| served());
    assert_eq!(servers[1].connections(), before + 8);
}

#[test]
fn outgoing_sockets_are_bound() {
    // Loopback is 127.0.0.0/8 on Linux: an address of our own, to be seen by the server.
    for bind in ["127.0.0.2", "[127.0.0.2]", "127.0.0.2:0"] {
        let (room, server) = (Room::new(), Server::holding());
        let source = Address::Unix(room.path("source"));
        let daemon = Spiped::new(Ours, Role::Encrypt, &room, &source, server.address())
            .flags(&["-b", bind])
            .start();
        let _client = daemon.address().connect().expect("connect");
        let from = server.accept().peer_addr().expect("connected");
        let from = support::address::tcp_address(&from);
        assert_eq!(from.ip().to_string(), "127.0.0.2", "-b {bind}");
    }
}

#[test]
fn an_address_to_bind_to_that_can_never_do_is_an_error_at_the_start() {
    let (room, server) = (Room::new(), Server::holding());
    let source = Address::Unix(room.path("source"));
    let bound = |bind| {
        let daemon = Spiped::new(Ours, Role::Encrypt, &room, &source, server.address());
        daemon.flags(&["-b", bind])
    };
    let refused = run(bound("[::1]").command().arg("-F"), b"");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("-b: no connection from [::1]:0, an IPv6"),
        "{}",
        refused.stderr
    );

    // An IP address is no name, with brackets or without.
    let refused = run(bound("[::1]").target("127.0.0.1:1").command().arg("-F"), b"");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);

    // For documentation (RFC 5737): nobody has it, but it may be configured later.
    let daemon = bound("192.0.2.1").start();
    assert!(daemon.log().contains("warning: -b: no connection can be made from 192.0.2.1:0 now"));
}

#[test]
fn keep_alive_unless_told_otherwise() {
    // A machine with very many connections takes long to list them: nobody gives up meanwhile.
    for (flags, kept) in [(&["-o", "60"][..], true), (&["-o", "60", "-j"][..], false)] {
        let (room, server) = (Room::new(), Server::holding());
        let daemon = Spiped::new(Ours, Role::Encrypt, &room, &Address::any_v4(), server.address())
            .flags(flags)
            .start();
        let client = daemon.address().connect().expect("connect");
        let target = server.accept();
        // The daemon's sockets, seen from the other ends of both connections.
        for ours in [&client, &target] {
            let local = tcp_address(&ours.local_addr().expect("connected"));
            let remote = tcp_address(&ours.peer_addr().expect("connected"));
            let seen = || keeps_alive(remote, local) == kept;
            // Another timer may be running for a moment.
            assert!(holds_within(DEADLINE, seen), "{flags:?}: kept alive is not {kept}");
        }
    }
}

#[test]
fn a_signal_does_not_wait_for_the_resolver() {
    use std::os::unix::process::ExitStatusExt;

    use nix::sys::signal::Signal;
    use support::process::{Log, end, pid_of, wait_for};

    let test = "a_signal_does_not_wait_for_the_resolver";
    if !support::foreign::may_mount(test) {
        return;
    }
    // A name server of our own that never answers: nobody else's address, the port of all.
    let silent = match std::net::UdpSocket::bind("127.77.1.53:53") {
        Ok(socket) => socket,
        Err(error) => return support::skip(test, &format!("no port for a name server: {error}")),
    };
    silent.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let (room, server) = (Room::new(), Server::holding());
    let resolver = "nameserver 127.77.1.53\noptions timeout:30 attempts:5\n";
    std::fs::write(room.path("resolv.conf"), resolver).expect("write");
    let script = "mount --bind resolv.conf /etc/resolv.conf; exec \"$0\" \"$@\"";
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script];
    let daemon = Spiped::new(Ours, Role::Encrypt, &room, &unix(&room, "source"), server.address())
        .target("slow.example:1")
        .wrapped(wrapper.map(str::to_owned).to_vec());
    for flags in [&["-F"][..], &["-F", "-D"]] {
        let mut command = daemon.command();
        let piped = command.args(flags).stderr(std::process::Stdio::piped());
        let mut child = piped.spawn().expect("spawn");
        let log = Log::read(child.stderr.take().expect("stderr is piped"));
        if let Err(error) = silent.recv(&mut [0; 512]) {
            end(&mut child);
            panic!("no question came: {error}: {}", log.text());
        }
        nix::sys::signal::kill(pid_of(&child), Signal::SIGTERM).expect("it runs");
        let status = wait_for(&mut child);
        assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{}", log.text());
    }
}
