//! The two implementations: ours, as built by cargo, and C spiped.
//!
//! C spiped is the one of `SPIPED_C` (its path), of `PATH`, or the one that
//! `tests/fetch-c-spiped.sh` unpacks below `target/`. A missing one skips the interop tests
//! loudly, and fails them where `CI=true`. Next: `process.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Who made the program at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Implementation {
    /// This project.
    Ours,
    /// C spiped 1.6.
    C,
}

/// Which of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The daemon.
    Spiped,
    /// The client between stdin and stdout.
    Spipe,
}

impl Implementation {
    /// Where the executable of `program` is.
    pub(crate) fn path(self, program: Program) -> PathBuf {
        match (self, program) {
            (Self::Ours, Program::Spiped) => env!("CARGO_BIN_EXE_spiped").into(),
            (Self::Ours, Program::Spipe) => env!("CARGO_BIN_EXE_spipe").into(),
            (Self::C, Program::Spiped) => c_spiped().expect("C spiped was looked for before"),
            (Self::C, Program::Spipe) => {
                c_spiped().expect("C spiped was looked for before").with_file_name("spipe")
            }
        }
    }
}

/// True if a C peer is at hand. If not: says so and returns false, or panics where `CI=true`.
pub(crate) fn have_c(test: &str) -> bool {
    if c_spiped().is_some() {
        return true;
    }
    let why = "no C spiped found (SPIPED_C, PATH, or what tests/fetch-c-spiped.sh unpacks)";
    super::skip(test, why);
    false
}

/// The path of C spiped, looked for once.
fn c_spiped() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(find_c_spiped).clone()
}

fn find_c_spiped() -> Option<PathBuf> {
    // Named by hand: then it has to be right.
    if let Some(path) = std::env::var_os("SPIPED_C") {
        let path = PathBuf::from(path);
        assert!(is_c(&path), "SPIPED_C: {} is not C spiped 1.6", path.display());
        return Some(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join("spiped")).find(|path| is_c(path)).or_else(
        || {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fetch-c-spiped.sh");
            let output = Command::new("sh").arg(script).output().ok()?;
            super::say(&String::from_utf8_lossy(&output.stderr));
            let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
            is_c(&path).then_some(path)
        },
    )
}

/// C spiped, and not ours under the same name: it knows no `--help`, but a version of 1.6.
fn is_c(path: &Path) -> bool {
    let Ok(version) = Command::new(path).arg("-v").output() else { return false };
    let Ok(help) = Command::new(path).arg("--help").output() else { return false };
    String::from_utf8_lossy(&version.stderr).starts_with("spiped 1.6") && !help.status.success()
}
