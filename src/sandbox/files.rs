//! Files: Landlock.
//!
//! Owns where the resolver's files live, and what each need becomes as a rule. Refuses all else:
//! nothing is executed, created, written, renamed or listed, no device is opened, and with kernels
//! that can tell, no signal and no abstract socket reaches a process outside. Network rules are
//! not used; DESIGN.md says why. Next: `calls.rs`.
//!
//! A rule is about a directory, or a file, as it is now, with all that is or will be beneath it.
//! So files that are replaced by renaming, as resolv.conf is, need a rule on their directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, LandlockStatus, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use super::Needs;

/// What we know how to live without: newer kernels can refuse more, which nobody has tried.
const KNOWN: ABI = ABI::V7;

/// The resolver's files. Any of them may be a link into another directory.
const RESOLVER_FILES: [&str; 7] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/ld.so.cache",
];

/// Where else they live on one system or another, or will when another program takes care of
/// resolv.conf.
const RESOLVER_DIRS: [&str; 8] = [
    "/usr/etc",
    "/var/db",
    "/var/lib/misc",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/netconfig",
    "/run/connman",
];

/// Libraries: getaddrinfo loads what nsswitch.conf names when it first needs it, which may be when
/// the way that has worked so far fails. Mapping code takes the right to read, none to execute.
const LIBRARY_DIRS: [&str; 6] =
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store"];

/// Rights by path; the paths are without links, so that none is there twice.
type Rules = BTreeMap<PathBuf, BitFlags<AccessFs>>;

/// Gives up all files but the needed ones; returns what is in force, for the log.
pub(super) fn restrict(needs: &Needs) -> Result<String, RulesetError> {
    let mut rules = rules_for(needs);
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    rules.retain(|path, rights| match PathFd::new(path) {
        Ok(opened) => match (&mut ruleset).add_rule(PathBeneath::new(opened, *rights)) {
            Ok(_) => true,
            Err(error) => {
                log::debug!("sandbox: {}: {error}", path.display());
                false
            }
        },
        // -u may have taken our right to look at it, and with it any use.
        Err(error) => {
            log::debug!("sandbox: {error}");
            false
        }
    });
    Ok(describe(&ruleset.restrict_self()?, &rules))
}

fn rules_for(needs: &Needs) -> Rules {
    let mut rules = Rules::new();
    let mut allow = |path: &Path, right: AccessFs| {
        // What is not there needs no rule.
        if let Ok(path) = path.canonicalize() {
            *rules.entry(path).or_default() |= right;
        }
    };
    if needs.names {
        for file in RESOLVER_FILES.map(Path::new) {
            for directory in directories_of(file) {
                allow(&directory, AccessFs::ReadFile);
            }
        }
        for directory in RESOLVER_DIRS.iter().chain(&LIBRARY_DIRS) {
            allow(Path::new(directory), AccessFs::ReadFile);
        }
    }
    // Only a plain file: a rule would let a device or a pipe be opened.
    if let Some(file) = needs.reads.as_deref().filter(|file| is_file(file)) {
        allow(file, AccessFs::ReadFile);
    }
    for directory in needs.renewed.iter().flat_map(|file| directories_of(file)) {
        allow(&directory, AccessFs::ReadFile);
    }
    for file in &needs.removes {
        let directory = directory_of(file);
        // Where we may not remove anything the rule would be for the directories beneath alone.
        let flags = AccessFlags::W_OK | AccessFlags::X_OK;
        if faccessat(AT_FDCWD, directory, flags, AtFlags::AT_EACCESS).is_ok() {
            allow(directory, AccessFs::RemoveFile);
        }
    }
    rules
}

/// The directory in which a file has its name.
fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => file,
    }
}

