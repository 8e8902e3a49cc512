//! Connections that stay: most of them idle at any moment, each looked after now and then.
//! Next: `watch.rs`.

use std::net::Shutdown;
use std::sync::Mutex;

use socket2::Socket;
use spiped_peer::pattern::{Checker, Pattern, send};

use crate::Soak;
use crate::dice::Dice;
use crate::scene::Which;
use crate::support::address::reset;
use crate::target::{Order, order};
use crate::traffic::open;

/// Most bytes of a visit: they fit the buffers on the way, so the client may send before it reads.
const VISIT: u64 = 20_000;

/// An open connection, and what has been sent on it.
struct Member {
    socket: Socket,
    sent: Pattern,
    back: Checker,
}

impl Member {
    fn new(soak: &Soak, dice: &mut Dice) -> Self {
        let seed = dice.any();
        let socket = open(soak, Which::Encrypt, &order(Order::Echo, 0, 0));
        soak.count(0);
        let mut member = Self { socket, sent: Pattern::new(seed), back: Checker::new(seed) };
        member.talk(soak, 1);
        member
    }

    /// Sends so many bytes, and verifies that they come back.
    fn talk(&mut self, soak: &Soak, count: u64) {
        send(&mut self.socket, &mut self.sent, count).expect("the crowd sends");
        self.back.read_exactly(&mut self.socket, count).expect("the crowd receives");
        soak.bytes.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
    }

    fn end(mut self, dice: &mut Dice) {
        match dice.below(3) {
            0 => reset(self.socket),
            1 => drop(self.socket),
            _ => {
                self.socket.shutdown(Shutdown::Write).expect("shutdown");
                self.back.read_all(&mut self.socket).expect("a clean end");
            }
        }
    }
}

/// Some members of the crowd.
pub(crate) struct Share {
    size: usize,
    members: Mutex<Vec<Member>>,
}

impl Share {
    /// Opens their connections; no rest can come in between.
    pub(crate) fn enter(&self, soak: &Soak, dice: &mut Dice) {
        let _alarm = crate::target::Alarm(&soak.over);
        let _awake = soak.rest.read().expect("nobody panics while the traffic rests");
        let mut members = self.members.lock().expect("one keeper for each share");
        members.extend((0..self.size).map(|_| Member::new(soak, dice)));
    }

    /// Looks after one of them; some leave, and others come in their place.
    pub(crate) fn visit(&self, soak: &Soak, dice: &mut Dice) {
        let mut members = self.members.lock().expect("one keeper for each share");
        if members.is_empty() {
            return;
        }
        let chosen = usize::try_from(dice.below(members.len() as u64)).expect("an index");
        members[chosen].talk(soak, dice.size(VISIT));
        if dice.below(16) == 0 {
            members.swap_remove(chosen).end(dice);
            members.push(Member::new(soak, dice));
        }
    }
}

/// All of them.
pub(crate) struct Crowd {
    size: usize,
    shares: Vec<Share>,
}

impl Crowd {
    /// A crowd of this size, kept by so many keepers; nobody is there yet.
    pub(crate) fn new(size: usize, keepers: usize) -> Self {
        let share = |keeper| size / keepers + usize::from(keeper < size % keepers);
        let shares = (0..keepers)
            .map(|keeper| Share { size: share(keeper), members: Mutex::new(Vec::new()) });
        Self { size, shares: shares.collect() }
    }

    /// How many there are.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// A share for each keeper.
    pub(crate) fn shares(&self) -> &[Share] {
        &self.shares
    }
}
