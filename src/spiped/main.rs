//! Entry point of `spiped`; what it does is in `run.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    spiped_programs::spiped::run::main()
}
