//! Tunnels through a real nginx and a real Caddy, configured as README.md says.
//!
//! Without these programs it is skipped loudly; where `CI=true`, they must be there.
//! Next: `without_web_server.rs`.

mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use support::foreign::{Foreign, find, have, without_proxies};
use support::process::{Role, Spiped, run};
use support::servers::echo_once;
use support::tunnel::{Spipe, exchange};
use support::web::{Certificate, adapt, nginx, readme_nginx, snippet};
use support::{Address, Daemon, Implementation::Ours, Room, Server, wait_until};

/// Bytes each way of a large exchange.
const LARGE: u64 = 100 << 20;

/// Bytes each way of an ordinary one.
const SOME: u64 = 2 << 20;

/// A web site, its page, and `spiped -d` behind one path of it.
struct Site {
    // First, so that it is dropped before the room, which would kill its master alone.
    _server: Foreign,
    room: Room,
    target: Server,
    decrypt: Daemon,
    plain: Address,
    tls: Address,
    certificate: Certificate,
}

/// What the site shows besides.
const PAGE: &str = "a web site like any other\n";

impl Site {
    fn start(target: Server, serve: impl Fn(&Draft) -> Foreign) -> Self {
        let room = Room::new();
        std::fs::create_dir(room.path("www")).expect("a directory");
        std::fs::write(room.path("www/index.html"), PAGE).expect("write");
        let decrypt = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), target.address())
            .source_text("ws://127.0.0.1:0/ssh")
            .start();
        let certificate = Certificate::new(&room.path("tls"));
        let (plain, tls) = (Address::unused(), Address::unused());
        let parts = Draft { room, decrypt, plain, tls, certificate };
        let server = serve(&parts);
        let Draft { room, decrypt, plain, tls, certificate } = parts;
        Self { room, target, decrypt, plain, tls, certificate, _server: server }
    }

    /// README's nginx.
    fn nginx(target: Server) -> Self {
        Self::start(target, |site| {
            let ports = [&site.plain, &site.tls];
            readme_nginx(&site.room, ports, &site.certificate, site.decrypt.address())
        })
    }

    /// README's Caddy, which is monopiped's; it makes its certificate by itself.
    fn caddy(target: Server) -> Self {
        let mut site = Self::start(target, |site| {
            let (plain, tls) = (site.plain.port(), site.tls.port());
            let block = adapt(
                &snippet("caddy"),
                &[
                    ("server.example.com:80 ", &format!("localhost:{plain} ")),
                    ("server.example.com:443 ", &format!("localhost:{tls} ")),
                    ("/var/www/html", path(&site.room.path("www"))),
                    ("127.0.0.1:3000", &format!("127.0.0.1:{}", site.decrypt.address().port())),
                ],
            );
            // What the ports mean, and that nothing outside of the room is touched or asked; the
            // port of HTTP/3 might be somebody else's.
            let global = format!(
                "{{\nadmin off\nhttp_port {plain}\nhttps_port {tls}\nskip_install_trust\n\
                 servers {{\nprotocols h1 h2\n}}\n}}\n"
            );
            let file = site.room.path("Caddyfile");
            std::fs::write(&file, global + &block).expect("write");
            let mut command = Command::new(find("caddy").expect("looked for before"));
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
            for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
                command.env(name, site.room.path("caddy"));
            }
            Foreign::start("caddy", &mut command, &[&site.plain, &site.tls])
        });
        let root = "caddy/caddy/pki/authorities/local/root.crt";
        site.certificate.authority = site.room.path(root);
        // It listens before it has a certificate, and until then it refuses.
        let (authority, port) = (&site.certificate.authority, site.tls.port());
        wait_until("Caddy shows a certificate", || {
            let mut command = Command::new(find("openssl").expect("looked for before"));
            command.args(["s_client", "-verify_return_error", "-servername", "localhost"]);
            command.args(["-connect", &format!("localhost:{port}"), "-CAfile"]).arg(authority);
            authority.is_file() && run(&mut command, b"").status.success()
        });
        site
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        let port = if scheme == "wss" { self.tls.port() } else { self.plain.port() };
        format!("{scheme}://localhost:{port}{path}")
    }

    /// `spiped -e` to the site.
    fn encrypt(&self, url: &str, flags: &[&str]) -> Daemon {
        let any = Address::any_v4();
        let mut spiped = Spiped::new(Ours, Role::Encrypt, &self.room, &any, &any).target(url);
        if url.starts_with("wss") {
            spiped = spiped.flags(&["--tls-ca", path(&self.certificate.authority)]);
        }
        spiped.flags(&["--proxy", "none"]).flags(flags).start()
    }

    /// `spipe` to the site.
    fn spipe(&self, url: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(Ours.path(support::Program::Spipe));
        command.args(["-t", url, "-k"]).arg(self.room.key()).args(flags).env_remove("RUST_LOG");
        if url.starts_with("wss") {
            command.arg("--tls-ca").arg(&self.certificate.authority);
        }
        without_proxies(&mut command);
        command
    }

    /// Data both ways at once, half-closed in turn, through a daemon and through `spipe`.
    fn carries(&self, scheme: &str, count: u64) {
        let url = self.url(scheme, "/ssh");
        let encrypt = self.encrypt(&url, &[]);
        let client = encrypt.address().connect().expect("connect");
        exchange(client, self.target.accept(), count);
        let mut spipe = Spipe::run(self.spipe(&url, &[]));
        exchange(spipe.pipes(), self.target.accept(), SOME);
    }
}

