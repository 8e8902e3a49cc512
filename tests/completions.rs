//! Shell completion: dist/completions is what the definitions of the options make of it, and the
//! shells take it.
//!
//! It owns those files: `make completions` writes them by way of the first test here.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap_complete::{Generator, Shell};
use spiped_programs::{keygen, spipe, spiped};

use support::process::run;

/// How the options of a program are defined.
type Definition = fn() -> clap::Command;

/// Each program.
const PROGRAMS: [(&str, Definition); 3] = [
    ("spiped", spiped::args::command),
    ("spipe", spipe::args::command),
    ("spiped-keygen", keygen::args::command),
];

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Where the completion of a program is, under the name by which the shell looks for it.
fn path(shell: Shell, program: &str) -> PathBuf {
    let name = match shell {
        Shell::Bash => program.to_owned(),
        other => other.file_name(program),
    };
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/completions");
    place.join(shell.to_string()).join(name)
}

#[test]
fn completions_are_those_of_the_options() {
    // Set by `make completions`.
    let write = std::env::var_os("SPIPED_WRITE_COMPLETIONS").is_some();
    for shell in SHELLS {
        for (program, command) in PROGRAMS {
            let mut made = Vec::new();
            clap_complete::generate(shell, &mut command(), program, &mut made);
            let path = path(shell, program);
            if write {
                std::fs::create_dir_all(path.parent().expect("a directory")).expect("create");
                std::fs::write(&path, &made).expect("write");
            }
            let there = std::fs::read(&path).unwrap_or_default();
            let stale = "is not what the options make of it: run `make completions`";
            assert!(there == made, "{} {stale}", path.display());
        }
    }
}

/// What a shell prints, or nothing if it is not installed: said loudly, and a failure in CI.
#[track_caller]
fn said_by(shell: &mut Command) -> Option<String> {
    let name = shell.get_program().to_string_lossy().into_owned();
    if Command::new(&name).args(["-c", "true"]).output().is_err() {
        support::skip("completions", &format!("{name} is not installed"));
        return None;
    }
    let finished = run(shell, b"");
    assert!(finished.status.success(), "{name}: {}", finished.stderr);
    assert_eq!(finished.stderr, "", "{name}");
    Some(String::from_utf8(finished.stdout).expect("UTF-8"))
}

/// Bash and fish complete the beginning of a long option, the words of `--log-level`.
#[test]
fn bash_completes() {
    for (program, long) in [("spiped", "--foreground"), ("spipe", "--progress")] {
        let script = format!(
            "source {} && COMP_WORDS=({program} {} {}) && COMP_CWORD=1 && \
             $(complete -p {program} | sed 's/.* -F \\([^ ]*\\) .*/\\1/') \
             {program} {} {program} && \
             echo \"${{COMPREPLY[@]}}\"",
            path(Shell::Bash, program).display(),
            &long[..6],
            "",
            &long[..6],
        );
        let Some(offered) = said_by(Command::new("bash").args(["--norc", "-c", &script])) else {
            return;
        };
        assert_eq!(offered.trim(), long);
    }
    let script = format!(
        "source {} && COMP_WORDS=(spipe --log-level d) && COMP_CWORD=2 && \
         _spipe spipe d --log-level && echo \"${{COMPREPLY[@]}}\"",
        path(Shell::Bash, "spipe").display()
    );
    let Some(offered) = said_by(Command::new("bash").args(["--norc", "-c", &script])) else {
        return;
    };
    assert_eq!(offered.trim(), "debug");
}

#[test]
fn fish_completes() {
    for (program, typed, expected) in [
        ("spiped", "--foregr", "--foreground"),
        ("spipe", "--log-level de", "debug"),
        ("spiped-keygen", "--finger", "--fingerprint"),
    ] {
        let script = format!(
            "source {}; complete -C '{program} {typed}'",
            path(Shell::Fish, program).display()
        );
        let Some(offered) = said_by(Command::new("fish").args(["--no-config", "-c", &script]))
        else {
            return;
        };
        assert_eq!(offered.split('\t').next().map(str::trim), Some(expected), "{offered}");
    }
}

/// What a zsh at a terminal is told: where the functions are, and a key that shows what is typed.
const ZSHRC: &str = "\
PS1='ready>'
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit && compinit -D -u
show() { print -rn -- \"<$BUFFER>\"; BUFFER= }
zle -N show
bindkey '^T' show
";

/// Types each argument, a tab and that key there, and prints what then stands in the line.
const TYPIST: &str = r"
zmodload zsh/zpty && zpty inner zsh -d -i && zpty -r inner said '*ready>*' || exit 1
for typed in $@; do
    zpty -w -n inner $typed$'\t\x14' && zpty -r inner said '*<*>*' || exit 1
    print -r -- ${${said##*<}%%>*}
done
";

/// At a terminal of its own, since zsh completes nowhere else.
#[test]
fn zsh_completes() {
    let lines = [
        ("spiped --foregr", "spiped --foreground "),
        ("spipe -f --log-level de", "spipe -f --log-level debug "),
        ("spiped-keygen --finger", "spiped-keygen --fingerprint "),
        ("spiped -d -k only.k", "spiped -d -k only.key "),
    ];
    let room = tempfile::tempdir().expect("a directory");
    std::fs::write(room.path().join(".zshrc"), ZSHRC).expect("write");
    std::fs::write(room.path().join("only.key"), "").expect("write");
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-c", TYPIST, "typist"]).args(lines.map(|line| line.0)).current_dir(&room);
    zsh.env("ZDOTDIR", room.path()).env("TERM", "dumb");
    zsh.env("COMPLETIONS", path(Shell::Zsh, "spiped").parent().expect("a directory"));
    let Some(offered) = said_by(&mut zsh) else { return };
    assert_eq!(offered.lines().collect::<Vec<_>>(), lines.map(|line| line.1));
}
