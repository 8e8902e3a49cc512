//! The numbers among the values of options: text in, checked counts and times out.
//!
//! Owns the number formats of C spiped (`strtoumax` with base 0, `strtod`) and the ranges. Refuses
//! to name the option, as `value.rs` does.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How long connecting and the handshake may take each (`-o`).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the target's addresses stay valid before they are looked up again (`-r`).
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// How long a WebSocket may be silent before a ping is sent (`--ws-ping`).
pub const DEFAULT_PING: Duration = Duration::from_secs(30);

/// Longest time an option can give, a hundred years: `inf` and any absurd number of seconds end
/// here, so that adding it to a clock never overflows.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Shortest time an option can give: the resolution of poll(), so that -r cannot make a busy loop.
pub const SHORTEST: Duration = Duration::from_millis(1);

const EXPECTED_CONNECTIONS: &str = "expected a whole number of connections up to 2^64 - 1, 0 for \
                                    no limit; a leading 0 means octal";

/// Reads `-n`: `None` is unlimited.
///
/// Takes what C's `strtoumax` with base 0 takes: leading blanks, a sign, 0x for hexadecimal, 0 for
/// octal. A negative number wraps, as in C, to one that is never reached.
///
/// # Errors
///
/// What was expected.
pub fn parse_connections(text: &str) -> Result<Option<NonZeroUsize>, String> {
    let number = parse_unsigned(text).ok_or_else(|| EXPECTED_CONNECTIONS.to_owned())?;
    // More than half the address space is out of reach, so it is the same as no limit.
    let reachable = usize::try_from(number).ok().filter(|n| isize::try_from(*n).is_ok());
    Ok(reachable.and_then(NonZeroUsize::new))
}

fn parse_unsigned(text: &str) -> Option<u64> {
    let (negative, digits) = split_sign(skip_blanks(text));
    let (digits, base) = match strip_hex(digits) {
        Some(hex) => (hex, 16),
        None if digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    // from_str_radix would take a second sign.
    if !digits.starts_with(|c: char| c.is_digit(base)) {
        return None;
    }
    let number = u64::from_str_radix(digits, base).ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// Reads `-o`; 0 means [`DEFAULT_TIMEOUT`].
///
/// # Errors
///
/// What was expected.
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    let expected = "expected a number of seconds such as 5, 0.5 or inf; 0 for the default 5";
    parse_duration(text, DEFAULT_TIMEOUT).ok_or(expected.to_owned())
}

/// Reads `-r`; 0 means [`DEFAULT_INTERVAL`].
///
/// # Errors
///
/// What was expected.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let expected = "expected a number of seconds such as 60, 0.5 or inf; 0 for the default 60";
    parse_duration(text, DEFAULT_INTERVAL).ok_or(expected.to_owned())
}

/// Reads a limit that is off unless it is given: 0 is none.
///
/// # Errors
///
/// What was expected.
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    let expected = "expected a number of seconds such as 300, 0.5 or inf; 0 for no limit";
    parse_duration(text, Duration::ZERO).ok_or(expected.to_owned())
}

/// Reads `--ws-ping`: 0 is never.
///
/// # Errors
///
/// What was expected.
pub fn parse_ping(text: &str) -> Result<Duration, String> {
    let expected = "expected a number of seconds such as 30, 0.5 or inf; 0 for never";
    parse_duration(text, Duration::ZERO).ok_or(expected.to_owned())
}

/// Reads `--ack-timeout`, which not every system can keep.
///
/// # Errors
///
/// What was expected.
pub fn parse_ack_timeout(text: &str) -> Result<Duration, String> {
    if cfg!(target_os = "linux") {
        parse_limit(text)
    } else {
        Err("this needs Linux, whose TCP has such a limit; leave it out".to_owned())
    }
}

/// Reads `--coalesce`: whole milliseconds, up to a minute.
///
/// # Errors
///
/// What was expected.
pub fn parse_coalesce(text: &str) -> Result<Duration, String> {
    let expected = "expected whole milliseconds from 0 to 60000";
    let milliseconds = text.parse::<u64>().map_err(|_| expected)?;
    if milliseconds > 60_000 {
        return Err(expected.to_owned());
    }
    Ok(Duration::from_millis(milliseconds))
}

/// A number of seconds from 0 to infinity, as C's `strtod` reads it.
fn parse_duration(text: &str, default: Duration) -> Option<Duration> {
    let (negative, number) = split_sign(skip_blanks(text));
    let (magnitude, mantissa) = match strip_hex(number) {
        Some(hex) => (parse_hex_float(hex)?, hex.split(['p', 'P']).next()?),
        // A second sign is junk; parse would take it.
        None if number.starts_with(['+', '-']) => return None,
        None => (number.parse::<f64>().ok()?, number.split(['e', 'E']).next()?),
    };
    // -0 too, as in C; but not what is merely too small for a float.
    if magnitude == 0.0 && mantissa.chars().all(|digit| matches!(digit, '0' | '.')) {
        return Some(default);
    }
    if negative || magnitude.is_nan() {
        return None;
    }
    // Too large for a Duration, infinity too: the longest.
    let duration = Duration::try_from_secs_f64(magnitude).unwrap_or(LONGEST);
    Some(duration.clamp(SHORTEST, LONGEST))
}

