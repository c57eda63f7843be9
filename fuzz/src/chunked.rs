//! A peer that has said all it will say, and is heard in pieces.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What follows the last byte.
#[derive(Clone, Copy, Debug)]
pub enum AtEnd {
    /// The end of the stream.
    Eof,
    /// Nothing, for ever.
    Silence,
}

/// What becomes of what is written.
#[derive(Clone, Copy, Debug)]
pub enum Writes {
    /// It is taken and forgotten.
    Taken,
    /// It is never taken: the socket is full.
    Stuck,
}

/// A byte stream that is read in chunks, each of which lets its reader wait once.
#[derive(Debug)]
pub struct Chunked<'b> {
    bytes: &'b [u8],
    /// Used in turn; 0 is 256.
    sizes: &'b [u8],
    next_size: usize,
    has_waited: bool,
    at_end: AtEnd,
    writes: Writes,
}

impl<'b> Chunked<'b> {
    /// A peer that says `bytes`, hangs up, and takes what is written. Without sizes it is heard in one
    /// piece.
    #[must_use]
    pub fn new(bytes: &'b [u8], sizes: &'b [u8]) -> Self {
        let (at_end, writes) = (AtEnd::Eof, Writes::Taken);
        Self { bytes, sizes, next_size: 0, has_waited: false, at_end, writes }
    }

    /// The same peer with other manners.
    #[must_use]
    pub fn with(self, at_end: AtEnd, writes: Writes) -> Self {
        Self { at_end, writes, ..self }
    }

    fn size(&mut self) -> usize {
        let Some(size) = self.sizes.get(self.next_size) else {
            return self.bytes.len();
        };
        self.next_size = (self.next_size + 1) % self.sizes.len();
        if *size == 0 { 256 } else { usize::from(*size) }
    }
}

impl AsyncRead for Chunked<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return match self.at_end {
                AtEnd::Eof => Poll::Ready(Ok(())),
                AtEnd::Silence => Poll::Pending,
            };
        }
        self.has_waited = !self.has_waited;
        if self.has_waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let size = self.size().min(buf.remaining()).min(self.bytes.len());
        let (chunk, rest) = self.bytes.split_at(size);
        buf.put_slice(chunk);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Chunked<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.writes {
            Writes::Taken => Poll::Ready(Ok(buf.len())),
            Writes::Stuck => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
