//! Where a program listens.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::limits::LISTEN_BACKLOG;

/// An address to listen at: `host:port`, or `:port` for every interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    host: Option<String>,
    port: u16,
}

/// Why a text is no address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is host:port, [ipv6]:port, or :port for every interface")]
pub struct ListenAddrError;

/// An address to listen at, or nowhere.
pub type OptionalListen = Option<ListenAddr>;

/// Reads an address, or `none`.
///
/// # Errors
/// It is neither.
pub fn optional_listen(text: &str) -> Result<OptionalListen, ListenAddrError> {
    if text == "none" { Ok(None) } else { text.parse().map(Some) }
}

impl FromStr for ListenAddr {
    type Err = ListenAddrError;

    fn from_str(text: &str) -> Result<Self, ListenAddrError> {
        let (host, port) = text.rsplit_once(':').ok_or(ListenAddrError)?;
        let port = port.parse().map_err(|_| ListenAddrError)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(ipv6) => ipv6.parse::<Ipv6Addr>().map_err(|_| ListenAddrError)?.to_string(),
            None if host.contains([':', '[', ']', '/', ' ']) => return Err(ListenAddrError),
            None => host.to_owned(),
        };
        Ok(Self { host: Some(host).filter(|host| !host.is_empty()), port })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
            None => write!(f, ":{}", self.port),
        }
    }
}

/// Why a program cannot listen there.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {addr}: {source}")]
pub struct BindError {
    addr: ListenAddr,
    source: io::Error,
}

impl ListenAddr {
    /// Listens. Every interface means IPv6 and IPv4, or IPv4 alone where there is no IPv6. With `reuse_port`, others of the
    /// same user may listen there too, if they say so as well.
    ///
    /// # Errors
    /// The port is taken, or the host is not this machine.
    pub async fn bind(&self, reuse_port: bool) -> Result<TcpListener, BindError> {
        let bound = match &self.host {
            Some(host) => listen_at_any(host, self.port, reuse_port).await,
            None => match listen((Ipv6Addr::UNSPECIFIED, self.port).into(), reuse_port) {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    listen((Ipv4Addr::UNSPECIFIED, self.port).into(), reuse_port)
                }
                bound => bound,
            },
        };
        bound.map_err(|source| BindError { addr: self.clone(), source })
    }
}

/// Listens at the first of the host's addresses that is free.
async fn listen_at_any(host: &str, port: u16, reuse_port: bool) -> io::Result<TcpListener> {
    let mut error = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
    for addr in lookup_host((host, port)).await? {
        match listen(addr, reuse_port) {
            Ok(listener) => return Ok(listener),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

fn listen(addr: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Or a program that starts again would have to wait for the connections of the last one. Windows means something else
    // by it.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    #[cfg(unix)]
    socket.set_reuseport(reuse_port)?;
    socket.bind(addr)?;
    socket.listen(LISTEN_BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn addresses() {
        for text in [":8080", "127.0.0.1:0", "localhost:65535", "[::1]:80"] {
            assert_eq!(
                text.parse::<ListenAddr>().map(|addr| addr.to_string()).as_deref(),
                Ok(text)
            );
        }
        for text in
            ["", "8080", "host", "host:", "host:http", "host:65536", "::1:80", "[x]:80", "a b:1"]
        {
            assert_eq!(text.parse::<ListenAddr>(), Err(ListenAddrError), "{text}");
        }
    }

    #[tokio::test]
    async fn a_fleet_finds_room_before_it_is_accepted() {
        const FLEET: usize = 300;
        let listen = "127.0.0.1:0".parse::<ListenAddr>().expect("an address");
        let listener = listen.bind(false).await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let mut fleet = Vec::new();
        for _ in 0..FLEET {
            // One for which there is no room hears nothing, however often it tries.
            let connected = timeout(Duration::from_secs(10), TcpStream::connect(addr)).await;
            fleet.push(connected.expect("room").expect("connected"));
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let taken =
            ":0".parse::<ListenAddr>().expect("an address").bind(false).await.expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let again: ListenAddr = format!(":{port}").parse().expect("an address");
        let error = again.bind(false).await.expect_err("taken").to_string();
        assert!(error.contains(&format!(":{port}")), "{error}");
    }
}
