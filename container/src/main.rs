//! Entry point of the container image: there is no shell in it.
//!
//! Owns the order: what is asked for (`plan.rs`), the key (`key.rs`), and then to become the
//! program that does it, so that signals reach it as process 1 and its exit status is the
//! container's. Whether a container is healthy is `health.rs`. Refuses to stay in between.

mod health;
mod key;
mod places;
mod plan;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use log::{Level, LevelFilter};
use spiped_programs::{logger, memory};

use key::{Key, NewKey};
use plan::{Daemon, Plan, Task, Variables};

/// What messages begin with: users know no program of ours but the image.
const PROGRAM: &str = "spiped-container";

/// How long the last lines of the log may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let task = match Plan::make(&words, &Variables::from_env()) {
        Ok(task) => task,
        Err(reason) => return fail(&reason, 1),
    };
    match task {
        Task::Help => match io::stdout().write_all(plan::HELP.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("the help cannot be written: {error}"), 1),
        },
        Task::Keygen(file) => make_key(file),
        // Engines know 0 and 1.
        Task::Health => {
            match health::check().and_then(|said| health::announce(&mut io::stdout(), &said)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(reason) => fail(&reason, 1),
            }
        }
        Task::Daemon(daemon) => become_daemon(daemon),
        Task::Other(words) => {
            if let Some(warning) = plan::warning(&words) {
                eprintln!("{PROGRAM}: warning: {warning}");
            }
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            become_program(command)
        }
    }
}

/// Before there is a key in our memory. Other programs than spiped do not get this: the limit of
/// core dumps would go on to them.
fn hide_memory() {
    memory::keep_private();
    memory::lock_secrets(Level::Debug);
}

/// Makes a key, and says where it is.
fn make_key(new: NewKey) -> ExitCode {
    logger::init(PROGRAM, None, LevelFilter::Warn).expect("nobody has installed a logger before");
    hide_memory();
    let made = key::generate(Path::new("/"), new)
        .and_then(|fingerprint| key::announce(&mut io::stdout(), new, &fingerprint));
    logger::flush(LAST_WORDS);
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(&reason, 1),
    }
}

/// Becomes spiped, with a key.
fn become_daemon(daemon: Daemon) -> ExitCode {
    hide_memory(); // spiped does so itself, and warns if it cannot
    let mut command = Command::new("spiped");
    if let Some(filters) = daemon.log_filters {
        command.env("RUST_LOG", filters);
    }
    if let Some(wanted) = daemon.key {
        match key::find(Path::new("/"), wanted).and_then(|key| add_key(&mut command, key)) {
            Ok(()) => {}
            Err(reason) => return fail(&reason, 1),
        }
    }
    // Behind the key, which an option of the user's that lacks its value must not swallow.
    command.args(daemon.arguments);
    become_program(command)
}

/// Adds `-k`; a key that was converted comes by standard input, so that it is never in a file.
fn add_key(command: &mut Command, key: Key) -> Result<(), String> {
    command.arg("-k");
    match key {
        Key::File(path) => command.arg(path),
        Key::Converted(key) => {
            let pass = || -> io::Result<OwnedFd> {
                let (reader, mut writer) = io::pipe()?;
                writer.write_all(key.expose())?; // far less than a pipe holds
                Ok(reader.into())
            };
            let reader = pass().map_err(|error| format!("the key cannot be passed on: {error}"))?;
            command.arg("-").stdin(Stdio::from(reader))
        }
    };
    Ok(())
}

/// Becomes another program, or says why not, with the status that a shell would have.
fn become_program(mut command: Command) -> ExitCode {
    let error = command.exec();
    let name = command.get_program().to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound => {
            let known = "there are spiped, spipe and spiped-keygen, and the commands of help";
            fail(&format!("{name:?}: there is no such program in this image; {known}"), 127)
        }
        _ => fail(&format!("{name:?} cannot be run: {error}"), 126),
    }
}

fn fail(reason: &str, status: u8) -> ExitCode {
    eprintln!("{PROGRAM}: error: {reason}");
    ExitCode::from(status)
}