/// The directory of a file, and of each file that it links to in turn: whichever link is replaced,
/// it is beneath one of them.
fn directories_of(file: &Path) -> Vec<PathBuf> {
    let mut directories = vec![directory_of(file).to_owned()];
    let mut file = file.to_owned();
    // The kernel itself follows no more than 40.
    while let Ok(target) = fs::read_link(&file)
        && directories.len() <= 40
    {
        file = directory_of(&file).join(target);
        directories.push(directory_of(&file).to_owned());
    }
    directories
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// What is in force.
fn describe(status: &RestrictionStatus, rules: &Rules) -> String {
    let version = match (status.landlock, &status.ruleset) {
        (LandlockStatus::NotEnabled, _) => {
            return "no Landlock (it is switched off on this system)".to_owned();
        }
        (LandlockStatus::NotImplemented, _) | (_, RulesetStatus::NotEnforced) => {
            return "no Landlock (the kernel or the container does not have it)".to_owned();
        }
        (LandlockStatus::Available { effective_abi, .. }, _) => effective_abi,
    };
    let what: Vec<_> = [("may read", AccessFs::ReadFile), ("may remove in", AccessFs::RemoveFile)]
        .into_iter()
        .filter_map(|(what, right)| {
            let paths = rules.iter().filter(|(_, rights)| rights.contains(right));
            let paths: Vec<_> = paths.map(|(path, _)| path.display().to_string()).collect();
            (!paths.is_empty()).then(|| format!("{what} {}", paths.join(" ")))
        })
        .collect();
    let what = if what.is_empty() { "no files".to_owned() } else { what.join(", ") };
    format!("Landlock {version} ({what})")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_directory_on_the_way_of_a_link_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["etc", "run", "lib"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("lib/stub.conf"), "").unwrap();
        symlink("../run/resolv.conf", path("etc/resolv.conf")).unwrap();
        symlink(path("lib/stub.conf"), path("run/resolv.conf")).unwrap();
        let found = directories_of(&path("etc/resolv.conf"));
        let found: Vec<_> = found.iter().map(|path| path.canonicalize().unwrap()).collect();
        let real = dir.path().canonicalize().unwrap();
        assert_eq!(found, ["etc", "run", "lib"].map(|name| real.join(name)));
        // Not there, and going in circles.
        assert_eq!(directories_of(&path("etc/hosts")), [path("etc")]);
        symlink("loop", path("etc/loop")).unwrap();
        assert_eq!(directories_of(&path("etc/loop")).len(), 41);
    }

    #[test]
    fn a_rule_for_each_need_and_none_without() {
        assert_eq!(rules_for(&Needs::default()), Rules::new());

        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let pidfile = real.join("pid");
        fs::write(&pidfile, "1").unwrap();
        let needs = Needs {
            reads: Some(pidfile.clone()),
            removes: vec![pidfile.clone(), real.join("socket"), real.join("not there/socket")],
            ..Needs::default()
        };
        let expected =
            [(real.clone(), AccessFs::RemoveFile.into()), (pidfile, AccessFs::ReadFile.into())];
        assert_eq!(rules_for(&needs), Rules::from(expected));

        // What is renewed lies behind links that may change with it.
        let (live, archive) = (real.join("live"), real.join("archive"));
        fs::create_dir(&live).unwrap();
        fs::create_dir(&archive).unwrap();
        fs::write(archive.join("cert1.pem"), "").unwrap();
        symlink("../archive/cert1.pem", live.join("cert.pem")).unwrap();
        let renewed = vec![live.join("cert.pem"), live.join("key.pem")];
        let found = rules_for(&Needs { renewed, ..Needs::default() });
        assert_eq!(found, [live, archive].map(|path| (path, AccessFs::ReadFile.into())).into());

        // A pidfile that is no file is never read.
        let device = Needs { reads: Some("/dev/null".into()), ..Needs::default() };
        assert_eq!(rules_for(&device), Rules::new());

        let names = rules_for(&Needs { names: true, ..Needs::default() });
        let etc = Path::new("/etc").canonicalize().unwrap();
        assert_eq!(names.get(&etc), Some(&AccessFs::ReadFile.into()));
        assert!(names.values().all(|rights| *rights == AccessFs::ReadFile), "{names:?}");
    }

    #[test]
    fn a_name_without_a_directory_is_in_the_current_one() {
        assert_eq!(directory_of(Path::new("x.pid")), Path::new("."));
        assert_eq!(directory_of(Path::new("/x.pid")), Path::new("/"));
        assert_eq!(directory_of(Path::new("/run/x.pid")), Path::new("/run"));
    }
}
