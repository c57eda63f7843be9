//! Who may come in, and the certificate that the hub shows: what may be read anew while it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tunnel::tls::server_config;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::ConfigError;
use super::auth::Auth;

/// What may change while the hub runs.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Serve TLS, which must offer ALPN `h2` and `http/1.1`; plain TCP without.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Who may register and who may call.
    pub auth: Auth,
}

/// The files that [`Keys`] come from. What has none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct KeyFiles {
    /// Certificate chain and private key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Who may register and who may call, TOML.
    pub auth: Option<PathBuf>,
}

impl KeyFiles {
    /// Reads them all, or none of them; what has no file is as it is `now`.
    ///
    /// # Errors
    /// Says which file is at fault, and why.
    pub(crate) fn read(&self, now: &Keys) -> Result<Keys, ConfigError> {
        let tls = self.tls.as_ref().map(|(cert, key)| read_tls(cert, key)).transpose()?;
        let auth = self.auth.as_deref().map(Auth::from_file).transpose()?;
        Ok(Keys {
            tls: tls.or_else(|| now.tls.clone()),
            auth: auth.unwrap_or_else(|| now.auth.clone()),
        })
    }
}

impl KeyFiles {
    /// When the certificate ends, in seconds since 1970, if there is one that can be read.
    pub(crate) fn not_after(&self) -> Option<i64> {
        let (cert, _) = self.tls.as_ref()?;
        let der = CertificateDer::from_pem_file(cert).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }
}

fn read_tls(cert: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, ConfigError> {
    Ok(server_config(cert, key, &[b"h2", b"http/1.1"])?)
}
