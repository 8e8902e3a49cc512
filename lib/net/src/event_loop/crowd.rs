//! Those who have not proved the key yet, and which of them yields when there are too many.
//!
//! Owns the choice: one from the address that has the most of them, newcomers counted. Never simply
//! the oldest, which is the one nearest to finishing; and whoever brings many to the door crowds
//! out his own. Newcomers themselves are not chosen; where that leaves only those from smaller
//! crowds, and newcomers are the more, it is nobody's turn yet. Refuses to draw random numbers, to
//! know limits and time, and to close anything. No step takes longer than looking up one of as many
//! numbers as there are different counts. Part of `event_loop.rs`; next is `event_loop/places.rs`,
//! which asks.
//!
//! What it is worth: with strangers from fewer addresses than half the places, a friend who comes
//! alone from his own is never chosen: either half the places are newcomers', and their crowd is
//! the larger one, or two of the others have one address. From more addresses, each of the M who
//! are no newcomers is chosen alike: a friend who is none for the time T before his proof is there,
//! while R strangers come in a second, stays with a chance of (1 - 1/M)^(R T), about e^(-R T / M).

use std::collections::{BTreeMap, HashMap};
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
    /// How many they are.
    size: usize,
    /// The slots of those who are no newcomers, in no order.
    members: Vec<usize>,
    /// Where the group is among those of its size that have members who may be chosen.
    rank: usize,
}

/// Where somebody is found.
#[derive(Clone, Copy, Debug)]
struct Whereabouts {
    group: usize,
    /// Among the members; newcomers are not there.
    position: Option<usize>,
}

/// The strangers, by origin and by how many an origin has.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    groups: Slab<Group>,
    by_origin: HashMap<Origin, usize>,
    /// How many groups there are of a size; of none there is no entry.
    sizes: BTreeMap<usize, usize>,
    /// By size: the groups with members who may be chosen.
    choices: BTreeMap<usize, Vec<usize>>,
    /// By slot.
    whereabouts: Vec<Option<Whereabouts>>,
    len: usize,
    newcomers: usize,
}

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A newcomer has come, and has this slot, which nobody here has.
    pub(super) fn insert(&mut self, slot: usize, origin: Origin) {
        let groups = &mut self.groups;
        let group = *self.by_origin.entry(origin).or_insert_with(|| {
            groups.insert(Group { origin, size: 0, members: Vec::new(), rank: 0 })
        });
        if self.whereabouts.len() <= slot {
            self.whereabouts.resize(slot + 1, None);
        }
        let before = self.whereabouts[slot].replace(Whereabouts { group, position: None });
        assert!(before.is_none(), "slot {slot} is taken");
        self.change(group, |group| group.size += 1);
        self.len += 1;
        self.newcomers += 1;
    }

    /// Whoever has this slot is a newcomer no more, and may be chosen.
    pub(super) fn settle(&mut self, slot: usize) {
        let found = self.whereabouts[slot].as_mut().expect("who settles has come");
        let group = found.group;
        let before = found.position.replace(self.groups[group].members.len());
        assert!(before.is_none(), "slot {slot} has settled");
        self.change(group, |group| group.members.push(slot));
        self.newcomers -= 1;
    }

    /// Whoever has this slot has gone, or is no stranger any more.
    pub(super) fn remove(&mut self, slot: usize) {
        let found = self.whereabouts[slot].take().expect("who goes has come");
        self.change(found.group, |group| {
            group.size -= 1;
            if let Some(position) = found.position {
                group.members.swap_remove(position);
            }
        });
        self.len -= 1;
        let group = &self.groups[found.group];
        match found.position {
            None => self.newcomers -= 1,
            Some(position) => {
                if let Some(moved) = group.members.get(position) {
                    self.whereabouts[*moved] = Some(found);
                }
            }
        }
        if group.size == 0 {
            self.by_origin.remove(&self.groups.remove(found.group).origin);
        }
    }

    /// The groups of which one yields. None while all who may be chosen come from smaller crowds
    /// than somebody else's, and newcomers are more than they: with fewer newcomers waiting would
    /// give whoever has two at once the power to stop all.
    fn choices(&self) -> Option<&[usize]> {
        let (size, choices) = self.choices.last_key_value()?;
        let (largest, _) = self.sizes.last_key_value()?;
        let settled = self.len - self.newcomers;
        (size == largest || self.newcomers <= settled).then_some(choices)
    }

    /// Whether somebody may be chosen.
    pub(super) fn can_yield(&self) -> bool {
        self.choices().is_some()
    }

    /// The slot of the one that yields, `draw` being a random number.
    pub(super) fn who_yields(&self, draw: u64) -> Option<usize> {
        // First an address, then one of its own: what is left of the draw after the first serves
        // for the second.
        let choices = self.choices()?;
        let (group, draw) = pick(draw, choices.len());
        let members = &self.groups[choices[group]].members;
        Some(members[pick(draw, members.len()).0])
    }

    /// Changes a group, and puts it among those that it is like then.
    fn change(&mut self, index: usize, change: impl FnOnce(&mut Group)) {
        let group = &self.groups[index];
        let (size, rank) = (group.size, group.rank);
        if !group.members.is_empty() {
            let alike = self.choices.get_mut(&size).expect("it is in there");
            alike.swap_remove(rank);
            if let Some(moved) = alike.get(rank) {
                self.groups[*moved].rank = rank;
            }
            if alike.is_empty() {
                self.choices.remove(&size);
            }
        }
        if let Some(count) = self.sizes.get_mut(&size) {
            *count -= 1;
            if *count == 0 {
                self.sizes.remove(&size);
            }
        }

        let group = &mut self.groups[index];
        change(group);
        if group.size > 0 {
            *self.sizes.entry(group.size).or_default() += 1;
        }
        if !group.members.is_empty() {
            let alike = self.choices.entry(group.size).or_default();
            group.rank = alike.len();
            alike.push(index);
        }
    }
}

/// One of so many, and what is left of the draw.
fn pick(draw: u64, count: usize) -> (usize, u64) {
    let product = u128::from(draw) * count as u128;
    ((product >> 64) as usize, product as u64)
}

#[cfg(test)]
mod tests;
