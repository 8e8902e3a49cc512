//! How a line of the log looks.
//!
//! Owns prefix, level word, escaping and the length limit. Refuses to let a message decide where a
//! line ends or what a terminal does: control characters are shown, not sent. Next: `writer.rs`.

use std::fmt::{Arguments, Write};
use std::os::fd::BorrowedFd;

use log::Level;

/// Longest line in bytes, its newline counted: PIPE_BUF of Linux. A pipe that polls as writable
/// takes that much at once, and never mixed with another process's line.
pub(super) const LINE_LEN: usize = 4096;

/// Room for a line that is not cut: hardly one needs more.
const USUAL_LEN: usize = 256;

/// Bytes of `\u{10ffff}`.
const LONGEST_ESCAPE: usize = 10;

/// Ends a line that was cut.
const CUT: &str = "...";

/// What stands before the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `spiped: warning: text`, for people.
    Plain,
    /// `<4>text`, for systemd's journal, which knows the program already.
    Journal,
    /// `<12>spiped[42]: warning: text`, a syslog datagram (RFC 3164). The time is left out, since
    /// every syslog server puts in its own then, and a daemon's time zone may be stale.
    Syslog,
}

/// [`Style::Journal`] if `stderr` is what the variable JOURNAL_STREAM ("device:inode") names.
pub(super) fn style_for(stderr: BorrowedFd<'_>, journal_stream: Option<&str>) -> Style {
    let Some((device, inode)) = journal_stream.and_then(|text| text.split_once(':')) else {
        return Style::Plain;
    };
    match nix::sys::stat::fstat(stderr) {
        // The variable is inherited by processes whose stderr goes elsewhere, hence the check.
        Ok(stat) if device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino) => {
            Style::Journal
        }
        _ => Style::Plain,
    }
}

/// One line: at most [`LINE_LEN`] bytes, no control character but the newline at its end (which
/// syslog does not get).
pub(super) fn format(style: Style, program: &str, level: Level, text: &Arguments<'_>) -> String {
    let word = match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        Level::Info => "",
        Level::Debug => "debug: ",
        Level::Trace => "trace: ",
    };
    let severity = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    let mut line = String::with_capacity(USUAL_LEN);
    // Facility LOG_USER, as in C spiped.
    let priority = (1 << 3) | severity;
    let _ = match style {
        Style::Plain => write!(line, "{program}: {word}"),
        Style::Journal => write!(line, "<{severity}>"),
        Style::Syslog => write!(line, "<{priority}>{program}[{}]: {word}", std::process::id()),
    }; // a String takes everything
    let end = if style == Style::Syslog { "" } else { "\n" };
    let mut escaped = Escaped { line, room: LINE_LEN - end.len() - CUT.len(), cut: false };
    // A Display of somebody else's that fails leaves what it wrote so far: still a line.
    let _ = escaped.write_fmt(*text);
    let mut line = escaped.line;
    if escaped.cut {
        line.push_str(CUT);
    }
    line.push_str(end);
    line
}

/// A line that grows up to `room` bytes, with control characters escaped.
struct Escaped {
    line: String,
    room: usize,
    cut: bool,
}

impl Write for Escaped {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        // Nearly all of nearly every line, in one piece.
        let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if plain && self.line.len() + text.len() + LONGEST_ESCAPE <= self.room {
            self.line.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            if self.line.len() + LONGEST_ESCAPE > self.room {
                self.cut = true;
                return Err(std::fmt::Error);
            }
            if is_harmful(c) {
                self.line.extend(c.escape_default());
            } else {
                self.line.push(c);
            }
        }
        Ok(())
    }
}

/// Control characters, and what reorders or breaks a line on a screen.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn each_level_has_its_word_and_severity() {
        for (level, plain, journal) in [
            (Level::Error, "spiped: error: x\n", "<3>x\n"),
            (Level::Warn, "spiped: warning: x\n", "<4>x\n"),
            (Level::Info, "spiped: x\n", "<6>x\n"),
            (Level::Debug, "spiped: debug: x\n", "<7>x\n"),
            (Level::Trace, "spiped: trace: x\n", "<7>x\n"),
        ] {
            assert_eq!(format(Style::Plain, "spiped", level, &format_args!("x")), plain);
            assert_eq!(format(Style::Journal, "spiped", level, &format_args!("x")), journal);
        }
        let pid = std::process::id();
        let line = format(Style::Syslog, "spiped", Level::Warn, &format_args!("x"));
        assert_eq!(line, format!("<12>spiped[{pid}]: warning: x"));
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        let evil = "a\nspiped: b\x1b[2J\u{9b}c\u{202e}d\te \u{e9}";
        let line = format(Style::Plain, "spiped", Level::Info, &format_args!("{evil}"));
        let expected = "spiped: a\\nspiped: b\\u{1b}[2J\\u{9b}c\\u{202e}d\\te \u{e9}\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        for style in [Style::Plain, Style::Journal, Style::Syslog] {
            let text = "\u{e9}".repeat(LINE_LEN);
            let line = format(style, "spiped", Level::Info, &format_args!("{text}"));
            assert!(line.len() <= LINE_LEN && line.len() > LINE_LEN - 20, "{}", line.len());
            assert!(line.trim_end().ends_with("\u{e9}..."));
        }
    }

    #[test]
    fn the_journal_is_recognised_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let meta = file.metadata().unwrap();
        let style = |text: Option<&str>| style_for(file.as_fd(), text);
        let matching = format!("{}:{}", meta.dev(), meta.ino());
        assert_eq!(style(Some(&matching)), Style::Journal);
        assert_eq!(style(Some(&format!("{matching}1"))), Style::Plain);
        assert_eq!(style(Some("junk")), Style::Plain);
        assert_eq!(style(None), Style::Plain);
    }
}
