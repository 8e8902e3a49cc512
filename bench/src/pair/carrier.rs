//! WebSockets between the two ends, plain or with TLS by a certificate of their own.

use std::process::Command;

use super::{Route, bracketed, local};
use crate::Outcome;
use crate::peer::Kind;
use crate::room::Bench;

/// A path like any other.
const PATH: &str = "/bench";

impl Route<'_> {
    /// Ours, over `ws:` or `wss:`.
    pub(super) fn over_websockets(&self) -> Outcome<[Command; 2]> {
        let scheme = if self.peer.kind == Kind::Wss { "wss" } else { "ws" };
        let url = |port: u16| format!("{scheme}://127.0.0.1:{port}{PATH}");
        let entry = bracketed(local(self.entry));
        let mut near = self.spiped_between("-e", &entry, &url(self.via.port()));
        let target = bracketed(self.target);
        let mut far = self.spiped_between("-d", &url(self.middle), &target);
        near.args(["--proxy", "none"]);
        if self.peer.kind == Kind::Wss {
            make_certificate(self.bench)?;
            near.arg("--tls-ca").arg(self.bench.path("cert.pem"));
            far.arg("--tls-cert").arg(self.bench.path("cert.pem"));
            far.arg("--tls-key").arg(self.bench.path("cert.key"));
        }
        Ok([near, far])
    }

    pub(super) fn monopiped_over_websockets(&self) -> [Command; 2] {
        let monopiped = |role: &str, source: u16, target: &str| {
            let mut command = Command::new(&self.peer.program);
            let source = local(source).to_string();
            command.args([role, "-l", &source, "-t", target, "-k"]);
            command.arg(self.bench.key()).env_remove("RUST_LOG");
            command
        };
        let url = format!("ws://127.0.0.1:{}{PATH}", self.middle);
        let mut far = monopiped("-d", self.middle, &self.target.to_string());
        far.arg("-w");
        [monopiped("-e", self.entry, &url), far]
    }
}

/// A certificate for 127.0.0.1 that is its own authority, unless it is there already.
fn make_certificate(bench: &Bench) -> Outcome<()> {
    let (certificate, key) = (bench.path("cert.pem"), bench.path("cert.key"));
    if certificate.exists() {
        return Ok(());
    }
    let output = Command::new("openssl")
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '),
        )
        .args("-subj /CN=bench -addext subjectAltName=IP:127.0.0.1".split(' '))
        .args("-addext basicConstraints=critical,CA:FALSE".split(' '))
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .map_err(|e| format!("openssl: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("openssl: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
