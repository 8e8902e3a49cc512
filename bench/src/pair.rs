//! Two ends of a tunnel, started before a target: what every measurement goes through.
//!
//! Owns both processes; dropping it ends them. All peers are set up alike: foreground, TCP between
//! all hops, default log level into a file, and no limit on connections. Next: `pair/stunnel.rs`
//! and `pair/ssh.rs`, which need configuration files.

mod carrier;
mod ssh;
mod stunnel;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::peer::{Kind, Peer};
use crate::process::{Family, Process};
use crate::room::Bench;

/// A running tunnel.
pub(crate) struct Pair {
    /// Where clients connect.
    pub(crate) entry: SocketAddr,
    /// Where the end near the target listens.
    pub(crate) middle: SocketAddr,
    /// The end near the client, then the one near the target.
    pub(crate) ends: [Process; 2],
}

/// Whether the ends exchange keys that are forgotten afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardSecrecy {
    Yes,
    /// `-f`.
    No,
}

/// What the two ends have to be told, whichever program they are.
struct Route<'a> {
    bench: &'a Bench,
    peer: &'a Peer,
    secrecy: ForwardSecrecy,
    entry: u16,
    middle: u16,
    /// Where the near end connects to, to reach the far one; only spiped is told.
    via: SocketAddr,
    target: SocketAddr,
}

impl Pair {
    /// Starts both ends and returns when they listen.
    pub(crate) fn start(bench: &Bench, peer: &Peer, target: SocketAddr) -> Outcome<Self> {
        Self::start_with(bench, peer, target, ForwardSecrecy::Yes)
    }

    /// The same, with or without forward secrecy.
    pub(crate) fn start_with(
        bench: &Bench,
        peer: &Peer,
        target: SocketAddr,
        secrecy: ForwardSecrecy,
    ) -> Outcome<Self> {
        Self::start_all(bench, peer, target, secrecy, Ok)
    }

    /// Both ends of ours with something between them: `between` is told where the far end listens
    /// and says where the near end is to connect to.
    pub(crate) fn start_apart(
        bench: &Bench,
        peer: &Peer,
        target: SocketAddr,
        between: impl FnOnce(SocketAddr) -> Outcome<SocketAddr>,
    ) -> Outcome<Self> {
        Self::start_all(bench, peer, target, ForwardSecrecy::Yes, between)
    }

    fn start_all(
        bench: &Bench,
        peer: &Peer,
        target: SocketAddr,
        secrecy: ForwardSecrecy,
        between: impl FnOnce(SocketAddr) -> Outcome<SocketAddr>,
    ) -> Outcome<Self> {
        let (entry, middle) = (bench.free_port()?, bench.free_port()?);
        let via = between(local(middle))?;
        let route = Route { bench, peer, secrecy, entry, middle, via, target };
        let [near, far] = route.commands()?;
        let family = if peer.kind == Kind::Ssh { Family::Descendants } else { Family::Alone };
        let name = peer.kind.name();
        let mut far = Process::spawn(far, bench.log(name), family)?;
        far.await_listening(middle)?;
        let mut near = Process::spawn(near, bench.log(name), family)?;
        near.await_listening(entry)?;
        Ok(Self { entry: local(entry), middle: local(middle), ends: [near, far] })
    }

    /// Processor time of both ends so far.
    pub(crate) fn cpu(&self) -> Outcome<[Duration; 2]> {
        Ok([self.ends[0].cpu()?, self.ends[1].cpu()?])
    }

    /// Resident memory of both ends, in bytes.
    pub(crate) fn resident(&self) -> Outcome<[u64; 2]> {
        Ok([self.ends[0].resident()?, self.ends[1].resident()?])
    }
}

/// Seconds of processor time that each end has used between two readings.
pub(crate) fn cpu_between(before: [Duration; 2], after: [Duration; 2]) -> [f64; 2] {
    [0, 1].map(|end: usize| after[end].saturating_sub(before[end]).as_secs_f64())
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn bracketed(address: SocketAddr) -> String {
    format!("[{}]:{}", address.ip(), address.port())
}

impl Route<'_> {
    /// The commands of the end near the client and of the one near the target.
    fn commands(&self) -> Outcome<[Command; 2]> {
        let far = (local(self.middle), self.target);
        let near = (local(self.entry), local(self.middle));
        Ok(match self.peer.kind {
            Kind::Ours | Kind::C => [self.spiped("-e", (near.0, self.via)), self.spiped("-d", far)],
            Kind::Ws | Kind::Wss => self.over_websockets()?,
            Kind::MonopipedWs => self.monopiped_over_websockets(),
            Kind::Monopiped => [self.monopiped("-e", near), self.monopiped("-d", far)],
            Kind::Relay => [self.relay(near), self.relay(far)],
            Kind::Stunnel => self.stunnel()?,
            Kind::Ssh => self.ssh()?,
        })
    }

    fn spiped(&self, role: &str, (source, target): (SocketAddr, SocketAddr)) -> Command {
        self.spiped_between(role, &bracketed(source), &bracketed(target))
    }

    fn spiped_between(&self, role: &str, source: &str, target: &str) -> Command {
        let mut command = Command::new(&self.peer.program);
        command.args([role, "-F", "-n", "0", "-s", source, "-t", target]);
        command.arg("-k").arg(self.bench.key());
        if self.secrecy == ForwardSecrecy::No {
            command.arg("-f");
        }
        // The default level, whatever the environment asks for.
        command.env_remove("RUST_LOG");
        command
    }

    fn monopiped(&self, role: &str, (source, target): (SocketAddr, SocketAddr)) -> Command {
        let mut command = Command::new(&self.peer.program);
        command.args([role, "-l", &source.to_string(), "-t", &target.to_string(), "-k"]);
        command.arg(self.bench.key()).env_remove("RUST_LOG");
        command
    }

    fn relay(&self, (source, target): (SocketAddr, SocketAddr)) -> Command {
        let mut command = Command::new(&self.peer.program);
        command.args(["relay", &source.port().to_string(), &target.to_string()]);
        command
    }
}
