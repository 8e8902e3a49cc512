//! The client.

pub mod args;
pub mod stdio;
