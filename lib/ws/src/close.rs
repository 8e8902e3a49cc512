//! Close codes and the body of a Close frame (RFC 6455, sections 5.5.1 and 7.4).
//!
//! Owns which codes may be on the wire. Next: `upgrade.rs`.

use crate::session::Violation;

/// Why a connection is closed, as we say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// All is done.
    Normal,
    /// What came is against the protocol.
    Protocol,
    /// A text message came: there is nobody who could read it.
    Unsupported,
    /// A reason that is not UTF-8.
    BadText,
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::BadText => 1007,
        }
    }
}

/// Reads the body of a Close frame: the code, if there is one.
pub(crate) fn parse(body: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = body.split_first_chunk::<2>() else {
        return if body.is_empty() { Ok(None) } else { Err(Violation::BadClose) };
    };
    let code = u16::from_be_bytes(*code);
    // 1004 to 1006 and 1015 are never sent; from 1016 to 2999 nothing is defined.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::BadClose);
    }
    if str::from_utf8(reason).is_err() {
        return Err(Violation::BadCloseReason);
    }
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_may_be_sent() {
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"\x03"), Err(Violation::BadClose));
        for code in 0..=u16::MAX {
            let good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
                .contains(&code)
                || (3000..5000).contains(&code);
            let expected = if good { Ok(Some(code)) } else { Err(Violation::BadClose) };
            assert_eq!(parse(&code.to_be_bytes()), expected, "{code}");
        }
        assert_eq!(parse(b"\x03\xe8all right"), Ok(Some(1000)));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(Violation::BadCloseReason));
    }
}
