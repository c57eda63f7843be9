//! Stream windows that begin small and grow while they are used.
//!
//! A window is what a peer may send before anybody has read it, so it is what a stalled call holds in
//! memory, and what stands before everybody else's bytes on its way there. `h2` gives every stream its whole
//! window at once. So the peer is told a smaller one in the first SETTINGS, and the rest stream by stream, in
//! WINDOW_UPDATE frames of ours between those of `h2`, as fast as the other side takes what comes. `h2` knows
//! only of the whole window, and what the peer is told is never more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::guard::frames::{
    Frame, Frames, HEAD_BYTES, Head, RST_STREAM, SETTING_BYTES, window_update,
};
use crate::guard::growth::Grants;
use crate::limits::FIRST_WINDOW;

const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

/// The byte stream of a connection whose windows grow.
#[derive(Debug)]
pub(crate) struct GrowingWindows<S> {
    io: S,
    grants: Arc<Grants>,
    /// Until the first SETTINGS have passed: the bytes before them.
    hello: Option<usize>,
    /// What goes out before anything else, between two frames.
    ahead: BytesMut,
    outgoing: Frames,
}

impl<S: AsyncRead + AsyncWrite + Unpin> GrowingWindows<S> {
    /// `before` are the bytes that this end says before its first frame.
    pub(crate) fn on(io: S, before: usize, grants: Arc<Grants>) -> Self {
        let (ahead, outgoing) = (BytesMut::new(), Frames::default());
        Self { io, grants, hello: Some(before), ahead, outgoing }
    }

    /// Takes what is due, and sends it if it can be sent now.
    fn poll_grants(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.hello.is_some() {
            return Ok(());
        }
        let due = self.grants.take(cx.waker());
        if due.is_empty() {
            return Ok(());
        }
        for (stream, bytes) in due {
            self.ahead.extend_from_slice(&window_update(stream, bytes));
        }
        if self.poll_ahead(cx)?.is_ready() {
            let _ = Pin::new(&mut self.io).poll_flush(cx)?;
        }
        Ok(())
    }

    /// Writes what goes ahead. Ready once that is done, or while a frame of `h2` has to be completed first.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, io::Error> {
        while !self.ahead.is_empty() && self.outgoing.is_between_frames() {
            match Pin::new(&mut self.io).poll_write(cx, &self.ahead) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.ahead.advance(written?),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Takes what belongs to the hello from `bytes`: it is put together, changed, and sent ahead.
    fn take_hello(&mut self, before: usize, bytes: &[u8]) -> usize {
        let head = before + HEAD_BYTES;
        let mut taken = 0;
        while self.hello.is_some() {
            let settings = self.ahead.get(before..head).and_then(Head::of);
            let whole = settings.map_or(head, |settings| head + settings.len);
            let part = &bytes[taken..];
            let part = &part[..part.len().min(whole - self.ahead.len())];
            self.ahead.put_slice(part);
            taken += part.len();
            if self.ahead.len() < whole {
                break;
            }
            if settings.is_some() {
                lower_window(&mut self.ahead[head..]);
                self.hello = None;
            }
        }
        taken
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let Self { outgoing, grants, .. } = self;
        outgoing.follow(bytes, |frame| {
            if let Frame::Head(head) = frame
                && head.kind == RST_STREAM
            {
                grants.close(head.stream);
            }
        });
    }

    /// What of these may be written now: up to the end of the frame, if something waits to go ahead.
    fn part<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let most = if self.ahead.is_empty() { usize::MAX } else { self.outgoing.left_of_frame() };
        &bytes[..bytes.len().min(most)]
    }
}

