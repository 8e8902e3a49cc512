//! Bytes that are cheap to make and to check: megabytes need no storage, and a difference is
//! reported with its offset. Next: nothing; this is all.

use std::io::{self, Read, Write};

/// An endless stream of bytes that a seed determines (SplitMix64).
#[derive(Clone)]
pub struct Pattern {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Pattern {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, word: [0; 8], used: 8 }
    }

    /// The next bytes of the stream.
    pub fn fill(&mut self, out: &mut [u8]) {
        let mut rest = out;
        // What is left of the last word first, then whole words, then a part of one.
        while !rest.is_empty() {
            if self.used == 8 {
                self.word = self.next_word();
                self.used = 0;
            }
            let count = rest.len().min(8 - self.used);
            rest[..count].copy_from_slice(&self.word[self.used..self.used + count]);
            self.used += count;
            rest = &mut rest[count..];
        }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes);
        bytes
    }

    fn next_word(&mut self) -> [u8; 8] {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

/// Compares what arrives with a [`Pattern`].
pub struct Checker {
    pattern: Pattern,
    received: u64,
}

impl Checker {
    /// Expects the stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self { pattern: Pattern::new(seed), received: 0 }
    }

    /// Panics unless `bytes` are the next of the stream.
    #[track_caller]
    pub fn accept(&mut self, bytes: &[u8]) {
        let expected = self.pattern.take(bytes.len());
        if let Some(at) = bytes.iter().zip(&expected).position(|(found, wanted)| found != wanted) {
            panic!("byte {} differs from what was sent", self.received + at as u64);
        }
        self.received += bytes.len() as u64;
    }

    /// How many bytes arrived.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Reads to the end of the stream or to an error; returns how it ended.
    pub fn read_all(&mut self, from: &mut impl Read) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.accept(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads exactly `count` bytes.
    pub fn read_exactly(&mut self, from: &mut impl Read, count: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let mut left = count;
        while left > 0 {
            let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            from.read_exact(&mut buffer[..part])?;
            self.accept(&buffer[..part]);
            left -= part as u64;
        }
        Ok(())
    }
}

/// Writes the next `count` bytes of `pattern`.
pub fn send(to: &mut impl Write, pattern: &mut Pattern, count: u64) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut left = count;
    while left > 0 {
        let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        pattern.fill(&mut buffer[..part]);
        to.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    Ok(())
}
