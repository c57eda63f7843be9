//! From a lane to its upstream.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tunnel::lanes::Lane;
use tunnel::pieces::advance;

use super::Broken;
use crate::limits::RELAY_WRITE;
use crate::metrics::Meter;

/// Pieces that are written at once.
const PIECES: usize = 16;

/// What was taken off a lane and is not written yet, in the pieces in which it came. Holds memory only while the upstream
/// takes nothing.
pub(super) struct Up {
    pieces: VecDeque<Bytes>,
    len: usize,
    /// Bytes written.
    written: u64,
    unflushed: bool,
    /// Counts what was taken.
    meter: Meter,
}

impl Up {
    pub(super) fn new(meter: Meter) -> Self {
        Self { pieces: VecDeque::new(), len: 0, written: 0, unflushed: false, meter }
    }

    /// Ready once the lane has ended and the upstream has everything.
    pub(super) fn poll<U: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        lane: &Lane,
        upstream: &mut U,
    ) -> Poll<Result<(), Broken>> {
        loop {
            let taken = self.poll_take(cx, lane);
            if self.is_stuck() {
                ready!(self.poll_write(cx, upstream))?;
                continue;
            }
            // Nothing more, or not for now: whatever waits in a buffer below must not wait for it.
            self.meter.tell();
            ready!(self.poll_flush(cx, upstream))?;
            return taken;
        }
    }

    /// Whether it waits for the upstream.
    pub(super) fn is_stuck(&self) -> bool {
        self.len > 0
    }

    /// Bytes written since it was last asked.
    pub(super) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// Takes as much as is written at once. Ready where nothing more comes: at the lane's end, or because it is gone.
    fn poll_take(&mut self, cx: &Context<'_>, lane: &Lane) -> Poll<Result<(), Broken>> {
        while self.len < RELAY_WRITE && self.pieces.len() < PIECES {
            let piece = ready!(lane.poll_piece(cx, RELAY_WRITE - self.len));
            let piece = piece.map_err(|_| Broken::From)?;
            if piece.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.meter.add(piece.len());
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
        Poll::Pending
    }

    /// Ready once everything is written.
    fn poll_write<U: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut U,
    ) -> Poll<Result<(), Broken>> {
        while self.is_stuck() {
            let mut slices = [IoSlice::new(&[]); PIECES];
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
            }
            let slices = &slices[..self.pieces.len()];
            match Pin::new(&mut *upstream).poll_write_vectored(cx, slices) {
                Poll::Ready(Ok(written @ 1..)) => self.wrote(written),
                Poll::Ready(_) => return Poll::Ready(Err(Broken::To)),
                Poll::Pending => {
                    self.meter.tell();
                    return Poll::Pending;
                }
            }
        }
        self.pieces = VecDeque::new();
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, bytes: usize) {
        self.unflushed = true;
        self.written += bytes as u64;
        self.len -= bytes;
        advance(&mut self.pieces, bytes);
    }

    fn poll_flush<U: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut U,
    ) -> Poll<Result<(), Broken>> {
        if self.unflushed {
            ready!(Pin::new(upstream).poll_flush(cx)).map_err(|_| Broken::To)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
