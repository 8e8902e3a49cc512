//! The command line of the benchmark, as `make bench` gives it.
//!
//! Owns what can be asked for and how much work that means ([`Effort`]). Refuses unknown rows.
//! Next: `runner.rs`, which works from it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::Outcome;
use crate::row::Row;
use crate::rows;

#[derive(Parser, Debug)]
#[command(name = "spiped-bench", about = "Measures spiped against C spiped, stunnel, ssh, a relay")]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// Rows to measure, by name [default: all]
    rows: Vec<String>,

    /// Show that the benchmark works: little of everything, figures without meaning
    #[arg(long)]
    quick: bool,

    /// Say what rows there are
    #[arg(long)]
    list: bool,

    /// How often each figure is measured [default: 5, quick: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// How long data flows in each measurement of throughput [default: 2, quick: 0.2]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,

    /// Directory for the plots [default: bench/ in the build directory]
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,

    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand, Debug)]
enum Part {
    /// Be a plain relay, the peer that does nothing but copy
    #[command(hide = true)]
    Relay { port: u16, target: SocketAddr },
}

/// What to do.
pub(crate) enum Action {
    Relay { port: u16, target: SocketAddr },
    List,
    Measure(Options),
}

/// A run that was asked for.
pub(crate) struct Options {
    args: Args,
    /// Where cargo puts programs of this profile: the directory this program is in.
    pub(crate) build: PathBuf,
}

/// How much work a measurement is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) quick: bool,
    pub(crate) rounds: u32,
    /// Seconds for which data flows while it is measured.
    pub(crate) seconds: f64,
    /// Seconds for which it flows before.
    pub(crate) warm_up: f64,
    /// Round trips of one byte.
    pub(crate) pings: usize,
    /// Connections one after the other, and as many again side by side.
    pub(crate) connections: usize,
}

impl Options {
    /// Reads the command line; a mistake in it ends the process.
    pub(crate) fn from_command_line() -> Action {
        let args = Args::parse();
        if let Some(Part::Relay { port, target }) = args.part {
            return Action::Relay { port, target };
        }
        if args.list {
            return Action::List;
        }
        let program = std::env::current_exe().unwrap_or_else(|_| "target/release/x".into());
        let build = program.parent().map(PathBuf::from).unwrap_or_default();
        Action::Measure(Self { args, build })
    }

    pub(crate) fn effort(&self) -> Effort {
        let seconds = |default| self.args.seconds.unwrap_or(default).clamp(0.05, 600.0);
        let rounds = |default| self.args.rounds.unwrap_or(default);
        if self.args.quick {
            Effort {
                quick: true,
                rounds: rounds(1),
                seconds: seconds(0.2),
                warm_up: 0.1,
                pings: 100,
                connections: 16,
            }
        } else {
            Effort {
                quick: false,
                rounds: rounds(5),
                seconds: seconds(2.0),
                warm_up: 0.5,
                pings: 5_000,
                connections: 1_000,
            }
        }
    }

    /// The rows that were asked for, in the order of [`rows::ALL`].
    pub(crate) fn rows(&self) -> Outcome<Vec<&'static Row>> {
        let asked = &self.args.rows;
        if let Some(unknown) = asked.iter().find(|name| rows::ALL.iter().all(|r| r.name != **name))
        {
            let names: Vec<&str> = rows::ALL.iter().map(|row| row.name).collect();
            return Err(format!("there is no row {unknown:?}; there are: {}", names.join(" ")));
        }
        let wanted = |row: &&Row| asked.is_empty() || asked.iter().any(|name| name == row.name);
        Ok(rows::ALL.iter().copied().filter(wanted).collect())
    }

    /// The build directory: the parent of the profile's.
    pub(crate) fn target_dir(&self) -> PathBuf {
        self.build.parent().map(PathBuf::from).unwrap_or_default()
    }

    /// Where the plots go.
    pub(crate) fn plots(&self) -> PathBuf {
        self.args.plots.clone().unwrap_or_else(|| self.target_dir().join("bench"))
    }

    /// How to repeat this run.
    pub(crate) fn command(&self) -> String {
        let mut command = "make bench".to_owned();
        if self.args.quick {
            command += " QUICK=1";
        }
        if let Some(rounds) = self.args.rounds {
            command += &format!(" ROUNDS={rounds}");
        }
        if let Some(seconds) = self.args.seconds {
            command += &format!(" SECONDS={seconds}");
        }
        if !self.args.rows.is_empty() {
            command += &format!(" ROWS=\"{}\"", self.args.rows.join(" "));
        }
        command
    }
}
