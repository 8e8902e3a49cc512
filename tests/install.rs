//! `make install` and `make uninstall`: what goes where, what can be left out, and that nothing is
//! left.
//!
//! It owns the Makefile's variables, tried with files in place of the programs. Next:
//! `completions.rs`.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use support::process::run;

const PROGRAMS: [&str; 3] = ["spiped", "spipe", "spiped-keygen"];

/// Where files go below PREFIX, by the variable that names it: how they begin and end.
const PLACES: [(&str, &str, &str); 5] = [
    ("MAN1DIR", "share/man/man1/", ".1"),
    ("BASHCOMPDIR", "share/bash-completion/completions/", ""),
    ("ZSHCOMPDIR", "share/zsh/site-functions/_", ""),
    ("FISHCOMPDIR", "share/fish/vendor_completions.d/", ".fish"),
    ("UNITDIR", "lib/systemd/system/", ""),
];

/// A place to install into, with programs as if they had been built.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("temp dir"));
        std::fs::create_dir_all(place.path("target/release")).expect("mkdir");
        for program in PROGRAMS {
            std::fs::write(place.path("target/release").join(program), program).expect("write");
        }
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Runs make, which finds no cargo; nothing of the environment reaches it.
    #[track_caller]
    fn make(&self, target: &str, variables: &[String]) {
        let mut command = Command::new("make");
        let path = std::env::var_os("PATH").expect("PATH");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().env("PATH", path);
        command.args(["-s", target, "CARGO=false", "PREFIX=/opt/it"]).args(variables);
        command.arg(format!("CARGO_TARGET_DIR={}", self.path("target").display()));
        // A space in it is an ordinary character.
        command.arg(format!("DESTDIR={}", self.path("the root").display()));
        let finished = run(&mut command, b"");
        assert!(finished.status.success() && finished.stderr.is_empty(), "{}", finished.stderr);
    }

    /// Directories that are there, by their paths below the root.
    fn directories(&self) -> Vec<String> {
        let root = self.path("the root");
        let (mut found, mut unseen) = (Vec::new(), vec![root.clone()]);
        while let Some(directory) = unseen.pop() {
            let entries = std::fs::read_dir(&directory).expect("a directory");
            let paths = entries.map(|entry| entry.expect("an entry").path());
            unseen.extend(paths.filter(|path| path.is_dir()));
            let name = directory.strip_prefix(&root).expect("it is below");
            found.push(name.display().to_string());
        }
        found.sort();
        found
    }

    /// What is installed below PREFIX, with the modes.
    fn installed(&self) -> BTreeMap<String, u32> {
        let (mut files, root) = (BTreeMap::new(), self.path("the root"));
        collect(&root, &root.join("opt/it"), &mut files);
        files
    }
}

fn collect(root: &Path, prefix: &Path, files: &mut BTreeMap<String, u32>) {
    for entry in std::fs::read_dir(root).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, prefix, files);
        } else {
            let name = path.strip_prefix(prefix).unwrap_or(&path).display().to_string();
            let mode = path.metadata().expect("a file").permissions().mode() & 0o7777;
            files.insert(name, mode);
        }
    }
}

/// What is to be installed if these variables are empty.
fn expected(without: &[&str]) -> BTreeMap<String, u32> {
    let mut files = BTreeMap::new();
    files.extend(PROGRAMS.map(|program| (format!("bin/{program}"), 0o755)));
    for (_, begin, end) in PLACES.iter().filter(|place| !without.contains(&place.0)) {
        let names = if *begin == "lib/systemd/system/" {
            vec!["spiped@.service", "spiped@.socket"]
        } else {
            PROGRAMS.to_vec()
        };
        files.extend(names.iter().map(|name| (format!("{begin}{name}{end}"), 0o644)));
    }
    files
}

#[test]
fn all_is_installed_and_removed_but_for_what_is_left_out() {
    let place = Place::new();
    let all: Vec<&str> = PLACES.iter().map(|place| place.0).collect();
    let mut choices: Vec<&[&str]> = all.chunks(1).collect();
    choices.extend([&[] as &[&str], &all]);
    for without in choices {
        let variables: Vec<String> = without.iter().map(|name| format!("{name}=")).collect();
        place.make("install", &variables);
        assert_eq!(place.installed(), expected(without), "without {without:?}");
        place.make("uninstall", &variables);
        assert_eq!(place.installed(), BTreeMap::new(), "without {without:?}");
    }
}

