//! Memory for secrets: locked where the system permits it, and wiped when given back.
//!
//! Owns the pages that secrets lie on and nothing else does, and hands out [`Slot`]s of them. Pages
//! are never given back to the system and never unlocked, so no secret can lose its lock because
//! another one on its page is dropped; what is free is zero. Refuses to know what the bytes mean,
//! and to decide whether locking is wanted: the program says so, by [`lock`]. Unsafe: the mapping,
//! and references into it; a slot belongs to one owner only. Next: `secret.rs` in lib/proto.
//!
//! # Versions
//!
//! [`Slot`] shows nothing of what it is made of. Nothing of another crate is part of the interface.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::mman::{MapFlags, ProtFlags, mlock, mmap_anonymous};
use zeroize::Zeroize;

/// Bytes that are mapped at a time: four pages, where a page is 4 KiB. A quarter of the least that
/// systems let everybody lock (64 KiB).
const CHUNK: usize = 16 * 1024;

/// Slots begin at multiples of this and are as long: what most secrets are.
const GRAIN: usize = 32;

/// `N` bytes at one address, zero at first, and wiped when dropped.
pub struct Slot<const N: usize>(NonNull<[u8; N]>);

impl<const N: usize> Slot<N> {
    /// Bytes of the memory that a slot takes.
    const SIZE: usize = {
        assert!(N > 0 && N <= CHUNK);
        N.next_multiple_of(GRAIN)
    };

    /// A slot of zero bytes.
    ///
    /// # Panics
    ///
    /// If the system has no memory, as everything that allocates does.
    #[must_use]
    pub fn zeroed() -> Self {
        Self(arena().take(Self::SIZE).cast())
    }
}

impl<const N: usize> Deref for Slot<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        // SAFETY: the slot lies in a mapping that is never unmapped, its N bytes are initialised
        // (mappings are zero), and they are this Slot's alone until it is dropped.
        unsafe { self.0.as_ref() }
    }
}

impl<const N: usize> DerefMut for Slot<N> {
    fn deref_mut(&mut self) -> &mut [u8; N] {
        // SAFETY: as in deref(); and we are borrowed for writing.
        unsafe { self.0.as_mut() }
    }
}

impl<const N: usize> Drop for Slot<N> {
    fn drop(&mut self) {
        self.zeroize();
        arena().give_back(self.0.cast(), Self::SIZE);
    }
}

impl<const N: usize> fmt::Debug for Slot<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot<{N}>(..)")
    }
}

// SAFETY: a Slot owns its bytes as a Box does, whichever thread it is in.
unsafe impl<const N: usize> Send for Slot<N> {}
// SAFETY: through a shared Slot the bytes can only be read.
unsafe impl<const N: usize> Sync for Slot<N> {}

/// Keeps all slots, those there are and those to come, from being written to swap.
///
/// To be called again in a child, since locks do not survive a fork. The first failure is passed to
/// `complain`, now or when more memory is needed; the slots can be used all the same.
pub fn lock(complain: fn(&str)) {
    arena().lock(complain);
}

fn arena() -> MutexGuard<'static, Arena> {
    static ARENA: Mutex<Arena> = Mutex::new(Arena::new());
    // Nothing in there panics with the arena in a state that must not be seen.
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Arena {
    /// Where the mappings begin, each of them CHUNK bytes long.
    chunks: Vec<NonNull<u8>>,
    /// Bytes of the last one that nobody has had yet, at its end.
    fresh: usize,
    /// What was given back, by its size.
    free: BTreeMap<usize, Vec<NonNull<u8>>>,
    /// Lock what is mapped from now on, and tell this if it fails.
    locking: Option<fn(&str)>,
}

// SAFETY: the addresses in it are of memory that belongs to no thread.
unsafe impl Send for Arena {}

impl Arena {
    const fn new() -> Self {
        Self { chunks: Vec::new(), fresh: 0, free: BTreeMap::new(), locking: None }
    }

    fn take(&mut self, size: usize) -> NonNull<u8> {
        if let Some(slot) = self.free.get_mut(&size).and_then(Vec::pop) {
            return slot;
        }
        if self.fresh < size {
            self.grow();
        }
        let chunk = self.chunks.last().expect("grown above if there was none");
        // SAFETY: CHUNK - fresh, and `size` bytes from there, are within the mapping.
        let slot = unsafe { chunk.add(CHUNK - self.fresh) };
        self.fresh -= size;
        slot
    }

