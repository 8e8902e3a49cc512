//! Who counts as what: strangers, friends that wait for a place of `-n`, and those that have one.
//!
//! Owns the counts that keep them apart. On the decrypting side `-n` counts those who have proved
//! that they hold the key, so no number of strangers can fill it; one who proves it while `-n` is
//! full waits, first come first served. On the encrypting side everybody is a friend from the
//! start, as with C. A stranger that has just come has some time to itself before it may have to
//! yield: a crowd of friends at once must not drive out each other. Refuses to close anything. Part
//! of `event_loop.rs`; which stranger yields is in `event_loop/crowd.rs`, what follows for
//! accepting in `event_loop/gate.rs`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spiped_proto::Role;

use super::crowd::{Crowd, Origin};

/// How long a stranger has to itself: several round trips of most of the world, and the powers that
/// a slow machine computes between them.
const HEAD_START: Duration = Duration::from_millis(500);

/// What a connection counts as. Numbers go up with time.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// Nobody has this slot.
    Vacant,
    /// It has not proved the key yet, and nobody can expect that of it.
    Newcomer(u64),
    /// It has not proved the key yet, and yields if there are too many like it.
    Stranger,
    /// It has proved it, while `-n` was full.
    Waiting(u64),
    /// It has proved it; its turn to get a place came when it was over already.
    Late,
    /// It has one of the places of `-n`.
    Seated,
}

/// A stranger that has just come.
struct Newcomer {
    slot: usize,
    since: Instant,
}

/// All connections, counted.
pub(super) struct Places {
    role: Role,
    max_connections: usize,
    /// By slot.
    standings: Vec<Standing>,
    /// By age.
    newcomers: BTreeMap<u64, Newcomer>,
    /// Newcomers included.
    strangers: Crowd,
    waiting: BTreeMap<u64, usize>,
    seated: usize,
    /// All that are no strangers.
    friends: usize,
    next_number: u64,
}

impl Places {
    pub(super) fn new(role: Role, max_connections: usize) -> Self {
        Self {
            role,
            max_connections,
            standings: Vec::new(),
            newcomers: BTreeMap::new(),
            strangers: Crowd::default(),
            waiting: BTreeMap::new(),
            seated: 0,
            friends: 0,
            next_number: 0,
        }
    }

    /// Whether a place of `-n` is free.
    pub(super) fn is_free(&self) -> bool {
        self.seated < self.max_connections
    }

    /// Connections that will not yield to anybody.
    pub(super) fn friends(&self) -> usize {
        self.friends
    }

    /// Connections that may have to, those included that need not yet.
    pub(super) fn strangers(&self) -> usize {
        self.strangers.len()
    }

