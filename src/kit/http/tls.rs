//! TLS on rustls: a given certificate for the server, given or the system's authorities for the client.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::host::{Fault, Result};

/// Where distributions keep the authorities that they trust.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A server's certificate chain and its key.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

impl Identity {
    /// Reads PEM files: `cert` with the server's certificate first, `key` in PKCS 8, PKCS 1 or SEC 1.
    ///
    /// # Errors
    /// `http.tls`: unreadable, or no certificate and key that belong together.
    pub fn read(cert: &Path, key: &Path) -> Result<Identity> {
        let bad = |path: &Path, why: &dyn std::fmt::Display| {
            Fault::new("http.tls", format!("cannot use `{}` for TLS: {why}", path.display()))
        };
        let chain = certificates(cert)?;
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| {
            bad(key, &error).hint("a private key in PEM form stands between BEGIN PRIVATE KEY and END PRIVATE KEY")
        })?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(cert, &error))?;
        let config = config.with_no_client_auth().with_single_cert(chain, secret).map_err(|error| bad(cert, &error))?;
        Ok(Identity(Arc::new(config)))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.clone())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bad = |why: &dyn std::fmt::Display| {
        Fault::new("http.tls", format!("cannot read certificates from `{}`: {why}", path.display()))
    };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let list = read.map_err(|error| bad(&error))?;
    if list.is_empty() { Err(bad(&"there is none in it")) } else { Ok(list) }
}

/// Trusts the certificates in `ca`, as authorities or as the server's very own, or else the system's authorities.
///
/// # Errors
/// `http.tls`: no such file, or nothing to trust.
pub fn connector(ca: Option<&Path>) -> Result<TlsConnector> {
    let system = || SYSTEM.iter().map(Path::new).find(|path| path.exists());
    let path = ca.or_else(system).ok_or_else(|| {
        Fault::new("http.tls", "this system has no list of certificate authorities")
            .hint("name the server's certificate with `ca`")
    })?;
    let given = certificates(path)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(given.iter().cloned());
    let bad =
        |error: &dyn std::fmt::Display| Fault::new("http.tls", format!("cannot trust `{}`: {error}", path.display()));
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let verifier = Given { given, usual: usual.map_err(|error| bad(&error))? };
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// As webpki has it, and one thing more: a certificate that stands itself among the given ones is trusted, whatever name
/// and purpose are written in it. So self-signed ones work as sites make them (`openssl req -x509`).
#[derive(Debug)]
struct Given {
    given: Vec<CertificateDer<'static>>,
    usual: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        if self.given.iter().any(|given| given == shown) {
            return Ok(ServerCertVerified::assertion());
        }
        self.usual.verify_server_cert(shown, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