#[test]
fn directories_that_only_we_needed_go_when_they_are_empty() {
    let place = Place::new();
    place.make("install", &[]);
    let others = ["opt/it/share/fish/vendor_completions.d/other.fish", "opt/it/share/zsh/other"];
    for other in others {
        std::fs::write(place.path("the root").join(other), "").expect("write");
    }
    place.make("uninstall", &[]);
    let left = ["", "opt", "opt/it", "opt/it/share"];
    let theirs = ["fish", "fish/vendor_completions.d", "zsh"];
    let theirs = theirs.map(|name| format!("opt/it/share/{name}"));
    let expected: Vec<String> = left.map(str::to_owned).into_iter().chain(theirs).collect();
    assert_eq!(place.directories(), expected);
}

/// Nobody knows what else they are there for.
#[test]
fn directories_of_the_system_stay() {
    for prefix in ["/usr", "/usr/local", "/usr/", "//usr//local//"] {
        let place = Place::new();
        let variables = [format!("PREFIX={prefix}")];
        place.make("install", &variables);
        let installed = place.directories();
        place.make("uninstall", &variables);
        assert_eq!(place.directories(), installed);
    }
}

#[test]
fn variables_move_what_they_name() {
    let place = Place::new();
    let variables = ["BINDIR=/sbin", "MAN1DIR=/man", "UNITDIR=/units"].map(str::to_owned);
    place.make("install", &variables);
    let read = |name: &str| {
        std::fs::read_to_string(place.path("the root").join(name)).expect("it is installed")
    };
    assert_eq!(read("sbin/spiped"), "spiped");
    assert!(read("man/spipe.1").contains(".Dt SPIPE 1"));
    let unit = read("units/spiped@.service");
    assert!(unit.contains("\nExecStart=/sbin/spiped -F "), "{unit}");
    assert!(!unit.contains("/usr/bin"), "{unit}");
    place.make("uninstall", &variables);
    assert_eq!(place.installed(), BTreeMap::new());
    // Outside of PREFIX nothing says whose a directory is.
    let left = place.directories();
    for name in ["sbin", "man", "units"] {
        assert!(left.iter().any(|directory| directory == name), "{name} is gone: {left:?}");
    }
}

#[test]
fn a_prefix_that_leads_nowhere_is_refused() {
    let place = Place::new();
    let mut command = Command::new("make");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["-s", "install", "PREFIX=opt/it"]);
    command.arg("CARGO=false").arg(format!("DESTDIR={}/", place.path("the root").display()));
    command.arg(format!("CARGO_TARGET_DIR={}", place.path("target").display()));
    let finished = run(&mut command, b"");
    assert!(!finished.status.success());
    assert!(finished.stderr.contains("has to begin with /"), "{}", finished.stderr);
    assert!(!place.path("the root").exists());
}

#[test]
fn what_cannot_be_removed_is_an_error() {
    let place = Place::new();
    for name in ["bin/spiped", "share/man/man1/spiped.1", "share/zsh/site-functions/_spiped"] {
        let path = place.path("the root/opt/it").join(name);
        std::fs::create_dir_all(path.join("not a file")).expect("mkdir");
        let mut command = Command::new("make");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["-s", "uninstall", "PREFIX=/opt/it"]);
        command.arg(format!("DESTDIR={}", place.path("the root").display()));
        assert!(!run(&mut command, b"").status.success(), "{name} is still there");
        std::fs::remove_dir_all(path).expect("rm");
    }
}

/// Whoever runs the old program goes on with it: the new one is another file.
#[test]
fn a_program_is_replaced_and_not_written_over() {
    let place = Place::new();
    place.make("install", &[]);
    let path = place.path("the root/opt/it/bin/spiped");
    let mut old = std::fs::File::open(&path).expect("it is installed");
    std::fs::write(place.path("target/release/spiped"), "a new version").expect("write");
    place.make("install", &[]);
    assert_eq!(std::fs::read_to_string(&path).expect("it is installed"), "a new version");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut old, &mut text).expect("it is open");
    assert_eq!(text, "spiped");
    assert_eq!(place.installed(), expected(&[]));
}
