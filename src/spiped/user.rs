//! `-u`: who the daemon is once everything that needs privileges is open.
//!
//! Owns the form `user`, `:group` or `user:group`, the look-up of both and the change itself. What
//! is not named is not changed. Refuses to decide when: the look-up belongs before the fork, so
//! that a wrong name is a plain error; the change comes last. Next: `daemon.rs`.

use std::fmt;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getegid, getgroups, setgid, setgroups, setuid};

/// A user, a group or both, found to exist unless given as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSpec {
    user: Option<Uid>,
    group: Option<Gid>,
}

impl UserSpec {
    /// Reads the argument of `-u` and looks the names up; what is no name may be a number, in
    /// decimal, as 0x10 or as 010.
    ///
    /// # Errors
    ///
    /// Says which half is wrong, and what was expected.
    pub fn parse(text: &str) -> Result<Self, UserError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let user = match (user, group) {
            ("", None) => return Err(UserError::Empty),
            ("", Some(_)) => None,
            (user, _) => Some(find_user(user)?),
        };
        let group = match group {
            Some("") => return Err(UserError::EmptyGroup(text.to_owned())),
            Some(group) => Some(find_group(group)?),
            None => None,
        };
        Ok(Self { user, group })
    }

    /// Becomes that user and group, for good, with all threads of the process.
    ///
    /// Supplementary groups are left as well; if that fails there is a warning only, as in C.
    ///
    /// # Errors
    ///
    /// If the system does not permit it, as without root.
    pub fn apply(&self) -> Result<(), UserError> {
        leave_supplementary_groups();
        // The group first: without root we could not change it any more.
        if let Some(group) = self.group {
            setgid(group).map_err(|error| UserError::ChangeGroup(group, error))?;
        }
        if let Some(user) = self.user {
            setuid(user).map_err(|error| UserError::ChangeUser(user, error))?;
        }
        Ok(())
    }
}

fn find_user(name: &str) -> Result<Uid, UserError> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid),
        Ok(None) => number(name)
            .map(Uid::from_raw)
            .ok_or_else(|| UserError::NotFound("user", name.to_owned())),
        Err(error) => Err(UserError::LookUp("user", name.to_owned(), error)),
    }
}

fn find_group(name: &str) -> Result<Gid, UserError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => number(name)
            .map(Gid::from_raw)
            .ok_or_else(|| UserError::NotFound("group", name.to_owned())),
        Err(error) => Err(UserError::LookUp("group", name.to_owned(), error)),
    }
}

/// A number as strtoul reads it with base 0. The highest is no id: system calls take it for "none".
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // from_str_radix would take a sign.
    let all_digits = digits.chars().all(|digit| digit.is_digit(radix));
    u32::from_str_radix(digits, radix).ok().filter(|&id| all_digits && id != u32::MAX)
}

/// The systems without setgroups in nix look groups up by user anyway.
#[cfg(any(target_os = "macos", target_os = "ios"))]
fn leave_supplementary_groups() {}

#[cfg(not(any(target_os = "macos", target_os = "ios")))]
fn leave_supplementary_groups() {
    match setgroups(&[]) {
        // Only root may, and whoever is not root often has no other groups to leave.
        Ok(()) | Err(Errno::EPERM) => {}
        Err(error) => log::warn!("cannot leave supplementary groups: {error}"),
    }
    // POSIX lets the list include the effective group.
    match getgroups() {
        Ok(groups) if groups.iter().all(|&group| group == getegid()) => {}
        Ok(groups) => log::warn!("still in {} supplementary groups", groups.len()),
        Err(error) => log::warn!("cannot tell whether supplementary groups are left: {error}"),
    }
}

/// What is wrong with `-u`, or with using it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserError {
    /// There is nothing in it.
    Empty,
    /// A colon without a group after it, in this text.
    EmptyGroup(String),
    /// No such `user` or `group`, and no number.
    NotFound(&'static str, String),
    /// The system could not say whether there is such a `user` or `group`.
    LookUp(&'static str, String, Errno),
    /// The system did not let us change the group.
    ChangeGroup(Gid, Errno),
    /// The system did not let us change the user.
    ChangeUser(Uid, Errno),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty; expected user, :group or user:group"),
            Self::EmptyGroup(text) => {
                write!(f, "no group after the ':' of {text:?}; expected user, :group or user:group")
            }
            Self::NotFound(what, name) => {
                write!(f, "there is no {what} {name:?}; expected the name or the number of one")
            }
            Self::LookUp(what, name, error) => {
                write!(f, "cannot look up the {what} {name:?}: {}", error.desc())
            }
            Self::ChangeGroup(gid, error) => {
                write!(f, "cannot become group {gid}: {}; start as root", error.desc())
            }
            Self::ChangeUser(uid, error) => {
                write!(f, "cannot become user {uid}: {}; start as root", error.desc())
            }
        }
    }
}

