//! Whether the daemon of this container is merely full.
//!
//! Owns counting the connections that it has accepted, in the tables of the kernel: one that has as
//! many as `-n` allows begins no others, so it does not answer, and is not ill for that. Refuses to
//! know what is asked of whom: `health.rs` does, which is the last file.

use std::fs;
use std::path::Path;

use spiped_net::addr::Endpoint;

/// The state of a listening socket in /proc/net/tcp (proc_net_tcp in the kernel's documentation).
const LISTEN: &str = "0A";

/// Whether whoever listens at this address of ours has accepted so many connections that are still
/// open; false where nobody can tell, as for UNIX sockets.
pub(crate) fn are_taken(proc: &Path, listener: &Endpoint, most: usize) -> bool {
    let Endpoint::Tcp(address) = listener else { return false };
    let tables = ["net/tcp", "net/tcp6"];
    // Without IPv6 there is no second table.
    let tables = tables.iter().filter_map(|table| fs::read_to_string(proc.join(table)).ok());
    tables.map(|table| accepted(&table, address.port())).sum::<usize>() >= most
}

/// The accepted connections of a port, also those of which one direction has ended. Those that the
/// kernel keeps until they are accepted have no inode yet, and those that are closed none any more.
fn accepted(table: &str, port: u16) -> usize {
    let port = format!(":{port:04X}");
    let is_accepted = |line: &&str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        fields.get(1).is_some_and(|local| local.ends_with(&port))
            && fields.get(3).is_some_and(|state| *state != LISTEN)
            && fields.get(9).is_some_and(|inode| *inode != "0")
    };
    table.lines().skip(1).filter(is_accepted).count()
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn only_accepted_connections_count() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = |most| are_taken(Path::new("/proc"), &Endpoint::Tcp(address), most);
        let clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
        assert!(!taken(1), "nobody is accepted yet");
        let first = listener.accept().unwrap();
        let second = listener.accept().unwrap();
        assert!(taken(2) && !taken(3));
        // One that has ended one way is still there, whoever has ended it.
        clients[0].shutdown(Shutdown::Write).unwrap();
        second.0.shutdown(Shutdown::Write).unwrap();
        assert!(taken(2) && !taken(3));
        drop(first);
        assert!(taken(1) && !taken(2));
    }

    #[test]
    fn an_address_of_ipv6_has_a_table_of_its_own() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(("127.0.0.1", address.port())).unwrap();
        let _server = listener.accept().unwrap();
        assert!(are_taken(Path::new("/proc"), &Endpoint::Tcp(address), 1));
        drop(client);
    }

    #[test]
    fn nobody_can_tell_of_a_unix_socket() {
        assert!(!are_taken(Path::new("/proc"), &Endpoint::Unix("/x".into()), 0));
    }
}
