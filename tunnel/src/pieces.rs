//! Bytes that go as one message, in pieces.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

/// A message: its small bytes lie together, and between them large pieces as they came, which so are not copied.
#[derive(Debug)]
pub struct Pieces {
    /// The bytes of all small pieces.
    small: BytesMut,
    kept: Vec<Kept>,
    /// How much of `small` comes after the last of `kept`.
    tail: usize,
    len: usize,
}

/// A large piece.
#[derive(Debug)]
struct Kept {
    /// How much of the small bytes comes before it and after the one before.
    before: usize,
    bytes: Bytes,
}

/// One of the parts that a message is written in.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// Bytes to be copied.
    Small(&'a [u8]),
    /// Bytes to be kept.
    Large(Bytes),
}

impl Pieces {
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

    /// Adds bytes, which are copied.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
        self.tail += bytes.len();
        self.len += bytes.len();
    }

    /// Adds a piece, which is not.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        self.kept.push(Kept { before: std::mem::take(&mut self.tail), bytes });
    }

    /// Its parts in their order, but for what comes after the last large one, which is given back. Where there is no large
    /// one that is all of it, in memory that nobody else knows.
    pub(crate) fn into_parts(self, mut each: impl FnMut(Part<'_>)) -> BytesMut {
        let (mut small, mut at) = (self.small, 0);
        for Kept { before, bytes } in self.kept {
            each(Part::Small(&small[at..at + before]));
            each(Part::Large(bytes));
            at += before;
        }
        small.advance(at);
        small
    }
}

/// Takes so many bytes off the front of a queue that has none that are empty; returns how many there were not.
pub fn advance(queue: &mut VecDeque<Bytes>, mut bytes: usize) -> usize {
    while let Some(piece) = queue.front_mut() {
        if bytes < piece.len() {
            piece.advance(bytes);
            return 0;
        }
        bytes -= piece.len();
        queue.pop_front();
    }
    bytes
}

/// All of it is small.
impl From<BytesMut> for Pieces {
    fn from(small: BytesMut) -> Self {
        Self { tail: small.len(), len: small.len(), small, kept: Vec::new() }
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        BytesMut::from(bytes).into()
    }
}

/// All of it in one piece: a copy, unless all of it is small.
impl From<Pieces> for Bytes {
    fn from(pieces: Pieces) -> Self {
        let mut all = BytesMut::new();
        let tail = pieces.into_parts(|part| match part {
            Part::Small(bytes) => all.extend_from_slice(bytes),
            Part::Large(bytes) => all.extend_from_slice(&bytes),
        });
        if all.is_empty() {
            return tail.freeze();
        }
        all.extend_from_slice(&tail);
        all.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_what_is_large_is_not_copied() {
        let large = Bytes::from_static(b"large");
        let mut pieces = Pieces::from(BytesMut::from(&b"head"[..]));
        pieces.push(large.clone());
        pieces.push(large.clone());
        pieces.extend(b"be");
        pieces.extend(b"tween");
        pieces.push(large.clone());
        assert_eq!(pieces.len(), 4 + 5 + 5 + 7 + 5);
        pieces.extend(b"tail");
        let (mut seen, mut kept) = (Vec::new(), 0);
        let tail = pieces.into_parts(|part| match part {
            Part::Small(bytes) => seen.extend_from_slice(bytes),
            Part::Large(bytes) => {
                assert_eq!(bytes.as_ptr(), large.as_ptr());
                kept += 1;
                seen.extend_from_slice(&bytes);
            }
        });
        assert_eq!((&*seen, kept, &*tail), (&b"headlargelargebetweenlarge"[..], 3, &b"tail"[..]));
    }

    #[test]
    fn a_queue_is_taken_as_far_as_it_goes() {
        let mut queue = VecDeque::from([Bytes::from_static(b"ab"), Bytes::from_static(b"cde")]);
        assert_eq!((advance(&mut queue, 0), queue.len()), (0, 2));
        assert_eq!((advance(&mut queue, 3), &*queue[0]), (0, &b"de"[..]));
        assert_eq!((advance(&mut queue, 5), queue.len()), (3, 0));
    }

    #[test]
    fn what_is_small_stays_where_it_is() {
        let small = BytesMut::from(&b"all of it"[..]);
        let at = small.as_ptr();
        let all = Bytes::from(Pieces::from(small.freeze()));
        assert_eq!((&*all, all.as_ptr()), (&b"all of it"[..], at));
    }
}
