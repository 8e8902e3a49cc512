//! Documents that cannot drift: options in --help are those of the manual pages, the code layout in
//! README.md is that of the tree, BUILDING names every target, the tests that SECURITY.md names
//! exist and its table has every fuzz target, and the public types of the libraries are what their
//! documentation says of them. Completions are checked in completions.rs.
//!
//! It owns facts that are written down twice. Next: nothing; this is the last one.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::process::run;

/// Each program, and its manual page.
const PAGES: [(&str, &str); 3] = [
    (env!("CARGO_BIN_EXE_spiped"), "man/spiped.1"),
    (env!("CARGO_BIN_EXE_spipe"), "man/spipe.1"),
    (env!("CARGO_BIN_EXE_spiped-keygen"), "man/spiped-keygen.1"),
];

/// The project.
fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An option: its short name, if it has one, its long name, and whether it takes a value.
type Switch = (Option<String>, String, bool);

/// The options of `--help`: lines like `  -s, --source <ADDR>  text` or `      --syslog  text`.
fn options_in_help(program: &Path) -> BTreeSet<Switch> {
    let finished = run(Command::new(program).arg("--help"), b"");
    assert!(finished.status.success(), "{}", finished.stderr);
    let text = String::from_utf8(finished.stdout).expect("UTF-8");
    let parse = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let short = words.first()?.strip_suffix(',').filter(|word| word.starts_with('-'));
        let rest = if short.is_some() { &words[1..] } else { &words[..] };
        let long = rest.first()?.strip_prefix("--")?;
        let value = rest.get(1).is_some_and(|word| word.starts_with('<'));
        Some((short.map(|short| short[1..].to_owned()), long.to_owned(), value))
    };
    text.lines().filter_map(parse).collect()
}

/// The options of a manual page: lines like `.It Fl s Ar addr , Fl -source Ar addr`.
fn options_in_page(page: &str) -> BTreeSet<Switch> {
    let parse = |line: &str| {
        let line = line.strip_prefix(".It Fl ")?;
        let names = line.split(" , Fl ").map(|name| {
            let (name, value) = name.split_once(' ').unwrap_or((name, ""));
            assert!(value.is_empty() || value.starts_with("Ar "), "{page}: {line}");
            (name.to_owned(), !value.is_empty())
        });
        let names: Vec<(String, bool)> = names.collect();
        let (long, value) = names.last()?;
        let long = long.strip_prefix('-').unwrap_or_else(|| panic!("{page}: no long name: {line}"));
        assert!(names.iter().all(|name| name.1 == *value), "{page}: value or not? {line}");
        let short = (names.len() == 2).then(|| names[0].0.clone());
        Some((short, long.to_owned(), *value))
    };
    read(page).lines().filter_map(parse).collect()
}

#[test]
fn help_and_manual_pages_agree() {
    for (program, page) in PAGES {
        let (help, manual) = (options_in_help(Path::new(program)), options_in_page(page));
        assert!(help.len() > 3, "the options of --help are not understood: {help:?}");
        let missing: Vec<_> = help.difference(&manual).collect();
        let extra: Vec<_> = manual.difference(&help).collect();
        assert!(missing.is_empty(), "in --help, but not so in {page}: {missing:?}");
        assert!(extra.is_empty(), "in {page}, but not so in --help: {extra:?}");
    }
}

/// The options in the synopsis of a manual page: what follows `Fl`, and the alternatives after `|`.
fn options_in_synopsis(page: &str) -> BTreeSet<String> {
    let text = read(page);
    let (_, rest) = text.split_once(".Sh SYNOPSIS\n").expect("a synopsis");
    let (synopsis, _) = rest.split_once("\n.Sh ").expect("more than a synopsis");
    let mut found = BTreeSet::new();
    for line in synopsis.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let follows = |pair: &[&str]| pair[0].ends_with("Fl") || pair[0] == "|";
        for pair in words.windows(2).filter(|pair| follows(pair) && pair[1] != "Fl") {
            match pair[1].strip_prefix('-') {
                Some(long) => drop(found.insert(long.to_owned())),
                // Several letters stand for several options.
                None => found.extend(pair[1].chars().map(String::from)),
            }
        }
    }
    found
}

#[test]
fn the_synopsis_has_every_option_once() {
    for (program, page) in PAGES {
        let help = options_in_help(Path::new(program));
        let expected = help.into_iter().map(|(short, long, _)| short.unwrap_or(long));
        assert_eq!(options_in_synopsis(page), expected.collect(), "{page}");
    }
}

