//! The client: from its command line to the event loop, in the order of `run.rs`.

pub mod args;
mod check;
mod progress;
pub mod run;
pub mod stdio;
