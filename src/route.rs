//! The way to the target: to it, or to a proxy that goes on to it.
//!
//! Owns which addresses sockets are connected to, and which names are to be looked up. Refuses to
//! look up, to connect, and to choose a proxy: that is `proxy/select.rs` of lib/net. Next:
//! `spiped/run.rs` and `spipe/run.rs`.

use std::env;
use std::fs;
use std::os::unix::fs::FileTypeExt;

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

/// When connections are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The only one, at once: `spipe`.
    Now,
    /// Whenever somebody comes: `spiped`.
    Later,
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
    /// become possible until they are wanted is a warning only.
    ///
    /// # Errors
    ///
    /// One line with the option, if no connection can be made.
    pub fn check(
        &self,
        bind: &[Endpoint],
        targets: &[Endpoint],
        wanted: Wanted,
    ) -> Result<(), String> {
        let (option, hop) = self.first_hop();
        let (problem, advice, lasts) = match (bind::check(bind, targets), no_socket(targets)) {
            (Err(error @ BindError::Family(..)), _) => (
                format!("-b: {error} ({option})"),
                "choose one of that family, or leave -b out",
                !hop.is_name(),
            ),
            (Err(error), _) => {
                (format!("-b: {error}"), "choose an address of this host, or leave -b out", false)
            }
            (Ok(()), Some(problem)) => {
                (format!("{option}: {problem}"), "expected the path of a UNIX socket", false)
            }
            (Ok(()), None) => return Ok(()),
        };
        if lasts || wanted == Wanted::Now {
            return Err(format!("{problem}; {advice}"));
        }
        log::warn!("{problem}; connections fail until that changes");
        Ok(())
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

/// What is in the place of a UNIX socket, if it is none; the system calls that a refusal. One that
/// is not there may come.
fn no_socket(targets: &[Endpoint]) -> Option<String> {
    let [Endpoint::Unix(path)] = targets else { return None };
    let found = fs::metadata(path).ok()?.file_type();
    let what = match found {
        _ if found.is_socket() => return None,
        _ if found.is_dir() => "a directory",
        _ => "no socket",
    };
    Some(format!("{:?} is {what}", path.to_string_lossy()))
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
        assert_eq!(route("127.0.0.1:22", "none").unwrap().names(), []);
        assert_eq!(route("127.0.0.1:ssh", "none").unwrap().names().len(), 1);
        assert_eq!(route("[::1]:22", "socks5://127.0.0.1").unwrap().names(), []);
    }

    #[test]
    fn addresses_of_b_are_refused_only_if_they_can_never_do() {
        let bind = [Endpoint::Tcp("127.0.0.1:0".parse().unwrap())];
        let v6 = [Endpoint::Tcp("[::1]:22".parse().unwrap())];
        let checked = |target, wanted| route(target, "none").unwrap().check(&bind, &v6, wanted);
        for (target, wanted) in
            [("[::1]:22", Wanted::Later), ("[::1]:22", Wanted::Now), ("localhost:22", Wanted::Now)]
        {
            let error = checked(target, wanted).unwrap_err();
            assert!(error.starts_with("-b: no connection from 127.0.0.1:0, an IPv4"), "{error}");
            assert!(error.ends_with("(-t); choose one of that family, or leave -b out"), "{error}");
        }
        // The name may get other addresses.
        assert_eq!(checked("localhost:22", Wanted::Later), Ok(()));
        let others = [Endpoint::Tcp("192.0.2.1:0".parse().unwrap())];
        let target = [Endpoint::Tcp("127.0.0.1:1".parse().unwrap())];
        let check = |wanted| route("127.0.0.1:1", "none").unwrap().check(&others, &target, wanted);
        assert_eq!(check(Wanted::Later), Ok(()));
        let expected = "-b: no connection can be made from 192.0.2.1:0 now: this host has no such \
                        address; choose an address of this host, or leave -b out";
        assert_eq!(check(Wanted::Now).unwrap_err(), expected);
    }

    #[test]
    fn what_is_no_socket_is_said_to_be_none() {
        let dir = tempfile::tempdir().unwrap();
        let check = |path: &std::path::Path, wanted| {
            let route = route(path.to_str().unwrap(), "none").unwrap();
            route.check(&[], &[Endpoint::Unix(path.to_owned())], wanted)
        };
        let error = check(dir.path(), Wanted::Now).unwrap_err();
        assert_eq!(
            error,
            format!("-t: {:?} is a directory; expected the path of a UNIX socket", dir.path())
        );
        assert_eq!(check(dir.path(), Wanted::Later), Ok(()));
        let file = dir.path().join("file");
        assert_eq!(check(&file, Wanted::Now), Ok(())); // nothing yet
        fs::write(&file, "").unwrap();
        assert!(check(&file, Wanted::Now).unwrap_err().contains("/file\" is no socket; expected"));
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        assert_eq!(check(&dir.path().join("socket"), Wanted::Now), Ok(()));
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
