//! The key: where an image looks for it, what is wrong with it, and how one is made.
//!
//! Owns the paths, and the words for a file that is not there, may not be read or not be made:
//! inside a container users have other numbers than names, and the file is outside. Refuses to
//! overwrite a key. How keys look is in `src/keygen/` of spiped. Next: `health.rs`.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use spiped_programs::keygen::file::{self, CreateError};
use spiped_programs::keygen::{run, yaml};
use spiped_programs::options::KeySource;
use spiped_proto::{Secret, SharedKey};

/// Where the official image of spiped has it.
const OFFICIAL: &str = "/spiped/key";

/// Where its key generator puts it, if that is a directory.
const GENERATED: &str = "spiped-keyfile";

/// Where wormhole's has it.
const WORMHOLES: &str = "/etc/wormhole/key.yaml";

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// At the official image's place.
    Official,
    /// There, and then at wormhole's.
    OursOrWormholes,
}

/// A key that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewKey {
    /// wormhole's key.yaml.
    Yaml,
    /// 32 bytes, for the official image.
    Plain,
}

impl NewKey {
    /// Where it goes.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Yaml => WORMHOLES,
            Self::Plain => "/spiped/key/spiped-keyfile",
        }
    }
}

/// A key that was found.
pub(crate) enum Key {
    /// spiped reads it itself.
    File(PathBuf),
    /// It was in wormhole's form.
    Converted(Secret<{ run::KEY_LEN }>),
}

/// Looks for the key, below `root`.
///
/// # Errors
///
/// One line: where it was looked for, what is wrong, and what to do.
pub(crate) fn find(root: &Path, wanted: Wanted) -> Result<Key, String> {
    let mut official = below(root, OFFICIAL);
    if official.is_dir() {
        official.push(GENERATED);
    }
    if can_read(&official)? {
        return Ok(Key::File(official));
    }
    if wanted == Wanted::OursOrWormholes {
        let path = below(root, WORMHOLES);
        if can_read(&path)? {
            return run::convert(&KeySource::File(path)).map(Key::Converted);
        }
    }
    let place = match wanted {
        Wanted::Official => OFFICIAL.to_owned(),
        Wanted::OursOrWormholes => format!("{OFFICIAL} or {WORMHOLES}"),
    };
    Err(format!("there is no key at {place}; mount it: -v /path/to/keyfile:{OFFICIAL}:ro"))
}

/// False if it is not there.
fn can_read(path: &Path) -> Result<bool, String> {
    match File::open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let uid = nix::unistd::geteuid();
            let path = path.display();
            Err(format!(
                "{path} may not be read by user number {uid}, as which this container runs; give \
                 it the file (chown {uid}), or run the container as the file's owner (--user)"
            ))
        }
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Makes a key, below `root`; its fingerprint.
///
/// # Errors
///
/// One line: the file, what is wrong, and what to do.
pub(crate) fn generate(root: &Path, new: NewKey) -> Result<String, String> {
    let path = below(root, new.path());
    let directory = path.parent().expect("it is in a directory");
    if !directory.is_dir() {
        let directory = directory.display();
        return Err(format!(
            "there is no {directory} to put the key into; mount a directory there: \
             -v /path/to/directory:{directory}"
        ));
    }
    let key = run::random()?;
    match new {
        NewKey::Plain => file::create(&path, key.expose()).map_err(explain)?,
        NewKey::Yaml => {
            let mut created = Ok(());
            yaml::format(&key, |text| {
                created = file::create(&path, text).map_err(explain);
                Ok(())
            })
            .map_err(|error| format!("the key cannot be written down: {error}"))?;
            created?;
        }
    }
    Ok(run::fingerprint(&SharedKey::from_pieces([key.expose().as_slice()])))
}

/// Says where the new key is, and its fingerprint.
///
/// # Errors
///
/// One line: that the key is good all the same, and how to see its fingerprint.
pub(crate) fn announce(to: &mut impl Write, new: NewKey, fingerprint: &str) -> Result<(), String> {
    let path = new.path();
    writeln!(to, "{path}\n{fingerprint}").and_then(|()| to.flush()).map_err(|error| {
        let advice = match new {
            NewKey::Plain => format!("; show it with spiped-keygen --fingerprint {path}"),
            NewKey::Yaml => String::new(), // what spiped-keygen does not take
        };
        format!("{path} holds the new key, but its fingerprint cannot be printed: {error}{advice}")
    })
}