/// A site before there is a web server.
struct Draft {
    room: Room,
    decrypt: Daemon,
    plain: Address,
    tls: Address,
    certificate: Certificate,
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// Asks a web server for something, and returns all it says.
fn ask(address: &Address, request: &str) -> String {
    let mut socket = address.connect().expect("connect");
    socket.write_all(request.as_bytes()).expect("send");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("an answer, and its end");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn nginx_passes_all_on_plain_and_by_tls() {
    if !have("nginx_passes_all_on_plain_and_by_tls", &["nginx", "openssl"]) {
        return;
    }
    let site = Site::nginx(Server::holding());
    site.carries("ws", SOME);
    site.carries("wss", LARGE);
    wait_until("the log has who the web server says it is for", || {
        site.decrypt.log().contains("(for 127.0.0.1, as it says)")
    });
}

#[test]
fn caddy_passes_all_on_plain_and_by_tls() {
    if !have("caddy_passes_all_on_plain_and_by_tls", &["caddy", "openssl"]) {
        return;
    }
    let site = Site::caddy(Server::holding());
    site.carries("ws", LARGE);
    site.carries("wss", SOME);
}

#[test]
fn strangers_at_the_web_server_never_reach_the_target() {
    if !have("strangers_at_the_web_server_never_reach_the_target", &["nginx", "openssl"]) {
        return;
    }
    let site = Site::nginx(Server::echo());
    let get = |path: &str| {
        ask(
            &site.plain,
            &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
    };
    assert!(get("/").ends_with(PAGE), "the web site is there");
    let found = get("/ssh");
    assert!(found.starts_with("HTTP/1.1 404 ") && found.ends_with("Not Found\n"), "{found}");
    let post = "POST /ssh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Length: 3\r\n\r\nabc";
    assert!(ask(&site.plain, post).starts_with("HTTP/1.1 404 "));
    // One who speaks WebSocket, and has no key.
    let wrong = site.room.wrong_key();
    let url = site.url("ws", "/ssh");
    let mut command = site.spipe(&url, &[]);
    let finished = run(command.arg("--check").args(["-o", "10"]), b"");
    assert!(finished.status.success(), "with the key: {}", finished.stderr);
    let mut command = Command::new(Ours.path(support::Program::Spipe));
    without_proxies(command.args(["-t", &url, "-k", path(&wrong)]));
    let finished = run(&mut command, b"hello");
    assert_eq!(finished.status.code(), Some(1), "without: {}", finished.stderr);
    assert_eq!(finished.stdout, b"");
    let before = site.target.connections();
    assert!(before <= 1, "only the check with the key may have got there: {before}");
}

#[test]
fn what_the_web_server_answers_is_told() {
    if !have("what_the_web_server_answers_is_told", &["nginx", "openssl"]) {
        return;
    }
    let mut site = Site::nginx(Server::echo());
    let said = |site: &Site, scheme: &str, path: &str| {
        let finished = run(&mut site.spipe(&site.url(scheme, path), &[]), b"hello");
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        finished.stderr
    };
    let text = said(&site, "ws", "/nowhere");
    assert!(text.contains("HTTP/1.1 404 Not Found"), "{text}");
    // A certificate of an authority that nobody trusts.
    let authority = site.certificate.authority.clone();
    let other = Certificate::new(&site.room.path("other"));
    site.certificate.authority = other.authority;
    let text = said(&site, "wss", "/ssh");
    assert!(text.contains("certificate"), "{text}");
    site.certificate.authority = authority;
    // Nobody behind the web server.
    site.decrypt.signal(Signal::SIGTERM);
    site.decrypt.wait();
    let text = said(&site, "wss", "/ssh");
    assert!(text.contains("HTTP/1.1 502 Bad Gateway"), "{text}");
    assert_eq!(site.target.connections(), 0);
}

#[test]
fn a_web_server_may_ask_for_a_password_first() {
    if !have("a_web_server_may_ask_for_a_password_first", &["nginx", "openssl"]) {
        return;
    }
    let target = Server::echo();
    let room = Room::new();
    let socket = room.path("ssh.sock");
    // Behind a UNIX socket, at any path.
    let decrypt =
        Spiped::new(Ours, Role::Decrypt, &room, &Address::Unix(socket.clone()), target.address())
            .source_text(&format!("ws+unix://{}", path(&socket)))
            .start();
    let hash = Command::new(find("openssl").expect("looked for before"))
        .args(["passwd", "-apr1", "hush hush"])
        .output()
        .expect("openssl");
    let hash = String::from_utf8(hash.stdout).expect("text");
    std::fs::write(room.path("users"), format!("joe:{}\n", hash.trim())).expect("write");
    let address = Address::unused();
    let config = format!(
        "server {{ listen 127.0.0.1:{}; location / {{ auth_basic hm; auth_basic_user_file {}; \
         proxy_pass http://unix:{}; proxy_http_version 1.1; proxy_set_header Upgrade \
         $http_upgrade; proxy_set_header Connection upgrade; }} }}",
        address.port(),
        path(&room.path("users")),
        path(&socket)
    );
    let _nginx = nginx(&room, &config, &[&address]);

    let header = room.path("header");
    std::fs::write(&header, "Authorization: Basic am9lOmh1c2ggaHVzaA==\n").expect("write");
    let (host, header) = (format!("127.0.0.1:{}/x?y=%20", address.port()), path(&header));
    let from_file = format!("@{header}");
    for (url, flags, works) in [
        (format!("ws://{host}"), &[][..], false),
        (format!("ws://joe:wrong@{host}"), &[], false),
        (format!("ws://joe:hush%20hush@{host}"), &[], true),
        (format!("ws://{host}"), &["--http-header", &from_file], true),
    ] {
        let mut command = Command::new(Ours.path(support::Program::Spipe));
        command.args(["-t", &url, "-k"]).arg(room.key()).args(flags);
        without_proxies(&mut command).args(["--log-level", "trace"]);
        let finished = run(&mut command, b"hello");
        assert_eq!(finished.status.success(), works, "{url} {flags:?}: {}", finished.stderr);
        let said = finished.stderr;
        if works {
            assert_eq!(finished.stdout, b"hello");
        } else {
            assert!(said.contains("HTTP/1.1 401 Unauthorized"), "{said}");
        }
        for secret in ["hush", "wrong", "am9l", "joe"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    assert!(!decrypt.log().contains("am9l"), "{}", decrypt.log());
}

#[test]
fn a_web_server_that_dies_is_a_cut() {
    if !have("a_web_server_that_dies_is_a_cut", &["nginx", "openssl"]) {
        return;
    }
    let site = Site::nginx(Server::echo());
    let encrypt = site.encrypt(&site.url("wss", "/ssh"), &[]);
    let mut client = encrypt.address().connect().expect("connect");
    echo_once(&mut client, b"hello");
    let Site { _server: server, target: _target, decrypt, .. } = site;
    drop(server);
    let cut = client.read(&mut [0; 1]).expect_err("no end, but a cut");
    assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
    wait_until("the other end notices, too", || decrypt.log().contains("bytes"));
}

/// Cut by a web server that has no patience with silence, unless there are pings.
#[test]
fn pings_keep_an_impatient_web_server_from_closing() {
    if !have("pings_keep_an_impatient_web_server_from_closing", &["nginx", "openssl"]) {
        return;
    }
    let (room, target) = (Room::new(), Server::echo());
    let decrypt = Spiped::new(Ours, Role::Decrypt, &room, &Address::any_v4(), target.address())
        .flags(&["-w", "--ws-ping", "0"])
        .start();
    let address = Address::unused();
    let config = format!(
        "server {{ listen 127.0.0.1:{}; location / {{ proxy_pass http://127.0.0.1:{}; \
         proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header \
         Connection upgrade; proxy_read_timeout 1s; }} }}",
        address.port(),
        decrypt.address().port()
    );
    let _nginx = nginx(&room, &config, &[&address]);
    let any = Address::any_v4();
    let tunnel = |ping| {
        let encrypt = Spiped::new(Ours, Role::Encrypt, &room, &any, &any)
            .target(&format!("ws://127.0.0.1:{}/any/path", address.port()))
            .flags(&["--proxy", "none", "--ws-ping", ping])
            .start();
        let mut client = encrypt.address().connect().expect("connect");
        echo_once(&mut client, b"hello");
        (encrypt, client)
    };
    let (_pinging, mut kept) = tunnel("0.2");
    let (_silent, mut lost) = tunnel("0");
    // nginx gives up the silent one, which has begun to be silent after the other.
    let cut = lost.read(&mut [0; 1]).expect_err("no end, but a cut");
    assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
    echo_once(&mut kept, b"still there");
}
