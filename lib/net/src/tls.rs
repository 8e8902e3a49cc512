//! TLS: whom we believe, and what we show.
//!
//! Owns the configurations of rustls: the authorities of a client, the certificate and key of a
//! server, and how they are read. TLS here only gets the stream past whatever stands between two
//! spipeds; what it protects is encrypted already. Refuses to move bytes: `transport/tls.rs` does.
//! Next: `web.rs`, whose parts these are.

mod words;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ServerConnection;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::explain::unreadable;
use words::refused;

pub(crate) use words::describe;

/// The only application protocol in which there are upgrades (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// Why there is no TLS. One line that names the file, if it is about one.
#[derive(Debug)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

fn about(file: &Path, problem: impl fmt::Display) -> TlsError {
    TlsError(format!("{}: {problem}", file.display()))
}

/// The TLS of a client: the server's name, and the authorities that may vouch for it.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl TlsClient {
    /// For a server of this name, which may be an IP address without brackets. The authorities are
    /// those of the file (`--tls-ca`), if there is one, and the system's otherwise.
    ///
    /// # Errors
    ///
    /// If the name cannot be in a certificate, or the file has none.
    pub fn new(server: &str, authorities: Option<&Path>) -> Result<Self, TlsError> {
        let name = ServerName::try_from(server.to_owned())
            .map_err(|_| TlsError(format!("{server:?} cannot be the name in a certificate")))?;
        let roots = match authorities {
            Some(file) => read_authorities(file)?,
            None => system_authorities(),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the ciphers of both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(Self { config: Arc::new(config), server: name })
    }

    /// A connection that has said nothing yet.
    pub(crate) fn start(&self) -> Result<ClientConnection, rustls::Error> {
        ClientConnection::new(Arc::clone(&self.config), self.server.clone())
    }
}

/// The authorities of a file of PEM certificates.
fn read_authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots.add(certificate).map_err(|error| about(file, unusable(&error)))?;
    }
    Ok(roots)
}

/// What is wrong with a certificate of our own, or with its key.
fn unusable(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => format!("the certificate {}", refused(why)),
        rustls::Error::General(text) => text.clone(),
        _ => "it cannot be used for TLS".to_owned(),
    }
}

/// The system's authorities, or, where it has none, Mozilla's as of the day we were built.
fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        log::debug!("some of the system's authorities cannot be read: {error}");
    }
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        log::debug!("the system has no authorities, so those are believed that we bring along");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates = certificates.map_err(|error| about(file, no_pem(&error, CERTIFICATES)))?;
    if certificates.is_empty() {
        return Err(about(file, format!("there is no certificate in it, expected {CERTIFICATES}")));
    }
    Ok(certificates)
}

/// What files of certificates and of keys hold, for errors.
const CERTIFICATES: &str = "PEM: certificates, each after -----BEGIN CERTIFICATE-----";
const PRIVATE_KEY: &str = "PEM: a key after -----BEGIN PRIVATE KEY-----";

/// What is wrong with a PEM file, without a byte of what is in it: it may be a key.
fn no_pem(error: &pem::Error, expected: &str) -> String {
    match error {
        pem::Error::Io(error) => unreadable(error, expected),
        pem::Error::NoItemsFound => format!("there is no private key in it, expected {expected}"),
        _ => format!("it is damaged, expected {expected}"),
    }
}

/// The TLS of a server: its certificate and key, which can be read again.
#[derive(Clone, Debug)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    certificate: PathBuf,
    key: PathBuf,
}

impl TlsServer {
    /// Reads the certificate (`--tls-cert`, followed by those between it and an authority) and its
    /// private key (`--tls-key`), both PEM.
    ///
    /// # Errors
    ///
    /// Which file is at fault, and why.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_certificates(certificate)?;
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| about(key, no_pem(&error, PRIVATE_KEY)))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the ciphers of both versions")
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    about(key, format!("it does not belong to {}", certificate.display()))
                }
                other => about(certificate, unusable(&other)),
            })?;
        config.alpn_protocols = vec![HTTP.to_vec()];
        // Nobody comes back so often that remembering him is worth the bytes.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Ok(Self { config: Arc::new(config), certificate, key })
    }

    /// Reads both files again, for the connections that come from now on.
    ///
    /// # Errors
    ///
    /// As [`Self::load`]; then what there was stays.
    pub(crate) fn reload(&mut self) -> Result<(), TlsError> {
        *self = Self::load(&self.certificate, &self.key)?;
        Ok(())
    }

    /// Where the certificate is.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// A connection that has heard nothing yet.
    pub(crate) fn start(&self) -> Result<ServerConnection, rustls::Error> {
        ServerConnection::new(Arc::clone(&self.config))
    }
}
