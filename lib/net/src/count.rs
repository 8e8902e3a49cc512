//! How many of something, in words for people.
//!
//! Owns that one is not many. Refuses words whose plural is more than an s. Used by all that writes
//! to the log.

use std::fmt;

/// Shown as `1 byte` or `2 bytes`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, word) = self;
        write!(f, "{number} {word}{}", if *number == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        let shown = [0, 1, 2].map(|number| Count(number, "line").to_string());
        assert_eq!(shown, ["0 lines", "1 line", "2 lines"]);
    }
}
