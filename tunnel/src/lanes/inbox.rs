//! Bytes that have come on a lane and wait for its reader.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::ReadBuf;

use crate::limits::LANE_COPY_BELOW;

/// Large pieces are kept as they came, small ones are copied together: a small one would hold on to the whole
/// block that it was read into. Takes no memory while it is empty.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Inbox {
    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if piece.len() < LANE_COPY_BELOW {
            self.tail.extend_from_slice(&piece);
            return;
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.pieces.push_back(piece);
    }

    /// Takes at most `most` bytes of what came first, in one piece; `None` if there is nothing.
    pub(super) fn take(&mut self, most: usize) -> Option<Bytes> {
        let piece = match self.pieces.front_mut() {
            Some(piece) if piece.len() > most => piece.split_to(most),
            Some(_) => self.pieces.pop_front()?,
            None if self.tail.is_empty() => return None,
            None if self.tail.len() > most => self.tail.split_to(most).freeze(),
            None => std::mem::take(&mut self.tail).freeze(),
        };
        self.len -= piece.len();
        if self.len == 0 {
            *self = Self::default();
        }
        Some(piece)
    }

    /// Moves as much as fits into `buf`; returns how much that was.
    pub(super) fn read(&mut self, buf: &mut ReadBuf<'_>) -> usize {
        let before = buf.remaining();
        while buf.remaining() > 0
            && let Some(piece) = self.pieces.front_mut()
        {
            take(piece, buf);
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        if self.pieces.is_empty() {
            take(&mut self.tail, buf);
        }
        let read = before - buf.remaining();
        self.len -= read;
        if self.len == 0 {
            *self = Self::default();
        }
        read
    }
}

fn take(from: &mut impl Buf, buf: &mut ReadBuf<'_>) {
    let len = from.remaining().min(buf.remaining());
    buf.put_slice(&from.chunk()[..len]);
    from.advance(len);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(sizes: &[usize]) -> (Inbox, Vec<u8>) {
        let mut inbox = Inbox::default();
        let mut expected = Vec::new();
        for (i, size) in sizes.iter().enumerate() {
            let piece = vec![i as u8; *size];
            expected.extend_from_slice(&piece);
            inbox.push(piece.into());
        }
        (inbox, expected)
    }

    const SIZES: [usize; 6] = [1, LANE_COPY_BELOW, 3, 5, LANE_COPY_BELOW + 7, 2];

    #[test]
    fn order_is_kept_whatever_the_sizes() {
        let (mut inbox, expected) = full(&SIZES);
        let mut read = Vec::new();
        let mut space = [0; 100];
        while inbox.len() > 0 {
            let mut buf = ReadBuf::new(&mut space);
            inbox.read(&mut buf);
            read.extend_from_slice(buf.filled());
        }
        assert!(read == expected);
        assert_eq!((inbox.pieces.capacity(), inbox.tail.capacity()), (0, 0));
    }

    #[test]
    fn no_piece_is_larger_than_it_may_be() {
        for most in [1, 4, LANE_COPY_BELOW, usize::MAX] {
            let (mut inbox, expected) = full(&SIZES);
            let mut taken = Vec::new();
            while let Some(piece) = inbox.take(most) {
                assert!(!piece.is_empty() && piece.len() <= most);
                taken.extend_from_slice(&piece);
                assert_eq!(inbox.len(), expected.len() - taken.len());
            }
            assert!(taken == expected);
            assert_eq!((inbox.pieces.capacity(), inbox.tail.capacity()), (0, 0));
        }
    }
}
