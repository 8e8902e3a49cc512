//! What Linux tells in /proc about sockets and processes, so that tests need not guess or probe.
//!
//! A connection made only to learn whether a daemon listens would be a connection more than the
//! test wanted. Next: `process.rs`.

use std::net::SocketAddr;
use std::path::Path;

use nix::unistd::Pid;
use socket2::Socket;

use super::Address;

/// True if some process listens on `address`.
pub(crate) fn listening(address: &Address) -> bool {
    match address {
        Address::Tcp(tcp) => {
            tcp_rows(tcp.is_ipv6()).iter().any(|row| row.state == 0x0a && row.local == hex(*tcp))
        }
        // Flag 0x10000 is __SO_ACCEPTCON, the 4th column; the path is the last.
        Address::Unix(path) => read("/proc/net/unix").lines().any(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            columns.get(3) == Some(&"00010000")
                && columns.get(7).is_some_and(|found| *found == path.as_os_str())
        }),
    }
}

/// True once everything that was written to a connected TCP socket is acknowledged: it is in
/// the hands of the kernel at the other end, and a reset cannot overtake it.
pub(crate) fn acknowledged(socket: &Socket) -> bool {
    let address = |found: std::io::Result<socket2::SockAddr>| {
        super::address::tcp_address(&found.expect("connected"))
    };
    let (local, remote) = (address(socket.local_addr()), address(socket.peer_addr()));
    let rows = tcp_rows(local.is_ipv6());
    let row = rows.iter().find(|row| row.local == hex(local) && row.remote == hex(remote));
    row.expect("a connected socket has a row in /proc/net/tcp").unacknowledged == 0
}

/// A row of /proc/net/tcp.
struct TcpRow {
    local: String,
    remote: String,
    state: u8,
    unacknowledged: u64,
    timer: u64,
}

fn tcp_rows(v6: bool) -> Vec<TcpRow> {
    let number = |text: &str| u64::from_str_radix(text, 16).expect("a hexadecimal number");
    let text = read(if v6 { "/proc/net/tcp6" } else { "/proc/net/tcp" });
    let parse = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        TcpRow {
            local: columns[1].to_owned(),
            remote: columns[2].to_owned(),
            state: number(columns[3]) as u8,
            unacknowledged: number(columns[4].split(':').next().expect("tx:rx")),
            timer: number(columns[5].split(':').next().expect("tr:tm->when")),
        }
    };
    text.lines().skip(1).map(parse).collect()
}

/// An address as in /proc/net/tcp: 32-bit words in host order, then the port.
fn hex(address: SocketAddr) -> String {
    let bytes = match address.ip() {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let words = bytes.chunks(4).map(|word| {
        format!("{:08X}", u32::from_ne_bytes(word.try_into().expect("four bytes a word")))
    });
    format!("{}:{:04X}", words.collect::<String>(), address.port())
}

/// True if the kernel will probe the peer at `remote` of a connection on `local` while it is
/// silent: the timer column says 2.
pub(crate) fn keeps_alive(local: SocketAddr, remote: SocketAddr) -> bool {
    let rows = tcp_rows(local.is_ipv6());
    let row = rows.iter().find(|row| row.local == hex(local) && row.remote == hex(remote));
    row.expect("a connection has a row in /proc/net/tcp").timer == 2
}

/// How many descriptors a process has open. Only root may list those of our programs, which let
/// nobody look; since Linux 6.2 their number is the size of the list.
pub(crate) fn descriptors(pid: Pid) -> usize {
    let path = format!("/proc/{pid}/fd");
    match std::fs::read_dir(&path) {
        Ok(list) => list.count(),
        Err(error) => {
            let size = std::fs::metadata(&path).expect("a living process").len();
            assert!(size > 0, "{path}: {error}; run this test as root");
            usize::try_from(size).expect("a number of descriptors")
        }
    }
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident_kib(pid: Pid) -> u64 {
    let line = status_line(pid, "VmRSS:").expect("a living process has VmRSS");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("VmRSS: N kB")
}

/// The value of a line of /proc/PID/status; none if the process is gone.
pub(crate) fn status_line(pid: Pid, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
}

/// True while the process runs; a zombie that nobody has waited for does not.
pub(crate) fn alive(pid: Pid) -> bool {
    status_line(pid, "State:").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// The processes with `dir` in one of their arguments.
pub(crate) fn processes_naming(dir: &Path) -> Vec<Pid> {
    let wanted = dir.as_os_str().as_encoded_bytes();
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        // A process that is gone has no arguments.
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.windows(wanted.len()).any(|part| part == wanted)
    })
    .map(Pid::from_raw)
    .collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Raises this process's soft limit of descriptors to the hard one; panics if that is below `need`.
pub(crate) fn raise_descriptor_limit(need: u64) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    assert!(hard >= need, "this test needs {need} descriptors (ulimit -Hn), the limit is {hard}");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("setrlimit");
}
