//! The machine in one line: figures mean nothing without it.

use std::fmt;

use nix::sys::utsname::uname;

use crate::Outcome;

/// What the figures depend on.
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn read() -> Outcome<Self> {
        let text = std::fs::read_to_string("/proc/cpuinfo")
            .map_err(|e| format!("cannot read /proc/cpuinfo: {e}"))?;
        let model = text.lines().find_map(|line| line.strip_prefix("model name"));
        let processor = model.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim());
        let system = uname().map_err(|e| format!("cannot ask for the kernel's version: {e}"))?;
        let word = |word: &std::ffi::OsStr| word.to_string_lossy().into_owned();
        Ok(Self {
            processor: processor.unwrap_or("unknown processor").to_owned(),
            cores: std::thread::available_parallelism()
                .map_err(|e| format!("cannot count the processor's cores: {e}"))?
                .get(),
            kernel: format!(
                "{} {} {}",
                word(system.sysname()),
                word(system.release()),
                word(system.machine())
            ),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine: {}, {} cores, {}", self.processor, self.cores, self.kernel)
    }
}
