//! Reads much at once where much comes, and holds memory only meanwhile.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

use crate::limits::WS_READ_AHEAD;
use crate::tap::{Tap, Tapped};

/// Below a WebSocket, whose own buffer is small because each of them has one, idle or not.
#[derive(Debug, Default)]
pub struct ReadAhead {
    held: Bytes,
}

impl ReadAhead {
    /// Puts it on `io`.
    pub fn on<S>(io: S) -> Tapped<S, Self> {
        Tapped::new(io, Self::default())
    }
}

impl Tap for ReadAhead {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            let mut space = [const { MaybeUninit::uninit() }; WS_READ_AHEAD];
            let mut ahead = ReadBuf::uninit(&mut space);
            ready!(Pin::new(io).poll_read(cx, &mut ahead))?;
            let (now, later) = ahead.filled().split_at(ahead.filled().len().min(buf.remaining()));
            buf.put_slice(now);
            if !later.is_empty() {
                self.held = Bytes::copy_from_slice(later);
            }
            return Poll::Ready(Ok(()));
        }
        let now = self.held.len().min(buf.remaining());
        buf.put_slice(&self.held[..now]);
        self.held.advance(now);
        if self.held.is_empty() {
            self.held = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_read_ahead_comes_in_portions_and_is_let_go() {
        for portion in [1000, WS_READ_AHEAD, 2 * WS_READ_AHEAD] {
            let (mut peer, mut io) = duplex(4 * WS_READ_AHEAD);
            let sent: Vec<u8> = (0..=u8::MAX).cycle().take(2 * WS_READ_AHEAD + 100).collect();
            peer.write_all(&sent).await.expect("room");
            drop(peer);
            let (mut ahead, mut came) = (ReadAhead::default(), Vec::new());
            let mut space = vec![0; portion];
            loop {
                let mut buf = ReadBuf::new(&mut space);
                poll_fn(|cx| ahead.poll_read(&mut io, cx, &mut buf)).await.expect("read");
                if buf.filled().is_empty() {
                    break;
                }
                came.extend_from_slice(buf.filled());
            }
            assert_eq!(came, sent, "in portions of {portion}");
            assert!(ahead.held.is_empty());
        }
    }
}
