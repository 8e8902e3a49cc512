//! stunnel with a shared key and AES-256-GCM, as near to spiped as it can be set up.
//!
//! TLS 1.2, because stunnel's shared keys go together with AES-256-GCM only there: in TLS 1.3
//! OpenSSL ties a key given that way to SHA-256, and so to AES-128-GCM. With forward secrecy
//! Diffie-Hellman is in a 2048-bit group, as spiped's is; and sessions are not resumed, as that
//! would be without. Without syslog, which it would otherwise write to beside its log file: that
//! makes a connection several times as expensive.

use std::process::Command;

use super::{ForwardSecrecy, Route, local};
use crate::Outcome;

impl Route<'_> {
    pub(super) fn stunnel(&self) -> Outcome<[Command; 2]> {
        let ends = [("yes", self.entry, local(self.middle)), ("no", self.middle, self.target)];
        let mut commands = Vec::new();
        for (client, accept, connect) in ends {
            let psk = self.bench.path("psk");
            let cipher = match self.secrecy {
                ForwardSecrecy::Yes => "DHE-PSK-AES256-GCM-SHA384",
                ForwardSecrecy::No => "PSK-AES256-GCM-SHA384",
            };
            let text = format!(
                "foreground = yes\nsyslog = no\npid =\n[bench]\nclient = {client}\n\
                 accept = 127.0.0.1:{accept}\nconnect = {connect}\n\
                 PSKsecrets = {}\nsslVersion = TLSv1.2\nciphers = {cipher}\nsessionResume = no\n\
                 socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n",
                psk.display()
            );
            let name = format!("stunnel-{accept}.conf");
            let mut command = Command::new(&self.peer.program);
            command.arg(self.bench.write(&name, text.as_bytes())?);
            commands.push(command);
        }
        commands.try_into().map_err(|_| "stunnel has two ends".to_owned())
    }
}
