//! What came of a trick, in words that fit a cell of a table. Next: `stage.rs`.

use std::fmt;

/// How far a daemon let the tester come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Saw {
    /// Not a whole nonce.
    Nothing,
    /// The daemon's nonce.
    Nonce,
    /// And its Diffie-Hellman value.
    Value,
    /// And bytes of the other side, in packets.
    Data,
}

/// How a connection behind the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As a stream that is complete.
    Finished,
    /// By a reset, which says that it is not.
    Reset,
    /// Not at all, also after the tester was gone.
    Never,
}

/// What arrived behind the daemon: at the target of `-d`, or at the client of `-e`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What came after them.
    pub end: End,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the tester got from the daemon.
    pub saw: Saw,
    /// Whether the daemon left the tester's connection open.
    pub open: bool,
    /// What the daemon said that no honest one says.
    pub fault: Option<String>,
    /// What arrived behind the daemon; nothing if the target was not even contacted.
    pub arrived: Option<Arrived>,
    /// Whether an honest peer was served afterwards.
    pub serves: bool,
}

impl fmt::Display for Saw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Nonce => "nonce",
            Self::Value => "nonce, y",
            Self::Data => "nonce, y, data",
        })
    }
}

impl fmt::Display for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes.is_empty() {
            f.write_str("nothing")?;
        } else {
            write!(f, "`{}`", String::from_utf8_lossy(&self.bytes))?;
        }
        f.write_str(match self.end {
            End::Finished => ", then its end",
            End::Reset => ", then a reset",
            End::Never => ", and no end",
        })
    }
}

impl Outcome {
    /// What the tester saw.
    #[must_use]
    pub fn seen(&self) -> String {
        let open = if self.open { "; left open" } else { "" };
        let fault = self.fault.as_ref().map_or(String::new(), |fault| format!("; {fault}"));
        format!("{}{open}{fault}", self.saw)
    }

    /// What happened behind the daemon.
    #[must_use]
    pub fn behind(&self) -> String {
        self.arrived.as_ref().map_or("not contacted".to_owned(), Arrived::to_string)
    }
}
