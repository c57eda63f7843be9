//! Data that was read from one side and waits for the other side's window.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::limits::COALESCE_BYTES;

/// Small chunks are copied together, so that a reader who stalls under a flood of small messages costs
/// bytes, not frames; big ones are kept as they came. Bounded by the stream window of the side it was
/// read from, since the capacity of what waits here is not released.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        let first = self.is_empty();
        self.len += chunk.len();
        if first || chunk.len() >= COALESCE_BYTES {
            self.close_tail();
            self.chunks.push_back(chunk);
            return;
        }
        if self.tail.is_empty()
            && let Some(last) = self.chunks.pop_back_if(|last| last.len() < COALESCE_BYTES)
        {
            self.tail.extend_from_slice(&last);
        }
        self.tail.extend_from_slice(&chunk);
        if self.tail.len() >= COALESCE_BYTES {
            self.close_tail();
        }
    }

    /// The next chunk.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let tail = || Some(self.tail.split().freeze()).filter(|tail| !tail.is_empty());
        let chunk = self.chunks.pop_front().or_else(tail)?;
        self.len -= chunk.len();
        Some(chunk)
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn popped(backlog: &mut Backlog) -> Vec<Bytes> {
        std::iter::from_fn(|| backlog.pop()).collect()
    }

    #[test]
    fn keeps_order_and_joins_what_is_small() {
        let mut backlog = Backlog::default();
        let big = Bytes::from(vec![b'x'; COALESCE_BYTES]);
        for chunk in [&b"a"[..], b"b", &big, b"c", b"d"] {
            backlog.push(Bytes::copy_from_slice(chunk));
        }
        assert_eq!(popped(&mut backlog), [&b"ab"[..], &big, b"cd"]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_single_chunk_is_not_copied() {
        let mut backlog = Backlog::default();
        let chunk = Bytes::from_static(b"chunk");
        let at = chunk.as_ptr();
        backlog.push(chunk);
        assert_eq!(backlog.pop().map(|chunk| chunk.as_ptr()), Some(at));
    }

    #[test]
    fn a_flood_of_small_chunks_becomes_few() {
        let mut backlog = Backlog::default();
        for _ in 0..20_000 {
            backlog.push(Bytes::from_static(&[b'x'; 25]));
        }
        let chunks = popped(&mut backlog);
        assert_eq!(chunks.iter().map(Bytes::len).sum::<usize>(), 500_000);
        assert!(chunks.len() < 40, "{}", chunks.len());
    }
}
