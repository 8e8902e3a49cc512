//! The key generator: makes keys, converts wormhole's, and shows fingerprints. Start at `run.rs`.

pub mod args;
pub mod file;
pub mod run;
pub mod yaml;
