//! Looks at the first byte that a port answers with, to say plainly when it is not HTTP/2.
//!
//! The HTTP/2 stack would report a frame of odd size. Neither can a client ask first: a server that
//! tells protocols apart by the client's first bytes is silent until it has seen them.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tunnel::tap::Tap;

/// A server's first frame is SETTINGS, whose length never has a highest byte but 0.
const HTTP2_FIRST_BYTE: u8 = 0;
/// The type of the record in which TLS sends an alert.
const TLS_ALERT: u8 = 21;
/// `HTTP/1.1 400 Bad Request` and the like.
const HTTP1_FIRST_BYTE: u8 = b'H';

/// What a port does in place of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotHttp2 {
    #[error("the port speaks TLS: use https://")]
    Tls,
    #[error("the port speaks HTTP/1 and no HTTP/2: is it a hub's --listen port?")]
    Http1,
    #[error("the port does not speak HTTP/2")]
    Other,
    #[error(
        "it closed the connection without an answer: is it a hub's --listen port, and without TLS?"
    )]
    Silent,
}

/// Fails the first read when its first byte is not HTTP/2's.
#[derive(Debug, Default)]
pub(crate) struct Http2Check {
    /// Set by the first read, if it is bad news. Shared with who reports errors, because the HTTP/2
    /// stack drops the cause when it loses the connection before a call has begun.
    verdict: Arc<OnceLock<NotHttp2>>,
    checked: bool,
}

impl Http2Check {
    /// Where a failed check leaves what it has found.
    pub(crate) fn verdict(&self) -> Arc<OnceLock<NotHttp2>> {
        Arc::clone(&self.verdict)
    }
}

fn judge(answer: &[u8]) -> Result<(), NotHttp2> {
    match answer.first() {
        Some(&HTTP2_FIRST_BYTE) => Ok(()),
        Some(&TLS_ALERT) => Err(NotHttp2::Tls),
        // Servers that are spoken to without TLS say so in HTTP/1.1: the hub, nginx, Go's.
        Some(&HTTP1_FIRST_BYTE) if mentions_tls(answer) => Err(NotHttp2::Tls),
        Some(&HTTP1_FIRST_BYTE) => Err(NotHttp2::Http1),
        Some(_) => Err(NotHttp2::Other),
        None => Err(NotHttp2::Silent),
    }
}

fn mentions_tls(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    ["TLS", "HTTPS"].iter().any(|word| answer.contains(word))
}

impl Tap for Http2Check {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(io).poll_read(cx, buf));
        if self.checked {
            return Poll::Ready(read);
        }
        self.checked = true;
        // A reset instead of an answer tells as little as a close.
        let Err(verdict) = judge(&buf.filled()[before..]) else {
            return Poll::Ready(read);
        };
        buf.set_filled(before);
        let verdict = *self.verdict.get_or_init(|| verdict);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, verdict)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tunnel::tap::Tapped;

    use super::*;

    async fn verdict(answer: &[u8]) -> Option<NotHttp2> {
        let check = Http2Check::default();
        let verdict = check.verdict();
        // As large a read as HTTP/2 makes.
        let mut all = Vec::with_capacity(8192);
        let read = Tapped::new(answer, check).read_to_end(&mut all).await;
        let verdict = verdict.get().copied();
        assert_eq!(read.is_ok(), verdict.is_none());
        assert!(read.is_err() || all == answer);
        verdict
    }

    #[tokio::test]
    async fn the_first_byte_tells() {
        assert_eq!(verdict(b"\0\0\x06\x04\0HTTP").await, None);
        assert_eq!(verdict(b"\x15\x03\x03\0\x02").await, Some(NotHttp2::Tls));
        assert_eq!(verdict(b"HTTP/1.1 400").await, Some(NotHttp2::Http1));
        let hub =
            b"HTTP/1.1 400 Bad Request\r\n\r\nThis port speaks TLS: use https:// or wss://.\n";
        assert_eq!(verdict(hub).await, Some(NotHttp2::Tls));
        assert_eq!(verdict(b"SSH-2.0-x").await, Some(NotHttp2::Other));
        assert_eq!(verdict(b"").await, Some(NotHttp2::Silent));
    }
}
