//! What rustls says, in words for people.
//!
//! Owns one line for each fault that a peer or its certificate can have, with what helps. Refuses
//! to show a type of rustls or of what is beneath it: those are words for programmers. Part of
//! `../tls.rs`; who shows them is `../transport/tls.rs`.

use rustls::CertificateError as Why;
use rustls::{AlertDescription as Alert, Error};

/// Names of a certificate that are shown: it may have very many.
const NAMES: usize = 3;

/// What is wrong, after `TLS: `.
pub(crate) fn describe(fault: &Error) -> String {
    let text = match fault {
        Error::InvalidMessage(_) => "this is not TLS (is it wss:// at both ends?)",
        Error::InvalidCertificate(why) => return format!("TLS: the certificate {}", refused(why)),
        Error::AlertReceived(alert) => return format!("TLS: {}", alerted(*alert)),
        Error::PeerIncompatible(_) => {
            "nothing in common with the peer: expected TLS 1.2 or 1.3 with a cipher of today"
        }
        Error::NoCertificatesPresented => "the peer shows no certificate",
        Error::NoApplicationProtocol => "the peer speaks no HTTP/1.1, which WebSockets need",
        Error::DecryptError => "a record of the peer's is not genuine",
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord => "the peer breaks the rules of TLS",
        Error::General(text) => return format!("TLS: {text}"),
        _ => "it failed on our side",
    };
    format!("TLS: {text}")
}

/// Why a certificate is not believed, and what helps.
pub(crate) fn refused(why: &Why) -> String {
    let text = match why {
        Why::UnknownIssuer => {
            "is signed by nobody that is trusted here (--tls-ca FILE names who is)"
        }
        // An authority of ours has the name of the issuer, and another key.
        Why::BadSignature | Why::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "is signed by nobody that is trusted here, although one that is trusted has the name \
             of its issuer (--tls-ca FILE names who is trusted; a certificate that signs itself is \
             trusted by its own file)"
        }
        Why::UnsupportedSignatureAlgorithmContext { .. } => {
            "is signed in a way that is not taken any more, such as with SHA-1"
        }
        Why::NotValidForNameContext { expected, presented } => {
            return format!(
                "is for {}, not for {} (-t needs the name that it is for)",
                names(presented),
                expected.to_str()
            );
        }
        Why::NotValidForName => "is for another name than the target's",
        Why::Expired | Why::ExpiredContext { .. } => "has expired (or the clock here is wrong)",
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            "is not valid yet; is the clock right?"
        }
        Why::Revoked => "has been revoked",
        Why::InvalidPurpose | Why::InvalidPurposeContext { .. } => {
            "is for another purpose than a server's (TLS web server authentication)"
        }
        Why::BadEncoding => "is damaged, or no certificate at all",
        // Known by its name only: the type is of a library beneath rustls.
        Why::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "is an authority's own (CA:TRUE), as openssl req -x509 makes it; a server needs one \
             with CA:FALSE (-addext basicConstraints=critical,CA:FALSE)"
        }
        Why::Other(other) if other.to_string().contains("EndEntityUsedAsCa") => {
            "is signed by one that may sign no others (CA:FALSE)"
        }
        _ => "is not as a server's has to be (openssl x509 -text shows it)",
    };
    text.to_owned()
}

/// The names in a certificate, which come as `DnsName("a.example")` and the like.
fn names(presented: &[String]) -> String {
    let bare = presented.iter().take(NAMES).map(|name| {
        let (_, inner) = name.split_once('(').unwrap_or(("", name));
        inner.trim_end_matches(')').trim_matches('"')
    });
    let mut names = bare.collect::<Vec<_>>().join(", ");
    if presented.len() > NAMES {
        names.push_str(", ...");
    }
    if names.is_empty() { "no name at all".to_owned() } else { names }
}

