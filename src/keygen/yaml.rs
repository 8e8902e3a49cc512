//! The key file of wormhole: 32 integers in a YAML sequence.
//!
//! Owns that one form, in both directions: `---`, then 32 lines `- N`, as wormhole-keygen has
//! always written it; comments and blank lines are let pass. Refuses every other YAML, and a YAML
//! library: that would leave the key's numbers in strings that nobody wipes. Next: `file.rs`.

use std::io::{self, Write};

use spiped_proto::Secret;

/// Bytes of the key.
pub const KEY_LEN: usize = 32;

/// The longest text that is read: several times what there can be without comments.
pub const MAX_LEN: usize = 4096;

/// The longest text that [`format`] writes: `---`, and `- 255` for each byte.
const FORMATTED_LEN: usize = 4 + KEY_LEN * 6;

/// Reads the key from the text of a file.
///
/// # Errors
///
/// Which line is wrong, and what was expected; nothing of what the line holds.
pub fn parse(text: &[u8]) -> Result<Secret<KEY_LEN>, String> {
    let mut count = 0;
    let mut ended = false;
    let key = Secret::try_filled(|key: &mut [u8; KEY_LEN]| {
        for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii_end();
            if line.trim_ascii_start().is_empty() || line.trim_ascii_start()[0] == b'#' {
                continue;
            }
            match line {
                b"---" if count == 0 && !ended => {}
                b"..." if count > 0 => ended = true,
                _ => {
                    let byte = item(line).filter(|_| !ended).ok_or_else(|| {
                        let line = number + 1;
                        format!("line {line} is not \"- N\" with N from 0 to 255")
                    })?;
                    *key.get_mut(count).ok_or("there are more than 32 numbers")? = byte;
                    count += 1;
                }
            }
        }
        match count {
            KEY_LEN => Ok(()),
            _ => Err(format!("there are {count} numbers, expected 32")),
        }
    });
    key.map_err(|problem| format!("{problem}; this is no key.yaml of wormhole"))
}

/// The number of a line `- N`, perhaps with a comment behind it.
fn item(line: &[u8]) -> Option<u8> {
    let rest = line.trim_ascii_start().strip_prefix(b"- ")?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(digits);
    let comment = rest.first() == Some(&b' ') && rest.trim_ascii_start().starts_with(b"#");
    // YAML reads 010 as eight, or as ten, depending on its version. Nobody has written that.
    let plain = digits == b"0" || digits.first().is_some_and(|&first| first != b'0');
    if !(plain && digits.len() <= 3 && (rest.is_empty() || comment)) {
        return None;
    }
    let value = digits.iter().fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    value.try_into().ok()
}

/// Writes the key as wormhole-keygen does.
///
/// # Errors
///
/// Whatever `write` returns.
pub fn format(
    key: &Secret<KEY_LEN>,
    write: impl FnOnce(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut text = Secret::<FORMATTED_LEN>::zeroed();
    let mut room: &mut [u8] = text.expose_mut();
    room.write_all(b"---\n")?;
    for byte in key.expose() {
        writeln!(room, "- {byte}")?;
    }
    let length = FORMATTED_LEN - room.len();
    let written = write(&text.expose()[..length]);
    // The numbers have been formatted in variables that nobody else wipes.
    spiped_proto::wipe_stack();
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As serde_yaml 0.8 writes it.
    fn wormholes(key: impl Iterator<Item = u8>) -> String {
        key.fold("---\n".to_owned(), |text, byte| text + &format!("- {byte}\n"))
    }

    fn refused(text: &str) -> String {
        let refused = parse(text.as_bytes()).unwrap_err();
        refused.strip_suffix("; this is no key.yaml of wormhole").unwrap().to_owned()
    }

    #[test]
    fn what_is_written_is_wormholes_form_and_is_read_back() {
        for key in [[0; 32], [255; 32], std::array::from_fn(|i| i as u8 * 8 + 1)] {
            let secret = Secret::filled(|bytes| *bytes = key);
            let mut text = Vec::new();
            format(&secret, |bytes| text.write_all(bytes)).unwrap();
            assert_eq!(text, wormholes(key.into_iter()).as_bytes());
            assert_eq!(parse(&text).unwrap().expose(), &key);
        }
    }

    #[test]
    fn what_an_editor_may_have_done_is_let_pass() {
        let key: [u8; 32] = std::array::from_fn(|i| 100 + i as u8);
        let text = wormholes(key.into_iter());
        for text in [
            text.trim_start_matches("---\n").to_owned(),
            text.trim_end().to_owned(),
            text.replace('\n', "\r\n"),
            text.replace("- ", "  -  "),
            format!("# ours\n\n{text}...\n\n"),
            text.replace("- 131", "- 131 # the last"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap().expose(), &key, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_line_and_without_the_numbers() {
        let good = wormholes(0..32);
        assert_eq!(refused(""), "there are 0 numbers, expected 32");
        assert_eq!(refused(&wormholes(0..31)), "there are 31 numbers, expected 32");
        assert_eq!(refused(&wormholes(0..33)), "there are more than 32 numbers");
        for bad in ["256", "-1", "0x1", "007", "\"7\"", "7 8", "7#", "", "1e2", "~", "1_0", "9999"]
        {
            let text = good.replace("- 7\n", &format!("- {bad}\n"));
            assert_eq!(refused(&text), "line 9 is not \"- N\" with N from 0 to 255", "{bad}");
        }
        assert!(refused(&format!("[{}]", ["1"; 32].join(", "))).starts_with("line 1 "));
        assert!(refused(&format!("key:\n{good}")).starts_with("line 1 "));
        assert!(refused(&format!("{good}---\n{good}")).starts_with("line 34 "));
        assert!(refused(&format!("{good}...\n- 1\n")).starts_with("line 35 "));
        assert!(parse(&[0xff; 32]).is_err());
    }
}
