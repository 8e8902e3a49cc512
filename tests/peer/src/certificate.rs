//! Certificates for tests, by openssl.
//!
//! Owns nothing else. Part of `lib.rs`; next: `pattern.rs`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// Makes a certificate for localhost by an authority of its own: `ca.pem`, `cert.pem` and `key.pem`
/// in `directory`, which is made, too. False, after saying so, if there is no openssl here.
///
/// # Panics
///
/// If openssl fails; and where `CI=true`, if it is not there.
#[must_use]
pub fn certify(directory: &Path) -> bool {
    fs::create_dir_all(directory).expect("a directory");
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
    fs::write(directory.join("names"), names).expect("a file");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for line in [
        &*format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
        &format!("req {key} -keyout key.pem -out request -subj /CN=localhost"),
        "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names \
         -out cert.pem",
    ] {
        let arguments = line.split_ascii_whitespace();
        match Command::new("openssl").args(arguments).current_dir(directory).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
                assert!(!ci, "openssl is not installed");
                eprintln!("*** skipped: openssl is not installed");
                return false;
            }
            output => {
                let output = output.expect("openssl runs");
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "openssl {line}: {said}");
            }
        }
    }
    true
}
