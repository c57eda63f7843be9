//! Bytes of a call that its receiver's window has no room for yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces below this size are copied together: kept as they are, each would hold on to all of the block that it was read
/// into, which is of 48 KiB at most. Whole frames of bulk are larger.
pub(crate) const COPY_BELOW: usize = 12 << 10;

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
            self.small.extend_from_slice(&piece);
        } else {
            self.seal();
            self.pieces.push_back(piece);
        }
    }

    pub(crate) fn push_slice(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
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