    fn give_back(&mut self, slot: NonNull<u8>, size: usize) {
        self.free.entry(size).or_default().push(slot);
    }

    /// Maps another chunk. What is left of the last one is too small now, and may be lost.
    fn grow(&mut self) {
        let length = NonZeroUsize::new(CHUNK).expect("a constant");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the system's choice touches nobody's memory.
        let mapped = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE) };
        let chunk = mapped.expect("the system has 16 KiB of memory for secrets").cast();
        self.chunks.push(chunk);
        self.fresh = CHUNK;
        self.lock_chunk(chunk);
    }

    fn lock(&mut self, complain: fn(&str)) {
        self.locking = Some(complain);
        for chunk in self.chunks.clone() {
            self.lock_chunk(chunk);
        }
    }

    fn lock_chunk(&mut self, chunk: NonNull<u8>) {
        let Some(complain) = self.locking else { return };
        // SAFETY: the mapping is CHUNK bytes long, and locking changes nothing in it.
        if let Err(error) = unsafe { mlock(chunk.cast(), CHUNK) } {
            self.locking = None; // said once, and as long as there is no more room, tried once
            complain(error.desc());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_zero_apart_from_each_other_and_stay_where_they_are() {
        let mut slots: Vec<Slot<64>> = (0..1000).map(|_| Slot::zeroed()).collect();
        for (i, slot) in slots.iter_mut().enumerate() {
            assert_eq!(**slot, [0; 64]);
            slot.fill(i as u8);
        }
        let addresses: Vec<usize> = slots.iter().map(|slot| slot.as_ptr() as usize).collect();
        let mut sorted = addresses.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 64), "two slots overlap");
        for (i, (slot, address)) in slots.iter().zip(addresses).enumerate() {
            assert_eq!((**slot, slot.as_ptr() as usize), ([i as u8; 64], address));
        }
    }

    #[test]
    fn what_is_given_back_is_wiped_and_used_again() {
        // A size that no other test uses, since tests share the arena.
        let mut slot = Slot::<999>::zeroed();
        slot.fill(0xa5);
        let address = slot.as_ptr();
        drop(slot);
        let again = Slot::<999>::zeroed();
        assert_eq!((again.as_ptr(), *again), (address, [0; 999]));
    }

    #[test]
    fn sizes_do_not_mix_and_threads_may_share() {
        let threads: Vec<_> = (1..=8u8)
            .map(|seed| {
                std::thread::spawn(move || {
                    for round in 0..200u8 {
                        let (mut a, mut b) = (Slot::<33>::zeroed(), Slot::<320>::zeroed());
                        a.fill(seed);
                        b.fill(round);
                        assert_eq!((*a, *b), ([seed; 33], [round; 320]));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(format!("{:?}", Slot::<33>::zeroed()), "Slot<33>(..)");
    }

    /// What the kernel says about the mapping that holds `address`.
    #[cfg(target_os = "linux")]
    fn is_locked(address: usize) -> bool {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut here = false;
        for line in text.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags:") {
                if here {
                    return flags.split_whitespace().any(|flag| flag == "lo");
                }
            } else if let Some((start, end)) =
                line.split_once(' ').and_then(|(range, _)| range.split_once('-'))
            {
                let number = |text| usize::from_str_radix(text, 16).unwrap();
                here = (number(start)..number(end)).contains(&address);
            }
        }
        panic!("no mapping holds {address:#x}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn slots_before_and_after_are_locked() {
        let before = Slot::<4096>::zeroed();
        lock(|error| panic!("this needs 64 KiB to lock (ulimit -l): {error}"));
        // More than a chunk, so that there is a new one.
        let after = [Slot::<{ CHUNK / 2 }>::zeroed(), Slot::zeroed(), Slot::zeroed()];
        assert!(is_locked(before.as_ptr() as usize));
        assert!(after.iter().all(|slot| is_locked(slot.as_ptr() as usize)));
        assert!(!is_locked(&raw const before as usize), "the stack is not ours to lock");
    }
}
