//! Tells by a connection's first bytes what its peer speaks, and puts them back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tunnel::tap::{Tap, Tapped};

use crate::front::proxied::{V1, V2};

/// With this an HTTP/2 client begins (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// With this a TLS client begins: the record type of a handshake (RFC 8446 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http2,
    Http1,
    Tls,
    /// What a balancer says first of whose connection it passes on (`proxied`).
    Proxied,
    /// Nothing that the hub knows.
    Unknown,
}

/// What `bytes` begin; `None` if they could still become one thing or another.
fn judge(bytes: &[u8]) -> Option<Protocol> {
    if bytes.starts_with(PREFACE) {
        return Some(Protocol::Http2);
    }
    if [V1, V2].iter().any(|header| bytes.starts_with(header)) {
        return Some(Protocol::Proxied);
    }
    match bytes.first()? {
        _ if [PREFACE, V1, V2].iter().any(|first| first.starts_with(bytes)) => None,
        &TLS_HANDSHAKE => Some(Protocol::Tls),
        b'A'..=b'Z' => Some(Protocol::Http1),
        _ => Some(Protocol::Unknown),
    }
}

/// Reads until it is clear what the peer speaks: a byte or two for most, 24 for HTTP/2.
///
/// # Errors
/// The connection failed, or ended before that.
pub(crate) async fn sniff<S: AsyncRead + Unpin>(mut io: S) -> io::Result<(Protocol, Prefixed<S>)> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    loop {
        if let Some(protocol) = judge(&read) {
            return Ok((protocol, Tapped::new(io, Prefix(read.freeze()))));
        }
        if (&mut io).take((PREFACE.len() - read.len()) as u64).read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A stream whose first bytes have been read already, and are read again.
pub(crate) type Prefixed<S> = Tapped<S, Prefix>;

/// The bytes to be read again.
#[derive(Debug)]
pub(crate) struct Prefix(Bytes);

impl Tap for Prefix {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return Pin::new(io).poll_read(cx, buf);
        }
        let n = self.0.len().min(buf.remaining());
        buf.put_slice(&self.0.split_to(n));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_protocols_apart_and_loses_no_byte() {
        for (bytes, protocol) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"[..], Protocol::Http2),
            (b"PRI * HTTP/2.0\r\n\r\nSMOKE", Protocol::Http1),
            (b"PUT / HTTP/1.1\r\n", Protocol::Http1),
            (b"GET /ws HTTP/1.1\r\n", Protocol::Http1),
            (b"\x16\x03\x01", Protocol::Tls),
            (b"\0\0\0", Protocol::Unknown),
            (b"\r\n\r\nmore", Protocol::Unknown),
            (b"PROXY TCP4 192.0.2.1", Protocol::Proxied),
            (b"PROPFIND / HTTP/1.1", Protocol::Http1),
            (b"\r\n\r\n\0\r\nQUIT\n\x21", Protocol::Proxied),
            (b"ssh", Protocol::Unknown),
        ] {
            let (told, mut stream) = sniff(bytes).await.expect("enough bytes");
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.expect("read");
            assert_eq!((told, &*all), (protocol, bytes));
        }
    }

    #[tokio::test]
    async fn half_a_preface_is_no_protocol() {
        let error = sniff(&b"PRI * HT"[..]).await.expect_err("it ended");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(sniff(&b""[..]).await.is_err());
    }
}
