//! Who is measured: ours, and what is there of the others.
//!
//! Owns finding them and their names. What is missing is said in one line and left out; only ours
//! must be there. Next: `pair.rs`, which starts them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::process::{is_program, on_path};

/// Who it is, whatever the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    C,
    Stunnel,
    Ssh,
    Monopiped,
    Relay,
    /// Ours over WebSockets.
    Ws,
    /// ... and TLS.
    Wss,
    /// monopiped over WebSockets.
    MonopipedWs,
}

impl Kind {
    /// A word for files and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::C => "c-spiped",
            Self::Stunnel => "stunnel",
            Self::Ssh => "ssh",
            Self::Monopiped => "monopiped",
            Self::Relay => "relay",
            Self::Ws => "ours-ws",
            Self::Wss => "ours-wss",
            Self::MonopipedWs => "monopiped-ws",
        }
    }
}

/// One that is there.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    /// Program of either end; for ssh the client's.
    pub(crate) program: PathBuf,
    /// For people: name, version, how it is set up.
    pub(crate) label: String,
}

/// Who is there, and a line for everybody who is not.
pub(crate) struct Found {
    pub(crate) peers: Vec<Peer>,
    pub(crate) missing: Vec<String>,
}

/// Looks for everybody; `build` is the directory of our programs.
pub(crate) fn find(build: &Path) -> Outcome<Found> {
    let ours = build.join("spiped");
    if !is_program(&ours) {
        return Err(format!("{} is not there: build it with `make`", ours.display()));
    }
    let label = format!("{} (ours)", first_line(&ours, "-v"));
    let mut found = Found { peers: Vec::new(), missing: Vec::new() };
    for (kind, how) in [(Kind::Ours, ""), (Kind::Ws, ", ws:"), (Kind::Wss, ", wss:")] {
        if kind == Kind::Wss && on_path("openssl").is_none() {
            found.missing.push("openssl is not there, so neither is a certificate for wss:".into());
            continue;
        }
        let (program, label) = (ours.clone(), format!("{label}{how}"));
        found.peers.push(Peer { kind, program, label });
    }
    let over_ws = monopiped(build).map(|peer| Peer {
        kind: Kind::MonopipedWs,
        label: format!("{}, ws:", peer.label),
        ..peer
    });
    for result in [c_spiped(build), stunnel(), ssh(), monopiped(build), over_ws, relay()] {
        match result {
            Ok(peer) => found.peers.push(peer),
            Err(why) => found.missing.push(why),
        }
    }
    for (program, row) in [("iperf3", "iperf3"), ("redis-benchmark", "redis")] {
        if on_path(program).is_none() {
            found.missing.push(format!("{program} is not there, so neither are the rows {row}"));
        }
    }
    Ok(found)
}

/// As for the tests: what SPIPED_C names, the one on PATH if it is not ours, the one unpacked.
fn c_spiped(build: &Path) -> Result<Peer, String> {
    let named = std::env::var_os("SPIPED_C").map(PathBuf::from);
    let unpacked =
        [build.join("../c-spiped/usr/bin/spiped"), "target/c-spiped/usr/bin/spiped".into()];
    let places = named.into_iter().chain(on_path("spiped")).chain(unpacked);
    // C spiped has no --help.
    let is_c = |path: &PathBuf| {
        is_program(path)
            && Command::new(path)
                .arg("--help")
                .output()
                .is_ok_and(|output| !output.status.success())
    };
    let program = places.into_iter().find(is_c).ok_or("C spiped is not there (see BUILDING)")?;
    let label = format!("C {}", first_line(&program, "-v"));
    Ok(Peer { kind: Kind::C, program, label })
}

fn stunnel() -> Result<Peer, String> {
    let program = on_path("stunnel4").or_else(|| on_path("stunnel"));
    let program = program.ok_or("stunnel is not there (Debian: stunnel4)")?;
    let version = first_line(&program, "-version");
    let version = version.split_once("stunnel ").map_or("", |(_, rest)| rest);
    let number = version.split(' ').next().unwrap_or_default();
    Ok(Peer { kind: Kind::Stunnel, program, label: format!("stunnel {number}, PSK, AES-256-GCM") })
}

fn ssh() -> Result<Peer, String> {
    let there = |name| on_path(name).ok_or(format!("{name} is not there, so ssh -L is left out"));
    let (program, _, _) = (there("ssh")?, there("sshd")?, there("ssh-keygen")?);
    // A root's sshd insists on an empty directory, which a service usually makes.
    if nix::unistd::geteuid().is_root() && !Path::new("/run/sshd").is_dir() {
        return Err("ssh -L needs the directory /run/sshd, which sshd wants of root".into());
    }
    let version = first_line(&program, "-V");
    let version = version.split([' ', ',']).next().unwrap_or("ssh").replace('_', " ");
    Ok(Peer { kind: Kind::Ssh, program, label: format!("ssh -L, {version}, AES-256-GCM") })
}

fn monopiped(build: &Path) -> Result<Peer, String> {
    let installed = build.join("../peers/bin/monopiped");
    let place = Some(installed).filter(|path| is_program(path)).or_else(|| on_path("monopiped"));
    let program = place.ok_or("monopiped is not there (make bench PEERS=1 installs it)")?;
    let label = first_line(&program, "--version");
    Ok(Peer { kind: Kind::Monopiped, program, label })
}

fn relay() -> Result<Peer, String> {
    let program =
        std::env::current_exe().map_err(|e| format!("the plain relay, ourselves: {e}"))?;
    Ok(Peer { kind: Kind::Relay, program, label: "plain relay, no encryption".into() })
}

/// What a program says first when asked with `option`, or its path if it says nothing.
fn first_line(program: &Path, option: &str) -> String {
    let output = Command::new(program).arg(option).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    // stunnel begins with how it starts, not with who it is.
    let line = said.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()));
    line.map_or_else(|| program.display().to_string(), str::to_owned)
}
