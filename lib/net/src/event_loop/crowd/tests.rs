//! The crowd against a list that is searched anew each time, and what the choice is worth.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// SplitMix64: the draws of a test, the same each time.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn v4(number: usize) -> Origin {
    Origin::V4(u32::try_from(number).unwrap().to_be_bytes())
}

fn tcp(ip: impl Into<std::net::IpAddr>) -> Endpoint {
    Endpoint::Tcp(SocketAddr::new(ip.into(), 1))
}

/// Somebody who is no newcomer.
fn settled(crowd: &mut Crowd, slot: usize, origin: Origin) {
    crowd.insert(slot, origin);
    crowd.settle(slot);
}

#[test]
fn an_origin_is_what_costs_something() {
    let of = |endpoint: Endpoint| Origin::from(&endpoint);
    let host = Ipv4Addr::new(192, 0, 2, 1);
    assert_eq!(of(tcp(host)), of(tcp(host.to_ipv6_mapped())), "through a listener for both");
    assert_ne!(of(tcp(host)), of(tcp(Ipv4Addr::new(192, 0, 2, 2))));
    let v6 = |text: &str| of(tcp(text.parse::<Ipv6Addr>().unwrap()));
    assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:2:3:4"), "in one /64");
    assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
    assert_eq!(of(Endpoint::Unix(PathBuf::new())), of(Endpoint::Unix("/named".into())));
    assert_ne!(of(Endpoint::Unix(PathBuf::new())), of(tcp(Ipv4Addr::UNSPECIFIED)));
}

#[test]
fn who_brings_the_most_yields() {
    let mut crowd = Crowd::default();
    assert_eq!(crowd.who_yields(0), None);
    (0..10).for_each(|slot| settled(&mut crowd, slot, v4(slot)));
    (10..13).for_each(|slot| settled(&mut crowd, slot, v4(99)));
    (20..22).for_each(|slot| settled(&mut crowd, slot, Origin::Unix));
    let chosen = |crowd: &Crowd| {
        // One draw for each part of the range: so each candidate comes equally often.
        let mut slots: Vec<_> =
            (0..12).map(|part| crowd.who_yields(u64::MAX / 12 * part + 100).unwrap()).collect();
        slots.sort_unstable();
        slots
    };
    assert_eq!(chosen(&crowd), [10, 10, 10, 10, 11, 11, 11, 11, 12, 12, 12, 12]);
    crowd.remove(11);
    assert_eq!(chosen(&crowd), [10, 10, 10, 12, 12, 12, 20, 20, 20, 21, 21, 21]);
    [10, 20, 0].into_iter().for_each(|slot| crowd.remove(slot));
    // Now everybody is alone: eleven of them, and nobody is spared.
    let mut slots = chosen(&crowd);
    slots.dedup();
    assert_eq!(slots, [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 21]);
    // A newcomer makes its origin the largest, and is not chosen itself.
    crowd.insert(30, v4(5));
    assert_eq!(chosen(&crowd), [5; 12]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_agrees_with_a_list(
        steps in proptest::collection::vec((0..40usize, 0..6usize, any::<u64>()), 1..400),
    ) {
        let mut crowd = Crowd::default();
        // Slot, origin, and whether it is a newcomer.
        let mut list: Vec<(usize, Origin, bool)> = Vec::new();
        for (slot, origin, draw) in steps {
            match list.iter().position(|(there, ..)| *there == slot) {
                Some(index) if list[index].2 && draw % 4 > 0 => {
                    list[index].2 = false;
                    crowd.settle(slot);
                }
                Some(index) => {
                    list.remove(index);
                    crowd.remove(slot);
                }
                None => {
                    list.push((slot, v4(origin), true));
                    crowd.insert(slot, v4(origin));
                }
            }
            prop_assert_eq!(crowd.len(), list.len());
            let count = |of: Origin| list.iter().filter(|(_, origin, _)| *origin == of).count();
            let most = list.iter().map(|(_, origin, _)| count(*origin)).max();
            let settled = || list.iter().filter(|(.., newcomer)| !newcomer);
            let most_settled = settled().map(|(_, origin, _)| count(*origin)).max();
            let newcomers = list.len() - settled().count();
            prop_assert_eq!(crowd.can_yield(), crowd.who_yields(draw).is_some());
            match crowd.who_yields(draw) {
                Some(chosen) => {
                    let found = settled().find(|(slot, ..)| *slot == chosen);
                    prop_assert!(found.is_some(), "a newcomer, or somebody who is not there");
                    prop_assert_eq!(found.map(|(_, origin, _)| count(*origin)), most_settled);
                    prop_assert!(most_settled == most || newcomers <= settled().count());
                }
                None => prop_assert!(most_settled < most && newcomers > settled().count()
                    || list.is_empty()),
            }
        }
        // Nothing is kept of those who have gone.
        list.into_iter().for_each(|(slot, ..)| crowd.remove(slot));
        prop_assert_eq!((crowd.len(), crowd.newcomers), (0, 0));
        prop_assert!(crowd.groups.is_empty() && crowd.by_origin.is_empty());
        prop_assert!(crowd.sizes.is_empty() && crowd.choices.is_empty());
    }
}

/// Whether a friend with an address of his own is still there after `arrivals` strangers have come
/// to `places` that are full; the addresses are used in turns.
fn survives(places: usize, addresses: usize, arrivals: usize, draws: &mut Draws) -> bool {
    const FRIEND: usize = 0;
    let mut crowd = Crowd::default();
    settled(&mut crowd, FRIEND, Origin::Unix);
    (1..places).for_each(|slot| settled(&mut crowd, slot, v4(slot % addresses)));
    for arrival in 0..arrivals {
        let slot = crowd.who_yields(draws.next()).unwrap();
        if slot == FRIEND {
            return false;
        }
        crowd.remove(slot);
        settled(&mut crowd, slot, v4((places + arrival) % addresses));
    }
    true
}

#[test]
fn a_friend_is_safe_while_strangers_have_fewer_addresses_than_places() {
    let mut draws = Draws(1);
    assert!((0..20).all(|_| survives(200, 100, 5_000, &mut draws)));
}

#[test]
fn a_friend_survives_as_often_as_promised() {
    // 50 strangers for 200 places, each from an address of its own: (1 - 1/200)^50 = 77.8 %.
    const TRIALS: usize = 2_000;
    let mut draws = Draws(2);
    let survived = (0..TRIALS).filter(|_| survives(200, 1 << 24, 50, &mut draws)).count();
    assert!((1500..1612).contains(&survived), "{survived} of {TRIALS}, expected about 1556");
}
