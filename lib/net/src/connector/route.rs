//! Where connections to the target are made, and how that changes while the process runs.
//!
//! Owns the addresses in use. Refuses to look them up (`dns.rs`). Part of `connector.rs`.

use std::sync::Arc;
use std::time::Duration;

use crate::addr::Endpoint;
use crate::dns::Follows;
use crate::transport::dial::Opening;

/// Where and how connections to the target are made.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) targets: Arc<[Endpoint]>,
    /// `-b`: what outgoing sockets are bound to, the first of the right family.
    pub(crate) bind: Arc<[Endpoint]>,
    pub(crate) timeout: Option<Duration>,
    /// What is to be done on the socket before it is usable.
    pub(crate) opening: Opening,
}

impl Route {
    /// New connections go by these addresses, which have just been looked up, from now on.
    pub(crate) fn follow(&mut self, what: Follows, found: Vec<Endpoint>) {
        match (what, &mut self.opening.via) {
            (Follows::Destination, Some(via)) => {
                if Arc::make_mut(via).redirect(&found) {
                    log::info!("the proxy is now asked for {}", via.shown());
                }
            }
            (Follows::Destination, None) => {}
            (Follows::FirstHop, via) if *self.targets != *found => {
                let whose = if via.is_some() { "proxy" } else { "target" };
                let list: Vec<String> = found.iter().map(ToString::to_string).collect();
                log::info!("the {whose}'s addresses are now {}", list.join(", "));
                self.targets = Arc::from(found);
            }
            (Follows::FirstHop, _) => {}
        }
    }
}