/// Lowers the window that SETTINGS give every stream at first.
fn lower_window(settings: &mut [u8]) {
    for setting in settings.chunks_exact_mut(SETTING_BYTES) {
        let (id, value) = setting.split_at_mut(INITIAL_WINDOW_SIZE.len());
        if id == INITIAL_WINDOW_SIZE {
            let window = value.try_into().map_or(FIRST_WINDOW, u32::from_be_bytes);
            value.copy_from_slice(&window.min(FIRST_WINDOW).to_be_bytes());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for GrowingWindows<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_grants(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for GrowingWindows<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(before) = self.hello {
            return Poll::Ready(Ok(self.take_hello(before, buf)));
        }
        ready!(self.poll_ahead(cx)?);
        let part = self.part(buf);
        let n = ready!(Pin::new(&mut self.io).poll_write(cx, part))?;
        self.wrote(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.hello.is_none() {
            ready!(self.poll_ahead(cx)?);
        }
        if self.hello.is_some() || !self.ahead.is_empty() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| &**slice));
        }
        let n = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        let mut left = n;
        for slice in slices {
            let part = &slice[..slice.len().min(left)];
            self.wrote(part);
            left -= part.len();
        }
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hello.is_none() {
            ready!(self.poll_ahead(cx)?);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::limits::WINDOW_STEP;

    use crate::guard::frames::{CONTINUATION, DATA, HEADERS, PREFACE_BYTES, SETTINGS};
    use crate::guard::growth::Growth;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u32).to_be_bytes();
        [&len[1..], &[kind, 0, 0, 0, 0, stream], payload].concat()
    }

    fn settings(window: u32) -> Vec<u8> {
        let other = [0, 2, 0, 0, 0, 0];
        let window = [&INITIAL_WINDOW_SIZE[..], &window.to_be_bytes()].concat();
        frame(SETTINGS, 0, &[&other[..], &window, &other].concat())
    }

    /// As `h2` does: whoever writes also reads.
    async fn read_too(windows: &mut GrowingWindows<DuplexStream>) {
        poll_fn(|cx| {
            let _ = Pin::new(&mut *windows).poll_read(cx, &mut ReadBuf::new(&mut [0]));
            Poll::Ready(())
        })
        .await;
    }

    /// What comes out of `said`, written in pieces of this size through a pipe that holds little, while
    /// grants become due at every turn.
    async fn through(said: &[u8], before: usize, size: usize) -> Vec<u8> {
        let (io, mut peer) = duplex(7);
        let grants = Arc::<Grants>::default();
        grants.open(1);
        let mut windows = GrowingWindows::on(io, before, grants.clone());
        let write = async {
            for piece in said.chunks(size) {
                grants.grant(1, 5);
                read_too(&mut windows).await;
                windows.write_all(piece).await.expect("written");
            }
            read_too(&mut windows).await;
            windows.flush().await.expect("flushed");
            drop(windows);
        };
        let mut heard = Vec::new();
        let (_, read) = tokio::join!(write, peer.read_to_end(&mut heard));
        read.expect("read");
        heard
    }

    #[tokio::test]
    async fn the_first_settings_are_changed_and_grants_stand_between_frames() {
        let preface = [b'P'; PREFACE_BYTES];
        let end = |mut frame: Vec<u8>| {
            frame[4] = 0x4;
            frame
        };
        let data = [
            frame(DATA, 1, b"some data"),
            frame(HEADERS, 3, b"a head in"),
            frame(CONTINUATION, 3, b"three"),
            end(frame(CONTINUATION, 3, b"parts")),
            frame(SETTINGS, 0, b""),
            frame(DATA, 3, b"x"),
        ];
        for before in [0, PREFACE_BYTES] {
            let said = [&preface[..before], &settings(1 << 20), &data.concat()].concat();
            for size in 1..said.len() {
                let heard = through(&said, before, size).await;
                let mut frames = Frames::default();
                let (mut others, mut granted, mut at) = (preface[..before].to_vec(), 0, before);
                let mut in_block = false;
                for byte in before..heard.len() {
                    let mut update = false;
                    frames.follow(&heard[byte..=byte], |frame| {
                        update |= matches!(frame, Frame::WindowUpdate { stream: 1, increment: 5 });
                        if let Frame::Head(head) = frame {
                            assert!(!in_block || head.kind == CONTINUATION, "in pieces of {size}");
                            let of_block = matches!(head.kind, HEADERS | CONTINUATION);
                            in_block = of_block && head.flags & 0x4 == 0;
                        }
                    });
                    if frames.is_between_frames() {
                        granted += usize::from(update);
                        if !update {
                            others.extend(&heard[at..=byte]);
                        }
                        at = byte + 1;
                    }
                }
                let expected =
                    [&preface[..before], &settings(FIRST_WINDOW), &data.concat()].concat();
                assert_eq!(others, expected, "in pieces of {size}");
                assert_eq!(granted, said.len().div_ceil(size), "in pieces of {size}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_due_to_a_stream_that_was_reset() {
        let (io, _peer) = duplex(1024);
        let grants = Arc::<Grants>::default();
        let mut windows = GrowingWindows::on(io, 0, grants.clone());
        let mut growth = Growth::new(grants.clone(), 1, 8 * FIRST_WINDOW);
        growth.took(WINDOW_STEP as usize);
        let said = [settings(1 << 20), frame(RST_STREAM, 1, &[0; 4])].concat();
        windows.write_all(&said).await.expect("written");
        growth.took(WINDOW_STEP as usize);
        assert_eq!(grants.take(Waker::noop()), []);
    }
}
