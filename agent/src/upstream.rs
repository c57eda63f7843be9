//! The gRPC server that the agent exposes: where it is, and how to reach it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::uri::{Authority, Scheme};
use rustix::io::Errno;
use tokio::net::{TcpStream, UnixStream};
use tunnel::authority::host_and_port;
use tunnel::box_io::BoxIo;
use tunnel::dial::{TlsClient, TransportError, secured};
use tunnel::sockets;

use crate::limits::LANE_DIAL_TIMEOUT;

/// A server's address: `127.0.0.1:50051`, `http://host:port`, `https://host`, or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAddr(Addr);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Addr {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// Why a text is no server's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upstream is host:port, http://host:port, https://host:port, or unix:/path")]
pub struct UpstreamAddrError;

impl FromStr for UpstreamAddr {
    type Err = UpstreamAddrError;

    fn from_str(text: &str) -> Result<Self, UpstreamAddrError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // gRPC's own spelling for absolute paths is unix:///path.
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(UpstreamAddrError)
            } else {
                // Component by component: one more slash in front would be read as part of the scheme.
                Ok(Self(Addr::Unix(Path::new(path).components().collect())))
            };
        }
        let (tls, authority) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(UpstreamAddrError),
            None => (false, text),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let authority: Authority = authority.parse().map_err(|_| UpstreamAddrError)?;
        let (host, port) = host_and_port(&authority).ok_or(UpstreamAddrError)?;
        let port = match port {
            Some(port) => port,
            // A bare host is more likely a forgotten port than a server at port 80.
            None if !text.contains("://") => return Err(UpstreamAddrError),
            None if tls => 443,
            None => 80,
        };
        let host = if host.is_empty() { "localhost".to_owned() } else { host };
        Ok(Self(Addr::Tcp { host, port, tls }))
    }
}

impl fmt::Display for UpstreamAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Addr::Unix(path) => write!(f, "unix:{}", path.display()),
            Addr::Tcp { host, port, tls } => {
                let scheme = if *tls { "https" } else { "http" };
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}")
                } else {
                    write!(f, "{scheme}://{host}:{port}")
                }
            }
        }
    }
}

/// Why the upstream cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("no connection within {}s", LANE_DIAL_TIMEOUT.as_secs())]
    Timeout,
}

impl UpstreamError {
    /// Whether there are too many connections, which says nothing of the upstream itself. One that `serves_others` is
    /// there, whatever becomes of one connection more.
    pub(crate) fn is_too_many(&self, serves_others: bool) -> bool {
        let error = match self {
            Self::Timeout => return serves_others,
            Self::Transport(TransportError::Connect(error) | TransportError::Tls(error)) => error,
            Self::Transport(_) => return false,
        };
        match error.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::TimedOut
            | ErrorKind::UnexpectedEof
            // No port is left.
            | ErrorKind::AddrNotAvailable
            // The queue of a unix socket is full.
            | ErrorKind::WouldBlock => serves_others,
            _ => {
                let errno = Errno::from_io_error(error);
                matches!(errno, Some(Errno::MFILE | Errno::NFILE))
            }
        }
    }
}

impl UpstreamAddr {
    /// What its own transport is: the hub sets `:scheme` to it.
    pub(crate) fn scheme(&self) -> Scheme {
        if self.is_tls() { Scheme::HTTPS } else { Scheme::HTTP }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.0, Addr::Tcp { tls: true, .. })
    }

    /// The same server with TLS, unless it is that, or a socket of this machine.
    pub(crate) fn as_https(&self) -> Option<Self> {
        match &self.0 {
            Addr::Tcp { host, port, tls: false } => {
                Some(Self(Addr::Tcp { host: host.clone(), port: *port, tls: true }))
            }
            _ => None,
        }
    }

    /// Connects to it, with `tls` where it is an https one.
    pub(crate) async fn connect(&self, tls: Option<&TlsClient>) -> Result<BoxIo, TransportError> {
        match &self.0 {
            Addr::Unix(path) => {
                Ok(Box::new(UnixStream::connect(path).await.map_err(TransportError::Connect)?))
            }
            Addr::Tcp { host, port, tls: speaks_tls } => {
                let tcp = to_tcp(host, *port).await.map_err(TransportError::Connect)?;
                secured(tcp, host, tls.filter(|_| *speaks_tls)).await
            }
        }
    }
}

async fn to_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let tcp = tunnel::connect::connect(host, port).await?;
    sockets::ask_for_life(&tcp)?;
    Ok(tcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_connections_are_not_mistaken_for_an_upstream_that_is_away() {
        let connect = |error: Errno| TransportError::Connect(error.into()).into();
        let tls = |error: ErrorKind| TransportError::Tls(error.into()).into();
        let cases: [(UpstreamError, _, _); 9] = [
            // Whom it serves, and whom it serves others beside.
            (connect(Errno::MFILE), true, true),
            (connect(Errno::NFILE), true, true),
            (connect(Errno::CONNREFUSED), false, true),
            (connect(Errno::ADDRNOTAVAIL), false, true),
            (tls(ErrorKind::UnexpectedEof), false, true),
            (UpstreamError::Timeout, false, true),
            (connect(Errno::HOSTUNREACH), false, false),
            (tls(ErrorKind::InvalidData), false, false),
            (TransportError::NoTls.into(), false, false),
        ];
        for (error, alone, beside_others) in cases {
            let found = (error.is_too_many(false), error.is_too_many(true));
            assert_eq!(found, (alone, beside_others), "{error}");
        }
    }

    #[test]
    fn addresses() {
        for (text, full) in [
            ("127.0.0.1:50051", "http://127.0.0.1:50051"),
            (":50051", "http://localhost:50051"),
            ("[::1]:50051", "http://[::1]:50051"),
            ("[fe80::1%eth0]:50051", "http://[fe80::1%eth0]:50051"),
            ("http://server", "http://server:80"),
            ("https://server/", "https://server:443"),
            ("unix:/run/server.sock", "unix:/run/server.sock"),
            ("unix:///run/server.sock", "unix:/run/server.sock"),
        ] {
            let addr: UpstreamAddr = text.parse().expect(text);
            assert_eq!(addr.to_string(), full);
        }
        for text in [
            "",
            "server",
            "ftp://server",
            "http://",
            "unix:",
            "a b:1",
            "server:99999",
            "[server]:1",
            "[server%%]:1",
            "[::1%]:1",
        ] {
            assert_eq!(text.parse::<UpstreamAddr>(), Err(UpstreamAddrError), "{text}");
        }
    }
}
