//! What `spiped-keygen` does.
//!
//! Owns the three tasks and what is printed: the fingerprint, on standard output unless the key
//! goes there. Refuses to keep a key anywhere but in memory that is wiped. The form of wormhole's
//! file is `yaml.rs`, that of a new file `file.rs`; the fingerprint is computed in `crypt.rs` of
//! lib/proto, since it is made of K.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use log::{Level, LevelFilter};
use spiped_net::explain::unreadable;
use spiped_proto::{Secret, SharedKey};

use super::args::{self, Destination, Task};
use super::{file, yaml};
use crate::options::KeySource;
use crate::{blocking, key, logger, memory};

/// Bytes of a new key: as many as K has.
pub const KEY_LEN: usize = yaml::KEY_LEN;

/// How long the last lines of the log may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the program; the status of the process.
#[must_use]
pub fn main() -> ExitCode {
    let task = match args::parse_from(std::env::args_os()) {
        Ok(task) => task,
        Err(exit) => return exit.report(),
    };
    logger::init("spiped-keygen", None, LevelFilter::Warn)
        .expect("nobody has installed a logger before");
    logger::report_panics();
    memory::keep_private();
    memory::lock_secrets(Level::Debug);
    let done = run(&task);
    if let Err(reason) = &done {
        log::error!("{reason}");
    }
    logger::flush(LAST_WORDS);
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(task: &Task) -> Result<(), String> {
    match task {
        Task::Make(destination) => hand_out(&random()?, destination),
        Task::Convert(yaml, destination) => {
            let key = convert(yaml).map_err(|problem| format!("--from-yaml {problem}"))?;
            hand_out(&key, destination)
        }
        Task::Fingerprint(source) => {
            let key = key::read_to_compare("--fingerprint", source)?;
            print(&mut io::stdout(), &fingerprint(&key))
        }
    }
}

/// A new key.
///
/// # Errors
///
/// If the system has no random numbers.
pub fn random() -> Result<Secret<KEY_LEN>, String> {
    Secret::try_filled(|key: &mut [u8; KEY_LEN]| getrandom::fill(key))
        .map_err(|error| format!("the system gives no random numbers: {error}"))
}

/// The key of a wormhole key file.
///
/// # Errors
///
/// One line: the file, what is wrong with it.
pub fn convert(source: &KeySource) -> Result<Secret<KEY_LEN>, String> {
    let (name, opened) = match source {
        KeySource::File(path) => (format!("{:?}", path.to_string_lossy()), File::open(path)),
        KeySource::Stdin => {
            let stdin = io::stdin().as_fd().try_clone_to_owned();
            ("- (standard input)".to_owned(), stdin.map(File::from))
        }
    };
    let (text, length) = opened
        .and_then(|file| read_yaml(&file))
        .map_err(|error| format!("{name}: {}", unreadable(&error, "key.yaml of wormhole")))?;
    let key = yaml::parse(&text.expose()[..length]);
    spiped_proto::wipe_stack();
    key.map_err(|problem| format!("{name}: {problem}"))
}

/// As much of the file as a key may have, and a byte more, which then is no line of it.
fn read_yaml(file: &File) -> io::Result<(Secret<{ yaml::MAX_LEN }>, usize)> {
    let mut text = Secret::<{ yaml::MAX_LEN }>::zeroed();
    let mut length = 0;
    loop {
        if length == yaml::MAX_LEN {
            return Err(io::Error::other("it is too long for a key.yaml of wormhole"));
        }
        match blocking::read(file.as_fd(), &mut text.expose_mut()[length..])? {
            0 => return Ok((text, length)),
            n => length += n,
        }
    }
}

/// Writes the key where it is to go, and prints its fingerprint.
fn hand_out(key: &Secret<KEY_LEN>, destination: &Destination) -> Result<(), String> {
    let shared = SharedKey::from_pieces([key.expose().as_slice()]);
    spiped_proto::wipe_stack();
    let fingerprint = fingerprint(&shared);
    match destination {
        Destination::NewFile(path) => {
            file::create(path, key.expose()).map_err(|error| error.to_string())?;
            print(&mut io::stdout(), &fingerprint).map_err(|error| {
                format!(
                    "{:?} holds the new key, but {error}; the key is good: do not make another, \
                     show its fingerprint with: spiped-keygen --fingerprint '{}'",
                    path.to_string_lossy(),
                    path.display()
                )
            })
        }
        Destination::Stdout => {
            let stdout = io::stdout();
            if stdout.is_terminal() {
                return Err("- would show the key on the terminal; redirect standard output \
                            to where it is needed, or name a file"
                    .to_owned());
            }
            if is_dev_null(&stdout) {
                return Err(
                    "- would throw the key away: standard output is closed, or /dev/null; \
                            redirect it to where the key is needed, or name a file"
                        .to_owned(),
                );
            }
            // Past the buffer of io::stdout(), which nobody wipes.
            blocking::write_all(stdout.as_fd(), key.expose())
                .map_err(|error| format!("the key cannot be written: {error}"))?;
            print(&mut io::stderr(), &fingerprint)
        }
    }
}

/// Whether nobody gets what is written there. A standard output that is closed is /dev/null before
/// we begin: the runtime of Rust opens that in its place.
fn is_dev_null(stdout: &impl AsFd) -> bool {
    let device = |file: File| file.metadata().map(|found| (found.file_type(), found.rdev()));
    let ours = stdout.as_fd().try_clone_to_owned().map(File::from).and_then(device);
    let null = File::open("/dev/null").and_then(device);
    // Where there is no /dev/null it cannot be it.
    matches!((ours, null), (Ok(ours), Ok(null)) if ours == null)
}

/// The fingerprint of a key, as people read it to each other: `ABCD-EFGH-IJKL-MNOP`.
#[must_use]
pub fn fingerprint(key: &SharedKey) -> String {
    let text = BASE32_NOPAD.encode(&key.fingerprint());
    let groups: Vec<&str> = (0..text.len()).step_by(4).map(|at| &text[at..at + 4]).collect();
    groups.join("-")
}

fn print(to: &mut impl Write, fingerprint: &str) -> Result<(), String> {
    writeln!(to, "{fingerprint}")
        .and_then(|()| to.flush())
        .map_err(|error| format!("the fingerprint cannot be printed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_four_groups_of_four() {
        // Python: base64.b32encode() of the bytes in the tests of lib/proto's crypt.rs.
        let key = SharedKey::from_pieces([b"abc".as_slice()]);
        assert_eq!(fingerprint(&key), "PKZW-7S6M-MQS5-M4PJ");
    }

    #[test]
    fn no_two_keys_are_the_same() {
        assert_ne!(random().unwrap().expose(), random().unwrap().expose());
    }
}
