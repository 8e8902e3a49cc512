//! Bytes that must not be seen, copied or left behind.
//!
//! Owns [`Secret`]: an array that stays at the one address at which it was created, in memory that
//! the program may have locked (`lib/vault`), is overwritten when dropped, cannot be cloned and
//! never shows in `Debug`. Refuses to know what the bytes mean; `crypt.rs` does.

use core::fmt;

use spiped_vault::Slot;
use zeroize::ZeroizeOnDrop;

/// `N` secret bytes at one address, zeroized on drop.
///
/// Moving a `Secret` moves the pointer only, so no copy of the bytes stays behind on the stack.
pub struct Secret<const N: usize>(Slot<N>);

impl<const N: usize> Secret<N> {
    /// A secret of zero bytes, to be filled in place.
    #[must_use]
    pub fn zeroed() -> Self {
        Self(Slot::zeroed())
    }

    /// Creates the secret at its final address and lets `fill` write it there.
    ///
    /// # Errors
    ///
    /// Whatever `fill` returns; the partly filled bytes are wiped.
    pub fn try_filled<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self::zeroed();
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// Creates the secret at its final address and lets `fill` write it there.
    #[must_use]
    pub fn filled(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self::zeroed();
        fill(&mut secret.0);
        secret
    }

    /// The bytes, for the moment in which they are used.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes, to be written in place.
    pub fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

// The slot wipes itself.
impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(..)")
    }
}

/// Bytes of the stack that are overwritten after powers were computed or packets turned, which use
/// up to 18 KiB as compiled for x86-64.
pub(crate) const DEEP: usize = 32 * 1024;

/// The same after the steps of a handshake that hash and no more: they use less than 3 KiB.
pub(crate) const SHALLOW: usize = 8 * 1024;

/// Overwrites the stack below the caller's frame.
///
/// Ciphers and libraries compute with copies of what they are given, in variables that nobody
/// wipes, and those lie just below the frame of whoever called them. To be called after a handshake
/// (the core does) and after connections have ended (their owner does).
#[inline(never)]
pub fn wipe_stack() {
    wipe::<DEEP>();
}

#[inline(never)]
fn wipe<const BYTES: usize>() {
    let mut stack = [0u8; BYTES];
    // As far as the compiler knows this reads and writes the array, so it has to be there.
    core::hint::black_box(&mut stack);
}

/// Runs `work` in a frame of its own, then wipes so much of the stack that it has used.
pub(crate) fn with_wiped_stack<const BYTES: usize, T>(work: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn run<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    let result = run(work);
    wipe::<BYTES>();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_byte() {
        let secret = Secret::<4>::filled(|bytes| bytes.copy_from_slice(b"hush"));
        assert_eq!(format!("{secret:?}"), "Secret<4>(..)");
    }

    #[test]
    fn a_move_keeps_the_address() {
        let secret = Secret::<32>::zeroed();
        let before = secret.expose().as_ptr();
        let moved = secret;
        assert_eq!(moved.expose().as_ptr(), before);
    }

    #[test]
    fn a_failed_fill_is_an_error() {
        assert_eq!(Secret::<4>::try_filled(|_| Err("no entropy")).unwrap_err(), "no entropy");
    }
}
