//! The PROXY protocol, versions 1 and 2, by which a balancer says whose connection it passes on.
//!
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>. The header comes before anything else, TLS included.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::limits::{PROXY_V1_BYTES, PROXY_V2_BYTES};

/// With this a header of version 1 begins.
pub(crate) const V1: &[u8] = b"PROXY ";
/// And one of version 2.
pub(crate) const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// No header is shorter than this one of version 1, and no client says so little.
const SHORTEST: usize = V1_UNKNOWN.len();
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
/// What stands in front of the addresses of version 2; the last two bytes tell how much follows.
const V2_HEAD: usize = 16;
/// Where it says its version and command, and how the command LOCAL of version 2 looks there.
const V2_COMMAND: usize = 12;
const V2_LOCAL: u8 = 0x20;

/// Why a connection from a balancer is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxiedError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no PROXY header, which --proxy-protocol wants from this network")]
    Missing,
    #[error("a PROXY header that is none: {0}")]
    Malformed(String),
}

/// Reads the header, and not a byte more: whose connection it is. `None`, if it is the balancer's own (LOCAL, as for its
/// health checks), or if that says nothing (UNKNOWN, UNSPEC, UNIX).
pub(crate) async fn read_header<S: AsyncRead + Unpin>(
    io: &mut S,
) -> Result<Option<SocketAddr>, ProxiedError> {
    let mut header = vec![0; SHORTEST];
    io.read_exact(&mut header).await?;
    if header.starts_with(V2) {
        read_v2(io, &mut header).await?;
        // Whatever else it says (2.2).
        if header[V2_COMMAND] == V2_LOCAL {
            return Ok(None);
        }
        let parsed = v2::Header::try_from(&header[..]).map_err(malformed)?;
        return Ok(of_v2(&parsed));
    }
    if header.starts_with(V1) {
        read_v1(io, &mut header).await?;
        // Whatever else it says (2.1), of which the library bears four words (ppp 2.3).
        if header == V1_UNKNOWN || header.starts_with(b"PROXY UNKNOWN ") {
            return Ok(None);
        }
        let parsed = v1::Header::try_from(&header[..]).map_err(malformed)?;
        return Ok(of_v1(&parsed));
    }
    Err(ProxiedError::Missing)
}

fn malformed(error: impl std::error::Error) -> ProxiedError {
    ProxiedError::Malformed(error.to_string())
}

/// As far as the end of its line, byte by byte: nobody knows where that is, and what follows is not ours.
async fn read_v1<S: AsyncRead + Unpin>(
    io: &mut S,
    header: &mut Vec<u8>,
) -> Result<(), ProxiedError> {
    while !header.ends_with(b"\r\n") {
        if header.len() >= PROXY_V1_BYTES {
            return Err(ProxiedError::Malformed("its line is too long".into()));
        }
        header.push(io.read_u8().await?);
    }
    // The library takes each for a space.
    if header[..header.len() - 2].contains(&b'\r') {
        return Err(ProxiedError::Malformed("a carriage return in the middle of its line".into()));
    }
    Ok(())
}

async fn read_v2<S: AsyncRead + Unpin>(
    io: &mut S,
    header: &mut Vec<u8>,
) -> Result<(), ProxiedError> {
    header.push(io.read_u8().await?);
    let length = usize::from(u16::from_be_bytes([header[V2_HEAD - 2], header[V2_HEAD - 1]]));
    if length > PROXY_V2_BYTES {
        return Err(ProxiedError::Malformed(format!("{length} bytes of it")));
    }
    header.resize(V2_HEAD + length, 0);
    io.read_exact(&mut header[V2_HEAD..]).await?;
    Ok(())
}

fn of_v1(header: &v1::Header<'_>) -> Option<SocketAddr> {
    match header.addresses {
        v1::Addresses::Tcp4(of) => Some((of.source_address, of.source_port).into()),
        v1::Addresses::Tcp6(of) => Some((of.source_address, of.source_port).into()),
        v1::Addresses::Unknown => None,
    }
}

/// What else it says (TLVs) is nothing to a hub.
fn of_v2(header: &v2::Header<'_>) -> Option<SocketAddr> {
    match header.addresses {
        v2::Addresses::IPv4(of) => Some((of.source_address, of.source_port).into()),
        v2::Addresses::IPv6(of) => Some((of.source_address, of.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (Result<Option<SocketAddr>, ProxiedError>, Vec<u8>) {
        let mut io = bytes;
        let header = read_header(&mut io).await;
        (header, io.to_vec())
    }

    /// Of version 2: command, family, addresses and what follows them.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [V2, &[0x20 | command, family], &length, rest].concat()
    }

    const INET: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 1, 187];

    #[tokio::test]
    async fn it_says_whose_connection_it_is_and_takes_nothing_else() {
        let inet6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0x12, 0x34, 1, 187]];
        let (inet6, tlvs) = (inet6.concat(), [INET, &[0x04, 0, 1, 9, 0xee, 0, 2, 1, 2]].concat());
        for (header, source) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\r\n".to_vec(), Some("192.0.2.7:4660")),
            (b"PROXY TCP6 2001:db8::7 ::1 4660 443\r\n".to_vec(), Some("[2001:db8::7]:4660")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN whatever it likes, at any length\r\n".to_vec(), None),
            (v2(1, 0x11, INET), Some("192.0.2.7:4660")),
            (v2(1, 0x21, &inet6), Some("[2001:db8::7]:4660")),
            (v2(1, 0x11, &tlvs), Some("192.0.2.7:4660")),
            (v2(0, 0x11, INET), None),
            (v2(0, 0, b""), None),
            (v2(0, 0x11, b""), None),
            (v2(1, 0, b"TLVs"), None),
        ] {
            let (told, rest) = read(&[&header, &b"PRI *"[..]].concat()).await;
            let told = told.unwrap_or_else(|error| panic!("{error}: {header:?}"));
            assert_eq!(told.map(|told| told.to_string()).as_deref(), source, "{header:?}");
            assert_eq!(rest, b"PRI *", "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_none_is_told() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        for (bytes, says) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], "no PROXY header"),
            (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03more", "no PROXY header"),
            (b"PROXY TCP4 192.0.2.7 4660 443 and more\r\n", "a PROXY header that is none"),
            (b"PROXY TCP5 192.0.2.7 10.0.0.1 4660 443\r\n", "a PROXY header that is none"),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660\r443\r\n", "carriage return"),
            (b"PROXY UNKNOWNS\r\n", "a PROXY header that is none"),
            (&long, "too long"),
            (&v2(1, 0x11, b"short"), "a PROXY header that is none"),
            (&v2(7, 0x11, INET), "a PROXY header that is none"),
            (&v2(1, 0x77, INET), "a PROXY header that is none"),
            (&[V2, &[0x21, 0x11, 0xff, 0xff]].concat(), "65535 bytes"),
            (b"PROXY", "early eof"),
        ] {
            let told = read(bytes).await.0.expect_err("no header").to_string();
            assert!(told.contains(says), "{bytes:?}: {told}");
        }
    }
}
