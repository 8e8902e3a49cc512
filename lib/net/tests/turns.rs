//! A proxy that is asked for one address of the target after the other.

mod loops;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use loops::{DEADLINE, run, settings};
use spiped_net::Settings;
use spiped_net::proxy::{Destination, Proxy, Via};
use spiped_net::web::Carrier;
use spiped_proto::Role;

/// What a SOCKS5 proxy does when it is asked for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Says that the connection was refused.
    Refuses,
    Hangs,
    HangsUp,
}

/// Addresses that nobody has, and what comes of them.
const TRIED: [(u8, Does); 3] = [(2, Does::Refuses), (3, Does::HangsUp), (4, Does::Hangs)];

fn address(last: u8) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, last), 1).into()
}

/// A proxy that takes everybody, knows what becomes of [`TRIED`], and connects to all others; and
/// what it was asked for.
fn proxy() -> (SocketAddr, Receiver<SocketAddr>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let place = listener.local_addr().expect("an address");
    let (asked, seen) = channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let asked = asked.clone();
            // What goes wrong here the client notices.
            thread::spawn(move || serve(client.expect("a client"), &asked));
        }
    });
    (place, seen)
}

fn serve(mut client: TcpStream, asked: &Sender<SocketAddr>) -> io::Result<()> {
    let mut greeting = [0; 3];
    client.read_exact(&mut greeting)?;
    assert_eq!(greeting, [5, 1, 0]);
    client.write_all(&[5, 0])?;
    let mut request = [0; 10];
    client.read_exact(&mut request)?;
    let [5, 1, 0, 1, a, b, c, d, high, low] = request else { panic!("{request:?}") };
    let wanted = (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into();
    let _ = asked.send(wanted);
    let does = TRIED.into_iter().find(|(last, _)| address(*last) == wanted);
    match does.map(|(_, does)| does) {
        Some(Does::Refuses) => client.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0])?,
        Some(Does::HangsUp) => {}
        // Until it is given up.
        Some(Does::Hangs) => drop(client.read(&mut [0])?),
        None => {
            let mut target = TcpStream::connect(wanted)?;
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
            let (mut from, mut to) = (client.try_clone()?, target.try_clone()?);
            let back = thread::spawn(move || {
                let _ = io::copy(&mut target, &mut client);
                client.shutdown(Shutdown::Write)
            });
            io::copy(&mut from, &mut to)?;
            to.shutdown(Shutdown::Write)?;
            back.join().expect("no panic")?;
        }
    }
    Ok(())
}

/// `spiped -e` that asks the proxy for these addresses, and a client of it.
fn connect(place: SocketAddr, asked_for: &[SocketAddr], timeout: Duration) -> TcpStream {
    let proxy = Proxy::parse(&format!("socks5://{place}")).expect("a proxy");
    let destinations = asked_for.iter().map(|ip| Destination::Ip(*ip)).collect();
    let settings = Settings {
        proxy: Some(Via { proxy, destinations, source: "--proxy" }),
        timeout: Some(timeout),
        ..settings(Role::Encrypt, place, Carrier::Socket)
    };
    let client = TcpStream::connect(run(settings, None)).expect("the entry");
    client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    client
}

#[test]
fn the_next_address_is_asked_for_when_one_is_refused_or_says_nothing() {
    let target = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let far = settings(Role::Decrypt, target.local_addr().expect("an address"), Carrier::Socket);
    let middle = run(far, None);
    let (place, asked) = proxy();
    let mut all: Vec<SocketAddr> = TRIED.iter().map(|(last, _)| address(*last)).collect();
    all.push(middle);
    // The one that says nothing has half of this.
    let mut client = connect(place, &all, Duration::from_secs(8));
    client.write_all(b"through at last").expect("it is taken");
    let mut got = [0; 15];
    target.accept().expect("the target is reached").0.read_exact(&mut got).expect("all of it");
    assert_eq!(&got, b"through at last");
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), all);
}

#[test]
fn when_none_is_left_the_connection_fails() {
    let (place, asked) = proxy();
    let all = [address(2), address(3), address(2)];
    let mut client = connect(place, &all, DEADLINE / 2);
    let error = client.read(&mut [0]).expect_err("no clean end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), all);
}
