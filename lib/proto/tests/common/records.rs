//! Reads the files of test vectors: lines of `name = hex`, one case after another.
//!
//! Owns the format that the head of `vectors/protocol.txt` describes, and panics with the line on
//! anything else, as a vector that is skipped proves nothing. `replay.rs` plays what this reads.

use std::collections::BTreeMap;

/// One case: a name, and what each of its records says.
pub(crate) struct Case {
    name: String,
    records: BTreeMap<String, Vec<u8>>,
}

impl Case {
    /// All cases of a file.
    pub(crate) fn parse_all(text: &str) -> Vec<Self> {
        let mut cases: Vec<Self> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once(" =").expect(line);
            let value = value.trim_start();
            if name == "case" {
                cases.push(Self { name: value.to_owned(), records: BTreeMap::new() });
                continue;
            }
            let case = cases.last_mut().expect("a case starts before its records");
            let bytes = hex::decode(value).expect(line);
            let earlier = case.records.insert(name.to_owned(), bytes);
            assert!(earlier.is_none(), "{}: {name} appears twice", case.name);
        }
        cases
    }

    /// What the case is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The bytes of a record.
    pub(crate) fn bytes(&self, record: &str) -> &[u8] {
        self.records.get(record).unwrap_or_else(|| panic!("{}: no {record}", self.name))
    }

    /// The bytes of a record that has a fixed length.
    pub(crate) fn array<const N: usize>(&self, record: &str) -> [u8; N] {
        self.bytes(record).try_into().unwrap_or_else(|_| panic!("{}: {record}: length", self.name))
    }

    /// Whether a record of one byte says yes.
    pub(crate) fn flag(&self, record: &str) -> bool {
        match self.bytes(record) {
            [0] => false,
            [1] => true,
            other => panic!("{}: {record} is {other:?}", self.name),
        }
    }
}
