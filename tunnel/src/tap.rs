//! A byte stream that something looks at: at its reads, which it may keep or change, and at its writes,
//! which it may hold back.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Looks at what passes, may keep or change what is read, and hold back what is written.
pub trait Tap {
    /// Reads from `io` into `buf`; as [`AsyncRead::poll_read`] otherwise.
    ///
    /// # Errors
    /// What `io` meets, or what the tap finds.
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>;

    /// Ready when these bytes may be written; they may then be written in part, and come again.
    fn poll_write(&mut self, _cx: &mut Context<'_>, _slices: &[IoSlice<'_>]) -> Poll<()> {
        Poll::Ready(())
    }

    /// These bytes were written.
    fn wrote(&mut self, _bytes: &[u8]) {}
}

/// `io` with a tap on it.
#[derive(Debug)]
pub struct Tapped<S, T> {
    io: S,
    tap: T,
}

impl<S, T> Tapped<S, T> {
    /// Puts `tap` on `io`.
    pub fn new(io: S, tap: T) -> Self {
        Self { io, tap }
    }

    /// The stream below it.
    pub fn get_ref(&self) -> &S {
        &self.io
    }
}

impl<S: AsyncRead + Unpin, T: Tap + Unpin> AsyncRead for Tapped<S, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, tap } = &mut *self;
        tap.poll_read(io, cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, T: Tap + Unpin> AsyncWrite for Tapped<S, T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.tap.poll_write(cx, &[IoSlice::new(buf)]));
        let n = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.tap.wrote(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.tap.poll_write(cx, slices));
        let n = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        let mut left = n;
        for slice in slices {
            let part = &slice[..slice.len().min(left)];
            self.tap.wrote(part);
            left -= part.len();
        }
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
