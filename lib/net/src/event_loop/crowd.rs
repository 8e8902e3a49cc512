//! Those who have not proved the key yet, and which of them yields when there are too many.
//!
//! Owns the choice: one from the address that has the most of them, each of those as likely as the
//! next. Never the oldest, which is the one nearest to finishing; and whoever brings many to the
//! door crowds out his own. Refuses to draw random numbers, to know limits and to close anything.
//! Every step takes constant time. Part of `event_loop.rs`; next is `event_loop/places.rs`, which
//! asks.
//!
//! What it is worth: with strangers from fewer addresses than there are places, some address has
//! two or more, so a friend who comes alone from his own is never chosen. From more addresses than
//! places, each of the N is chosen alike: one whose proof takes the time T to arrive, while R
//! strangers come in a second, stays with a chance of (1 - 1/N)^(R T), about e^(-R T / N).

use std::collections::HashMap;
use std::net::SocketAddr;

use slab::Slab;

use crate::addr::Endpoint;

/// Where somebody comes from, as far as it costs something to come from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    V4([u8; 4]),
    /// The first 64 bits: whoever has one address of IPv6 commonly has 2^64.
    V6([u8; 8]),
    /// All UNIX sockets, which have no addresses.
    Unix,
}

impl From<&Endpoint> for Origin {
    fn from(peer: &Endpoint) -> Self {
        let Endpoint::Tcp(address) = peer else { return Self::Unix };
        // A listener for both families sees IPv4 as ::ffff:a.b.c.d, all of it in one /64.
        match (address.ip().to_canonical(), address) {
            (std::net::IpAddr::V4(v4), _) => Self::V4(v4.octets()),
            (std::net::IpAddr::V6(v6), SocketAddr::V4(_) | SocketAddr::V6(_)) => {
                Self::V6(*v6.octets().first_chunk().expect("16 bytes have 8"))
            }
        }
    }
}

/// All from one origin.
#[derive(Debug)]
struct Group {
    origin: Origin,
    /// Their slots, in no order.
    members: Vec<usize>,
    /// Where the group is among those of its size.
    rank: usize,
}

/// The strangers, by origin and by how many an origin has.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    groups: Slab<Group>,
    by_origin: HashMap<Origin, usize>,
    /// Groups of one member, of two, and so on; the last has some.
    sizes: Vec<Vec<usize>>,
    /// By slot: the group of who is there, and the place among its members.
    whereabouts: Vec<Option<(usize, usize)>>,
    len: usize,
}

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Somebody has come, and has this slot, which nobody here has.
    pub(super) fn insert(&mut self, slot: usize, origin: Origin) {
        let groups = &mut self.groups;
        let index = *self
            .by_origin
            .entry(origin)
            .or_insert_with(|| groups.insert(Group { origin, members: Vec::new(), rank: 0 }));
        self.unrank(index);
        let members = &mut self.groups[index].members;
        if self.whereabouts.len() <= slot {
            self.whereabouts.resize(slot + 1, None);
        }
        let before = self.whereabouts[slot].replace((index, members.len()));
        assert!(before.is_none(), "slot {slot} is taken");
        members.push(slot);
        self.rank(index);
        self.len += 1;
    }

    /// Whoever has this slot has gone, or is no stranger any more.
    pub(super) fn remove(&mut self, slot: usize) {
        let (index, position) = self.whereabouts[slot].take().expect("who goes has come");
        self.unrank(index);
        let members = &mut self.groups[index].members;
        members.swap_remove(position);
        if let Some(moved) = members.get(position) {
            self.whereabouts[*moved] = Some((index, position));
        }
        if members.is_empty() {
            self.by_origin.remove(&self.groups.remove(index).origin);
        } else {
            self.rank(index);
        }
        self.len -= 1;
    }

    /// The slot of the one that yields, `draw` being a random number.
    pub(super) fn who_yields(&self, draw: u64) -> Option<usize> {
        // The last groups are the largest, and of one size, so that each member counts alike.
        let (size, largest) = (self.sizes.len(), self.sizes.last()?);
        let candidates = (size * largest.len()) as u128;
        let chosen = ((u128::from(draw) * candidates) >> 64) as usize;
        Some(self.groups[largest[chosen / size]].members[chosen % size])
    }

    /// Puts a group among those of its size.
    fn rank(&mut self, index: usize) {
        let group = &mut self.groups[index];
        let size = group.members.len();
        if self.sizes.len() < size {
            self.sizes.resize(size, Vec::new());
        }
        group.rank = self.sizes[size - 1].len();
        self.sizes[size - 1].push(index);
    }

    /// Takes it out of there, before its size changes.
    fn unrank(&mut self, index: usize) {
        let Group { members, rank, .. } = &self.groups[index];
        let (size, rank) = (members.len(), *rank);
        if size == 0 {
            return; // it is new
        }
        let alike = &mut self.sizes[size - 1];
        alike.swap_remove(rank);
        if let Some(moved) = alike.get(rank) {
            self.groups[*moved].rank = rank;
        }
        while self.sizes.last().is_some_and(Vec::is_empty) {
            self.sizes.pop();
        }
    }
}

#[cfg(test)]
mod tests;
