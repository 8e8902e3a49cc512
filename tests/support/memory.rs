//! The memory of another process, and what can be found in it (Linux).
//!
//! It owns the reading through /proc and the search for many byte strings at once. Pages that the
//! process cannot write to hold nothing of a connection, and are left out.
//! Next: `tests/secrets.rs`.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

/// Bytes of what is searched for. A secret rarely survives whole: half of a cipher key, or what
/// fits one vector register, is enough to look for, and too much to turn up by chance.
pub(crate) const PIECE: usize = 16;

/// Bytes that are looked at or left out together.
const PAGE: usize = 4096;

/// Byte strings to look for, each with a name.
#[derive(Clone, Default)]
pub(crate) struct Needles(HashMap<[u8; PIECE], String>);

impl Needles {
    /// Adds all whole pieces of a byte string.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        for (index, piece) in bytes.as_chunks::<PIECE>().0.iter().enumerate() {
            self.0.insert(*piece, format!("{name}[{}..]", index * PIECE));
        }
    }

    /// Where `bytes` has them; offsets and names.
    fn find<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (usize, &'a str)> {
        // Most places are ruled out by their first two bytes.
        let mut begins = vec![false; 1 << 16];
        let first = |piece: &[u8]| usize::from(u16::from_ne_bytes([piece[0], piece[1]]));
        self.0.keys().for_each(|piece| begins[first(piece)] = true);
        // A part has a page of places, and what follows the last of them. Most of a stack was never
        // used, and is zero.
        let parts = (0..bytes.len()).step_by(PAGE).map(|start| {
            let end = bytes.len().min(start + PAGE + PIECE - 1);
            (start, &bytes[start..end])
        });
        let used = parts.filter(|(_, part)| **part != [0; PAGE + PIECE - 1][..part.len()]);
        used.flat_map(|(start, part)| (start..).zip(part.windows(PIECE))).filter_map(
            move |(offset, window)| {
                if !begins[first(window)] {
                    return None;
                }
                self.0.get(window).map(|name| (offset, name.as_str()))
            },
        )
    }
}

/// A place where something was found.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What.
    pub(crate) name: String,
    /// In which mapping, as /proc calls it.
    pub(crate) mapping: String,
    /// At which address.
    pub(crate) address: u64,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} at {:#x}", self.name, self.mapping, self.address)
    }
}

/// A writable, private mapping.
struct Mapping {
    start: u64,
    end: u64,
    name: String,
}

/// Parses a line such as `7ffd1000-7ffd3000 rw-p 00000000 00:00 0    [stack]`.
fn mapping(line: &str) -> Option<Mapping> {
    let mut columns = line.split_whitespace();
    let (start, end) = columns.next()?.split_once('-')?;
    let permissions = columns.next()?;
    let name = columns.nth(3).unwrap_or("(anonymous)");
    let number = |text| u64::from_str_radix(text, 16).expect("a hexadecimal number");
    let ours = permissions.starts_with("rw") && permissions.ends_with('p');
    let name = format!("{name} ({permissions})");
    ours.then(|| Mapping { start: number(start), end: number(end), name })
}

/// What lies on locked pages of a process: every 32 bytes, the least that a secret takes there,
/// that are not all zero.
pub(crate) fn locked(pid: Pid) -> io::Result<Vec<[u8; 32]>> {
    let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let (mut current, mut found) = (None, Vec::new());
    for line in smaps.lines() {
        match line.strip_prefix("VmFlags:") {
            None if line.contains(" rw") => current = mapping(line),
            None => {}
            Some(flags) => {
                let Some(Mapping { start, end, .. }) = current.take() else { continue };
                if !flags.split_whitespace().any(|flag| flag == "lo") {
                    continue;
                }
                let mut bytes = vec![0; usize::try_from(end - start).expect("it fits")];
                memory.read_exact_at(&mut bytes, start)?;
                found.extend(bytes.as_chunks::<32>().0.iter().filter(|part| **part != [0; 32]));
            }
        }
    }
    Ok(found)
}

/// True if the system lets us look into the memory of a process.
pub(crate) fn readable(pid: Pid) -> bool {
    File::open(format!("/proc/{pid}/mem")).is_ok()
}

/// Everything from `needles` in the memory of a process; an error if we may not look.
pub(crate) fn search(pid: Pid, needles: &Needles) -> io::Result<Vec<Found>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = Vec::new();
    for Mapping { start, end, name } in maps.lines().filter_map(mapping) {
        let mut bytes = vec![0; usize::try_from(end - start).expect("it fits the other process")];
        memory.read_exact_at(&mut bytes, start)?;
        found.extend(needles.find(&bytes).map(|(offset, what)| Found {
            name: what.to_owned(),
            mapping: name.clone(),
            address: start + offset as u64,
        }));
    }
    Ok(found)
}
