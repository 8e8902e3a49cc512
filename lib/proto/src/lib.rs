//! The spiped protocol as a pure state machine.
#![forbid(unsafe_code)]
