//! TLS of all programs: whose certificate a client believes, which one the hub shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

const CERTIFICATE: &str = "the TLS certificate";
const KEY: &str = "the TLS key";

/// Why a TLS configuration cannot be used. Every variant names the file at fault.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or is no PEM.
    #[error("cannot read {what} {}: {source}", path.display())]
    Read {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The file is PEM and has no certificate.
    #[error("no certificate in {what} {}", path.display())]
    NoCertificate {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A certificate that rustls refuses.
    #[error("cannot use {what} {}: {source}", path.display())]
    Rejected {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// This machine has no trusted certificates of its own.
    #[error("this machine has no trusted certificates; name a CA with --tls-ca-file")]
    NoNativeRoots,
    /// The provider does not do what is asked of it.
    #[error("TLS set-up: {0}")]
    Provider(#[from] rustls::Error),
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Whom this machine trusts.
    #[default]
    System,
    /// Whoever this CA file (PEM) vouches for, and nobody else.
    CaFile(PathBuf),
    /// Anybody. The bytes are encrypted, but who gets them is unknown.
    Anybody,
}

impl Trust {
    /// From `--tls-ca-file` and `--tls-insecure-skip-verify`; the latter wins.
    #[must_use]
    pub fn from_flags(ca_file: Option<PathBuf>, skip_verify: bool) -> Self {
        match (skip_verify, ca_file) {
            (true, _) => Self::Anybody,
            (false, Some(path)) => Self::CaFile(path),
            (false, None) => Self::System,
        }
    }

    /// What to do about a peer whose certificate is signed by nobody who is trusted; `flag` is the one that names a CA.
    #[must_use]
    pub fn advice(&self, flag: &str) -> String {
        match self {
            Self::CaFile(path) => {
                format!("it is not signed by the CA in {} ({flag})", path.display())
            }
            _ => format!("if it is to be trusted, name its CA with {flag}"),
        }
    }
}

/// A certificate that a client shows, and its key: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The chain.
    pub cert: PathBuf,
    /// Its first certificate's key.
    pub key: PathBuf,
}

impl Identity {
    /// From the two flags, which come together.
    #[must_use]
    pub fn from_flags(cert: Option<PathBuf>, key: Option<PathBuf>) -> Option<Self> {
        let (cert, key) = cert.zip(key)?;
        Some(Self { cert, key })
    }
}

/// A client's configuration that offers `alpn`, e.g. `[b"h2"]`, and shows no certificate.
///
/// # Errors
/// The CA file is unreadable or holds no usable certificate.
pub fn client_config(trust: &Trust, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    client_config_of(None, trust, alpn)
}

/// The same, of somebody with a certificate of its own, if there is one.
///
/// # Errors
/// Names the file that cannot be read or does not fit.
pub fn client_config_of(
    identity: Option<&Identity>,
    trust: &Trust,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(system_roots()?),
        Trust::CaFile(path) => builder.with_root_certificates(ca_roots(path)?),
        Trust::Anybody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider())))
        }
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { cert, key }) => {
            let (chain, secret) = (certificates(CERTIFICATE, cert)?, secret(key)?);
            let config = builder.with_client_auth_cert(chain, secret);
            config.map_err(|source| misfit(source, cert, key))?
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// A server's configuration with one certificate chain and its key, both PEM files.
///
/// # Errors
/// Names the file that cannot be read or does not fit.
pub fn server_config(
    cert: &Path,
    key: &Path,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(CERTIFICATE, cert)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret(key)?)
        .map_err(|source| misfit(source, cert, key))?;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// The same, of a server that wants a certificate of its clients, which the authority in this PEM file vouches for.
///
/// # Errors
/// Names the file that cannot be read or does not fit.
pub fn mutual_server_config(
    cert: &Path,
    key: &Path,
    ca: &Path,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(CERTIFICATE, cert)?;
    let roots = Arc::new(ca_roots(ca)?);
    let clients = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
    let clients = clients.map_err(|error| {
        let source = rustls::Error::General(error.to_string());
        TlsError::Rejected { what: "the CA file", path: ca.into(), source }
    })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, secret(key)?)
        .map_err(|source| misfit(source, cert, key))?;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

fn secret(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let unreadable = |source| TlsError::Read { what: KEY, path: path.into(), source };
    PrivateKeyDer::from_pem_file(path).map_err(unreadable)
}

/// Which of the two is at fault.
fn misfit(source: rustls::Error, cert: &Path, key: &Path) -> TlsError {
    match source {
        rustls::Error::InvalidCertificate(_) => {
            TlsError::Rejected { what: CERTIFICATE, path: cert.into(), source }
        }
        _ => TlsError::Rejected { what: KEY, path: key.into(), source },
    }
}

/// The one crypto provider of every program. Passed explicitly, so that a second one that some
/// dependency links can never make the choice ambiguous, which would panic at start.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Read { what, path: path.into(), source };
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let found = found.map_err(unreadable)?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { what, path: path.into() });
    }
    Ok(found)
}

fn ca_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    const WHAT: &str = "the CA file";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(WHAT, path)? {
        let rejected = |source| TlsError::Rejected { what: WHAT, path: path.into(), source };
        roots.add(certificate).map_err(rejected)?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // A machine's store often holds a certificate or two that rustls does not take; the rest serve.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(TlsError::NoNativeRoots) } else { Ok(roots) }
}

/// Believes every certificate, but still checks that the peer holds its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
