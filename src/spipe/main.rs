//! Entry point of `spipe`.
fn main() {}
