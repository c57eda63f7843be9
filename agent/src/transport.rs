//! TCP, and TLS on it where it is wanted: the way to the hub and to an upstream.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tunnel::box_io::BoxIo;
use tunnel::proxy::{EnvironmentError, ProxyError, ProxySetting};
use tunnel::sockets;
use tunnel::tls::Trust;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("{error}; {advice}")]
    Untrusted { error: io::Error, advice: String },
    #[error("it does not speak TLS on this port")]
    NoTls,
    #[error("it does not offer {0} over TLS")]
    Protocol(String),
    #[error("not a host name for TLS: {0}")]
    ServerName(String),
}

/// TLS towards a peer.
#[derive(Clone, Debug)]
pub(crate) struct TlsClient {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) trust: Trust,
    /// Whom the certificate is to be for, if not for the host that is dialled.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// What names a CA.
    pub(crate) ca_flag: &'static str,
}

/// Connects to an upstream.
pub(crate) async fn to_upstream(host: &str, port: u16) -> Result<TcpStream, TransportError> {
    let tcp = tunnel::connect::connect(host, port).await.map_err(TransportError::Connect)?;
    sockets::ask_for_life(&tcp).map_err(TransportError::Connect)?;
    Ok(tcp)
}

/// Connects to a hub, through a proxy if one leads there.
pub(crate) async fn to_hub(
    host: &str,
    port: u16,
    proxy: &ProxySetting,
) -> Result<TcpStream, TransportError> {
    match proxy.towards(host, port)? {
        Some(proxy) => Ok(proxy.connect(host, port).await?),
        None => tunnel::connect::connect(host, port).await.map_err(TransportError::Connect),
    }
}

/// With `tls`, speaks it: the peer must choose one of the protocols that it offers, if it offers any.
pub(crate) async fn secured(
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
