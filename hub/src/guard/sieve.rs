//! Lets the frames of an HTTP/2 connection pass before something that weighs them.
//!
//! DATA that says nothing is left out: `h2` ends a connection after a hundred such frames in all its life
//! (its guard against a flood of them, which has no setting), and honest peers send them now and then.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tunnel::limits::{SMALL_FRAME, SMALL_READ};
use tunnel::tap::{Tap, Tapped, read_at_most};

use crate::guard::frames::{CONTINUATION, Frame, Frames, HEADERS, Head};

/// Sees every frame of a connection, both ways, before HTTP/2 does.
pub(crate) trait Watch {
    /// Whether it may hold a GOAWAY back: to look for one before it is written is work twice.
    const HOLDS_GOAWAY: bool = false;

    /// Ready when more may be read.
    fn poll_more(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// So many bytes were read; none means that there are none for now.
    fn read(&mut self, _bytes: usize) {}

    /// Ready when a GOAWAY with this error code may be written.
    fn poll_goaway(&mut self, _cx: &mut Context<'_>, _code: u32) -> Poll<()> {
        Poll::Ready(())
    }

    /// A frame came in.
    fn incoming(&mut self, frame: Frame);

    /// A frame went out.
    fn outgoing(&mut self, frame: Frame);
}

/// The tap.
#[derive(Debug)]
pub(crate) struct Sieve<W> {
    incoming: Frames,
    outgoing: Frames,
    /// The frames of the last read were small, or hardly anything but heads: much work in few bytes.
    small: bool,
    watch: W,
}

impl<W: Watch> Sieve<W> {
    /// Puts `watch` on `io`. `before_in` and `before_out` are the bytes that come before the first frame,
    /// each way.
    pub(crate) fn on<S>(io: S, watch: W, before_in: usize, before_out: usize) -> Tapped<S, Self> {
        let (incoming, outgoing) = (Frames::after(before_in), Frames::after(before_out));
        Tapped::new(io, Self { incoming, outgoing, small: false, watch })
    }
}

impl<W: Watch> Tap for Sieve<W> {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { incoming, small, watch, .. } = self;
        loop {
            ready!(watch.poll_more(cx));
            let (before, held) = (buf.filled().len(), incoming.held().len());
            if buf.remaining() <= held {
                let fits = buf.remaining();
                buf.put_slice(&incoming.held()[..fits]);
                incoming.pass_held(fits);
                return Poll::Ready(Ok(()));
            }
            buf.put_slice(incoming.held());
            let read = if *small {
                read_at_most(io, cx, buf, SMALL_READ)
            } else {
                Pin::new(&mut *io).poll_read(cx, buf)
            };
            let bytes = buf.filled().len() - before - held;
            watch.read(bytes);
            if bytes == 0 {
                // At the end, what was held is the beginning of a frame that nobody has to see.
                buf.set_filled(before);
                return read;
            }
            let (mut frames, mut heads) = (0, 0);
            let kept = incoming.sift(&mut buf.filled_mut()[before..], |frame| {
                frames += 1;
                if let Frame::Head(Head { len, kind: HEADERS | CONTINUATION, .. }) = frame {
                    heads += len;
                }
                watch.incoming(frame);
            });
            *small = bytes < frames * SMALL_FRAME || 3 * bytes < 4 * heads;
            buf.set_filled(before + kept);
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<()> {
        if !W::HOLDS_GOAWAY {
            return Poll::Ready(());
        }
        let mut ahead = self.outgoing.clone();
        let mut goaway = None;
        for slice in slices {
            ahead.follow(slice, |frame| {
                if let Frame::Goaway { code } = frame {
                    goaway = Some(code);
                }
            });
        }
        goaway.map_or(Poll::Ready(()), |code| self.watch.poll_goaway(cx, code))
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let Self { outgoing, watch, .. } = self;
        outgoing.follow(bytes, |frame| watch.outgoing(frame));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// How much each read brought.
    #[derive(Default)]
    struct Reads(std::sync::Arc<parking_lot::Mutex<Vec<usize>>>);

    impl Watch for Reads {
        fn read(&mut self, bytes: usize) {
            self.0.lock().push(bytes);
        }

        fn incoming(&mut self, _frame: Frame) {}

        fn outgoing(&mut self, _frame: Frame) {}
    }

    /// What comes after small frames, or heads, comes in small portions, until there is other data again.
    #[tokio::test]
    async fn what_is_much_work_is_read_a_little_at_a_time() {
        const BUFFER: usize = 8 * SMALL_READ;
        let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[0; 8]].concat();
        let head = [&[0, 0, 200, HEADERS, 4, 0, 0, 0, 1][..], &[0; 200]].concat();
        let large = [&[0, 0x80, 0, 0, 0, 0, 0, 0, 1][..], &[0; 0x8000]].concat();
        for work in [ping, head] {
            let said = [work.repeat(2 * BUFFER / work.len()), large.clone()].concat();
            let reads = Reads::default();
            let seen = reads.0.clone();
            let mut io = Sieve::on(&said[..], reads, 0, 0);
            while io.read(&mut [0; BUFFER]).await.expect("read") > 0 {}
            let seen = seen.lock();
            assert_eq!(seen[0], BUFFER);
            let next = &seen[1..BUFFER / SMALL_READ];
            assert!(next.iter().all(|bytes| *bytes <= SMALL_READ), "{seen:?}");
            assert!(seen.iter().skip(1).any(|bytes| *bytes > SMALL_READ), "{seen:?}");
            assert_eq!(seen.iter().sum::<usize>(), said.len());
        }
    }
}
