//! Where the hub is: `ws://localhost:8080/ws`, `wss://hub.example`.

use std::fmt;
use std::str::FromStr;

use crate::authority::host_and_port;
use crate::wire;
use http::Uri;
use http::uri::Scheme;

/// A hub's address, with everything filled in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubUri {
    /// Over TLS.
    pub tls: bool,
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port; 80 or 443 where none is said.
    pub port: u16,
    uri: Uri,
}

/// Why a text is no hub's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hub's address is ws://host:port/ws, or wss://host:port/ws for TLS")]
pub struct HubUriError;

impl HubUri {
    /// The URI of the upgrade request.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl FromStr for HubUri {
    type Err = HubUriError;

    fn from_str(text: &str) -> Result<Self, HubUriError> {
        let mut parts = text.parse::<Uri>().map_err(|_| HubUriError)?.into_parts();
        let tls = match parts.scheme.as_ref().map(Scheme::as_str) {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(HubUriError),
        };
        let authority = parts.authority.as_ref().ok_or(HubUriError)?;
        let (host, port) = host_and_port(authority).ok_or(HubUriError)?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        if parts.path_and_query.as_ref().is_none_or(|path| path.as_str() == "/") {
            parts.path_and_query = wire::PATH.parse().ok();
        }
        let uri = Uri::from_parts(parts).map_err(|_| HubUriError)?;
        if host.is_empty() { Err(HubUriError) } else { Ok(Self { tls, host, port, uri }) }
    }
}

impl fmt::Display for HubUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_what_is_left_out() {
        for (text, tls, host, port, full) in [
            ("ws://localhost:8080/ws", false, "localhost", 8080, "ws://localhost:8080/ws"),
            ("ws://localhost", false, "localhost", 80, "ws://localhost/ws"),
            ("wss://hub.example", true, "hub.example", 443, "wss://hub.example/ws"),
            (
                "wss://hub.example/tunnels/ws",
                true,
                "hub.example",
                443,
                "wss://hub.example/tunnels/ws",
            ),
            ("ws://[::1]:8080", false, "::1", 8080, "ws://[::1]:8080/ws"),
        ] {
            let uri: HubUri = text.parse().expect(text);
            assert_eq!((uri.tls, &*uri.host, uri.port, &*uri.to_string()), (tls, host, port, full));
        }
        for text in ["", "localhost:8080", "http://localhost", "ws://", "ws:///ws", "ws://h:99999"]
        {
            assert_eq!(text.parse::<HubUri>(), Err(HubUriError), "{text}");
        }
    }
}
