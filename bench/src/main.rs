//! The program behind `make bench`. Owns nothing but the way in; next is `lib.rs`.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    spiped_bench::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("spiped-bench: needs Linux, because it reads what processes use from /proc");
    ExitCode::FAILURE
}