#[test]
fn manual_pages_lint_clean() {
    if Command::new("mandoc").arg("-V").output().is_err() {
        return support::skip("manual_pages_lint_clean", "mandoc is not installed");
    }
    for (_, page) in PAGES {
        let finished =
            run(Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(root().join(page)), b"");
        let said = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr;
        assert!(finished.status.success(), "{page}: {}\n{said}", finished.status);
        assert_eq!(said, "", "{page}");
    }
}

/// The tests take the configurations of web servers from README.md, so these are right, too.
#[test]
fn the_manual_page_configures_web_servers_as_the_readme_does() {
    let (readme, page) = (read("README.md"), read("man/spiped.1"));
    for language in ["nginx", "caddy"] {
        let (_, rest) = readme.split_once(&format!("```{language}\n")).expect("such a block");
        let (block, _) = rest.split_once("```").expect("its end");
        assert!(block.lines().count() > 3, "{block}");
        assert!(page.contains(block), "man/spiped.1 differs from README.md:\n{block}");
    }
}

/// The paths in README's code layout: first words in the block below that heading.
fn layout() -> BTreeSet<String> {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("\n## Code layout\n").expect("README.md has a code layout");
    let block = rest.split("```").nth(1).expect("a fenced block below the heading");
    let paths = block.lines().filter_map(|line| line.split_once(" -- "));
    paths.map(|(path, _)| path.trim().to_owned()).collect()
}

#[test]
fn paths_in_the_readme_exist() {
    let paths = layout();
    assert!(paths.len() > 10, "the layout is not understood: {paths:?}");
    for path in &paths {
        assert!(root().join(path).exists(), "README.md names {path}, which does not exist");
        let slash = path.ends_with('/');
        assert_eq!(slash, root().join(path).is_dir(), "{path}: a directory ends with a slash");
    }
}

/// All sources below a directory, as one text.
fn sources(dir: &Path, text: &mut String) {
    for entry in std::fs::read_dir(dir).expect("a directory of the project") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, text);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

/// What SECURITY.md says of tests: each name is that of a function, and each file is there.
#[test]
fn tests_that_security_md_names_exist() {
    let mut code = String::new();
    ["src", "lib", "tests"].iter().for_each(|dir| sources(&root().join(dir), &mut code));
    let security = read("SECURITY.md");
    // Every second piece between backquotes is inside of them.
    let quoted: Vec<&str> = security.split('`').skip(1).step_by(2).collect();
    let is_name = |word: &&&str| {
        word.contains('_')
            && word.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c))
    };
    let names: Vec<_> = quoted.iter().filter(is_name).collect();
    assert!(names.len() > 30, "the names are not understood: {names:?}");
    // A fuzz target is no test function, but a file.
    let fuzzed = |name: &str| root().join(format!("tests/fuzz/targets/{name}.rs")).exists();
    for name in names.into_iter().filter(|name| !fuzzed(name)) {
        let test = format!("#[test]\nfn {name}()");
        let inner = format!("#[test]\n    fn {name}()");
        let deeper = format!("#[test]\n        fn {name}()");
        let found = [test, inner, deeper].iter().any(|test| code.contains(test.as_str()));
        let fuzzed = root().join(format!("tests/fuzz/targets/{name}.rs")).exists();
        assert!(found || fuzzed, "SECURITY.md names {name}, which is no test");
    }
    for file in quoted.iter().filter(|word| word.ends_with(".rs")) {
        let places = [root().join("tests").join(file), root().join(file)];
        assert!(places.iter().any(|place| place.exists()), "SECURITY.md names {file}");
    }
    let tricks = format!("{} tricks each", hostile_tester::TRICKS.len());
    assert!(security.contains(&tricks), "SECURITY.md does not say {tricks:?}");
}

#[test]
fn security_md_says_how_long_every_fuzz_target_ran() {
    let security = read("SECURITY.md");
    let (_, table) = security.split_once("| target | minutes |").expect("a table of fuzz targets");
    let names = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let named: BTreeSet<String> = names.map(|(name, _)| name.to_owned()).collect();
    let files = std::fs::read_dir(root().join("tests/fuzz/targets")).expect("the fuzz targets");
    let names = files.map(|file| file.expect("an entry").file_name().into_string().expect("UTF-8"));
    let targets = names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned));
    assert_eq!(named, targets.collect::<BTreeSet<_>>());
}

