//! Bytes of a call that its receiver's window has no room for yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces below this size are copied together: kept as they are, each would hold on to all of the block that it was read
/// into, which is of four times this. Of a frame of 16 KiB that came in two pieces, one is larger.
pub(crate) const COPY_BELOW: usize = (8 << 10) + 64;

/// Where more than this is copied together, it is begun anew: what grows is copied again and again.
const BLOCK: usize = 16 << 10;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pieces: VecDeque<Bytes>,
    /// Small pieces behind all others.
    small: BytesMut,
    len: usize,
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if piece.len() < COPY_BELOW {
            self.copy(&piece);
        } else {
            self.seal();
            self.pieces.push_back(piece);
        }
    }

    pub(crate) fn push_slice(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        self.copy(bytes);
    }

    /// Behind what was copied before, in memory that is not moved: twice as much as there was, so that many small pieces
    /// are few blocks.
    fn copy(&mut self, bytes: &[u8]) {
        if self.small.capacity() - self.small.len() < bytes.len() {
            let room = (2 * self.small.len()).min(BLOCK).max(bytes.len());
            self.seal();
            self.small = BytesMut::with_capacity(room);
        }
        self.small.extend_from_slice(bytes);
    }

    /// Takes so many bytes from its front, or all there are.
    pub(crate) fn take(&mut self, mut bytes: usize, mut each: impl FnMut(Bytes)) {
        while bytes > 0 && self.len > 0 {
            if self.pieces.is_empty() {
                self.seal();
            }
            let Some(front) = self.pieces.front_mut() else { return };
            let piece = if front.len() <= bytes {
                self.pieces.pop_front().unwrap_or_default()
            } else {
                front.split_to(bytes)
            };
            bytes -= piece.len();
            self.len -= piece.len();
            each(piece);
        }
    }

    /// Forgets everything; returns how much it was.
    pub(crate) fn clear(&mut self) -> usize {
        let len = self.len;
        *self = Self::default();
        len
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push_back(self.small.split().freeze());
        }
    }
}