/// Why the peer has refused us.
fn alerted(alert: Alert) -> String {
    let text = match alert {
        Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::UnsupportedCertificate => "the peer does not believe the certificate",
        // What rustls sends where it finds another key than the one that has signed.
        Alert::DecryptError => {
            "the peer finds a signature wrong: the certificate is signed by nobody that it trusts \
             (its --tls-ca), but by another of the same name (alert 51, decrypt_error)"
        }
        Alert::AccessDenied => "the peer lets us in for no certificate (alert 49, access_denied)",
        Alert::UnexpectedMessage
        | Alert::BadRecordMac
        | Alert::RecordOverflow
        | Alert::IllegalParameter
        | Alert::DecodeError
        | Alert::MissingExtension
        | Alert::UnsupportedExtension => {
            return format!("the peer finds what we say wrong (alert {})", u8::from(alert));
        }
        Alert::InternalError => "the peer has a fault of its own (alert 80, internal_error)",
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            "the peer finds nothing in common with us, who speak TLS 1.2 and 1.3"
        }
        Alert::NoApplicationProtocol => "the peer speaks no HTTP/1.1, which WebSockets need",
        Alert::UnrecognisedName => "the peer knows no server of this name",
        Alert::CertificateRequired => "the peer wants a certificate of ours, and there is none",
        Alert::UserCanceled => "the peer has given up",
        _ => return format!("the peer refuses (alert {})", u8::from(alert)),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use rustls::{InvalidMessage, OtherError, PeerIncompatible, PeerMisbehaved};

    use super::*;

    fn certificate(why: Why) -> String {
        let said = describe(&Error::InvalidCertificate(why));
        said.strip_prefix("TLS: the certificate ").expect(&said).to_owned()
    }

    #[test]
    fn who_is_not_trusted_is_said_so_with_the_remedy() {
        let id = || vec![0x30, 0x0a];
        for why in [
            Why::UnknownIssuer,
            Why::BadSignature,
            Why::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: id(),
                public_key_algorithm_id: id(),
            },
        ] {
            let said = certificate(why);
            assert!(said.starts_with("is signed by nobody that is trusted here"), "{said}");
            assert!(said.contains("--tls-ca FILE"), "{said}");
        }
    }

    #[test]
    fn who_does_not_trust_us_is_said_so_in_words() {
        let said = describe(&Error::AlertReceived(Alert::DecryptError));
        assert!(said.contains("signed by nobody that it trusts (its --tls-ca)"), "{said}");
        assert!(said.ends_with("(alert 51, decrypt_error)"), "{said}");
        let other = describe(&Error::AlertReceived(Alert::Unknown(200)));
        assert_eq!(other, "TLS: the peer refuses (alert 200)");
    }

    #[test]
    fn names_are_shown_as_people_write_them() {
        let other = |presented: &[&str]| {
            certificate(Why::NotValidForNameContext {
                expected: ServerName::try_from("h.example").unwrap(),
                presented: presented.iter().map(|&name| name.to_owned()).collect(),
            })
        };
        let two = other(&["DnsName(\"a.example\")", "IpAddress(127.0.0.1)"]);
        assert!(two.starts_with("is for a.example, 127.0.0.1, not for h.example ("), "{two}");
        assert!(other(&[]).starts_with("is for no name at all, not"));
        assert!(other(&["DnsName(\"a\")"; 4]).starts_with("is for a, a, a, ..., not"));
    }

    /// Stands for a type that we do not know.
    #[derive(Debug)]
    struct Odd;

    impl std::fmt::Display for Odd {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("OddContext { inner: [1, 2] }")
        }
    }

    impl std::error::Error for Odd {}

    #[test]
    fn nothing_is_shown_as_programmers_write_it() {
        let odd = || OtherError(std::sync::Arc::new(Odd));
        let faults = [
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments),
            Error::AlertReceived(Alert::UnknownCA),
            Error::AlertReceived(Alert::HandshakeFailure),
            Error::AlertReceived(Alert::InternalError),
            Error::AlertReceived(Alert::AccessDenied),
            Error::AlertReceived(Alert::BadRecordMac),
            Error::InvalidCertificate(Why::Other(odd())),
            Error::InvalidCertificate(Why::UnhandledCriticalExtension),
            Error::InvalidCertificate(Why::InvalidPurpose),
            Error::Other(odd()),
            Error::EncryptError,
        ];
        for fault in faults {
            let said = describe(&fault);
            assert!(said.starts_with("TLS: "), "{said}");
            assert!(!said.contains(['{', '[', '"']), "{said}");
            // No word is made of several.
            let joined = |word: &str| word.chars().skip(1).any(char::is_uppercase);
            let known = ["TLS", "HTTP/1.1,", "CA:FALSE"];
            let odd: Vec<_> = said.split([' ', ':', '(', ')']).filter(|it| joined(it)).collect();
            assert!(odd.iter().all(|it| known.contains(it)), "{said}: {odd:?}");
        }
    }
}
