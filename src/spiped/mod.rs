//! The daemon.

pub mod args;
pub mod daemon;
pub mod pidfile;
pub mod user;
