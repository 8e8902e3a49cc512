//! Targets of every kind through a real tinyproxy (HTTP CONNECT) and a real microsocks (SOCKS5), by
//! option and by environment, and what is said when they refuse.
//!
//! Without these programs it is skipped loudly; where `CI=true`, they must be there.
//! Next: `cli.rs`.

mod support;

use std::path::PathBuf;
use std::process::Command;

use socket2::Socket;
use spiped_peer::pattern::{Checker, Pattern, send};
use support::foreign::{Foreign, find, have, without_proxies};
use support::process::{Finished, Role, Spiped, run};
use support::tunnel::exchange;
use support::web::Certificate;
use support::{Address, Daemon, Implementation::Ours, Program, Room, Server, wait_until};

/// Bytes each way.
const SOME: u64 = 2 << 20;

/// A name for the loopback address that everybody takes for one, and looks up without a server.
const NAME: &str = "127.1";

/// Both proxies, which ask for a password.
struct Proxies {
    tinyproxy: Address,
    tinyproxy_log: PathBuf,
    microsocks: Address,
    socks: Foreign,
    _http: Foreign,
}

impl Proxies {
    fn start(room: &Room) -> Self {
        let (tinyproxy, microsocks) = (Address::unused(), Address::unused());
        let (config, log) = (room.path("tinyproxy.conf"), room.path("tinyproxy.log"));
        let text = format!(
            "Port {}\nListen 127.0.0.1\nTimeout 600\nAllow 127.0.0.1\nBasicAuth joe hush\n\
             LogFile \"{}\"\nLogLevel Info\n",
            tinyproxy.port(),
            log.display()
        );
        std::fs::write(&config, text).expect("write");
        let mut command = Command::new(find("tinyproxy").expect("looked for before"));
        let http =
            Foreign::start("tinyproxy", command.arg("-d").arg("-c").arg(config), &[&tinyproxy]);
        let port = microsocks.port().to_string();
        let mut command = Command::new(find("microsocks").expect("looked for before"));
        command.args(["-i", "127.0.0.1", "-p", &port, "-u", "joe", "-P", "hush"]);
        let socks = Foreign::start("microsocks", &mut command, &[&microsocks]);
        Self { tinyproxy, tinyproxy_log: log, microsocks, socks, _http: http }
    }

    /// Each with its user and password, as the log shows it, and who looks names up.
    fn urls(&self) -> [(String, String, &'static str); 3] {
        let url = |scheme: &str, address: &Address, name| {
            let place = format!("127.0.0.1:{}", address.port());
            (format!("{scheme}://joe:hush@{place}"), format!("{scheme}://{place}"), name)
        };
        [
            url("http", &self.tinyproxy, NAME),
            url("socks5h", &self.microsocks, NAME),
            url("socks5", &self.microsocks, "127.0.0.1"),
        ]
    }

    fn logs(&self) -> String {
        let http = std::fs::read_to_string(&self.tinyproxy_log).unwrap_or_default();
        http + &self.socks.log()
    }
}

/// Three `spiped -d` with one target: at a socket, and for WebSockets plain and by TLS.
struct Far {
    room: Room,
    target: Server,
    certificate: Certificate,
    daemons: Vec<Daemon>,
}

impl Far {
    fn start(target: Server) -> Self {
        let room = Room::new();
        let certificate = Certificate::new(&room.path("tls"));
        let any = Address::any_v4();
        let spiped = || Spiped::new(Ours, Role::Decrypt, &room, &any, target.address());
        let files =
            [&certificate.certificate, &certificate.key].map(|it| it.to_str().expect("UTF-8"));
        let daemons = vec![
            spiped().start(),
            spiped().source_text("ws://127.0.0.1:0/a%20b?c").start(),
            spiped()
                .source_text("wss://127.0.0.1:0/")
                .flags(&["--tls-cert", files[0], "--tls-key", files[1]])
                .start(),
        ];
        Self { room, target, certificate, daemons }
    }

