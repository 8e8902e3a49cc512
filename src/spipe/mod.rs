//! The client.

pub mod args;
