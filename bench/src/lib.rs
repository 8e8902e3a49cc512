//! `make bench`: measures spiped against what else is there, in one run.
//!
//! Owns the order of a run: options, machine, peers, rows, then the report. Refuses to judge by its
//! exit status whether a target was met: that is in the table, for a human on a quiet machine. It
//! ends with 1 only if the benchmark itself did not work. Everything happens on 127.0.0.1 and in a
//! temporary directory; children die with the process. Next: `rows.rs` says what is measured,
//! `runner.rs` how often and in which order, `peer.rs` against whom.
#![cfg(target_os = "linux")]

mod distance;
mod goals;
mod load;
mod machine;
mod options;
mod pair;
mod peer;
mod plot;
mod process;
mod relay;
mod report;
mod room;
mod row;
mod rows;
mod runner;
mod stats;
mod storm;
mod strangers;
mod table;
mod target;

use std::process::ExitCode;

use options::{Action, Options};

/// What a user reads if something cannot be done.
type Outcome<T> = Result<T, String>;

/// Runs the program; the status is 1 if a measurement of ours failed.
#[must_use]
pub fn run() -> ExitCode {
    let result = match Options::from_command_line() {
        Action::Relay { port, target } => relay::run(port, target).map(|()| true),
        Action::List => {
            rows::ALL.iter().for_each(|row| println!("{:<22} {}", row.name, row.title));
            Ok(true)
        }
        Action::Measure(options) => measure(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("spiped-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// True if everything of ours could be measured.
fn measure(options: &Options) -> Outcome<bool> {
    let rows = options.rows()?;
    let machine = machine::Machine::read()?;
    process::raise_descriptor_limit()?;
    let found = peer::find(&options.build)?;
    println!("{machine}");
    found.missing.iter().for_each(|line| println!("left out: {line}"));

    let bench = room::Bench::new(options.effort())?;
    let results = runner::run(&bench, &found.peers, &rows);

    print!("{}{}", table::render(&results), goals::summary(&results));
    let json = report::json(&machine, &options.command(), &found, &results);
    let places = report::write(options, &json, &results)?;
    println!("\n{places}");
    let failed: Vec<&str> =
        results.iter().filter(|row| row.ours_failed()).map(|row| row.row.name).collect();
    if !failed.is_empty() {
        println!("Ours could not be measured in: {}", failed.join(" "));
    }
    Ok(failed.is_empty())
}
