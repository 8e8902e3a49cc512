//! Event loops for tests, each in a thread.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use spiped_net::addr::Endpoint;
use spiped_net::listener::Listener;
use spiped_net::signal::Signals;
use spiped_net::web::Carrier;
use spiped_net::{EventLoop, Purpose, Settings};
use spiped_proto::{Pfs, Role, SharedKey};

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Those of a loop in this role.
pub(crate) fn settings(role: Role, target: SocketAddr, carrier: Carrier) -> Settings {
    Settings {
        role,
        pfs: Pfs::Allow,
        keys: vec![SharedKey::from_pieces([&b"a key for tests"[..]])],
        targets: vec![Endpoint::Tcp(target)],
        carrier,
        proxy: None,
        bind: Vec::new(),
        timeout: Some(Duration::from_secs(20)),
        coalesce: Duration::ZERO,
        keepalive: true,
        idle_timeout: None,
        ack_timeout: None,
        drain_timeout: None,
        max_connections: 100,
        max_handshakes: 100,
        purpose: Purpose::Serve,
    }
}

/// Runs a loop in a thread; where it listens.
pub(crate) fn run(settings: Settings, signals: Option<Signals>) -> SocketAddr {
    let listener = Listener::bind(&Endpoint::Tcp(([127, 0, 0, 1], 0).into())).expect("a port");
    let Endpoint::Tcp(address) = *listener.local() else { panic!("a TCP port was asked for") };
    let mut event_loop = EventLoop::new(settings).expect("a loop");
    event_loop.listen(vec![listener]).expect("it listens");
    if let Some(signals) = signals {
        event_loop.watch(signals).expect("it watches");
    }
    thread::spawn(move || event_loop.run());
    address
}
