//! Whether the pipe of this container works, as HEALTHCHECK asks.
//!
//! Owns finding the daemon and asking its `spiped -d`, here or at the other end, for the nonce that
//! each connection begins with: whoever sends one accepts connections and works. Refuses to say
//! anything there: a spiped of ours does not touch its target then, and logs a visit without a word
//! at level debug only; C spiped at the other end connects to its target as soon as it accepts. One
//! of ours that has all the connections that it may have answers nobody, and is healthy
//! (`places.rs`). This is the last of the files.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Socket, Type};
use spiped_net::addr::{Address, Endpoint, Form};
use spiped_programs::options::Accepts;
use spiped_programs::route::Route;
use spiped_programs::spiped::args::Options;
use spiped_proto::Role;
use spiped_proto::wire::NONCE_LEN;

use crate::places;
use crate::plan::spiped_options;

/// How long all of it may take: less than HEALTHCHECK has, or nobody hears what is wrong.
const PATIENCE: Duration = Duration::from_secs(8);

/// How much of that the name of the other end may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(5);

/// Asks; what there is to say about it.
///
/// # Errors
///
/// One line: who does not answer, and why.
pub(crate) fn check() -> Result<String, String> {
    let options = daemon(Path::new("/proc")).ok_or("no spiped runs in this container")?;
    ask(&options, Instant::now() + PATIENCE)
}

/// Says what the check has found.
///
/// # Errors
///
/// The same, and that it cannot be said.
pub(crate) fn announce(to: &mut impl Write, said: &str) -> Result<(), String> {
    writeln!(to, "{said}")
        .and_then(|()| to.flush())
        .map_err(|error| format!("{said}; but that cannot be printed: {error}"))
}

/// The options of the spiped that runs here: process 1, unless something else was put before it.
fn daemon(proc: &Path) -> Option<Options> {
    let mut pids: Vec<u32> = fs::read_dir(proc)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter().find_map(|pid| {
        // Who has ended meanwhile is not who we look for.
        let line = fs::read(proc.join(pid.to_string()).join("cmdline")).ok()?;
        options_of(&line)
    })
}

fn options_of(line: &[u8]) -> Option<Options> {
    let words = line.strip_suffix(b"\0")?.split(|&byte| byte == 0);
    let words: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
    spiped_options(&words)
}

/// Asks the decrypting end of the pipe.
fn ask(options: &Options, deadline: Instant) -> Result<String, String> {
    let text = match options.role {
        Role::Decrypt => &options.source,
        Role::Encrypt => &options.target,
    };
    let address = Address::parse(text).map_err(|error| error.to_string())?;
    let is_web = matches!(address.form(), Form::Web(_)) || options.web.accepts != Accepts::Streams;
    if is_web {
        return Ok(format!("spiped runs; {address} is a WebSocket and was not asked"));
    }
    if options.role == Role::Encrypt
        && Route::new(address.clone(), &options.web)?.first_hop().0 != "-t"
    {
        return Ok(format!("spiped runs; {address} is behind a proxy and was not asked"));
    }
    let endpoints = look_up(address)?;
    let problem = match ask_any(&endpoints, deadline) {
        Err(Problem { late: true, text }) => text,
        other => return other.map_err(|problem| problem.text),
    };
    // Nobody knows how many those at the other end may have.
    let most = options.max_connections.filter(|_| options.role == Role::Decrypt);
    let full = |at: &&Endpoint| {
        most.is_some_and(|most| places::are_taken(Path::new("/proc"), at, most.get()))
    };
    match endpoints.iter().find(full) {
        Some(at) => Ok(format!("spiped -d at {at} has as many connections as -n allows")),
        None => Err(format!("{problem}; it hangs, or has as many connections as it may have (-n)")),
    }
}