/// The targets of the Makefile, as .PHONY has them.
fn targets() -> BTreeSet<String> {
    let makefile = read("Makefile").replace("\\\n", " ");
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY:")).expect(".PHONY");
    phony.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn building_names_every_target() {
    let building = read("BUILDING");
    let (_, section) = building.split_once("\nTargets\n").expect("a section on targets");
    let lines = section.lines().skip_while(|line| !line.starts_with("    make"));
    let named = lines.map_while(|line| line.strip_prefix("    make ")).map(|line| {
        let name = line.split_whitespace().next().expect("it says what it does");
        if line.starts_with(' ') { "all".to_owned() } else { name.to_owned() }
    });
    assert_eq!(named.collect::<BTreeSet<_>>(), targets());
}

/// True if the layout names `path`, or something in it.
fn named(paths: &BTreeSet<String>, path: &str) -> bool {
    paths
        .iter()
        .any(|named| named.trim_end_matches('/') == path || named.starts_with(&format!("{path}/")))
}

#[test]
fn the_readme_names_every_part_of_the_tree() {
    let paths = layout();
    // Hidden entries and what a build makes are no parts of the tree.
    let entries = std::fs::read_dir(root())
        .expect("the project")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("names are UTF-8"));
    for entry in entries.filter(|entry| !entry.starts_with('.') && !ignored(entry)) {
        assert!(named(&paths, &entry), "README.md does not name {entry}");
    }
    for parent in ["src", "lib"] {
        let mut dirs = Vec::new();
        source_dirs(&root().join(parent), &mut dirs);
        assert!(!dirs.is_empty(), "no sources in {parent}");
        for dir in dirs {
            let dir = dir.strip_prefix(root()).expect("below the project").display().to_string();
            assert!(named(&paths, &dir), "README.md names nothing in {dir}");
        }
    }
}

/// The public types in a source file that others can take to pieces, enumerations and structures
/// with public fields, and whether they say that they may grow.
fn open_types(source: &str) -> Vec<(String, bool)> {
    let item = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric()).collect();
    let mut found = Vec::new();
    let mut lines = source.lines().peekable();
    let mut may_grow = false;
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("pub enum ") {
            found.push((item(rest), may_grow));
        } else if let Some(rest) = line.strip_prefix("pub struct ") {
            let mut fields =
                std::iter::from_fn(|| lines.next_if(|field| field.starts_with("    ")));
            let is_open = fields.any(|field| field.starts_with("    pub "));
            if is_open || rest.contains("(pub ") || rest.ends_with(';') && !rest.contains('(') {
                found.push((item(rest), may_grow));
            }
        }
        may_grow = line == "#[non_exhaustive]" || may_grow && line.starts_with("#[");
    }
    found
}

#[test]
fn public_types_may_grow_unless_their_crate_says_otherwise() {
    let mut seen = 0;
    for library in ["proto", "ws", "group14", "lanes", "vault"] {
        let dir = format!("lib/{library}/src");
        let text = read(&format!("{dir}/lib.rs"));
        let (_, versions) = text.split_once("//! # Versions\n").expect("it says what may change");
        let doc: String = versions.lines().take_while(|line| line.starts_with("//!")).collect();
        let mut dirs = Vec::new();
        source_dirs(&root().join(&dir), &mut dirs);
        // Hidden: lib/proto/src/lib.rs.
        dirs.retain(|dir| !dir.ends_with("proto/src/crypt"));
        let files = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).expect("a directory"));
        let files = files.map(|entry| entry.expect("an entry").path());
        for file in files.filter(|file| file.is_file() && !file.ends_with("proto/src/crypt.rs")) {
            let source = std::fs::read_to_string(&file).expect("UTF-8");
            for (name, may_grow) in open_types(&source) {
                seen += 1;
                let is_named = doc.contains(&format!("[`{name}`]"));
                assert!(
                    may_grow != is_named,
                    "{name} in {} is to be #[non_exhaustive], or named in {dir}/lib.rs",
                    file.display()
                );
            }
        }
    }
    assert!(seen > 12, "only {seen} types were found");
}

/// What .gitignore says is not ours: build directories and pidfiles.
fn ignored(entry: &str) -> bool {
    read(".gitignore").lines().any(|line| {
        line.trim_start_matches('/').trim_end_matches('/') == entry
            || line.strip_prefix('*').is_some_and(|end| entry.ends_with(end))
    })
}

/// The directories below `dir` that contain Rust files; what is beneath tests and benchmarks is
/// their own affair.
fn source_dirs(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).expect("a directory of the project");
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    if paths.iter().any(|path| path.extension().is_some_and(|end| end == "rs")) {
        found.push(dir.to_owned());
    }
    if dir.ends_with("tests") || dir.ends_with("benches") {
        return;
    }
    for path in paths.iter().filter(|path| path.is_dir() && !path.ends_with("target")) {
        source_dirs(path, found);
    }
}
