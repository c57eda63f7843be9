//! The one connection of the program: address, TCP, TLS, HTTP/2.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use http::Uri;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::{AlertDescription, CertificateError};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tunnel::box_io::BoxIo;
use tunnel::limits::{DIAL_TIMEOUT, MAX_RESPONSE_HEADER_LIST};
use tunnel::once::Once;
use tunnel::proxy::{EnvironmentError, ProxyError, ProxySetting};
use tunnel::tap::Tapped;
use tunnel::tls::{TlsError, Trust, client_config};

use crate::http2_check::{Http2Check, NotHttp2};
use crate::limits::{CALLER_PING_INTERVAL, CALLER_PING_TIMEOUT, CALLER_WINDOW};

/// Where the hub is: `http://HOST:PORT`, or `https://HOST:PORT` for TLS.
#[derive(Clone, Debug)]
pub(crate) struct HubUri {
    uri: Uri,
    tls: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// TCP or TLS took too long.
    #[error("no connection within {}", humantime::format_duration(DIAL_TIMEOUT))]
    Timeout,
    /// The proxy on the way.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// What names it.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The host is no name that a certificate could be for.
    #[error(transparent)]
    Host(#[from] InvalidDnsNameError),
    /// A port without TLS, most likely.
    #[error("the port does not speak TLS ({0}): use http://")]
    NoTls(io::Error),
    /// TLS, but something else behind it.
    #[error("the port speaks TLS and no HTTP/2")]
    NoHttp2,
    /// A certificate of an authority that is not trusted, or of one that only has a trusted name.
    #[error("{error}; {advice}")]
    Untrusted { error: io::Error, advice: String },
    /// Whatever else TCP or TLS meet.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// HTTP/2 could not start.
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
}

/// A connection, and what its first byte was if it was not HTTP/2's.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    pub(crate) verdict: Arc<OnceLock<NotHttp2>>,
}

/// The TLS side of a connection to come, or none for `http://`.
///
/// Made before dialling: a CA file that cannot be read is bad usage, not a hub that is down.
///
/// # Errors
/// The CA file is of no use.
pub(crate) fn tls(hub: &HubUri, trust: &Trust) -> Result<Option<TlsConnector>, TlsError> {
    if !hub.tls {
        return Ok(None);
    }
    Ok(Some(client_config(trust, &[b"h2"])?.into()))
}

/// Connects, within [`DIAL_TIMEOUT`].
///
/// # Errors
/// The hub cannot be reached, or TLS fails.
pub(crate) async fn connect(
    hub: &HubUri,
    proxy: &ProxySetting,
    tls: Option<TlsConnector>,
    trust: &Trust,
) -> Result<Connection, DialError> {
    let io = tokio::time::timeout(DIAL_TIMEOUT, dial(hub, proxy, tls, trust))
        .await
        .map_err(|_| DialError::Timeout)??;
    let check = Http2Check::default();
    let verdict = check.verdict();
    let io = Tapped::new(io, check);
    // Not the hub's URI: a tonic that was built with TLS wants to speak it itself where that says https.
    let channel = Endpoint::from_static("http://hub")
        .origin(hub.uri.clone())
        .user_agent(concat!("grpc-hub-client/", env!("CARGO_PKG_VERSION")))?
        .initial_stream_window_size(CALLER_WINDOW)
        .initial_connection_window_size(CALLER_WINDOW)
        .http2_max_header_list_size(MAX_RESPONSE_HEADER_LIST)
        .http2_keep_alive_interval(CALLER_PING_INTERVAL)
        .keep_alive_timeout(CALLER_PING_TIMEOUT)
        .connect_with_connector(Once::new(io))
        .await?;
    Ok(Connection { channel, verdict })
}

async fn dial(
    hub: &HubUri,
    proxy: &ProxySetting,
    tls: Option<TlsConnector>,
    trust: &Trust,
) -> Result<BoxIo, DialError> {
    let (host, port) = (hub.host(), hub.port());
    let tcp = match proxy.towards(host, port)? {
        Some(proxy) => proxy.connect(host, port).await?,
        None => tunnel::connect::connect(host, port).await?,
    };
    let Some(tls) = tls else {
        return Ok(Box::new(tcp));
    };
    let name = ServerName::try_from(hub.host().to_owned())?;
    match tls.connect(name, tcp).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(explain_tls(error, trust)),
    }
}

fn explain_tls(error: io::Error, trust: &Trust) -> DialError {
    use CertificateError::{BadSignature, UnknownIssuer};
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};

    if error.kind() == io::ErrorKind::UnexpectedEof {
        return DialError::NoTls(error);
    }
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
    match cause {
        Some(InvalidMessage(_)) => DialError::NoTls(error),
        Some(AlertReceived(AlertDescription::NoApplicationProtocol)) => DialError::NoHttp2,
        Some(InvalidCertificate(UnknownIssuer | BadSignature)) => {
            DialError::Untrusted { error, advice: trust.advice("--tls-ca-file") }
        }
        _ => DialError::Io(error),
    }
}

// === impl HubUri ===

impl HubUri {
    fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        address.unwrap_or(host)
    }

    fn port(&self) -> u16 {
        let default = if self.tls { 443 } else { 80 };
        self.uri.port_u16().unwrap_or(default)
    }
}

impl FromStr for HubUri {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "must be http://HOST:PORT or https://HOST:PORT";
        let uri: Uri = text.parse().map_err(|_| FORM)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(FORM),
        };
        let authority = uri.authority().ok_or(FORM)?;
        let bare = uri.path() == "/" && uri.query().is_none();
        if !bare || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(FORM);
        }
        Ok(Self { uri, tls })
    }
}

impl fmt::Display for HubUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.to_string().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, u16, bool)> {
        let hub: HubUri = text.parse().ok()?;
        assert_eq!(hub.to_string(), text.trim_end_matches('/'));
        Some((hub.host().to_owned(), hub.port(), hub.tls))
    }

    #[test]
    fn a_hub_uri_is_scheme_host_and_port() {
        let expect = |host: &str, port, tls| Some((host.to_owned(), port, tls));
        assert_eq!(parse("http://localhost:8080"), expect("localhost", 8080, false));
        assert_eq!(parse("https://hub.example/"), expect("hub.example", 443, true));
        assert_eq!(parse("http://[::1]:1"), expect("::1", 1, false));
        for bad in ["", "localhost:8080", "ws://h:1/ws", "http://h/x", "http://u@h", "http://h?q"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
