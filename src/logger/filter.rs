//! Which messages are written: `--log-level`, RUST_LOG, and the default.
//!
//! Owns the order of the three, and the names of the parts in RUST_LOG. Refuses to write anything,
//! even its own complaint. Part of `logger.rs`; next: `line.rs`.

use env_filter::{Builder, Filter};
use log::LevelFilter;

/// The parts that RUST_LOG can name: all, and the crates that have something to say.
const PARTS: [&str; 3] = ["spiped", "spiped_net", "spiped_programs"];

/// The name under which RUST_LOG knows a target: the crates' names all begin with `spiped`, except
/// that of the program `spipe`.
pub(super) fn public_target(target: &str) -> std::borrow::Cow<'_, str> {
    match target.strip_prefix("spipe") {
        Some(rest) if rest.is_empty() || rest.starts_with(':') => format!("spiped{rest}").into(),
        _ => target.into(),
    }
}

/// What is logged, and a complaint about RUST_LOG if it cannot be read.
pub(super) fn build_filter(
    level: Option<LevelFilter>,
    variable: Option<&str>,
    default: LevelFilter,
) -> (Filter, Option<String>) {
    let ours = |level: LevelFilter| {
        let mut builder = Builder::new();
        // Libraries beneath us are of interest only if something is wrong with them.
        builder.filter_level(level.min(LevelFilter::Warn)).filter_module("spiped", level);
        builder
    };
    if let Some(level) = level {
        return (ours(level).build(), None);
    }
    let Some(variable) = variable.filter(|text| !text.is_empty()) else {
        return (ours(default).build(), None);
    };
    // A level without a name in RUST_LOG replaces this one; without such a level, the default
    // holds for what RUST_LOG does not name.
    let mut builder = Builder::new();
    builder.filter_level(default);
    match builder.try_parse(variable) {
        Ok(builder) => (builder.build(), misnamed(variable)),
        Err(_) => {
            let complaint = format!(
                "RUST_LOG {variable:?} is ignored: expected directives such as debug or \
                 spiped_net=trace,warn"
            );
            (ours(default).build(), Some(complaint))
        }
    }
}

/// A complaint about the first directive that was probably meant for us, and names no part of ours
/// that has something to say.
fn misnamed(variable: &str) -> Option<String> {
    let (directives, _) = variable.split_once('/').unwrap_or((variable, ""));
    let odd =
        directives.split(',').map(str::trim).find(|directive| match directive.split_once('=') {
            // Those for other programs are none of our business.
            Some((name, _)) => name.starts_with("spipe") && !is_part(name),
            None => {
                let is_level = directive.parse::<LevelFilter>().is_ok();
                !directive.is_empty() && !is_level && !is_part(directive)
            }
        })?;
    let parts = PARTS.join(", ");
    Some(format!(
        "RUST_LOG {variable:?}: {odd:?} is neither a level nor a part of ours; expected error, \
         warn, info, debug or trace, or one of these for a part, as in {part}=debug ({parts})",
        part = PARTS[1]
    ))
}

/// Whether a name is that of a part, or of something in one.
fn is_part(name: &str) -> bool {
    name == "spipe"
        || PARTS.iter().any(|part| {
            name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
}

#[cfg(test)]
mod tests {
    use log::{Level, Metadata};

    use super::*;

    fn enabled(filter: &Filter, target: &str, level: Level) -> bool {
        let target = public_target(target);
        filter.enabled(&Metadata::builder().level(level).target(&target).build())
    }

    #[test]
    fn the_option_beats_the_variable_which_beats_the_default() {
        use LevelFilter::{Debug, Error, Info};
        let level = |option, variable| {
            let (filter, complaint) = build_filter(option, variable, Info);
            assert_eq!(complaint, None);
            filter.filter()
        };
        assert_eq!(level(Some(Error), Some("debug")), Error);
        assert_eq!(level(None, Some("debug")), Debug);
        assert_eq!(level(None, None), Info);
        assert_eq!(level(None, Some("")), Info);
    }

    #[test]
    fn spiped_names_every_part_of_ours_and_nothing_else() {
        let (filter, _) = build_filter(None, Some("spiped=debug"), LevelFilter::Error);
        for target in ["spiped", "spipe", "spipe::x", "spiped_net::dns", "spiped_programs::key"] {
            assert!(enabled(&filter, target, Level::Debug), "{target}");
        }
        assert!(!enabled(&filter, "mio::poll", Level::Warn));
        let (filter, _) = build_filter(None, Some("spiped_net=trace,warn"), LevelFilter::Info);
        assert!(enabled(&filter, "spiped_net::dns", Level::Trace));
        assert!(!enabled(&filter, "spiped", Level::Info));
    }

    #[test]
    fn the_option_does_not_open_the_libraries() {
        let (filter, _) = build_filter(Some(LevelFilter::Trace), None, LevelFilter::Info);
        assert!(enabled(&filter, "spipe", Level::Trace));
        assert!(!enabled(&filter, "mio::poll", Level::Info));
        assert!(enabled(&filter, "mio::poll", Level::Warn));
    }

    #[test]
    fn a_part_that_is_not_there_is_reported() {
        let complaint = |text| build_filter(None, Some(text), LevelFilter::Info).1;
        for text in ["bogus", "spiped-net=debug", "warn,spiped_nett=trace", "spipedd"] {
            let said = complaint(text).expect(text);
            assert!(said.starts_with(&format!("RUST_LOG {text:?}: \"")), "{said}");
            assert!(
                said.contains("is neither a level nor a part of ours; expected error"),
                "{said}"
            );
        }
        // Levels, parts, and what is for other programs.
        for text in [
            "debug",
            "OFF",
            "spiped",
            "spipe=info",
            "spiped_net::dns=trace,warn",
            "a=info",
            "warn/x",
        ] {
            assert_eq!(complaint(text), None, "{text}");
        }
        let (filter, _) = build_filter(None, Some("bogus"), LevelFilter::Info);
        assert!(enabled(&filter, "spiped", Level::Info));
    }

    #[test]
    fn an_unreadable_variable_is_reported_and_ignored() {
        let (filter, complaint) = build_filter(None, Some("spiped=loud"), LevelFilter::Info);
        assert_eq!(filter.filter(), LevelFilter::Info);
        assert!(complaint.unwrap().starts_with("RUST_LOG \"spiped=loud\" is ignored: expected"));
    }
}