/// The part of a hexadecimal float after 0x: digits, perhaps a point, perhaps p and an exponent
/// of two.
fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.split_once(['p', 'P']) {
        // An exponent beyond i32 is junk to us; C would call it out of range.
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let fraction_bits = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(value * 2f64.powi(exponent.checked_sub(fraction_bits)?))
}

/// C's isspace() in the C locale.
fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r'])
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn strip_hex(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_read_as_strtoumax_with_base_0_does() {
        let limit = |text| parse_connections(text).unwrap().map(NonZeroUsize::get);
        for (text, expected) in [
            ("100", Some(100)),
            ("0x10", Some(16)),
            ("0XfF", Some(255)),
            ("010", Some(8)),
            ("+7", Some(7)),
            (" \t7", Some(7)),
            ("0", None),
            ("-0", None),
            ("-1", None),
            ("-5", None),
            ("0xffffffffffffffff", None),
            ("18446744073709551615", None),
        ] {
            assert_eq!(limit(text), expected, "{text:?}");
        }
    }

    #[test]
    fn junk_is_no_number_of_connections() {
        for text in [
            "",
            " ",
            "-",
            "+",
            "+-1",
            "--1",
            "12x",
            "5 ",
            "0x",
            "0x+1",
            "08",
            "1.5",
            "1e3",
            "ten",
            "18446744073709551616",
            "-18446744073709551616",
        ] {
            let error = parse_connections(text).expect_err(text);
            assert_eq!(error, EXPECTED_CONNECTIONS);
        }
    }

    #[test]
    fn seconds_are_read_as_strtod_does() {
        let seconds = |text| parse_timeout(text).unwrap();
        for (text, milliseconds) in [
            ("5", 5000),
            (" +5", 5000),
            (".5", 500),
            ("5.", 5000),
            ("1e1", 10_000),
            ("0x10", 16_000),
            ("0x1.8p1", 3000),
            ("0x.8", 500),
            ("0X1P-1", 500),
        ] {
            assert_eq!(seconds(text), Duration::from_millis(milliseconds), "{text:?}");
        }
    }

    #[test]
    fn zero_seconds_mean_the_default() {
        for text in ["0", "-0", "0.0", "0x0", "0e5", "0x0.p-9", ".0"] {
            assert_eq!(parse_timeout(text), Ok(DEFAULT_TIMEOUT));
            assert_eq!(parse_interval(text), Ok(DEFAULT_INTERVAL));
        }
    }

    #[test]
    fn zero_seconds_are_no_limit() {
        for text in ["0", "-0", "0x0"] {
            assert_eq!(parse_limit(text), Ok(Duration::ZERO));
        }
        assert_eq!(parse_limit("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_limit("inf"), Ok(LONGEST));
        assert!(parse_limit("-1").unwrap_err().ends_with("0 for no limit"));
        assert_eq!(parse_ack_timeout("5").is_ok(), cfg!(target_os = "linux"));
    }

    #[test]
    fn no_number_of_seconds_overflows_a_clock() {
        let now = std::time::Instant::now();
        for text in ["inf", "Infinity", "1e999", "1e300", "1e18", "9e9"] {
            assert_eq!(parse_timeout(text), Ok(LONGEST), "{text:?}");
        }
        assert!(now.checked_add(LONGEST).is_some());
        for text in ["1e-300", "1e-3000", "0x1p-3000", "0.0000000001"] {
            assert_eq!(parse_interval(text), Ok(SHORTEST), "{text:?}");
        }
    }

    #[test]
    fn many_seconds_are_as_many() {
        assert_eq!(parse_interval("1e9"), Ok(Duration::from_secs(1_000_000_000)));
        assert_eq!(parse_timeout("3153600000"), Ok(LONGEST));
    }

    #[test]
    fn junk_is_no_number_of_seconds() {
        for text in [
            "", "-1", "-inf", "nan", "-nan", "5s", "5 ", "+-5", "--5", "0x", "0x.", "0x1p", "0xg",
            "five", "-1e-3000",
        ] {
            assert!(parse_timeout(text).is_err(), "{text:?}");
            assert!(parse_interval(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn coalesce_takes_whole_milliseconds() {
        assert_eq!(parse_coalesce("0"), Ok(Duration::ZERO));
        assert_eq!(parse_coalesce("60000"), Ok(Duration::from_secs(60)));
        for text in ["", "-1", "1.5", "60001", "5ms", " 5"] {
            assert!(parse_coalesce(text).is_err(), "{text:?}");
        }
    }
}