impl std::error::Error for UserError {}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{geteuid, getresgid, getresuid};
    use std::env;
    use std::process::{Command, Stdio};

    const SPEC: &str = "SPIPED_TEST_USER_SPEC";

    fn spec(user: Option<u32>, group: Option<u32>) -> UserSpec {
        UserSpec { user: user.map(Uid::from_raw), group: group.map(Gid::from_raw) }
    }

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(UserSpec::parse("root"), Ok(spec(Some(0), None)));
        assert_eq!(UserSpec::parse("12345"), Ok(spec(Some(12345), None)));
        assert_eq!(UserSpec::parse(":12345"), Ok(spec(None, Some(12345))));
        assert_eq!(UserSpec::parse("root:0"), Ok(spec(Some(0), Some(0))));
        assert_eq!(UserSpec::parse("0x10:010"), Ok(spec(Some(16), Some(8))));
        // Called root or wheel, but it has a name everywhere.
        let group = Group::from_gid(Gid::from_raw(0)).unwrap().expect("group 0 has a name");
        assert_eq!(UserSpec::parse(&format!(":{}", group.name)), Ok(spec(None, Some(0))));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(UserSpec::parse(""), Err(UserError::Empty));
        for text in [":", "root:"] {
            assert_eq!(UserSpec::parse(text), Err(UserError::EmptyGroup(text.to_owned())));
        }
        for name in ["no such user", "-1", "+1", "0x", "09", "4294967295", "4294967296", "1a"] {
            let error = UserSpec::parse(name).unwrap_err();
            assert_eq!(error, UserError::NotFound("user", name.to_owned()));
            let error = UserSpec::parse(&format!("root:{name}")).unwrap_err();
            assert_eq!(error, UserError::NotFound("group", name.to_owned()));
        }
        let text = UserSpec::parse("root:nope!").unwrap_err().to_string();
        assert_eq!(text, "there is no group \"nope!\"; expected the name or the number of one");
    }

    #[test]
    #[ignore = "not a test: what the tests below run in a process of its own"]
    fn helper() {
        let Ok(task) = env::var(SPEC) else { return };
        let (spec, user, group) = match task.as_str() {
            "both" => (spec(Some(65534), Some(65533)), 65534, 65533),
            "user alone" => (spec(Some(65534), None), 65534, 0),
            "group alone" => (spec(None, Some(65533)), 0, 65533),
            other => panic!("no such task: {other}"),
        };
        setgroups(&[Gid::from_raw(65532)]).unwrap();
        spec.apply().unwrap();
        let (uids, gids) = (getresuid().unwrap(), getresgid().unwrap());
        assert_eq!([uids.real, uids.effective, uids.saved], [Uid::from_raw(user); 3]);
        assert_eq!([gids.real, gids.effective, gids.saved], [Gid::from_raw(group); 3]);
        assert_eq!(getgroups().unwrap(), []);
        // Once the user has changed there is no way back.
        if user != 0 {
            assert_eq!(setuid(Uid::from_raw(0)), Err(Errno::EPERM));
            let root = UserSpec { user: Some(Uid::from_raw(0)), group: None };
            assert_eq!(root.apply(), Err(UserError::ChangeUser(Uid::from_raw(0), Errno::EPERM)));
        }
    }

    #[test]
    fn what_is_named_changes_and_nothing_else() {
        if !geteuid().is_root() {
            eprintln!("SKIPPED: becoming another user needs root; only the refusal is tested");
            let error = spec(None, Some(0)).apply().unwrap_err();
            assert!(error.to_string().contains("start as root"), "{error}");
            return;
        }
        for task in ["both", "user alone", "group alone"] {
            let status = Command::new(env::current_exe().unwrap())
                .args(["--exact", "spiped::user::tests::helper", "--ignored"])
                .env(SPEC, task)
                .stdout(Stdio::null())
                .status()
                .unwrap();
            assert!(status.success(), "{task}: {status}");
        }
    }
}
