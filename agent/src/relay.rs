//! Copies bytes between a lane and its connection to the upstream, and looks at none of them.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;
use tunnel::lanes::Lane;

use crate::limits::{LANE_AFTER_HUB, LANE_AFTER_UPSTREAM, RELAY_BUFFER};
use crate::metrics::{Meter, Meters};

/// Which side ended a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelayEnd {
    /// The hub.
    Hub,
    /// The upstream.
    Upstream,
}

/// A read of so much is bulk.
const BULK: usize = RELAY_BUFFER / 2;

/// Copies both ways until one side ends. An HTTP/2 connection that has lost one direction is over, so the other has
/// only a while; but what the upstream said before it hung up still goes to the hub, which is told how much the
/// upstream had been sent by then. Nothing is sent to an upstream that has hung up.
pub(crate) async fn relay<U>(lane: &mut Lane, upstream: &mut U, bytes: Meters) -> RelayEnd
where
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Pipe::new(bytes.up), Pipe::new(bytes.down));
    let first = poll_fn(|cx| poll_both(cx, lane, upstream, &mut up, &mut down)).await;
    if first == First::LaneGone {
        return RelayEnd::Hub;
    }
    if first != First::UpstreamEnded {
        let rest = async {
            if first == First::LaneEnded {
                let _ = upstream.shutdown().await;
            }
            let _ = poll_fn(|cx| down.poll_into_lane(cx, upstream, lane)).await;
        };
        let _ = timeout(LANE_AFTER_HUB, rest).await;
    }
    let _ = lane.shutdown().await;
    if first == First::LaneEnded { RelayEnd::Hub } else { RelayEnd::Upstream }
}

/// Waits for the hub's end of a lane whose upstream has ended. What still comes is for nobody.
pub(crate) async fn ignore(mut lane: Lane) {
    let mut nobody = tokio::io::sink();
    let rest = tokio::io::copy(&mut lane, &mut nobody);
    let _ = timeout(LANE_AFTER_UPSTREAM, rest).await;
}

/// What ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// The lane is over in both directions.
    LaneGone,
    /// The hub has said everything, and the upstream has it.
    LaneEnded,
    /// The upstream takes no more. It may have said why.
    UpstreamDeaf,
    /// The upstream has hung up, and everything that it said is on its way.
    UpstreamEnded,
}

/// The upstream's end comes first: what is not written then was never delivered, and may be sent again elsewhere.
fn poll_both<U: AsyncRead + AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    lane: &mut Lane,
    upstream: &mut U,
    up: &mut Pipe,
    down: &mut Pipe,
) -> Poll<First> {
    match down.poll_into_lane(cx, upstream, lane) {
        Poll::Ready(Ok(()) | Err(Broken::From)) => return Poll::Ready(First::UpstreamEnded),
        Poll::Ready(Err(Broken::To)) => return Poll::Ready(First::LaneGone),
        Poll::Pending => {}
    }
    let polled = up.poll(cx, lane, upstream);
    if up.written > 0 {
        lane.delivered(std::mem::take(&mut up.written));
    }
    match polled {
        Poll::Ready(Ok(())) => Poll::Ready(First::LaneEnded),
        Poll::Ready(Err(Broken::From)) => Poll::Ready(First::LaneGone),
        Poll::Ready(Err(Broken::To)) => Poll::Ready(First::UpstreamDeaf),
        // The lane is not read then, which would tell.
        Poll::Pending if up.is_stuck() => lane.poll_gone(cx).map(|()| First::LaneGone),
        Poll::Pending => Poll::Pending,
    }
}

/// Which end of a pipe broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    From,
    To,
}

/// One direction. Holds memory only while whoever it goes to takes nothing.
struct Pipe {
    /// What was read and could not be written yet.
    left: Bytes,
    /// Bytes written.
    written: u64,
    unflushed: bool,
    /// The last read brought so much that the next one goes into the message that it is to leave in.
    is_bulk: bool,
    /// One that could not be written yet.
    message: BytesMut,
    /// Counts what was read.
    meter: Meter,
}

impl Pipe {
    fn new(meter: Meter) -> Self {
        let (left, message) = (Bytes::new(), BytesMut::new());
        Self { left, written: 0, unflushed: false, is_bulk: false, message, meter }
    }

    /// The same to a lane: what comes in bulk is not copied.
    fn poll_into_lane<F: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut Lane,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if !self.message.is_empty() {
                let written = to.poll_write_message(cx, &mut self.message);
                if written.is_pending() {
                    self.meter.tell();
                }
                ready!(written).map_err(|_| Broken::To)?;
                self.message = BytesMut::new();
            }
            if !self.is_bulk || self.is_stuck() {
                if ready!(self.poll_read(cx, from, to))? {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let mut message = to.message();
            let read = pin!(from.read_buf(&mut message)).poll(cx);
            self.is_bulk = matches!(read, Poll::Ready(Ok(BULK..)));
            match read {
                Poll::Ready(Ok(bytes @ 1..)) => {
                    self.meter.add(bytes);
                    self.message = message;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::From)),
                // At the end it is seen again, and so is that nothing comes.
                Poll::Ready(Ok(_)) | Poll::Pending => {}
            }
        }
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
        while !ready!(self.poll_read(cx, from, to))? {}
        Poll::Ready(Ok(()))
    }

    /// Reads once, and writes that. Ready with whether `from` has ended.
    fn poll_read<F, T>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
    ) -> Poll<Result<bool, Broken>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        if self.is_stuck() {
            let mut left = std::mem::take(&mut self.left);
            ready!(self.write(cx, to, &mut left))?;
        }
        let mut space = [const { MaybeUninit::uninit() }; RELAY_BUFFER];
        let mut read = ReadBuf::uninit(&mut space);
        let polled = Pin::new(&mut *from).poll_read(cx, &mut read);
        let mut bytes = read.filled();
        self.is_bulk = bytes.len() >= BULK;
        self.meter.add(bytes.len());
        match polled {
            Poll::Ready(Ok(())) if !bytes.is_empty() => {
                self.write(cx, to, &mut bytes).map_ok(|()| false)
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(Broken::From)),
            // Nothing more, or not for now: whatever waits in a buffer below must not wait for it.
            polled => {
                self.meter.tell();
                ready!(self.poll_flush(cx, to))?;
                polled.map(|_| Ok(true))
            }
        }
    }

    /// Whether it waits for whoever it goes to.
    fn is_stuck(&self) -> bool {
        !self.left.is_empty()
    }

    /// Writes as much as goes, and keeps the rest. Ready if there is none.
    fn write<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut T,
        bytes: &mut impl Buf,
    ) -> Poll<Result<(), Broken>> {
        while bytes.has_remaining() {
            match Pin::new(&mut *to).poll_write(cx, bytes.chunk()) {
                Poll::Ready(Ok(written @ 1..)) => {
                    bytes.advance(written);
                    self.written += written as u64;
                    self.unflushed = true;
                }
                Poll::Ready(_) => return Poll::Ready(Err(Broken::To)),
                Poll::Pending => {
                    self.meter.tell();
                    self.left = bytes.copy_to_bytes(bytes.remaining());
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut T,
    ) -> Poll<Result<(), Broken>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx)).map_err(|_| Broken::To)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
