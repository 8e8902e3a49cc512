//! The way to the target: to it, or to a proxy that goes on to it.
//!
//! Owns which addresses sockets are connected to, and which names are to be looked up. Refuses to
//! look up, to connect, and to choose a proxy: that is `proxy/select.rs` of lib/net. Next:
//! `spiped/run.rs` and `spipe/run.rs`.

use std::env;

use spiped_net::addr::{Address, Endpoint};
use spiped_net::bind::{self, BindError};
use spiped_net::dns::Follows;
use spiped_net::proxy::{self, Choice, Destination, Selected, Via};

use crate::options::WebOptions;

/// The way to one target.
#[derive(Clone, Debug)]
pub struct Route {
    target: Address,
    through: Option<Through>,
}

#[derive(Clone, Debug)]
struct Through {
    selected: Selected,
    /// `None` while the target's name has to be looked up here.
    destination: Option<Destination>,
}

impl Route {
    /// The way to `target`, by `--proxy` or by the environment of the process.
    ///
    /// # Errors
    ///
    /// One line that names the option or the variable.
    pub fn new(target: Address, options: &WebOptions) -> Result<Self, String> {
        let choice = match &options.proxy {
            None => Choice::Environment,
            Some(text) => {
                Choice::parse(text.text()).map_err(|error| format!("--proxy: {error}"))?
            }
        };
        let Some(selected) = proxy::select(&choice, &target, |name| env::var_os(name))? else {
            return Ok(Self { target, through: None });
        };
        let destination = Destination::new(&target).map_err(|error| format!("-t: {error}"))?;
        let here = matches!(destination, Destination::Name { .. })
            && selected.proxy.kind().resolves_here();
        let destination = (!here).then_some(destination);
        Ok(Self { target, through: Some(Through { selected, destination }) })
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &Address {
        &self.target
    }

    /// What sockets are connected to, and the option that it comes from.
    #[must_use]
    pub fn first_hop(&self) -> (&'static str, &Address) {
        match &self.through {
            None => ("-t", self.target.socket()),
            Some(through) => (through.selected.source, through.selected.proxy.address()),
        }
    }

    /// The target, if its addresses are wanted for the proxy.
    #[must_use]
    pub fn wanted(&self) -> Option<&Address> {
        let through = self.through.as_ref()?;
        through.destination.is_none().then(|| self.target.socket())
    }

    /// Says whether sockets from the addresses of `-b` can reach those of the first hop: what may
    /// become possible is a warning only.
    ///
    /// # Errors
    ///
    /// One line with the option, if no connection can ever be made.
    pub fn check_bind(&self, bind: &[Endpoint], targets: &[Endpoint]) -> Result<(), String> {
        let (option, hop) = self.first_hop();
        match bind::check(bind, targets) {
            Ok(()) => Ok(()),
            Err(error @ BindError::Family(..)) if !hop.is_name() => {
                Err(format!("-b: {error} ({option}); choose one of that family, or leave -b out"))
            }
            Err(error) => {
                log::warn!("-b: {error}; connections fail until that changes");
                Ok(())
            }
        }
    }

    /// The names on the way, whose addresses may change.
    #[must_use]
    pub fn names(&self) -> Vec<(Follows, Address)> {
        let (_, hop) = self.first_hop();
        let hop = hop.is_name().then(|| (Follows::FirstHop, hop.clone()));
        let wanted = self.wanted().map(|address| (Follows::Destination, address.clone()));
        hop.into_iter().chain(wanted).collect()
    }

    /// What the proxy is to do; `found` are the addresses of what was [wanted](Self::wanted), never
    /// none.
    #[must_use]
    pub fn via(&self, found: &[Endpoint]) -> Option<Via> {
        let through = self.through.as_ref()?;
        let destinations = match &through.destination {
            Some(destination) => vec![destination.clone()],
            None => Destination::all_of(found),
        };
        let Selected { proxy, source } = through.selected.clone();
        Some(Via { proxy, destinations, source })
    }

    /// Says in the log which proxy it is.
    pub fn log(&self) {
        if let Some(through) = &self.through {
            log::info!("connecting through the proxy {}", through.selected);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Hidden;

    fn route(target: &str, proxy: &str) -> Result<Route, String> {
        let proxy = Some(Hidden::from(proxy.to_owned()));
        Route::new(Address::parse(target).unwrap(), &WebOptions { proxy, ..WebOptions::default() })
    }

    #[test]
    fn without_a_proxy_the_way_is_to_the_socket_of_the_target() {
        for (target, hop) in [("h:22", "h:22"), ("wss://h/x", "h:443"), ("/run/x", "/run/x")] {
            let route = route(target, "none").unwrap();
            let (option, address) = route.first_hop();
            assert_eq!((option, address.to_string().as_str()), ("-t", hop));
            assert_eq!((route.wanted(), route.via(&[])), (None, None));
        }
    }

    #[test]
    fn with_a_proxy_names_are_looked_up_by_whom_its_scheme_says() {
        let found = ["192.0.2.1:443", "[2001:db8::1]:443"];
        let endpoints = found.map(|it| Endpoint::Tcp(it.parse().unwrap()));
        let cases = [
            ("http://p:1", None, &["h:443"][..]),
            ("socks5h://p:1", None, &["h:443"]),
            ("socks5://p:1", Some("h:443"), &found),
        ];
        for (proxy, wanted, destinations) in cases {
            let route = route("wss://h/x", proxy).unwrap();
            let (option, address) = route.first_hop();
            assert_eq!((option, address.to_string().as_str()), ("--proxy", "p:1"));
            assert_eq!(route.wanted().map(ToString::to_string).as_deref(), wanted);
            let names = route.names();
            let names: Vec<(Follows, String)> =
                names.iter().map(|(what, name)| (*what, name.to_string())).collect();
            let mut expected = vec![(Follows::FirstHop, "p:1".to_owned())];
            expected.extend(wanted.map(|name| (Follows::Destination, name.to_owned())));
            assert_eq!(names, expected);
            let via = route.via(&endpoints).unwrap();
            assert_eq!(via.proxy.to_string(), proxy);
            let asked: Vec<String> = via.destinations.iter().map(ToString::to_string).collect();
            assert_eq!(asked, destinations);
            assert_eq!(via.source, "--proxy");
        }
        // There is nothing to look up in an IP address.
        assert_eq!(route("[::1]:22", "socks5://p").unwrap().wanted(), None);
        assert_eq!(route("[::1]:22", "socks5://127.0.0.1").unwrap().names(), []);
    }

    #[test]
    fn addresses_of_b_are_refused_only_if_they_can_never_do() {
        let bind = [Endpoint::Tcp("127.0.0.1:0".parse().unwrap())];
        let v6 = [Endpoint::Tcp("[::1]:22".parse().unwrap())];
        let checked = |target| route(target, "none").unwrap().check_bind(&bind, &v6);
        let error = checked("[::1]:22").unwrap_err();
        assert!(error.starts_with("-b: no connection from 127.0.0.1:0, an IPv4"), "{error}");
        // The name may get other addresses.
        assert_eq!(checked("localhost:22"), Ok(()));
        let others = [Endpoint::Tcp("192.0.2.1:0".parse().unwrap())];
        let target = [Endpoint::Tcp("127.0.0.1:1".parse().unwrap())];
        assert_eq!(route("127.0.0.1:1", "none").unwrap().check_bind(&others, &target), Ok(()));
    }

    #[test]
    fn what_cannot_be_is_refused_by_the_name_of_its_option() {
        let error = route("h:22", "ftp://joe:hush@p").unwrap_err();
        assert!(error.starts_with("--proxy: bad proxy \"ftp://...@p\""), "{error}");
        assert!(route("/run/x", "http://p").unwrap_err().starts_with("--proxy: no proxy can"));
        let error = route("h:nosuchservice", "http://p").unwrap_err();
        assert!(error.starts_with("-t: unknown service"), "{error}");
    }
}
