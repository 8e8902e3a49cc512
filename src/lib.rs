//! What the programs `spiped`, `spipe` and `spiped-keygen` are made of, as a library so that tests
//! can reach it. It may change in any version; the libraries for others are spiped-proto and
//! spiped-ws.

pub mod blocking;
pub mod carrier;
pub mod key;
pub mod keygen;
pub mod logger;
pub mod memory;
pub mod options;
pub mod route;
pub mod sandbox;
pub mod spipe;
pub mod spiped;
