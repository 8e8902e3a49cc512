//! Tables of outcomes: plays everything, several tricks at a time, and writes Markdown.
//! Next: `main.rs`.

use std::fmt::Write;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Outcome, Role, Subject, TRICKS, Trick, play};

/// Tricks that are played at a time; most of them wait.
const AT_ONCE: usize = 8;

/// What came of each trick that fits the end of the tunnel.
///
/// # Errors
///
/// If a subject cannot be started.
pub fn play_all(subject: &Subject, role: Role) -> io::Result<Vec<(&'static Trick, Outcome)>> {
    let tricks: Vec<&Trick> = TRICKS.iter().filter(|trick| trick.fits(role)).collect();
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(trick) = tricks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = play(subject, role, trick);
                    outcomes.lock().expect("no thread panics with it").push((*trick, outcome));
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("no thread panics with it");
    let mut outcomes: Vec<(&Trick, Outcome)> = outcomes
        .into_iter()
        .map(|(trick, outcome)| Ok((trick, outcome?)))
        .collect::<io::Result<_>>()?;
    outcomes.sort_by_key(|(trick, _)| tricks.iter().position(|other| other.name == trick.name));
    Ok(outcomes)
}

/// The cells of a row for one subject: what the tester saw, and what happened behind the daemon.
#[must_use]
pub fn cells(outcome: &Outcome) -> String {
    let serves = if outcome.serves { "" } else { "; **serves nobody any more**" };
    format!("{} | {}{serves}", outcome.seen(), outcome.behind())
}

/// Everything against each subject, which has a name: a table for each end of the tunnel.
///
/// # Errors
///
/// If a subject cannot be started.
pub fn tables(subjects: &[(String, Subject)]) -> io::Result<String> {
    let mut text = String::new();
    for role in [Role::Decrypt, Role::Encrypt] {
        let (end, plays, behind) = match role {
            Role::Decrypt => ("spiped -d", "a client", "target"),
            Role::Encrypt => ("spiped -e", "a server", "client"),
        };
        let columns = subjects.iter().map(|(name, subject)| Ok((name, play_all(subject, role)?)));
        let columns: Vec<_> = columns.collect::<io::Result<_>>()?;
        let head = |text: String, (name, _): &(&String, _)| {
            format!("{text} {name}: it sees | {name}: the {behind} gets |")
        };
        let head = columns.iter().fold(format!("| `{end}` meets {plays}:"), |text, column| {
            head(if text.ends_with('|') { text } else { text + " |" }, column)
        });
        let rule = "|---".repeat(1 + 2 * columns.len());
        let _ = write!(text, "{head}\n{rule}|\n");
        for (row, (trick, _)) in columns[0].1.iter().enumerate() {
            let _ = write!(text, "| {} |", trick.name);
            for (_, outcomes) in &columns {
                let _ = write!(text, " {} |", cells(&outcomes[row].1));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    Ok(text)
}
