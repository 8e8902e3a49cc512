//! The daemons that are soaked: two tunnels, and one daemon for each kind of trouble.
//! Next: `target.rs`.

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::support::process::{Role, Spiped};
use crate::support::{Address, Daemon, Implementation::Ours, Room, Server, kernel};
use crate::target::Target;

/// Nobody is turned away, and nobody who is served late because the machine is busy fails.
const PATIENT: &[&str] = &["-n", "0", "-o", "60"];
/// For those who shall be thrown out soon.
const HASTY: &[&str] = &["-n", "0", "-o", "1"];

/// What is soaked.
pub(crate) struct Scene {
    /// The key is in it.
    pub(crate) room: Room,
    /// Behind all decrypting daemons.
    pub(crate) target: Target,
    /// What `lied_to` takes for a decrypting daemon.
    pub(crate) liar: Server,
    daemons: Vec<(&'static str, Daemon)>,
}

/// Which daemon; the order of [`Scene::start`].
#[derive(Clone, Copy)]
pub(crate) enum Which {
    /// `-d` of the tunnel over TCP.
    Decrypt = 0,
    /// `-e` of the tunnel over TCP.
    Encrypt = 1,
    /// `-d` of the tunnel between UNIX sockets.
    UnixDecrypt = 2,
    /// `-e` of the tunnel between UNIX sockets.
    UnixEncrypt = 3,
    /// `-d` with a short limit.
    Hasty = 4,
    /// `-e` with a target that lacks the key, or breaks the protocol.
    LiedTo = 5,
    /// `-e` whose target refuses.
    Lost = 6,
}

impl Scene {
    /// Starts everything.
    pub(crate) fn start() -> Self {
        let room = Room::new();
        let unix = |name: &str| Address::Unix(room.path(name));
        let target = Target::start(&unix("target"));
        let liar = Server::holding();
        let any = Address::any_v4();
        let start = |role, source: &Address, target: &Address, flags| {
            Spiped::new(Ours, role, &room, source, target).flags(flags).start()
        };
        let decrypt = start(Role::Decrypt, &any, target.tcp(), PATIENT);
        let encrypt = start(Role::Encrypt, &any, decrypt.address(), PATIENT);
        let unix_decrypt = start(Role::Decrypt, &unix("middle"), target.unix(), PATIENT);
        let unix_encrypt = start(Role::Encrypt, &unix("source"), unix_decrypt.address(), PATIENT);
        let hasty = start(Role::Decrypt, &any, target.tcp(), HASTY);
        let lied_to = start(Role::Encrypt, &any, liar.address(), PATIENT);
        let lost = start(Role::Encrypt, &any, &Address::unused(), PATIENT);
        let daemons = vec![
            ("-d", decrypt),
            ("-e", encrypt),
            ("-d unix", unix_decrypt),
            ("-e unix", unix_encrypt),
            ("-d strangers", hasty),
            ("-e liars", lied_to),
            ("-e nobody", lost),
        ];
        Self { room, target, liar, daemons }
    }

    /// Where a daemon listens.
    pub(crate) fn at(&self, which: Which) -> &Address {
        self.daemons[which as usize].1.address()
    }

    /// Name and process of each daemon.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (&'static str, Pid)> {
        self.daemons.iter().map(|(name, daemon)| (*name, daemon.pid()))
    }

    /// Ends the daemons; without connections they end at once, and well.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        for (name, daemon) in &mut self.daemons {
            assert!(kernel::alive(daemon.pid()), "{name} has ended:\n{}", daemon.log());
            daemon.signal(Signal::SIGTERM);
            assert_eq!(daemon.wait().code(), Some(0), "{name}");
        }
    }
}