/// Why no key is made, in the words of who runs containers: the directory is outside, and engines
/// make it as root if it is not there.
fn explain(error: CreateError) -> String {
    let CreateError::Make(path, why) = &error else { return error.to_string() };
    let directory = path.parent().expect("it is in a directory").display();
    match why.kind() {
        ErrorKind::PermissionDenied => {
            let uid = nix::unistd::geteuid();
            format!(
                "no key can be made: {directory} may not be written by user number {uid}, as which \
                 this container runs; give it the directory (chown {uid}), or run the container as \
                 the directory's owner (--user)"
            )
        }
        ErrorKind::ReadOnlyFilesystem => format!(
            "no key can be made: {directory} is mounted read-only; mount it without :ro this once"
        ),
        _ => error.to_string(),
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/wormhole")).unwrap();
        fs::create_dir_all(root.path().join("spiped")).unwrap();
        root
    }

    fn found(root: &Path, wanted: Wanted) -> Result<Result<PathBuf, Vec<u8>>, String> {
        find(root, wanted).map(|key| match key {
            Key::File(path) => Ok(path.strip_prefix(root).unwrap().to_owned()),
            Key::Converted(key) => Err(key.expose().to_vec()),
        })
    }

    #[test]
    fn the_official_place_comes_first_then_wormholes() {
        let root = root();
        let root = root.path();
        let none = found(root, Wanted::OursOrWormholes).unwrap_err();
        assert!(
            none.starts_with("there is no key at /spiped/key or /etc/wormhole/key.yaml; mount")
        );
        assert_eq!(generate(root, NewKey::Yaml).unwrap().len(), 19);
        let converted = found(root, Wanted::OursOrWormholes).unwrap().unwrap_err();
        assert_eq!(converted.len(), 32);
        assert!(found(root, Wanted::Official).is_err());
        fs::write(root.join("spiped/key"), "key").unwrap();
        for wanted in [Wanted::OursOrWormholes, Wanted::Official] {
            assert_eq!(found(root, wanted).unwrap(), Ok("spiped/key".into()));
        }
    }

    #[test]
    fn a_generated_key_is_found_and_never_overwritten() {
        let root = root();
        let root = root.path();
        let error = generate(root, NewKey::Plain).unwrap_err();
        assert!(error.contains("spiped/key to put the key into; mount a directory"), "{error}");
        fs::create_dir(root.join("spiped/key")).unwrap();
        let fingerprint = generate(root, NewKey::Plain).unwrap();
        let path = root.join("spiped/key/spiped-keyfile");
        let key = fs::read(&path).unwrap();
        assert_eq!(key.len(), 32);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(run::fingerprint(&SharedKey::from_pieces([key.as_slice()])), fingerprint);
        assert!(generate(root, NewKey::Plain).unwrap_err().contains("never overwritten"));
        assert_eq!(fs::read(&path).unwrap(), key);
        let found = found(root, Wanted::Official).unwrap();
        assert_eq!(found, Ok("spiped/key/spiped-keyfile".into()));
    }

    #[test]
    fn a_directory_that_cannot_be_written_comes_with_advice() {
        let error = |kind: ErrorKind| {
            explain(CreateError::Make("/spiped/key/spiped-keyfile".into(), kind.into()))
        };
        let uid = nix::unistd::geteuid();
        let denied = error(ErrorKind::PermissionDenied);
        let who = format!("/spiped/key may not be written by user number {uid}, as which this");
        assert!(denied.contains(&who) && denied.contains(&format!("(chown {uid}), or run")));
        let read_only = error(ErrorKind::ReadOnlyFilesystem);
        assert!(read_only.contains("/spiped/key is mounted read-only; mount it without :ro"));
        // What is wrong everywhere is said as everywhere.
        assert!(error(ErrorKind::AlreadyExists).contains("never overwritten"));
    }

    #[test]
    fn a_new_key_whose_fingerprint_nobody_can_read_is_good() {
        let mut said = Vec::new();
        announce(&mut said, NewKey::Yaml, "ABCD").unwrap();
        assert_eq!(said, b"/etc/wormhole/key.yaml\nABCD\n");
        let error = |new| announce(&mut [0; 8].as_mut_slice(), new, "ABCD").unwrap_err();
        let (yaml, plain) = (error(NewKey::Yaml), error(NewKey::Plain));
        let good = "/etc/wormhole/key.yaml holds the new key, but its fingerprint cannot be ";
        assert!(yaml.starts_with(good) && !yaml.contains("show it"), "{yaml}");
        let advice = "; show it with spiped-keygen --fingerprint /spiped/key/spiped-keyfile";
        assert!(plain.ends_with(advice), "{plain}");
    }

    #[test]
    fn a_key_yaml_that_is_none_is_an_error() {
        let root = root();
        fs::write(root.path().join("etc/wormhole/key.yaml"), "key: 1\n").unwrap();
        let error = found(root.path(), Wanted::OursOrWormholes).unwrap_err();
        assert!(error.contains("key.yaml\": line 1 is not"), "{error}");
    }
}
