//! One lane, as its user holds it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::MutexGuard;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::end::{LaneEnd, LaneStatus};
use super::frame::{self, HEAD_BYTES, Open, ResetCode};
use super::mux::Mux;
use super::shared::{Lanes, Life, State, wake};
use crate::limits::LANE_DATA_MAX;

/// A byte stream to the other end of the session. Dropped without a shutdown, the lane is reset.
#[derive(Debug)]
pub struct Lane {
    lanes: Lanes,
    id: u32,
    status: LaneStatus,
    over: bool,
}

impl Lanes {
    /// Opens a lane, at the hub. Bytes may follow at once.
    ///
    /// `None` if the session is closing or over, or has had as many lanes as there are numbers.
    #[must_use]
    pub fn open(&self, open: Open) -> Option<Lane> {
        let (id, status) = self.begin(open)?;
        Some(Lane { lanes: self.clone(), id, status, over: false })
    }

    /// Resets a lane that somebody else holds, who finds it gone.
    pub fn reset(&self, id: u32, code: ResetCode, reason: &str) {
        self.change(|mux| mux.reset(id, code, reason));
    }

    /// The next lane that the hub opens, at the agent; `None` once the driver is through. Cancel-safe.
    pub async fn accept(&self) -> Option<(Lane, Open)> {
        let (id, status, open) = poll_fn(|cx| self.poll_opened(cx)).await?;
        Some((Lane { lanes: self.clone(), id, status, over: false }, open))
    }
}

impl Lane {
    /// Its number in the session.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Tells how it ended.
    #[must_use]
    pub fn status(&self) -> LaneStatus {
        self.status.clone()
    }

    /// So many more bytes of it were written to the upstream: told to the hub when the lane ends.
    pub fn delivered(&self, bytes: u64) {
        self.lanes.0.state.lock().mux.delivered(self.id, bytes);
    }

    /// Ends it in both directions, with a reason for the peer.
    pub fn reset(mut self, code: ResetCode, reason: &str) {
        self.over = true;
        self.lanes.drop_lane(self.id, |mux| mux.reset(self.id, code, reason));
    }

    /// Ready once the lane is gone, by a reset or with its session: for a user who neither reads nor writes for now,
    /// and has not shut it down.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lanes.0.state.lock();
        if state.life != Life::Open || !state.mux.is_open(self.id) {
            return Poll::Ready(());
        }
        state.wait_to_read(self.id, cx);
        Poll::Pending
    }

    /// The next piece of what has come, of at most `most` bytes, without a copy; empty at the lane's end.
    ///
    /// # Errors
    /// The lane was reset, or its session lost.
    pub fn poll_piece(&self, cx: &Context<'_>, most: usize) -> Poll<io::Result<Bytes>> {
        let mut state = self.lanes.0.state.lock();
        let (piece, credit_is_due) = state.mux.read_piece(self.id, most);
        if let Some(piece) = piece {
            let driver = if credit_is_due { state.take_driver() } else { None };
            drop(state);
            wake(driver);
            return Poll::Ready(Ok(piece));
        }
        if let Some(error) = self.broken() {
            return Poll::Ready(Err(error));
        }
        if state.mux.is_read_to_end(self.id) {
            return Poll::Ready(Ok(Bytes::new()));
        }
        state.wait_to_read(self.id, cx);
        Poll::Pending
    }

    /// Writes all of `bytes`, and takes it as it goes; large pieces without a copy, if `bytes` can give them away. Ready once
    /// nothing of it is left.
    ///
    /// # Errors
    /// As those of writing.
    pub fn poll_write_from(
        &mut self,
        cx: &Context<'_>,
        bytes: &mut impl Buf,
    ) -> Poll<io::Result<()>> {
        while bytes.has_remaining() {
            ready!(self.write(cx, |mux, id| mux.write_from(id, bytes)))?;
        }
        Poll::Ready(Ok(()))
    }

    /// A message that leaves as it is once it is filled, with at most [`LANE_DATA_MAX`] bytes.
    #[must_use]
    pub fn message(&self) -> BytesMut {
        frame::data(self.id, LANE_DATA_MAX)
    }

    /// Writes a message of [`message`](Self::message), without a copy where there is room for all of it. Ready once nothing
    /// of it is left.
    ///
    /// # Errors
    /// As those of writing.
    pub fn poll_write_message(
        &mut self,
        cx: &Context<'_>,
        message: &mut BytesMut,
    ) -> Poll<io::Result<()>> {
        while message.len() > HEAD_BYTES {
            ready!(self.write(cx, |mux, id| mux.write_message(id, message)))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is not nothing, as far as there is room for it.
    fn write(
        &mut self,
        cx: &Context<'_>,
        write: impl FnOnce(&mut Mux, u32) -> usize,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lanes.0.state.lock();
        if state.life != Life::Open {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = write(&mut state.mux, self.id);
        if written == 0 {
            return self.refused(state, cx).map(Err);
        }
        let driver = state.take_driver();
        drop(state);
        wake(driver);
        Poll::Ready(Ok(written))
    }

    /// Nothing of what was to be written was taken: why, or not yet.
    fn refused(&self, mut state: MutexGuard<'_, State>, cx: &Context<'_>) -> Poll<io::Error> {
        if let Some(error) = self.broken() {
            return Poll::Ready(error);
        }
        if !state.mux.is_open(self.id) {
            return Poll::Ready(io::ErrorKind::BrokenPipe.into());
        }
        state.wait_to_write(self.id, cx);
        Poll::Pending
    }

    /// What a reader or writer is told of a lane that takes and has no more.
    fn broken(&self) -> Option<io::Error> {
        match self.status.end()? {
            LaneEnd::Finished { .. } => None,
            LaneEnd::Reset { reason, .. } => {
                Some(io::Error::new(io::ErrorKind::ConnectionReset, reason.clone()))
            }
            LaneEnd::Lost { .. } => Some(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if !self.over {
            self.lanes.drop_lane(self.id, |mux| mux.abandon(self.id));
        }
    }
}

impl AsyncRead for Lane {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.lanes.0.state.lock();
        let credit_is_due = state.mux.read(self.id, buf);
        if buf.remaining() < room {
            let driver = if credit_is_due { state.take_driver() } else { None };
            drop(state);
            wake(driver);
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.broken() {
            return Poll::Ready(Err(error));
        }
        if state.mux.is_read_to_end(self.id) {
            return Poll::Ready(Ok(()));
        }
        state.wait_to_read(self.id, cx);
        Poll::Pending
    }
}

impl AsyncWrite for Lane {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.get_mut().write(cx, |mux, id| mux.write(id, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The driver sends what is queued by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// FIN follows what is queued; it is not waited for.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lanes.change(|mux| mux.finish(self.id));
        Poll::Ready(Ok(()))
    }
}
