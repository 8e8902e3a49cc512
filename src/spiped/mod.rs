//! The daemon: from its command line to the event loop, in the order of `run.rs`.

pub mod args;
pub mod daemon;
mod lookup;
pub mod pidfile;
pub mod run;
pub mod user;
