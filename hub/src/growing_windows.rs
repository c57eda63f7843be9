//! Stream windows that begin small and grow while they are used.
//!
//! A window is what a peer may send before anybody has read it, so it is what a stalled call holds in
//! memory, and what stands before everybody else's bytes on its way there. `h2` gives every stream its whole
//! window at once. So the peer is told a smaller one in the first SETTINGS, and the rest stream by stream, in
//! WINDOW_UPDATE frames of ours between those of `h2`, as fast as the other side takes what comes. `h2` knows
//! only of the whole window, and the peer never has more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tunnel::limits::{FIRST_RATE, FIRST_WINDOW, WINDOW_STEP};

use crate::frames::{Frames, HEAD_BYTES, Head, window_update};

/// Bytes of a setting: identifier and value (RFC 9113 6.5.1).
const SETTING_BYTES: usize = 6;
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

/// What is due to the streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Grants(Mutex<Due>);

#[derive(Debug, Default)]
struct Due {
    /// Stream and bytes.
    grants: Vec<(u32, u32)>,
    /// Whoever drives the connection.
    driver: Option<Waker>,
}

impl Grants {
    fn grant(&self, stream: u32, bytes: u32) {
        let mut due = self.0.lock();
        due.grants.push((stream, bytes));
        if let Some(driver) = due.driver.take() {
            driver.wake();
        }
    }

    fn take(&self, driver: &Waker) -> Vec<(u32, u32)> {
        let mut due = self.0.lock();
        if !due.driver.as_ref().is_some_and(|known| known.will_wake(driver)) {
            due.driver = Some(driver.clone());
        }
        std::mem::take(&mut due.grants)
    }
}

/// One stream's window.
#[derive(Debug)]
pub(crate) struct Growth {
    grants: Arc<Grants>,
    stream: u32,
    /// What the peer has not been told of the whole window.
    owed: u32,
    /// What it is to be told next.
    gathered: u32,
}

impl Drop for Growth {
    fn drop(&mut self) {
        // The stream may be closed with it; WINDOW_UPDATE is not for closed ones (RFC 9113 5.1).
        self.grants.0.lock().grants.retain(|(stream, _)| *stream != self.stream);
    }
}

impl Growth {
    /// Of a stream that may have `window` in all.
    pub(crate) fn new(grants: Arc<Grants>, stream: u32, window: u32) -> Self {
        Self { grants, stream, owed: window.saturating_sub(FIRST_WINDOW), gathered: 0 }
    }

    /// The peer is as far away as this: what [`FIRST_RATE`] needs over such a link is granted at once.
    pub(crate) fn over(mut self, round_trip: Duration) -> Self {
        let needed = (round_trip.as_secs_f64() * f64::from(FIRST_RATE)) as u32;
        self.gather(needed.saturating_sub(FIRST_WINDOW));
        self
    }

    /// So many bytes were taken: as many may follow, and as many more.
    pub(crate) fn took(&mut self, bytes: usize) {
        if self.owed > 0 {
            self.gather(u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(2));
        }
    }

    fn gather(&mut self, bytes: u32) {
        self.gathered = self.gathered.saturating_add(bytes).min(self.owed);
        if self.gathered >= WINDOW_STEP.min(self.owed) && self.gathered > 0 {
            self.grants.grant(self.stream, self.gathered);
            self.owed -= self.gathered;
            self.gathered = 0;
        }
    }
}

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
        self.outgoing.follow(&buf[..n], |_| {});
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
            self.outgoing.follow(part, |_| {});
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

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::frames::{DATA, Frame, PREFACE_BYTES, SETTINGS};

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
        let data = [frame(DATA, 1, b"some data"), frame(SETTINGS, 0, b""), frame(DATA, 3, b"x")];
        for before in [0, PREFACE_BYTES] {
            let said = [&preface[..before], &settings(1 << 20), &data.concat()].concat();
            for size in 1..said.len() {
                let heard = through(&said, before, size).await;
                let mut frames = Frames::default();
                let (mut others, mut granted, mut at) = (preface[..before].to_vec(), 0, before);
                for byte in before..heard.len() {
                    let mut update = false;
                    frames.follow(&heard[byte..=byte], |frame| {
                        update |= matches!(frame, Frame::WindowUpdate { stream: 1, increment: 5 });
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

    fn granted(grants: &Grants) -> u32 {
        grants.take(Waker::noop()).iter().map(|(_, bytes)| bytes).sum()
    }

    #[test]
    fn a_window_grows_as_it_is_used_and_never_stalls() {
        const WHOLE: u32 = 8 * FIRST_WINDOW;
        for step in [1, 100, 16_384, 1 << 20] {
            let grants = Arc::<Grants>::default();
            let mut growth = Growth::new(grants.clone(), 1, WHOLE);
            assert_eq!(granted(&grants), 0);
            let (mut told, mut taken) = (FIRST_WINDOW, 0);
            while told < WHOLE {
                // The peer sends what it may, at most a step, and all of it is taken.
                let sent = step.min(told - taken);
                assert!(sent > 0, "stalled at {taken} of {told}, in steps of {step}");
                taken += sent;
                growth.took(sent as usize);
                told += granted(&grants);
            }
            assert_eq!(told, WHOLE, "in steps of {step}");
            assert!(taken < WHOLE, "in steps of {step}");
            growth.took(WHOLE as usize);
            assert_eq!(granted(&grants), 0);
        }
    }

    #[test]
    fn a_far_peer_gets_at_once_what_its_link_needs() {
        let granted_over = |milliseconds, window| {
            let grants = Arc::<Grants>::default();
            let growth = Growth::new(grants.clone(), 1, window);
            let _growth = growth.over(Duration::from_millis(milliseconds));
            granted(&grants)
        };
        assert_eq!(granted_over(0, 512 << 10), 0);
        assert_eq!(granted_over(20, 512 << 10), 200_000 - FIRST_WINDOW);
        assert_eq!(granted_over(1000, 512 << 10), (512 << 10) - FIRST_WINDOW);
        assert_eq!(granted_over(1000, FIRST_WINDOW), 0);
        assert_eq!(granted_over(1000, 65_535), 0);
    }

    #[test]
    fn what_is_due_to_a_stream_that_is_over_is_not_said() {
        let grants = Arc::<Grants>::default();
        let growths = [1, 3].map(|stream| {
            let mut growth = Growth::new(grants.clone(), stream, 1 << 20);
            growth.took(WINDOW_STEP as usize);
            growth
        });
        let [first, _second] = growths;
        drop(first);
        assert_eq!(grants.take(Waker::noop()), [(3, 2 * WINDOW_STEP)]);
    }
}
