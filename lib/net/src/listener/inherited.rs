//! Listening sockets that a service manager has opened and passed to us (`-s systemd:NAME`).
//!
//! Owns taking them by their name, once, and the check that they are what we can accept from.
//! Refuses to remove their files: whoever has made those removes them. `listener.rs` is where they
//! go.

use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;

use socket2::{Domain, Socket, Type};

use super::Listener;
use crate::addr::Endpoint;

/// The listeners that were passed under this name, in their order.
///
/// To be called once, at the very start: before any other descriptor is opened, and before the
/// process goes into the background, since `LISTEN_PID` says for which one the sockets are.
///
/// # Errors
///
/// One line that names no option.
pub fn take(name: &str) -> Result<Vec<Listener>, InheritError> {
    // Those of another process have names, too, and then the two do not match.
    if sd_notify::listen_fds().map_err(InheritError::Environment)?.len() == 0 {
        return Err(InheritError::NotPassed(name.to_owned(), Vec::new()));
    }
    let passed = sd_notify::listen_fds_with_names().map_err(InheritError::Environment)?;
    let mut others = Vec::new();
    let mut listeners = Vec::new();
    for (number, passed_as) in passed {
        #[allow(unsafe_code)]
        // SAFETY: the manager has opened this descriptor for us and nobody else (LISTEN_PID is
        // ours), sd_notify has seen that it is open, and nothing of ours has been opened yet.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        if passed_as == name {
            let listener = adopt(Socket::from(fd));
            listeners.push(listener.map_err(|problem| InheritError::Unfit(number, problem))?);
        } else {
            others.push(passed_as); // and closed: who connects there shall not wait for us
        }
    }
    if listeners.is_empty() {
        return Err(InheritError::NotPassed(name.to_owned(), others));
    }
    if !others.is_empty() {
        log::warn!("sockets were passed that -s does not name: {}", others.join(", "));
    }
    Ok(listeners)
}

fn adopt(socket: Socket) -> Result<Listener, Unfit> {
    // What is no socket has no type.
    let kind = socket.r#type().map_err(Unfit::System)?;
    let address = socket.local_addr().map_err(Unfit::System)?;
    let local = match address.as_socket() {
        Some(tcp) => Endpoint::Tcp(tcp),
        None if address.domain() == Domain::UNIX => {
            let path = address.as_pathname().map(PathBuf::from);
            Endpoint::Unix(path.unwrap_or_default())
        }
        None => return Err(Unfit::NotAListener),
    };
    if kind != Type::STREAM || !is_listening(&socket) {
        return Err(Unfit::NotAListener);
    }
    socket.set_nonblocking(true).map_err(Unfit::System)?;
    Ok(Listener { socket, local, file: None })
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn is_listening(socket: &Socket) -> bool {
    socket.is_listener().unwrap_or(true)
}

/// Elsewhere accept(2) will say so.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn is_listening(_socket: &Socket) -> bool {
    true
}

/// Why there is nothing to accept from.
#[derive(Debug)]
pub enum InheritError {
    /// The variables cannot be read.
    Environment(io::Error),
    /// No socket has this name; those that there are.
    NotPassed(String, Vec<String>),
    /// This descriptor is of no use.
    Unfit(i32, Unfit),
}

/// What is wrong with a descriptor.
#[derive(Debug)]
pub enum Unfit {
    /// It is no listening stream socket.
    NotAListener,
    /// The system's word on it.
    System(io::Error),
}

impl fmt::Display for InheritError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(error) => {
                write!(f, "the sockets that were passed cannot be taken: {error}")
            }
            Self::NotPassed(name, others) if others.is_empty() => write!(
                f,
                "no socket was passed to this process, so none is named {name:?}: start it by a \
                 socket unit, and not by hand"
            ),
            Self::NotPassed(name, others) => write!(
                f,
                "no socket that was passed is named {name:?}, only {}: see FileDescriptorName= of \
                 the socket unit",
                others.join(", ")
            ),
            Self::Unfit(number, Unfit::NotAListener) => write!(
                f,
                "descriptor {number} is no listening stream socket: use ListenStream= and \
                 Accept=no in the socket unit"
            ),
            Self::Unfit(number, Unfit::System(error)) => {
                write!(f, "descriptor {number} cannot be listened on: {error}")
            }
        }
    }
}

impl std::error::Error for InheritError {}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::listener::Accepted;

    #[test]
    fn what_listens_is_taken_and_its_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = adopt(Socket::from(UnixListener::bind(&path).unwrap())).unwrap();
        assert_eq!(listener.local(), &Endpoint::Unix(path.clone()));
        assert!(matches!(listener.accept(), Accepted::None), "it does not block");
        drop(listener);
        assert!(path.exists());

        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        assert_eq!(adopt(tcp.into()).unwrap().local(), &Endpoint::Tcp(address));
    }

    #[test]
    fn what_does_not_listen_is_refused() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(matches!(adopt(udp.into()), Err(Unfit::NotAListener)));
        let (connected, _peer) = UnixStream::pair().unwrap();
        assert!(matches!(adopt(connected.into()), Err(Unfit::NotAListener)));
        let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        assert!(matches!(adopt(Socket::from(file)), Err(Unfit::System(_))));
    }

    #[test]
    fn errors_say_what_there_is() {
        let none = InheritError::NotPassed("web".to_owned(), Vec::new()).to_string();
        assert!(none.starts_with("no socket was passed") && none.contains("\"web\""), "{none}");
        let others = InheritError::NotPassed("web".to_owned(), vec!["a".into(), "b".into()]);
        assert!(others.to_string().contains("\"web\", only a, b: see"));
    }
}
