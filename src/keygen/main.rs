//! Entry point of `spiped-keygen`; what it does is in `run.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    spiped_programs::keygen::run::main()
}
