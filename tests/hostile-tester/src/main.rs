//! The tester as a program: tables of what comes of each trick, for programs that it starts, or one
//! trick after the other against a daemon that runs.
//!
//! Owns the command line. Next: nothing; this is the last one.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use hostile_tester::{Role, Subject, TRICKS, play, table};

const USAGE: &str = "\
usage: hostile-tester table [--into FILE] NAME=PROGRAM...
       hostile-tester client ADDRESS KEYFILE [WORDS]
       hostile-tester server ADDRESS KEYFILE [WORDS]

table   plays everything against each PROGRAM, which has the options of spiped, in both roles, and
        prints what came of it; with --into, also puts it into FILE in place of the last one
client  plays the tricks with WORDS in their names against a `spiped -d` that listens at ADDRESS
server  ... listens at ADDRESS and plays them for a `spiped -e`; something has to connect to that";

/// What is around the tables in a document.
const MARKS: [&str; 2] = ["<!-- hostile-tester: begin -->\n", "<!-- hostile-tester: end -->\n"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["table", "--into", file, ref programs @ ..] if !programs.is_empty() => {
            tables(programs).and_then(|text| put_into(file.as_ref(), &text))
        }
        ["table", ref programs @ ..] if !programs.is_empty() => tables(programs).map(drop),
        [side @ ("client" | "server"), address, key, ref words @ ..] => {
            meet(side, address, key, &words.join(" "))
        }
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

type Done<T> = Result<T, Box<dyn Error>>;

fn tables(programs: &[&str]) -> Done<String> {
    let subject = |program: &&str| {
        let (name, path) = program.split_once('=').ok_or(USAGE)?;
        let path = Path::new(path).canonicalize().map_err(|error| format!("{path}: {error}"))?;
        Ok((name.to_owned(), Subject::Program(path)))
    };
    let subjects: Vec<_> = programs.iter().map(subject).collect::<Done<_>>()?;
    let text = table::tables(&subjects)?;
    print!("{text}");
    Ok(text)
}

fn put_into(file: &Path, tables: &str) -> Done<()> {
    let text = std::fs::read_to_string(file)?;
    let missing = || format!("{}: no place for the tables, {MARKS:?}", file.display());
    let (before, rest) = text.split_once(MARKS[0]).ok_or_else(missing)?;
    let (_, after) = rest.split_once(MARKS[1]).ok_or_else(missing)?;
    let [begin, end] = MARKS;
    std::fs::write(file, format!("{before}{begin}\n{tables}{end}{after}"))?;
    Ok(())
}

fn meet(side: &str, address: &str, key: &str, words: &str) -> Done<()> {
    let at: SocketAddr = address.parse().map_err(|_| format!("{address}: not IP:PORT"))?;
    let secret = std::fs::read(key).map_err(|error| format!("{key}: {error}"))?;
    let subject = Subject::Running { at, secret };
    let role = if side == "client" { Role::Decrypt } else { Role::Encrypt };
    for trick in TRICKS.iter().filter(|trick| trick.fits(role) && trick.name.contains(words)) {
        let outcome = play(&subject, role, trick)?;
        let serves = if outcome.serves { "serves" } else { "does not serve" };
        println!("{}: sees {}; then it {serves}", trick.name, outcome.seen());
    }
    Ok(())
}
