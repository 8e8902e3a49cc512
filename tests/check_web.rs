//! `spipe --check` of what should be a WebSocket: which likely reason it gives where there is none.
//!
//! It owns the words about TLS, certificates and answers of web servers. Where openssl is missing
//! the tests with certificates are skipped loudly; where `CI=true`, it must be there. Next:
//! `progress.rs`.

mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use socket2::Socket;

use support::process::{Role, Spiped, run};
use support::{Address, Daemon, Implementation::Ours, Program, Room, Server, wait_until};

/// What a check that fails says: one line on standard error.
#[track_caller]
fn fails(room: &Room, target: &str, flags: &[&str]) -> String {
    let mut command = Command::new(Ours.path(Program::Spipe));
    command.args(["--check", "-o", "3600", "--proxy", "none", "-t", target, "-k"]).arg(room.key());
    let finished = run(command.args(flags).env_remove("RUST_LOG"), b"");
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    finished.stderr.trim_end().to_owned()
}

/// A `spiped -d` that listens at this URL.
fn daemon(room: &Room, server: &Server, source: &str, flags: &[&str]) -> Daemon {
    let spiped = Spiped::new(Ours, Role::Decrypt, room, &Address::any_v4(), server.address());
    spiped.source_text(source).flags(flags).start()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn tls_at_one_end_alone_is_named_at_once() {
    let (room, server) = (Room::new(), Server::holding());
    let plain = daemon(&room, &server, "ws://127.0.0.1:0/a", &[]);
    let said = fails(&room, &format!("wss://localhost:{}/a", plain.address().port()), &[]);
    assert!(said.ends_with("TLS: this is not TLS (is it wss:// at both ends?)"), "{said}");
    let line = "this is TLS, not HTTP (is it ws:// at both ends?)";
    wait_until("the line", || plain.log().contains(line));

    let directory = room.path("tls");
    if !spiped_peer::certify(&directory) {
        return;
    }
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let flags = ["--tls-cert", text(&certificate), "--tls-key", text(&key)];
    let tls = daemon(&room, &server, "wss://127.0.0.1:0/a", &flags);
    let said = fails(&room, &format!("ws://localhost:{}/a", tls.address().port()), &[]);
    assert!(said.ends_with("it speaks TLS, so -t needs wss://"), "{said}");
}

#[test]
fn a_certificate_that_is_not_believed_is_explained() {
    let (room, server) = (Room::new(), Server::holding());
    let (ours, others) = (room.path("ours"), room.path("others"));
    if !(spiped_peer::certify(&ours) && spiped_peer::certify(&others)) {
        return;
    }
    let at = |directory: &Path, certificate: &str| {
        let (certificate, key) = (directory.join(certificate), directory.join("key.pem"));
        let flags = ["--tls-cert", text(&certificate), "--tls-key", text(&key)];
        daemon(&room, &server, "wss://0.0.0.0:0/a", &flags)
    };
    let tls = at(&ours, "cert.pem");
    let by = |host: &str, authority: &Path| {
        let target = format!("wss://{host}:{}/a", tls.address().port());
        fails(&room, &target, &["--tls-ca", text(authority)])
    };
    // Of the same name, but with another key.
    let said = by("localhost", &others.join("ca.pem"));
    assert!(said.contains("TLS: the certificate is signed by nobody that is trusted"), "{said}");
    assert!(said.contains("has the name of its issuer (--tls-ca FILE"), "{said}");
    wait_until("why", || tls.log().contains("(alert 51, decrypt_error)"));
    let said = by("127.0.0.2", &ours.join("ca.pem"));
    let names = "the certificate is for localhost, 127.0.0.1, not for 127.0.0.2";
    assert!(said.contains(names), "{said}");

    // As openssl makes it unless told otherwise, for a server that signs for itself.
    let line = "req -x509 -key key.pem -out self.pem -days 2 -subj /CN=localhost -addext \
                subjectAltName=DNS:localhost";
    let made = Command::new("openssl").args(line.split(' ')).current_dir(&ours).output();
    assert!(made.expect("openssl runs").status.success());
    let alone = at(&ours, "self.pem");
    let target = format!("wss://localhost:{}/a", alone.address().port());
    let said = fails(&room, &target, &["--tls-ca", text(&ours.join("self.pem"))]);
    assert!(said.contains("is an authority's own (CA:TRUE)"), "{said}");
    // The remedy is one.
    let line = format!("{line} -addext basicConstraints=critical,CA:FALSE");
    let made = Command::new("openssl").args(line.split(' ')).current_dir(&ours).output();
    assert!(made.expect("openssl runs").status.success());
    let good = at(&ours, "self.pem");
    let target = format!("wss://localhost:{}/a", good.address().port());
    let mut command = Command::new(Ours.path(Program::Spipe));
    command.args(["--check", "--proxy", "none", "-t", &target, "-k"]).arg(room.key());
    let finished = run(command.arg("--tls-ca").arg(ours.join("self.pem")), b"");
    assert!(finished.status.success(), "{}", finished.stderr);
}

/// What a check says of a server that answers with this.
#[track_caller]
fn answered(scheme: &str, answer: &'static str) -> String {
    let server = Server::each_at(&Address::any_v4(), move |mut socket: Socket| {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(answer.as_bytes());
        // Or what it has not read becomes a reset.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let port = server.address().port();
    fails(&Room::new(), &format!("{scheme}://127.0.0.1:{port}/x"), &[])
}

#[test]
fn answers_of_web_servers_come_with_a_likely_reason() {
    let said = answered("ws", "HTTP/1.1 404 Not Found\r\n\r\n");
    assert!(said.contains("404 Not Found (it takes no WebSocket at this path: is"), "{said}");
    let said = answered("ws", "HTTP/1.1 200 OK\r\n\r\nhello");
    assert!(said.contains("200 OK (at this path it has something else: is"), "{said}");
    let said = answered("ws", "");
    assert!(said.contains("it ended the connection (is it a web server, or an spiped"), "{said}");
    let said = answered("wss", "");
    assert!(said.contains("it ended the connection (does it speak TLS? if not, -t"), "{said}");
}

#[test]
fn silence_comes_with_a_likely_reason() {
    let silent = Server::holding();
    for (scheme, said) in [
        ("ws", "no WebSocket at "),
        (
            "ws",
            ": it did not answer in time (is it a web server, or an spiped -d with -s ws://? if",
        ),
        ("wss", "TLS failed at "),
        (
            "wss",
            ": it did not answer in time (does it speak TLS? if not, -t needs ws://, or no URL)",
        ),
    ] {
        let target = format!("{scheme}://127.0.0.1:{}/x", silent.address().port());
        let mut command = Command::new(Ours.path(Program::Spipe));
        let room = Room::new();
        command.args(["--check", "-o", "0.3", "--proxy", "none", "-t", &target, "-k"]);
        let finished = run(command.arg(room.key()).env_remove("RUST_LOG"), b"");
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
    }
}
