//! Listening sockets on free ports and in temporary directories.

use super::*;
use socket2::Domain;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Barrier;

fn tcp(address: &str) -> Endpoint {
    Endpoint::Tcp(address.parse().unwrap())
}

fn unix(path: &Path) -> Endpoint {
    Endpoint::Unix(path.to_owned())
}

fn port(listener: &Listener) -> SocketAddr {
    match listener.local() {
        Endpoint::Tcp(address) => *address,
        Endpoint::Unix(path) => panic!("{path:?} is not TCP"),
    }
}

/// The next connection. A client's connect() may return a moment before we can accept it.
fn accept_one(listener: &Listener) -> (Socket, Endpoint) {
    use nix::poll::{PollFd, PollFlags, poll};
    use std::os::fd::AsFd;
    loop {
        match listener.accept() {
            Accepted::Connection(socket, peer) => return (socket, peer),
            Accepted::None => {
                let mut wait = [PollFd::new(listener.socket.as_fd(), PollFlags::POLLIN)];
                assert_eq!(poll(&mut wait, 30_000u16).unwrap(), 1, "nobody came");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A socket file that nobody has open: closing does not remove it.
fn leave_dead_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

fn nonblocking(socket: &Socket) -> bool {
    let mut one = [0];
    matches!((&mut &*socket).read(&mut one), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn close_on_exec(fd: &impl std::os::fd::AsFd) -> bool {
    let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
    flags & libc::FD_CLOEXEC != 0
}

/// A socket that a manager passes again and again keeps what the last one of us has set.
#[cfg(target_os = "linux")]
#[test]
fn accepted_connections_have_the_options_of_the_last_tuning() {
    let listener = Listener::bind(&tcp("127.0.0.1:0")).unwrap();
    let second = Duration::from_secs(1);
    for (keepalive, ack_timeout) in [(true, None), (false, Some(second)), (true, None)] {
        listener.tune(keepalive, ack_timeout);
        let _client = TcpStream::connect(port(&listener)).unwrap();
        let (socket, _) = accept_one(&listener);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.keepalive().unwrap(), keepalive);
        assert_eq!(socket.tcp_user_timeout().unwrap(), ack_timeout);
    }
}

#[test]
fn tcp_is_bound_with_its_real_port_and_accepted_from() {
    let listener = Listener::bind(&tcp("127.0.0.1:0")).unwrap();
    assert_ne!(port(&listener).port(), 0);
    assert!(listener.socket.reuse_address().unwrap());
    assert!(close_on_exec(&listener.socket));
    assert!(matches!(listener.accept(), Accepted::None));

    let client = TcpStream::connect(port(&listener)).unwrap();
    let (socket, peer) = accept_one(&listener);
    assert_eq!(peer, Endpoint::Tcp(client.local_addr().unwrap()));
    assert!(nonblocking(&socket) && close_on_exec(&socket));
    assert!(matches!(listener.accept(), Accepted::None));
}

#[test]
fn a_unix_socket_serves_and_its_file_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = Listener::bind(&unix(&path)).unwrap();
    assert_eq!(listener.local(), &unix(&path));

    let mut client = UnixStream::connect(&path).unwrap();
    let (socket, peer) = accept_one(&listener);
    assert_eq!(peer.to_string(), "(unix)");
    assert!(nonblocking(&socket) && close_on_exec(&socket));
    client.write_all(b"x").unwrap();
    assert_eq!((&mut &socket).read(&mut [0; 2]).unwrap(), 1);

    drop(listener);
    assert!(!path.exists());
}

#[test]
fn a_dead_socket_is_replaced_and_a_live_one_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    leave_dead_socket(&path);
    let first = Listener::bind(&unix(&path)).unwrap();

    let error = Listener::bind(&unix(&path)).unwrap_err();
    assert!(error.is_in_use());
    assert!(error.to_string().contains("another process has this socket"), "{error}");
    // The probe must not have been a connection: a daemon would have called its target for it.
    assert!(matches!(first.accept(), Accepted::None));
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_live_datagram_socket_and_one_that_does_not_listen_yet_are_live_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d");
    let datagram = UnixDatagram::bind(&path).unwrap();
    assert!(Listener::bind(&unix(&path)).unwrap_err().is_in_use());
    drop(datagram);

    let path = dir.path().join("s");
    let bound = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    bound.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    assert!(Listener::bind(&unix(&path)).unwrap_err().is_in_use());
}

#[test]
fn what_is_not_a_socket_is_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "precious").unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
    let cases = [
        (path.as_path(), "there is a file that is not a socket; remove it yourself or"),
        (&link, "there is a file that is not a socket; remove it yourself or"),
        (dir.path(), "this is a directory; choose a path in it, or another"),
    ];
    for (obstacle, why) in cases {
        // bind_all: it is not worth a retry either.
        let error = bind_all(&[unix(obstacle)], Sharing::Alone).unwrap_err();
        let begin = format!("cannot listen on {}: {why}", obstacle.display());
        assert!(error.to_string().starts_with(&begin), "{error}");
        assert!(!error.is_in_use());
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert!(fs::symlink_metadata(&link).is_ok());
}

#[test]
fn a_successors_socket_survives_our_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let ours = Listener::bind(&unix(&path)).unwrap();
    fs::remove_file(&path).unwrap();
    let successor = Listener::bind(&unix(&path)).unwrap();
    drop(ours);
    UnixStream::connect(&path).unwrap();
    accept_one(&successor);
}

/// Each may find it dead, but the first one's live socket must survive the others.
#[test]
fn of_many_starters_on_a_dead_socket_one_gets_it() {
    const STARTERS: usize = 4;
    let dir = tempfile::tempdir().unwrap();
    for round in 0..300 {
        let path = dir.path().join(format!("s{round}"));
        leave_dead_socket(&path);
        let go = Barrier::new(STARTERS);
        let results: Vec<_> = thread::scope(|scope| {
            let start = || {
                go.wait();
                Listener::bind(&unix(&path))
            };
            let starters: Vec<_> = (0..STARTERS).map(|_| scope.spawn(start)).collect();
            starters.into_iter().map(|starter| starter.join().unwrap()).collect()
        });
        let (bound, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(bound.len(), 1, "round {round}: {bound:?}");
        assert!(refused.iter().all(|error| error.as_ref().unwrap_err().is_in_use()), "{refused:?}");
        UnixStream::connect(&path).unwrap();
        accept_one(bound[0].as_ref().unwrap());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something is left");
}

#[test]
fn a_directory_that_we_cannot_lock_does_not_stop_us() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let stranger = fs::File::open(dir.path()).unwrap();
    stranger.lock().unwrap();
    leave_dead_socket(&path);
    let _listener = Listener::bind(&unix(&path)).unwrap();
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_port_in_use_is_an_error_that_says_so() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::Tcp(holder.local_addr().unwrap());
    let error = bind_all_until(std::slice::from_ref(&endpoint), Sharing::Alone, Instant::now())
        .unwrap_err();
    assert!(error.is_in_use());
    assert!(error.to_string().starts_with(&format!("cannot listen on {endpoint}: ")), "{error}");
    assert!(error.to_string().contains("choose another port"), "{error}");
}

#[test]
fn an_address_in_use_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let predecessor =
        (Listener::bind(&tcp("127.0.0.1:0")).unwrap(), Listener::bind(&unix(&path)).unwrap());
    let endpoints = [predecessor.0.local().clone(), unix(&path)];
    let deadline = Instant::now() + Duration::from_secs(60);
    let (bound, starting) = std::sync::mpsc::channel();
    let successor = thread::spawn(move || {
        bound.send(()).unwrap();
        bind_all_until(&endpoints, Sharing::Alone, deadline).map(|listeners| listeners.len())
    });
    starting.recv().unwrap();
    drop(predecessor);
    assert_eq!(successor.join().unwrap().unwrap(), 2);
}

#[test]
fn an_address_of_another_machine_is_only_a_warning_beside_a_good_one() {
    // RFC 5737's documentation addresses belong to nobody.
    let foreign = tcp("192.0.2.1:0");
    let listeners = bind_all(&[foreign.clone(), tcp("127.0.0.1:0")], Sharing::Alone).unwrap();
    assert_eq!(listeners.len(), 1);
    let error = bind_all(&[foreign], Sharing::Alone).unwrap_err();
    assert!(error.to_string().starts_with("cannot listen on 192.0.2.1:0: "), "{error}");
    assert_eq!(
        bind_all(&[], Sharing::Alone).unwrap_err().to_string(),
        "cannot listen: there is no address to listen on"
    );
}

#[test]
fn both_wildcards_of_one_port_can_be_bound() {
    let Ok(v6) = Listener::bind(&tcp("[::]:0")) else {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    };
    let number = port(&v6).port();
    drop(v6);
    let both = [tcp(&format!("[::]:{number}")), tcp(&format!("0.0.0.0:{number}"))];
    let listeners = bind_all(&both, Sharing::Alone).unwrap();
    assert_eq!(listeners.len(), 2);
    assert!(listeners[0].socket.only_v6().unwrap());
    TcpStream::connect(("127.0.0.1", number)).unwrap();
    accept_one(&listeners[1]);
    assert!(matches!(listeners[0].accept(), Accepted::None));
}

#[test]
fn only_a_shared_port_narrows_the_ipv6_wildcard() {
    let (any6, any4) = (tcp("[::]:80"), tcp("0.0.0.0:80"));
    assert_eq!(scope(&any6, &[any6.clone(), any4.clone()]), Scope::OnlyV6);
    assert_eq!(scope(&any6, &[any6.clone(), tcp("127.0.0.1:80")]), Scope::OnlyV6);
    assert_eq!(scope(&any6, &[any6.clone(), tcp("0.0.0.0:81")]), Scope::SystemDefault);
    assert_eq!(scope(&any6, std::slice::from_ref(&any6)), Scope::SystemDefault);
    assert_eq!(scope(&tcp("[::1]:80"), std::slice::from_ref(&any4)), Scope::SystemDefault);
    assert_eq!(scope(&any4, &[any6, any4.clone()]), Scope::SystemDefault);
}

#[test]
fn accept_errors_are_told_apart() {
    let class = |code| classify(io::Error::from_raw_os_error(code));
    assert!(matches!(class(libc::EAGAIN), Accepted::None));
    for lost in [libc::ECONNABORTED, libc::EPROTO, libc::EPERM, libc::EHOSTUNREACH] {
        assert!(matches!(class(lost), Accepted::Failed(_)), "{lost}");
    }
    // The last is one that accept(2) should never give us: then a pause is the safe answer.
    for short in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EINVAL] {
        assert!(matches!(class(short), Accepted::Shortage(_)), "{short}");
    }
}
