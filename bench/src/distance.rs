//! A network between two ends on one machine: it passes bytes on, and takes its time for that.
//!
//! Owns a listener and, for each connection, two threads a direction: one that reads and notes the
//! time, one that writes when the time has passed. So the delay is that of the way and not that of
//! the amount. Meant for a few connections at a time. Next: `rows/strangers.rs`.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Outcome;

/// What was read, and when it may arrive.
type Parcel = (Instant, Vec<u8>);

/// Listens at an address that is returned, and connects to `to` from the address `from`. It takes
/// `each_way` for every byte, and three times that for a connection to stand at the far end and be
/// able to carry something: what SYN, SYN and ACK, and ACK take. It goes on as long as the process.
pub(crate) fn start(to: SocketAddr, from: Ipv4Addr, each_way: Duration) -> Outcome<SocketAddr> {
    let start = || -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A connection that cannot be made ends here, and its client finds that out.
                std::thread::spawn(move || drop(carry(client, to, from, each_way)));
            }
        });
        Ok(addr)
    };
    start().map_err(|e| format!("cannot start the distance to {to}: {e}"))
}

fn carry(near: TcpStream, to: SocketAddr, from: Ipv4Addr, each_way: Duration) -> io::Result<()> {
    std::thread::sleep(3 * each_way);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&to.into())?;
    let far = TcpStream::from(socket);
    for (source, sink) in [(&near, &far), (&far, &near)] {
        sink.set_nodelay(true)?;
        let (source, sink) = (source.try_clone()?, sink.try_clone()?);
        let (sender, receiver) = channel();
        std::thread::spawn(move || pick_up(source, &sender, each_way));
        std::thread::spawn(move || deliver(sink, &receiver));
    }
    Ok(())
}

/// Reads to the end, be it a clean one or not.
fn pick_up(mut source: TcpStream, parcels: &Sender<Parcel>, each_way: Duration) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = source.read(&mut buffer) {
        let parcel = (Instant::now() + each_way, buffer[..length].to_vec());
        if parcels.send(parcel).is_err() {
            return; // nobody takes them any more
        }
    }
}

fn deliver(mut sink: TcpStream, parcels: &Receiver<Parcel>) {
    for (due, bytes) in parcels {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if sink.write_all(&bytes).is_err() {
            return;
        }
    }
    // The end of the stream; if that does not go, there is nobody at the end.
    let _ = sink.shutdown(Shutdown::Write);
}