/// The addresses, or that they cannot be had in time: a look-up cannot be called back.
fn look_up(address: Address) -> Result<Vec<Endpoint>, String> {
    let (sender, receiver) = mpsc::channel();
    let late = format!("{address}: no name server answers");
    thread::spawn(move || {
        // Nobody listens if it is too late.
        let _ = sender.send(address.resolve());
    });
    let found = receiver.recv_timeout(LOOKUP).map_err(|_| late)?;
    found.map_err(|error| error.to_string())
}

/// Why there was no answer.
#[derive(Debug)]
struct Problem {
    /// Somebody was there, and said nothing in time.
    late: bool,
    text: String,
}

/// Asks one after the other; each may take an equal share of the time that is left.
fn ask_any(endpoints: &[Endpoint], deadline: Instant) -> Result<String, Problem> {
    let (mut late, mut problems) = (false, Vec::new());
    for (endpoint, left) in endpoints.iter().zip((1..=endpoints.len()).rev()) {
        let now = Instant::now();
        let share =
            deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX);
        match nonce_of(endpoint, now + share) {
            Ok(()) => return Ok(format!("spiped -d at {endpoint} answers")),
            Err(error) => {
                late |= error.kind() == ErrorKind::TimedOut;
                problems.push(format!("spiped -d at {endpoint} does not answer: {error}"));
            }
        }
    }
    Err(Problem { late, text: problems.join("; ") })
}

fn nonce_of(endpoint: &Endpoint, deadline: Instant) -> io::Result<()> {
    let socket = Socket::new(endpoint.domain(), Type::STREAM, None)?;
    socket.connect_timeout(&endpoint.to_sockaddr()?, time_until(deadline)?)?;
    Until { socket, deadline }.read_exact(&mut [0; NONCE_LEN]).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, "it accepts, but its first bytes do not come")
        }
        _ => error,
    })
}

/// Reads until a moment, with however many bytes a peer spins it out.
struct Until {
    socket: Socket,
    deadline: Instant,
}

impl Read for Until {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(time_until(self.deadline)?))?;
        self.socket.read(into)
    }
}

