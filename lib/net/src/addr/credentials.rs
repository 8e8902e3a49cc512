//! The user and password of a URL.
//!
//! Owns their percent-decoding, and that they are wiped and never shown. Refuses to encode them for
//! a protocol: who sends them does. Part of `addr.rs`; next: `url.rs`.

use std::fmt;

use zeroize::Zeroizing;

/// A user and a password, which may be empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Credentials {
    /// Reads what stands before the `@` of a URL: `user`, `user:` or `user:password`.
    ///
    /// # Errors
    ///
    /// What was expected; never what was found.
    pub(super) fn parse(userinfo: &str) -> Result<Self, &'static str> {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let (user, password) = (decode(user)?, decode(password)?);
        if user.is_empty() {
            return Err("expected a user before the @");
        }
        // RFC 7617 ends the user at the first colon, and forbids control characters in both.
        if user.contains(':') {
            return Err("expected a user without a colon");
        }
        if [&user, &password].iter().any(|text| text.contains(char::is_control)) {
            return Err("expected a user and a password without control characters");
        }
        Ok(Self { user, password })
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Puts characters in place of their percent-escapes.
fn decode(text: &str) -> Result<Zeroizing<String>, &'static str> {
    // Never longer than the text: no copy is left behind by growing.
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("expected two hexadecimal digits after each % of user and password (%25 \
                        is a % itself)");
        };
        decoded.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits"));
    }
    match std::str::from_utf8(&decoded) {
        Ok(text) => {
            let mut owned = Zeroizing::new(String::with_capacity(text.len()));
            owned.push_str(text);
            Ok(owned)
        }
        Err(_) => Err("expected a user and a password whose escapes make UTF-8 text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_nothing_is_shown() {
        let cases = [
            ("joe:secret", ("joe", "secret")),
            ("joe", ("joe", "")),
            ("joe:", ("joe", "")),
            ("joe:a:b", ("joe", "a:b")),
            ("j%6Fe:%25%40%2f%C3%A9", ("joe", "%@/é")),
        ];
        for (text, (user, password)) in cases {
            let credentials = Credentials::parse(text).unwrap();
            assert_eq!((credentials.user(), credentials.password()), (user, password), "{text}");
            assert_eq!(format!("{credentials:?}"), "Credentials(..)");
        }
    }

    #[test]
    fn what_no_protocol_can_carry_is_refused() {
        for text in ["", ":secret", "a%3Ab:c", "a:%0d%0ax", "a%00", "a:%", "a:%4", "a:%zz", "%ff"] {
            let expected = Credentials::parse(text).unwrap_err();
            assert!(expected.starts_with("expected "), "{text}: {expected}");
        }
    }
}
