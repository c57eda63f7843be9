//! TCP, and TLS on it where it is wanted: the way to the hub and to an upstream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::box_io::BoxIo;
use crate::connect::connect_within;
use crate::proxy::{EnvironmentError, ProxyError, ProxySetting};
use crate::tls::Trust;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// TCP.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The proxy on the way.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// What names it.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// TLS.
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    /// A certificate of an authority that is not trusted.
    #[error("{error}; {advice}")]
    Untrusted {
        /// What TLS says.
        error: io::Error,
        /// What to do about it.
        advice: String,
    },
    /// A port without TLS.
    #[error("it does not speak TLS on this port")]
    NoTls,
    /// Another protocol over TLS than is wanted.
    #[error("it does not offer {0} over TLS")]
    Protocol(String),
    /// No certificate could be for it.
    #[error("not a host name for TLS: {0}")]
    ServerName(String),
}

/// TLS towards a peer.
#[derive(Clone, Debug)]
pub struct TlsClient {
    /// Whom it believes, what it shows and offers.
    pub config: Arc<ClientConfig>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Whom the certificate is to be for, if not for the host that is dialled.
    pub server_name: Option<ServerName<'static>>,
    /// What names a CA.
    pub ca_flag: &'static str,
}

/// Connects to a hub, through a proxy if one leads there; without one, within this time once its name is looked up.
///
/// # Errors
/// Nobody listens there, the proxy does not let through, or the environment names none that can be used.
pub async fn to_hub(
    host: &str,
    port: u16,
    proxy: &ProxySetting,
    limit: Duration,
) -> Result<TcpStream, TransportError> {
    match proxy.towards(host, port)? {
        Some(proxy) => Ok(proxy.connect(host, port).await?),
        None => connect_within(host, port, limit).await.map_err(TransportError::Connect),
    }
}

/// With `tls`, speaks it: the peer must choose one of the protocols that it offers, if it offers any.
///
/// # Errors
/// The peer speaks no TLS, is not trusted, or chooses none of them.
pub async fn secured(
    tcp: TcpStream,
    host: &str,
    tls: Option<&TlsClient>,
) -> Result<BoxIo, TransportError> {
    let Some(tls) = tls else {
        return Ok(Box::new(tcp));
    };
    let config = &tls.config;
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => ServerName::try_from(host.to_owned())
            .map_err(|_| TransportError::ServerName(host.to_owned()))?,
    };
    let connected = TlsConnector::from(config.clone()).connect(name, tcp).await;
    let stream = connected.map_err(|error| explain(error, tls))?;
    // HTTP/1.1 is what a server speaks that has never heard of ALPN; HTTP/2 must be agreed on.
    let agreed = stream.get_ref().1.alpn_protocol();
    if agreed.is_none() && config.alpn_protocols.iter().any(|protocol| protocol == b"h2") {
        return Err(no_protocol(config));
    }
    Ok(Box::new(stream))
}

/// rustls's words for the commonest mistakes are riddles.
fn explain(
    error: io::Error,
    TlsClient { config, trust, ca_flag, .. }: &TlsClient,
) -> TransportError {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidMessage(_)) => TransportError::NoTls,
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
            no_protocol(config)
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => TransportError::Untrusted { error, advice: trust.advice(ca_flag) },
        _ => TransportError::Tls(error),
    }
}

fn no_protocol(config: &ClientConfig) -> TransportError {
    let wanted: Vec<_> =
        config.alpn_protocols.iter().map(|protocol| String::from_utf8_lossy(protocol)).collect();
    let wanted = wanted.join(" or ");
    TransportError::Protocol(if wanted == "h2" { "HTTP/2 (ALPN h2)".into() } else { wanted })
}
