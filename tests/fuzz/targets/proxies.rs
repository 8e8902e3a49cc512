//! Proxies: whatever one sends, in whatever pieces, we end in time, say why in one printable line,
//! and take no byte that is the destination's.
//!
//! Owns the promises of `lib/net/src/proxy.rs`. The first byte chooses the proxy and how the rest,
//! what it sends, is cut. Next: `frames.rs`.
// smoke: 20000 runs
#![no_main]

use libfuzzer_sys::fuzz_target;
use spiped_net::addr::Address;
use spiped_net::proxy::{Destination, Negotiation, Proxy};

const PROXIES: [&str; 4] =
    ["http://p", "http://joe:hush@p", "socks5h://p:1", "socks5://joe:hush@p"];

const TARGETS: [&str; 3] = ["h:1", "[127.0.0.1]:2", "[::1]:3"];

fuzz_target!(|data: &[u8]| {
    // Any text is a proxy, or is refused in one line.
    if let Ok(text) = std::str::from_utf8(data) {
        match Proxy::parse(text) {
            Ok(proxy) => {
                let shown = proxy.to_string();
                let again = Proxy::parse(&shown).expect("a proxy as we show it");
                assert_eq!((again.kind(), again.address()), (proxy.kind(), proxy.address()));
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("expected"), "{said}");
                assert!(!said.contains(char::is_control), "{said:?}");
            }
        }
    }

    let Some((&plan, script)) = data.split_first() else { return };
    let plan = usize::from(plan);
    let proxy = Proxy::parse(PROXIES[plan % 4]).expect("a constant");
    let target = Address::parse(TARGETS[plan / 4 % 3]).expect("a constant");
    let destination = Destination::new(&target).expect("a constant");
    let whole = run(&proxy, &destination, script, script.len().max(1));
    let pieces = run(&proxy, &destination, script, plan / 12 + 1);
    assert_eq!(whole, pieces, "the same in pieces of any length");
});

/// What was said and taken; or why it was refused.
fn run(
    proxy: &Proxy,
    destination: &Destination,
    script: &[u8],
    size: usize,
) -> Result<(Vec<u8>, usize, bool), String> {
    let mut negotiation = Negotiation::new(proxy, destination);
    let (mut said, mut taken) = (Vec::new(), 0);
    negotiation.poll_transmit(&mut said);
    for piece in script.chunks(size) {
        let here = negotiation.handle_input(piece).map_err(|refusal| {
            let text = refusal.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
            text
        })?;
        taken += here;
        negotiation.poll_transmit(&mut said);
        if negotiation.is_done() {
            assert_eq!(negotiation.handle_input(b"x"), Ok(0));
            break;
        }
        assert_eq!(here, piece.len(), "all of it is the proxy's");
    }
    Ok((said, taken, negotiation.is_done()))
}
