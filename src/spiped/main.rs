//! Entry point of `spiped`.
fn main() {}
