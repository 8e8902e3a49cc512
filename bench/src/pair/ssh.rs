//! `ssh -L` to an sshd of our own, with keys of our own: one login, then a channel per connection.

use std::path::PathBuf;
use std::process::Command;

use nix::unistd::{User, getuid};

use super::Route;
use crate::Outcome;
use crate::process::{PATIENCE, Process, on_path};

impl Route<'_> {
    pub(super) fn ssh(&self) -> Outcome<[Command; 2]> {
        let key = self.ssh_key()?;
        let user = User::from_uid(getuid()).ok().flatten().ok_or("we have no user name for ssh")?;
        let public = key.with_extension("pub");
        let config = format!(
            "ListenAddress 127.0.0.1:{}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n\
             AllowTcpForwarding yes\n",
            self.middle,
            key.display(),
            public.display()
        );
        let config = self.bench.write(&format!("sshd-{}.conf", self.middle), config.as_bytes())?;
        let mut far = Command::new(on_path("sshd").ok_or("sshd is gone")?);
        far.args(["-D", "-e", "-f"]).arg(config);

        let mut near = Command::new(&self.peer.program);
        near.args(["-N", "-F", "none", "-i"]).arg(key);
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "ExitOnForwardFailure=yes",
            "Ciphers=aes256-gcm@openssh.com",
        ] {
            near.args(["-o", option]);
        }
        near.args(["-p", &self.middle.to_string()]);
        near.args(["-L", &format!("127.0.0.1:{}:{}", self.entry, self.target)]);
        near.arg(format!("{}@127.0.0.1", user.name));
        Ok([near, far])
    }

    /// One key serves as the host's and as the user's; made once in a run.
    fn ssh_key(&self) -> Outcome<PathBuf> {
        let key = self.bench.path("ssh-key");
        if !key.exists() {
            let mut command = Command::new(on_path("ssh-keygen").ok_or("ssh-keygen is gone")?);
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
            let log = self.bench.log("ssh-keygen");
            Process::spawn(command, log, crate::process::Family::Alone)?.await_end(PATIENCE)?;
        }
        Ok(key)
    }
}
