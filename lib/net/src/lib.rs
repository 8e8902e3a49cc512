//! The only library crate that touches the operating system.
#![deny(unsafe_code)]

pub mod addr;
pub mod dns;
pub mod limits;
pub mod listener;
pub mod rate;
pub mod signal;