    /// The targets, and the host and port of each as a proxy gets to see it.
    fn targets(&self, name: &str) -> [(String, String); 3] {
        let port = |index: usize| self.daemons[index].address().port();
        [
            (format!("{NAME}:{}", port(0)), format!("{name}:{}", port(0))),
            (format!("ws://{NAME}:{}/a%20b?c", port(1)), format!("{name}:{}", port(1))),
            // Its certificate is for this address.
            (format!("wss://127.0.0.1:{}", port(2)), format!("127.0.0.1:{}", port(2))),
        ]
    }

    /// Whom to trust for a target.
    fn trust(&self, target: &str) -> Vec<&str> {
        if !target.starts_with("wss") {
            return Vec::new();
        }
        vec!["--tls-ca", self.certificate.authority.to_str().expect("UTF-8")]
    }

    /// `spipe` to a target, with an environment and options.
    fn spipe(&self, target: &str, environment: &[(&str, &str)], flags: &[&str]) -> Finished {
        let mut command = Command::new(Ours.path(Program::Spipe));
        command.args(["-t", target, "-k"]).arg(self.room.key()).args(self.trust(target));
        command.args(flags).args(["--log-level", "info"]).env_remove("RUST_LOG");
        without_proxies(&mut command).envs(environment.iter().copied());
        run(&mut command, b"hello")
    }
}

/// The same amount in both directions at once, and no end before all is there.
fn both_ways(first: Socket, second: Socket) {
    let dup = |socket: &Socket| socket.try_clone().expect("dup");
    std::thread::scope(|scope| {
        for (seed, from, to) in [(1, &first, &second), (2, &second, &first)] {
            let (mut from, mut to) = (dup(from), dup(to));
            scope.spawn(move || send(&mut from, &mut Pattern::new(seed), SOME).expect("send"));
            scope.spawn(move || {
                Checker::new(seed).read_exactly(&mut to, SOME).expect("all of it");
            });
        }
    });
}

#[track_caller]
fn echoed(finished: &Finished) {
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(finished.stdout, b"hello", "{}", finished.stderr);
}

#[test]
fn every_target_is_reached_through_every_proxy() {
    let test = "every_target_is_reached_through_every_proxy";
    if !have(test, &["tinyproxy", "microsocks", "openssl"]) {
        return;
    }
    let far = Far::start(Server::holding());
    let proxies = Proxies::start(&far.room);
    let any = Address::any_v4();
    for (url, shown, name) in proxies.urls() {
        for (target, seen) in far.targets(name) {
            let encrypt = Spiped::new(Ours, Role::Encrypt, &far.room, &any, &any)
                .target(&target)
                .flags(&far.trust(&target))
                .flags(&["--proxy", &url])
                .start();
            let client = encrypt.address().connect().expect("connect");
            if target.contains("://") {
                exchange(client, far.target.accept(), SOME);
            } else {
                // These proxies end both directions of a connection with the first.
                both_ways(client, far.target.accept());
            }
            wait_until("the proxy says where it went", || proxies.logs().contains(&seen));
            let log = encrypt.log();
            assert!(log.contains(&format!("through the proxy {shown} (--proxy)")), "{log}");
            assert!(!log.contains("hush"), "{log}");
        }
    }
}

#[test]
fn the_environment_names_proxies_for_websockets() {
    let test = "the_environment_names_proxies_for_websockets";
    if !have(test, &["tinyproxy", "microsocks", "openssl"]) {
        return;
    }
    let far = Far::start(Server::echo());
    let proxies = Proxies::start(&far.room);
    let [(http, http_shown, _), (socks, socks_shown, _), _] = proxies.urls();
    let [(tcp, _), (ws, ws_seen), (wss, wss_seen)] = far.targets(NAME);
    let said = |finished: &Finished| {
        echoed(finished);
        let (_, rest) = finished.stderr.split_once("through the proxy ")?;
        Some(rest.lines().next().unwrap_or_default().to_owned())
    };

    let found = far.spipe(&wss, &[("https_proxy", &http), ("all_proxy", &socks)], &[]);
    assert_eq!(said(&found), Some(format!("{http_shown} (https_proxy)")));
    let found = far.spipe(&ws, &[("HTTP_PROXY", "http://[::1]:1"), ("ALL_PROXY", &socks)], &[]);
    assert_eq!(said(&found), Some(format!("{socks_shown} (ALL_PROXY)")));
    wait_until("both have been used", || {
        let logs = proxies.logs();
        logs.contains(&wss_seen) && logs.contains(&ws_seen)
    });

    // From here on nothing goes through a proxy, or it would fail.
    let nowhere = format!("http://127.0.0.1:{}", Address::unused().port());
    let all = ["http_proxy", "https_proxy", "all_proxy"].map(|name| (name, nowhere.as_str()));
    assert!(!far.spipe(&ws, &all, &[]).status.success());
    assert_eq!(said(&far.spipe(&tcp, &all, &[])), None);
    assert_eq!(said(&far.spipe(&ws, &all, &["--proxy", "none"])), None);
    for exempt in ["*", "x, 127.0.0.0/8, 127.1"] {
        for target in [&ws, &wss] {
            let with = [&all[..], &[("no_proxy", exempt)]].concat();
            assert_eq!(said(&far.spipe(target, &with, &[])), None, "{exempt}");
        }
    }
    let found = far.spipe(&ws, &all, &["--proxy", &socks]);
    assert_eq!(said(&found), Some(format!("{socks_shown} (--proxy)")));

    let refused = far.spipe(&wss, &[("https_proxy", "https://joe:hush@p")], &[]);
    assert_eq!(refused.status.code(), Some(1));
    let text = refused.stderr;
    assert!(text.contains("https_proxy: bad proxy") && text.contains("--proxy none"), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn what_a_proxy_answers_is_told() {
    let test = "what_a_proxy_answers_is_told";
    if !have(test, &["tinyproxy", "microsocks", "openssl"]) {
        return;
    }
    let far = Far::start(Server::echo());
    let proxies = Proxies::start(&far.room);
    let [(http, http_bare, _), (socks, socks_bare, _), _] = proxies.urls();
    let [(tcp, _), (ws, _), _] = far.targets(NAME);
    let nobody = format!("[127.0.0.1]:{}", Address::unused().port());
    let wrong = |url: &str| url.replace("hush", "wrong");
    let absent = format!("http://{nobody}");
    let no_proxy_there =
        format!("no way to the proxy of --proxy for {tcp}: cannot connect to 127.0.0.1:");
    for (target, proxy, reason) in [
        (&tcp, http_bare.as_str(), "no way through the proxy of --proxy at 127.0.0.1:"),
        (&tcp, http_bare.as_str(), "asks for a user and a password: HTTP/1.0 407"),
        (&ws, &wrong(&http), "HTTP/1.0 401"),
        (&ws, &socks_bare, "asks for a user and a password"),
        (&tcp, &wrong(&socks), "does not take this user and password"),
        (&nobody, &http, "the proxy refuses: HTTP/1."),
        (&nobody, &socks, "the connection was refused"),
        (&tcp, &absent, &no_proxy_there),
        // The right address, the wrong language.
        (&tcp, &socks.replace("socks5h", "http"), "it ended the connection"),
    ] {
        let finished = far.spipe(target, &[], &["--proxy", proxy]);
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(reason), "{proxy}: {}", finished.stderr);
        assert!(!finished.stderr.contains("wrong"), "{}", finished.stderr);
        assert_eq!(finished.stdout, b"");
    }
    assert_eq!(far.target.connections(), 0);
}

#[test]
fn a_proxy_that_says_nothing_is_given_up_in_time() {
    if !have("a_proxy_that_says_nothing_is_given_up_in_time", &["openssl"]) {
        return;
    }
    let far = Far::start(Server::echo());
    let silent = Server::holding();
    for scheme in ["http", "socks5", "socks5h"] {
        let proxy = format!("{scheme}://127.0.0.1:{}", silent.address().port());
        for (target, _) in far.targets(NAME) {
            let finished = far.spipe(&target, &[], &["--proxy", &proxy, "-o", "0.3"]);
            assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
            assert!(finished.stderr.contains("in time"), "{}", finished.stderr);
        }
    }
    assert_eq!(far.target.connections(), 0);
}
