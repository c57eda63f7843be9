//! Where spans of calls go.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;
use tunnel::dial::TlsClient;
use tunnel::tls::{TlsError, Trust, client_config};

use crate::config::otlp_headers::{OtlpHeaders, OtlpHeadersError};

/// What `--otlp-endpoint` and its like say.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// A collector, or whatever else speaks OTLP over gRPC.
    pub endpoint: OtlpEndpoint,
    /// Without, in clear text.
    pub tls: Option<TlsClient>,
    /// What it is told with each lot.
    pub headers: OtlpHeaders,
    /// Of calls whose callers say nothing of a trace, such a share gets one, from 0 to 1. Those that say something decide
    /// themselves.
    pub sample: f64,
}

/// Why a collector cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum OtlpConfigError {
    /// The CA file.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The environment.
    #[error(transparent)]
    Headers(#[from] OtlpHeadersError),
}

impl OtlpConfig {
    /// # Errors
    /// Names the CA file that cannot be used.
    pub(crate) fn new(
        endpoint: OtlpEndpoint,
        ca_file: Option<PathBuf>,
        headers: OtlpHeaders,
        sample: f64,
    ) -> Result<Self, TlsError> {
        let trust = Trust::from_flags(ca_file, false);
        let is_secret = endpoint.0.scheme() == Some(&Scheme::HTTPS);
        let tls = if is_secret {
            let config = client_config(&trust, &[b"h2"])?;
            Some(TlsClient { config, trust, server_name: None, ca_flag: "--otlp-tls-ca-file" })
        } else {
            None
        };
        Ok(Self { endpoint, tls, headers, sample })
    }

    /// Whether others on the network can read what the collector is told.
    pub(crate) fn is_overheard(&self) -> bool {
        self.tls.is_none() && !self.endpoint.is_this_machine()
    }

    /// For tests: no CA file, no headers, no share.
    #[cfg(test)]
    pub(crate) fn plain(endpoint: &str) -> Self {
        let endpoint = endpoint.parse().expect("an endpoint");
        Self::new(endpoint, None, OtlpHeaders::default(), 0.0).expect("good")
    }
}

/// `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(Uri);

/// It is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "http://HOST:PORT or https://HOST:PORT of a collector that takes OTLP over gRPC, mostly at port 4317"
)]
pub struct OtlpEndpointError;

impl OtlpEndpoint {
    /// It is one.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    fn is_this_machine(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
    }
}

impl FromStr for OtlpEndpoint {
    type Err = OtlpEndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| OtlpEndpointError)?;
        let is_known = [&Scheme::HTTP, &Scheme::HTTPS].map(Some).contains(&uri.scheme());
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let is_good = is_known && is_bare && uri.port_u16().is_some() && !has_user;
        if is_good { Ok(Self(uri)) } else { Err(OtlpEndpointError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for good in ["http://localhost:4317", "https://[::1]:4317/", "http://collector.test:4317"] {
            assert!(good.parse::<OtlpEndpoint>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost:4317",
            "http://localhost",
            "grpc://localhost:4317",
            "http://localhost:4317/v1/traces",
            "http://localhost:4317/?a",
            "http://user:secret@localhost:4317",
        ] {
            assert_eq!(bad.parse::<OtlpEndpoint>(), Err(OtlpEndpointError), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_and_tls_are_not_overheard() {
        for (endpoint, is_overheard) in [
            ("http://collector.test:4317", true),
            ("http://192.0.2.1:4317", true),
            ("http://[2001:db8::1]:4317", true),
            ("http://localhost.test:4317", true),
            ("https://192.0.2.1:4317", false),
            ("http://localhost:4317", false),
            ("http://127.0.0.2:4317", false),
            ("http://[::1]:4317", false),
            ("http://[::ffff:127.0.0.1]:4317", false),
        ] {
            let config = OtlpConfig::plain(endpoint);
            assert_eq!(config.is_overheard(), is_overheard, "{endpoint}");
        }
    }
}
