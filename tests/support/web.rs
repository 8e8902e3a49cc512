//! A web server for tests: nginx, with the configuration that README.md gives, and a certificate.
//!
//! It owns the way from README's words to ones for this room. Next: `tests/web_servers.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::foreign::{Foreign, find};
use super::process::run;
use super::{Address, Room};

/// The fenced block of README.md in a language.
#[track_caller]
pub(crate) fn snippet(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    let (_, rest) = readme.split_once(&format!("```{language}\n")).expect("such a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// The text with each pair's second in place of its first, which must be there.
#[track_caller]
pub(crate) fn adapt(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        text.replace(from, to)
    })
}

/// A certificate for `localhost`, its key, and the authority that vouches for it.
pub(crate) struct Certificate {
    /// The certificate.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// The authority's own certificate.
    pub(crate) authority: PathBuf,
}

impl Certificate {
    /// Makes one in `directory`, which it creates, by openssl.
    #[track_caller]
    pub(crate) fn new(directory: &Path) -> Self {
        assert!(spiped_peer::certify(directory), "openssl was looked for before");
        let path = |name: &str| directory.join(name);
        Self { certificate: path("cert.pem"), key: path("key.pem"), authority: path("ca.pem") }
    }
}

/// nginx with these lines in its `http` block, which listen at `addresses`.
#[track_caller]
pub(crate) fn nginx(room: &Room, lines: &str, addresses: &[&Address]) -> Foreign {
    let dir = room.path("nginx");
    std::fs::create_dir_all(&dir).expect("a directory");
    // The workers may go where the room's owner may: its directory is nobody else's.
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/{name};\n", dir.display()))
        .concat();
    let config = format!(
        "{user}\ndaemon off;\npid {}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log \
         off;\n{temp}{lines}\n}}\n",
        dir.display()
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, config).expect("write");
    let mut command = Command::new(find("nginx").expect("looked for before"));
    command.arg("-p").arg(&dir).arg("-c").arg(&file).args(["-e", "stderr"]);
    Foreign::start("nginx", &mut command, addresses)
}

/// README's nginx, plain and by TLS at these addresses, before a daemon.
#[track_caller]
pub(crate) fn readme_nginx(
    room: &Room,
    [plain, tls]: [&Address; 2],
    certificate: &Certificate,
    daemon: &Address,
) -> Foreign {
    let text = |path: &Path| path.to_str().expect("temporary paths are UTF-8").to_owned();
    let config = adapt(
        &snippet("nginx"),
        &[
            ("listen 80;", &format!("listen 127.0.0.1:{};", plain.port())),
            ("listen 443 ssl;", &format!("listen 127.0.0.1:{} ssl;", tls.port())),
            ("server.example.com;", "localhost;"),
            ("/etc/ssl/server.example.com.pem", &text(&certificate.certificate)),
            ("/etc/ssl/server.example.com.key", &text(&certificate.key)),
            ("/var/www/html", &text(&room.path("www"))),
            ("127.0.0.1:3000", &format!("127.0.0.1:{}", daemon.port())),
        ],
    );
    nginx(room, &config, &[plain, tls])
}
