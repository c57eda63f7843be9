//! Copies bytes between a session's WebSocket and the upstream's socket, and looks at none of them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tunnel::limits::RELAY_BUFFER;

/// Which side ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelayEnd {
    /// The hub's; everything it sent has reached the upstream.
    Hub,
    /// The upstream's; everything it sent is on its way to the hub.
    Upstream,
    /// Reading or writing failed, on whichever side.
    Failed,
}

/// Copies both ways until one side ends. An HTTP/2 connection that has lost one direction is over, so
/// the other is not waited for; but what the upstream said before it hung up still goes to the hub.
pub(crate) async fn relay<H, U>(hub: &mut H, upstream: &mut U) -> RelayEnd
where
    H: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut to_upstream = Pipe::new();
    let mut to_hub = Pipe::new();
    let mut hung_up = false;
    poll_fn(|cx| {
        if !hung_up && let Poll::Ready(result) = to_upstream.poll(cx, hub, upstream) {
            match result {
                Ok(()) => return Poll::Ready(RelayEnd::Hub),
                Err(Broken::From) => return Poll::Ready(RelayEnd::Failed),
                Err(Broken::To) => hung_up = true,
            }
        }
        if let Poll::Ready(result) = to_hub.poll(cx, upstream, hub) {
            let ended = result.is_ok() && !hung_up;
            return Poll::Ready(if ended { RelayEnd::Upstream } else { RelayEnd::Failed });
        }
        // While the upstream takes nothing, nobody reads from the hub's side. It must go on saying that it
        // lives all the same, and flushing is when it does.
        match Pin::new(&mut *hub).poll_flush(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(RelayEnd::Failed),
            _ => Poll::Pending,
        }
    })
    .await
}

/// Which end of a pipe broke.
#[derive(Debug)]
enum Broken {
    From,
    To,
}

/// One direction.
struct Pipe {
    buffer: Box<[u8]>,
    /// What has been read and not been written yet.
    start: usize,
    end: usize,
    unflushed: bool,
    ended: bool,
}

impl Pipe {
    fn new() -> Self {
        let buffer = vec![0; RELAY_BUFFER].into_boxed_slice();
        Self { buffer, start: 0, end: 0, unflushed: false, ended: false }
    }

    /// Ready once `from` has ended and `to` has everything.
    fn poll<F, T>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
    ) -> Poll<Result<(), Broken>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            if self.start < self.end {
                ready!(self.drain(cx, to)).map_err(|_| Broken::To)?;
            }
            let read = if self.ended { Poll::Pending } else { self.fill(cx, from) };
            match read {
                Poll::Ready(result) => result.map_err(|_| Broken::From)?,
                // Nothing more for now: whatever waits in a buffer below must not wait for it.
                Poll::Pending if self.unflushed => {
                    ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Broken::To)?;
                    self.unflushed = false;
                }
                Poll::Pending if self.ended => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn drain<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut T,
    ) -> Poll<io::Result<()>> {
        while self.start < self.end {
            let written =
                ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer[self.start..self.end]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start += written;
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn fill<F: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
    ) -> Poll<io::Result<()>> {
        let mut read = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(from).poll_read(cx, &mut read))?;
        (self.start, self.end) = (0, read.filled().len());
        self.ended = self.end == 0;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_both_ways_through_small_pipes() {
        let (mut hub, mut hub_end) = duplex(7);
        let (mut upstream, upstream_end) = duplex(5);
        let echo = tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(upstream_end);
            tokio::io::copy(&mut read, &mut write).await
        });
        let relayed = tokio::spawn(async move { relay(&mut hub, &mut upstream).await });
        let sent: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        let mut got = vec![0; sent.len()];
        let (mut read, mut write) = tokio::io::split(hub_end);
        let (written, back) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
        written.expect("written");
        back.expect("read");
        assert!(sent == got);
        hub_end = read.unsplit(write);
        drop(hub_end);
        assert_eq!(relayed.await.expect("no panic"), RelayEnd::Hub);
        echo.await.expect("no panic").expect("copied");
    }

    #[tokio::test]
    async fn what_the_upstream_said_last_still_arrives() {
        let (mut hub, mut hub_end) = duplex(4);
        let (mut upstream, mut upstream_end) = duplex(64);
        upstream_end.write_all(b"last words").await.expect("written");
        drop(upstream_end);
        let relayed = tokio::spawn(async move { relay(&mut hub, &mut upstream).await });
        let mut got = Vec::new();
        hub_end.read_to_end(&mut got).await.expect("read");
        assert_eq!(got, b"last words");
        assert_eq!(relayed.await.expect("no panic"), RelayEnd::Upstream);
    }
}