    /// Takes the time: who has come long enough ago may have to yield from now on.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(eldest) = self.newcomers.first_entry()
            && eldest.get().since + HEAD_START <= now
        {
            let slot = eldest.remove().slot;
            self.strangers.settle(slot);
            self.standings[slot] = Standing::Stranger;
        }
    }

    /// If nobody may yield before newcomers are none any more: when the eldest of them is that. It
    /// may not be the one that it takes, but that one comes no later than [`HEAD_START`] from now.
    pub(super) fn yields_at(&self) -> Option<Instant> {
        let eldest = self.newcomers.first_key_value().filter(|_| !self.strangers.can_yield());
        eldest.map(|(_, newcomer)| newcomer.since + HEAD_START)
    }

    /// The slot of the stranger that yields, `draw` being a random number.
    pub(super) fn who_yields(&self, draw: u64) -> Option<usize> {
        self.strangers.who_yields(draw)
    }

    /// Somebody has come in.
    pub(super) fn enter(&mut self, slot: usize, origin: Origin, now: Instant) {
        if self.standings.len() <= slot {
            self.standings.resize(slot + 1, Standing::Vacant);
        }
        match self.role {
            Role::Encrypt => {
                self.friends += 1;
                self.take_seat(slot);
            }
            Role::Decrypt => {
                let number = self.number();
                self.newcomers.insert(number, Newcomer { slot, since: now });
                self.strangers.insert(slot, origin);
                self.standings[slot] = Standing::Newcomer(number);
            }
        }
    }

    /// Whoever has this slot holds the key: if that is news it gets a place, or waits for one. True
    /// if it is.
    pub(super) fn recognise(&mut self, slot: usize) -> bool {
        match self.standings[slot] {
            Standing::Newcomer(number) => drop(self.newcomers.remove(&number)),
            Standing::Stranger => {}
            _ => return false,
        }
        self.strangers.remove(slot);
        self.friends += 1;
        if self.is_free() {
            self.take_seat(slot);
        } else {
            let number = self.number();
            self.waiting.insert(number, slot);
            self.standings[slot] = Standing::Waiting(number);
        }
        true
    }

    /// If a place is free: who of the waiting came first. It waits no more, and is to
    /// [`Self::take_seat`] unless it is over already.
    pub(super) fn call_next(&mut self) -> Option<usize> {
        if !self.is_free() {
            return None;
        }
        let (_, slot) = self.waiting.pop_first()?;
        self.standings[slot] = Standing::Late;
        Some(slot)
    }

    /// Whoever has this slot takes a place.
    pub(super) fn take_seat(&mut self, slot: usize) {
        self.seated += 1;
        self.standings[slot] = Standing::Seated;
    }

    /// Somebody has gone.
    pub(super) fn leave(&mut self, slot: usize) {
        match std::mem::replace(&mut self.standings[slot], Standing::Vacant) {
            Standing::Vacant => unreachable!("who goes has come"),
            Standing::Newcomer(number) => {
                self.newcomers.remove(&number);
                return self.strangers.remove(slot);
            }
            Standing::Stranger => return self.strangers.remove(slot),
            Standing::Waiting(number) => drop(self.waiting.remove(&number)),
            Standing::Late => {}
            Standing::Seated => self.seated -= 1,
        }
        self.friends -= 1;
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places with newcomers in the first slots.
    fn decrypting(max_connections: usize, newcomers: usize, now: Instant) -> Places {
        let mut places = Places::new(Role::Decrypt, max_connections);
        (0..newcomers).for_each(|slot| places.enter(slot, Origin::Unix, now));
        places
    }

    #[test]
    fn only_friends_count_on_the_decrypting_side() {
        let mut places = decrypting(1, 9, Instant::now());
        assert_eq!((places.strangers(), places.friends(), places.is_free()), (9, 0, true));
        assert!(places.recognise(4) && !places.recognise(4));
        assert_eq!((places.strangers(), places.friends(), places.is_free()), (8, 1, false));
        // Strangers come and go, and it stays full.
        places.leave(5);
        assert!(!places.is_free() && places.call_next().is_none());
    }

    #[test]
    fn a_newcomer_has_some_time_to_itself() {
        let start = Instant::now();
        let mut places = decrypting(1, 2, start);
        let later = start + HEAD_START / 2;
        places.advance(later);
        places.enter(2, Origin::Unix, later);
        assert_eq!(places.who_yields(0), None);
        assert_eq!(places.yields_at(), Some(start + HEAD_START));

        places.leave(0); // it has failed meanwhile
        places.advance(start + HEAD_START);
        assert_eq!((places.yields_at(), places.who_yields(0)), (None, Some(1)));
        // Who has proved the key never yields, however old; then only a newcomer is left.
        assert!(places.recognise(1));
        assert_eq!(places.yields_at(), Some(later + HEAD_START));
        places.advance(later + HEAD_START);
        assert_eq!(places.who_yields(u64::MAX), Some(2));
        places.leave(2);
        assert_eq!((places.strangers(), places.yields_at(), places.who_yields(0)), (0, None, None));
    }

    #[test]
    fn who_brings_many_newcomers_does_not_drive_out_who_came_alone() {
        const PLACES: usize = 100;
        let start = Instant::now();
        let mut places = Places::new(Role::Decrypt, 1);
        places.enter(0, Origin::Unix, start);
        let later = start + HEAD_START + HEAD_START / 5;
        (1..PLACES).for_each(|slot| places.enter(slot, Origin::V4([127, 0, 0, 1]), later));
        places.advance(later);
        assert_eq!((places.strangers(), places.who_yields(0)), (PLACES, None));
        assert_eq!(places.yields_at(), Some(later + HEAD_START));

        // One half second on it is one of theirs, whatever is drawn.
        places.advance(later + HEAD_START);
        assert_eq!(places.yields_at(), None);
        for part in 0..PLACES as u64 {
            let chosen = places.who_yields(u64::MAX / PLACES as u64 * part);
            assert!(chosen.is_some_and(|slot| slot != 0), "{chosen:?}");
        }
    }

    #[test]
    fn two_newcomers_cannot_stop_all() {
        let start = Instant::now();
        let mut places = Places::new(Role::Decrypt, 1);
        (0..8).for_each(|slot| places.enter(slot, Origin::V4([127, 0, 0, slot as u8]), start));
        let later = start + HEAD_START;
        [8, 9].into_iter().for_each(|slot| places.enter(slot, Origin::Unix, later));
        places.advance(later);
        assert_eq!((places.yields_at(), places.who_yields(u64::MAX)), (None, Some(7)));
    }

    #[test]
    fn who_waits_is_called_in_order() {
        let mut places = decrypting(1, 5, Instant::now());
        assert!([3, 1, 4, 0].into_iter().all(|slot| places.recognise(slot)));
        assert_eq!((places.friends(), places.strangers()), (4, 1));

        places.leave(1); // its time was up
        assert_eq!(places.call_next(), None, "the place is still taken");
        places.leave(3);
        assert_eq!(places.call_next(), Some(4));
        // It is over already and does not want the place, so the next one has it.
        assert_eq!(places.call_next(), Some(0));
        places.take_seat(0);
        assert_eq!(places.call_next(), None);
        [4, 0, 2].into_iter().for_each(|slot| places.leave(slot));
        assert_eq!((places.friends(), places.strangers(), places.is_free()), (0, 0, true));
    }

    #[test]
    fn everybody_counts_on_the_encrypting_side() {
        let mut places = Places::new(Role::Encrypt, 2);
        [0, 1].into_iter().for_each(|slot| places.enter(slot, Origin::Unix, Instant::now()));
        assert_eq!((places.strangers(), places.friends(), places.is_free()), (0, 2, false));
        assert!(!places.recognise(0));
        assert_eq!(places.who_yields(0), None);
        places.leave(0);
        assert!(places.is_free());
    }
}
