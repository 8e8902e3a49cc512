//! Command lines: any words are read without a panic, and what is refused is refused in one line
//! with exit status 1.
//!
//! Owns the promises of both `args.rs`, and that numbers are those that C reads (`strtoumax` with
//! base 0 and `strtod`, here from the system's own library). The words are separated by newlines.
// smoke: 5000 runs
#![no_main]

use std::ffi::{CString, OsStr, OsString, c_char, c_double, c_int};
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use spiped_programs::options::{
    DEFAULT_TIMEOUT, Exit, LONGEST, SHORTEST, Stream, parse_connections, parse_timeout,
};
use spiped_programs::{spipe, spiped as daemon};

fuzz_target!(|data: &[u8]| {
    if data.contains(&0) {
        return; // no word of a command line contains it
    }
    let words = |program: &str| -> Vec<OsString> {
        let words =
            data.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).to_owned());
        std::iter::once(program.into()).chain(words).collect()
    };
    match daemon::args::parse_from(words("spiped")) {
        Ok(options) => {
            assert!((SHORTEST..=LONGEST).contains(&options.timeout));
            assert!(options.resolve.is_none_or(|every| (SHORTEST..=LONGEST).contains(&every)));
            assert!(!options.source.is_empty() && !options.target.is_empty());
        }
        Err(exit) => check_exit("spiped", &exit),
    }
    match spipe::args::parse_from(words("spipe")) {
        Ok(options) => assert!((SHORTEST..=LONGEST).contains(&options.timeout)),
        Err(exit) => check_exit("spipe", &exit),
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(for_c) = CString::new(text)
    {
        check_connections(text, &for_c);
        check_seconds(text, &for_c);
    }
});

/// Help and version end with status 0; everything else with 1, on stderr, in one line.
fn check_exit(program: &str, exit: &Exit) {
    assert!(exit.text.ends_with('\n'), "{:?}", exit.text);
    if exit.status == 0 {
        let first = exit.text.lines().next().unwrap_or_default();
        let version = first.starts_with(program) && exit.text.lines().count() == 1;
        assert!(version || exit.stream == Stream::Stdout, "{:?}", exit.text);
        return;
    }
    assert_eq!((exit.status, exit.stream), (1, Stream::Stderr), "{:?}", exit.text);
    let line = exit.text.trim_end_matches('\n');
    assert!(line.len() + 1 == exit.text.len(), "{:?}", exit.text);
    assert!(line.starts_with(&format!("{program}: error: ")), "{:?}", exit.text);
    assert!(line.ends_with(&format!(" (see {program} --help)")), "{:?}", exit.text);
    assert!(!line.contains(char::is_control), "{:?}", exit.text);
}

unsafe extern "C" {
    fn strtoumax(text: *const c_char, end: *mut *mut c_char, base: c_int) -> u64;
    fn strtod(text: *const c_char, end: *mut *mut c_char) -> c_double;
}

/// What a function of C's library makes of the text, if it takes all of it and finds it in range.
fn by_c<T>(text: &CString, read: impl Fn(*const c_char, *mut *mut c_char) -> T) -> Option<T> {
    let mut end = std::ptr::null_mut();
    // SAFETY: errno is this thread's own.
    unsafe { *errno() = 0 };
    let value = read(text.as_ptr(), &mut end);
    // SAFETY: as above; and `end` points into `text`, at its NUL at the latest.
    let (errno, rest) = unsafe { (*errno(), *end) };
    let all = rest == 0 && !std::ptr::eq(end, text.as_ptr());
    (all && errno == 0).then_some(value)
}

unsafe extern "C" {
    #[link_name = "__errno_location"]
    fn errno() -> *mut c_int;
}

fn check_connections(text: &str, for_c: &CString) {
    // SAFETY: `for_c` ends with a NUL, and the second pointer is that of a variable.
    let by_c = by_c(for_c, |text, end| unsafe { strtoumax(text, end, 0) });
    let ours = parse_connections(text).ok();
    assert_eq!(ours.is_some(), by_c.is_some(), "{text:?}");
    if let (Some(ours), Some(by_c)) = (ours, by_c) {
        // 0, and more than can be reached, is no limit.
        let limit = usize::try_from(by_c).ok().filter(|n| *n > 0 && isize::try_from(*n).is_ok());
        assert_eq!(ours.map(std::num::NonZeroUsize::get), limit, "{text:?}");
    }
}

fn check_seconds(text: &str, for_c: &CString) {
    // SAFETY: as in check_connections().
    let by_c = by_c(for_c, |text, end| unsafe { strtod(text, end) });
    let Ok(ours) = parse_timeout(text) else { return };
    // C calls "out of range" what is too large, which we take for the longest, or too small.
    let Some(by_c) = by_c else { return assert!([LONGEST, SHORTEST].contains(&ours), "{text:?}") };
    if by_c == 0.0 {
        return assert_eq!(ours, DEFAULT_TIMEOUT, "{text:?}");
    }
    let clamped = by_c.clamp(SHORTEST.as_secs_f64(), LONGEST.as_secs_f64());
    let error = (ours.as_secs_f64() - clamped).abs() / clamped;
    assert!(error < 1e-6, "{text:?}: {ours:?}, C: {by_c}");
}
