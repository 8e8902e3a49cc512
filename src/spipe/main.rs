//! Entry point of `spipe`; what it does is in `run.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    spiped_programs::spipe::run::main()
}
