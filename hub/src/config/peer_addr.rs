//! Where something listens that this hub dials.

use std::fmt;
use std::str::FromStr;

use http::uri::Authority;

/// A host and a port: `hub-1:8082`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddr {
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is host:port")]
pub struct PeerAddrError;

impl FromStr for PeerAddr {
    type Err = PeerAddrError;

    fn from_str(text: &str) -> Result<Self, PeerAddrError> {
        let authority: Authority = text.trim().parse().map_err(|_| PeerAddrError)?;
        let port = authority.port_u16().ok_or(PeerAddrError)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_bare = !text.contains('@') && !host.is_empty();
        if is_bare { Ok(Self { host: host.to_owned(), port }) } else { Err(PeerAddrError) }
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["hub-1:8082", "10.0.0.1:1", "[::1]:8082"] {
            assert_eq!(text.parse::<PeerAddr>().expect(text).to_string(), text);
        }
        for text in ["", "hub", "hub:", "http://hub:1", "hub:99999", "a@hub:1", ":8082"] {
            assert_eq!(text.parse::<PeerAddr>(), Err(PeerAddrError), "{text}");
        }
    }
}
