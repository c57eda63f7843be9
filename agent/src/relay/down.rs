//! From an upstream to its lane.

use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tunnel::lanes::Lane;

use super::Broken;
use crate::limits::RELAY_BUFFER;
use crate::metrics::Meter;

/// A read of so much is bulk.
const BULK: usize = RELAY_BUFFER / 2;

/// What was read of an upstream and is not written yet. Holds memory only while the lane takes nothing.
pub(super) struct Down {
    left: Bytes,
    /// The last read brought so much that the next one goes into the message that it is to leave in.
    is_bulk: bool,
    /// One that could not be written yet.
    message: BytesMut,
    /// Counts what was read.
    meter: Meter,
}

impl Down {
    pub(super) fn new(meter: Meter) -> Self {
        Self { left: Bytes::new(), is_bulk: false, message: BytesMut::new(), meter }
    }

    /// Ready once the upstream has ended and the lane has everything.
    pub(super) fn poll<U: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut U,
        lane: &mut Lane,
    ) -> Poll<Result<(), Broken>> {
        loop {
            ready!(self.poll_write(cx, lane))?;
            let read = match self.is_bulk {
                true => self.poll_read_message(cx, upstream, lane),
                false => self.poll_read_little(cx, upstream, lane),
            };
            self.is_bulk = matches!(read, Poll::Ready(Ok(BULK..)));
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(bytes)) => self.meter.add(bytes),
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                Poll::Pending => {
                    self.meter.tell();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reads what is not copied any more: into a message of the lane.
    fn poll_read_message<U: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut U,
        lane: &Lane,
    ) -> Poll<Result<usize, Broken>> {
        let mut message = lane.message();
        let bytes = ready!(pin!(upstream.read_buf(&mut message)).poll(cx));
        let bytes = bytes.map_err(|_| Broken::From)?;
        if bytes > 0 {
            self.message = message;
        }
        Poll::Ready(Ok(bytes))
    }

    /// Reads, and writes that at once, so that a lane on which little comes needs no memory for more.
    fn poll_read_little<U: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut U,
        lane: &mut Lane,
    ) -> Poll<Result<usize, Broken>> {
        let mut space = [const { MaybeUninit::uninit() }; RELAY_BUFFER];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(upstream).poll_read(cx, &mut read)).map_err(|_| Broken::From)?;
        let mut bytes = read.filled();
        let len = bytes.len();
        match lane.poll_write_from(cx, &mut bytes) {
            Poll::Ready(written) => written.map_err(|_| Broken::To)?,
            Poll::Pending => self.left = Bytes::copy_from_slice(bytes),
        }
        Poll::Ready(Ok(len))
    }

    /// Writes what was read. Ready once nothing of it is left.
    fn poll_write(&mut self, cx: &mut Context<'_>, lane: &mut Lane) -> Poll<Result<(), Broken>> {
        let mut written = lane.poll_write_from(cx, &mut self.left);
        if matches!(written, Poll::Ready(Ok(()))) {
            written = lane.poll_write_message(cx, &mut self.message);
        }
        if written.is_pending() {
            self.meter.tell();
        }
        written.map_err(|_| Broken::To)
    }
}