/// A millisecond at least: less may be rounded to nothing, which the system takes for "for ever".
fn time_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.checked_duration_since(Instant::now()).ok_or(ErrorKind::TimedOut)?;
    Ok(left.max(Duration::from_millis(1)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn line(words: &[&str]) -> Vec<u8> {
        words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect()
    }

    #[test]
    fn the_daemon_is_found_behind_an_init() {
        let proc = tempfile::tempdir().unwrap();
        let add = |pid: &str, words: &[&str]| {
            fs::create_dir(proc.path().join(pid)).unwrap();
            fs::write(proc.path().join(pid).join("cmdline"), line(words)).unwrap();
        };
        add("1", &["/sbin/docker-init", "--", "spiped-container", "-d"]);
        add("9", &["spiped-container", "health"]);
        assert_eq!(daemon(proc.path()), None);
        add("7", &["/usr/bin/spiped", "-F", "-d", "-s", "/a", "-t", "/b", "-k", "-"]);
        fs::create_dir(proc.path().join("sys")).unwrap();
        fs::create_dir(proc.path().join("2")).unwrap(); // ended while we looked
        let options = daemon(proc.path()).unwrap();
        assert_eq!((options.role, options.source.as_str()), (Role::Decrypt, "/a"));
    }

    /// A server that sends so many bytes to whoever comes, and goes away.
    fn server(bytes: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming() {
                stream.unwrap().write_all(&vec![7; bytes]).unwrap();
            }
        });
        address
    }

    #[test]
    fn the_decrypting_end_is_asked_for_its_nonce() {
        let options = |role, source: &str| {
            let words = line(&["spiped", role, "-s", source, "-t", "/nowhere", "-k", "k"]);
            options_of(&words).unwrap()
        };
        let ask = |role, source, target: &str| {
            let options = Options { target: target.to_owned(), ..options(role, source) };
            super::ask(&options, Instant::now() + PATIENCE)
        };
        let (good, bad) = (server(32), server(31));
        let answers = ask("-d", &good, "/nowhere").unwrap();
        assert_eq!(answers, format!("spiped -d at {good} answers"));
        assert_eq!(ask("-e", "/nowhere", &good).unwrap(), answers);
        let error = ask("-d", &bad, "/nowhere").unwrap_err();
        assert!(error.starts_with(&format!("spiped -d at {bad} does not answer: ")), "{error}");
        assert!(ask("-d", "/nowhere", &good).unwrap_err().contains("/nowhere does not answer"));
        assert!(ask("-e", "/nowhere", "ws://host/").unwrap().contains("was not asked"));
    }

    #[test]
    fn who_is_silent_leaves_the_others_time_to_answer() {
        let endpoint = |address: &str| Endpoint::Tcp(address.parse().unwrap());
        // Connected by the system, and never accepted.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = endpoint(&listener.local_addr().unwrap().to_string());
        let good = endpoint(&server(32));
        let soon = Instant::now() + Duration::from_secs(4);
        let said = ask_any(&[silent.clone(), good.clone()], soon).unwrap();
        assert_eq!(said, format!("spiped -d at {good} answers"));
        let says = format!(
            "spiped -d at {silent} does not answer: it accepts, but its first bytes do not come"
        );
        let soon = Instant::now() + Duration::from_secs(2);
        let error = ask_any(&[silent.clone(), silent], soon).unwrap_err();
        assert!(error.late);
        assert_eq!(error.text, format!("{says}; {says}"));
    }

    #[test]
    fn who_is_full_is_not_ill() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let _server = listener.accept().unwrap();
        let ask = |words: &[&str]| {
            let at = address.to_string();
            let words = [&["spiped", "-k", "k", "-s", &at, "-t", &at], words].concat();
            super::ask(&options_of(&line(&words)).unwrap(), Instant::now() + Duration::from_secs(1))
        };
        let said = ask(&["-d", "-n", "1"]).unwrap();
        assert_eq!(said, format!("spiped -d at {address} has as many connections as -n allows"));
        // It could take one more, or is the other end, of which nothing is known.
        for words in [&["-d", "-n", "2"], &["-e", "-n", "1"], &["-d", "-n", "0"]] {
            let error = ask(words).unwrap_err();
            assert!(error.contains("do not come; it hangs, or has as many connections"), "{error}");
        }
    }

    #[test]
    fn who_spins_out_the_nonce_gets_no_more_time_for_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let slow = Endpoint::Tcp(listener.local_addr().unwrap());
        // Each byte comes in time for a reader who only waits for the next one; 32 do not.
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(&[7]).is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let error = nonce_of(&slow, Instant::now() + Duration::from_millis(400)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        server.join().unwrap(); // it was hung up on
    }

    #[test]
    fn what_is_found_is_said_or_goes_into_the_error() {
        let mut said = Vec::new();
        announce(&mut said, "it answers").unwrap();
        assert_eq!(said, b"it answers\n");
        let error = announce(&mut &mut [0; 3][..], "it answers").unwrap_err();
        assert!(error.starts_with("it answers; but that cannot be printed: "), "{error}");
    }

    #[test]
    fn what_needs_more_than_a_connection_to_answer_is_not_asked() {
        let ask = |words: &[&str]| {
            let words = [&["spiped", "-k", "k", "-s"], words].concat();
            super::ask(&options_of(&line(&words)).unwrap(), Instant::now()).unwrap()
        };
        let said = ask(&["127.0.0.1:1", "-d", "-w", "-t", "/nowhere"]);
        assert_eq!(said, "spiped runs; 127.0.0.1:1 is a WebSocket and was not asked");
        let proxied = ["/a", "-e", "-t", "127.0.0.1:1", "--proxy", "socks5://127.0.0.1:2"];
        let said = ask(&proxied);
        assert_eq!(said, "spiped runs; 127.0.0.1:1 is behind a proxy and was not asked");
    }
}
