//! Bytes that are to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};

/// A piece of as many bytes or more is kept as it is; a smaller one is copied, which costs less than a reference to it,
/// and a slice of its own in every write.
pub const KEEP_FROM: usize = 2048;

/// The buffer for small pieces is given back once everything is written and it is larger than this, in bytes.
pub const BUFFER_KEPT: usize = 4096;

/// What the buffer for small pieces begins with, in bytes.
const BUFFER_FIRST: usize = 512;
/// The same for the queue of large pieces.
const QUEUE_KEPT: usize = 16;

/// A rope: small pieces lie together in one buffer, between them large ones as they came.
///
/// As long as it is used the memory is used again, so that a frame costs no allocation. When all is written, what is
/// more than [`BUFFER_KEPT`] is given back, and by [`shrink`](Self::shrink) everything.
#[derive(Debug, Default)]
pub struct Output {
    /// The bytes of all small pieces, of which those before `start` have been written.
    buffer: Vec<u8>,
    start: usize,
    kept: VecDeque<Kept>,
    /// How much of the buffer comes after the last of `kept`.
    tail: usize,
    len: usize,
    /// How much of the buffer was in use when it was last given back: it begins as large again, instead of growing to
    /// it step by step whenever much is to be written.
    last: usize,
}

/// A large piece.
#[derive(Debug)]
struct Kept {
    /// How much of the buffer comes before it and after the one before.
    before: usize,
    bytes: Bytes,
}

impl Output {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece: as it is if it has [`KEEP_FROM`] bytes, else copied.
    #[inline]
    pub fn push(&mut self, piece: Bytes) {
        if piece.len() < KEEP_FROM {
            return self.extend(&piece);
        }
        self.len += piece.len();
        self.kept.push_back(Kept { before: self.tail, bytes: piece });
        self.tail = 0;
    }

    /// Adds bytes, which are copied.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() - self.buffer.len() < bytes.len() {
            self.make_room(bytes.len());
        }
        self.buffer.extend_from_slice(bytes);
        self.tail += bytes.len();
        self.len += bytes.len();
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `into` with what is to be written next, for a vectored write. Returns how many of it are filled, none of
    /// them with an empty slice.
    pub fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let mut rest = &self.buffer[self.start..];
        let kept = self.kept.iter().flat_map(|kept| {
            let (before, after) = rest.split_at(kept.before);
            rest = after;
            [before, &kept.bytes]
        });
        // What comes after the last large piece is the end of the buffer.
        let tail = &self.buffer[self.buffer.len() - self.tail..];
        let slices = kept.chain(std::iter::once(tail)).filter(|slice| !slice.is_empty());
        into.iter_mut().zip(slices).map(|(into, slice)| *into = IoSlice::new(slice)).count()
    }

    /// Takes what has been written, or all where `written` is more than there is.
    pub fn advance(&mut self, written: usize) {
        if written >= self.len {
            return self.clear();
        }
        self.len -= written;
        let mut left = written;
        while let Some(kept) = self.kept.front_mut() {
            let copied = left.min(kept.before);
            kept.before -= copied;
            self.start += copied;
            left -= copied;
            if left < kept.bytes.len() {
                // Where a copied byte still comes before it nothing is left.
                kept.bytes.advance(left);
                return;
            }
            left -= kept.bytes.len();
            self.kept.pop_front();
        }
        self.start += left;
        self.tail -= left;
    }

    /// Forgets everything, and gives back what memory it has beyond [`BUFFER_KEPT`].
    pub fn clear(&mut self) {
        if self.buffer.capacity() > BUFFER_KEPT {
            self.last = self.buffer.len();
            self.buffer = Vec::new();
        } else {
            self.buffer.clear();
        }
        if self.kept.capacity() > QUEUE_KEPT {
            self.kept = VecDeque::new();
        } else {
            self.kept.clear();
        }
        (self.start, self.tail, self.len) = (0, 0, 0);
    }

    /// Gives back all memory if nothing is to be written, for a connection on which nothing is expected soon.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Makes room for `more` bytes in the buffer: where half of it has been written by moving the rest to its front, so
    /// that a connection that never runs empty does not grow without end.
    #[cold]
    fn make_room(&mut self, more: usize) {
        if self.start >= self.buffer.len() - self.start {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let least = if self.buffer.capacity() == 0 { self.last.max(BUFFER_FIRST) } else { 0 };
        self.buffer.reserve(more.max(least));
    }
}

/// Large pieces are given away as they are.
impl Buf for Output {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        match self.kept.front() {
            Some(Kept { before: 0, bytes }) => bytes,
            Some(kept) => &self.buffer[self.start..self.start + kept.before],
            None => &self.buffer[self.start..],
        }
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        self.slices(into)
    }

    fn advance(&mut self, bytes: usize) {
        Self::advance(self, bytes);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if let Some(Kept { before: 0, bytes }) = self.kept.front()
            && len <= bytes.len()
        {
            let piece = bytes.slice(..len);
            self.advance(len);
            return piece;
        }
        let mut copy = BytesMut::with_capacity(len);
        copy.put(self.take(len));
        copy.freeze()
    }
}

#[cfg(test)]
pub(crate) mod tests;
