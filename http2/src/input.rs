//! Bytes that have come and are not read yet.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::error::ConnectionError;
use crate::frame::{HEAD_BYTES, Head, PREFACE};
use crate::output::{KEEP_FROM, Output};

/// Where so many chunks wait, or more, and are small, they are joined. Else a peer that sends a frame byte by byte
/// would have a chunk held for each.
const CHUNKS_MAX: usize = 16;
/// Chunks that have less than so many bytes on average are small.
const CHUNK_SMALL: usize = 1024;

/// A queue of bytes, in the chunks in which they came, from which frames are taken.
///
/// Chunks are not copied unless many small ones wait, and let go of as soon as they are read. When all has been read
/// nothing is kept, so a connection on which nothing comes costs nothing.
#[derive(Debug, Default)]
pub struct Input {
    /// The chunk that is read; empty only if there is none. Most hold whole frames, and need no queue.
    front: Bytes,
    /// Those after it, none of them empty.
    rest: VecDeque<Bytes>,
    len: usize,
}

impl Input {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what has come.
    #[inline]
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.len += chunk.len();
        if self.front.is_empty() {
            self.front = chunk;
        } else {
            self.rest.push_back(chunk);
            if self.rest.len() >= CHUNKS_MAX {
                self.join_small();
            }
        }
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

    /// Takes the head of the next frame, once all of its payload is there too; `None` until then. The payload is to be
    /// taken next, by [`payload`](Self::payload), [`pieces`](Self::pieces), [`move_to`](Self::move_to) or
    /// [`skip`](Self::skip).
    ///
    /// # Errors
    /// FRAME_SIZE_ERROR as soon as the head says that the frame is longer than
    /// [`MAX_FRAME`](crate::frame::MAX_FRAME) (RFC 9113 4.2). So what is held here is bounded by that, and what is
    /// pushed at a time.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Head>, ConnectionError> {
        let bytes = match self.front.first_chunk() {
            Some(bytes) => *bytes,
            None if self.len < HEAD_BYTES => return Ok(None),
            None => {
                let mut bytes = [0; HEAD_BYTES];
                self.copy_to(&mut bytes);
                bytes
            }
        };
        let head = Head::parse(bytes);
        head.check_len()?;
        if self.len < HEAD_BYTES + head.len {
            return Ok(None);
        }
        self.skip(HEAD_BYTES);
        Ok(Some(head))
    }

    /// Takes the next `len` bytes, or all if there are less, in one piece: copied only where they lie in several
    /// chunks.
    #[inline]
    pub fn payload(&mut self, len: usize) -> Bytes {
        let len = len.min(self.len);
        if len <= self.front.len() {
            return self.take_front(len);
        }
        let mut payload = BytesMut::with_capacity(len);
        self.pieces(len, |piece| payload.extend_from_slice(&piece));
        payload.freeze()
    }

    /// Takes the next `len` bytes, or all if there are less, in the pieces in which they lie, none of them empty.
    pub fn pieces(&mut self, len: usize, mut each: impl FnMut(Bytes)) {
        let mut left = len.min(self.len);
        while left > 0 {
            let piece = self.take_front(left.min(self.front.len()));
            left -= piece.len();
            each(piece);
        }
    }

    /// Moves the next `len` bytes, or all if there are less, to the end of what is to be written. As
    /// [`pieces`](Self::pieces) that are [pushed](Output::push), but small ones are copied without a reference to them.
    pub fn move_to(&mut self, len: usize, out: &mut Output) {
        let mut left = len.min(self.len);
        while left > 0 {
            let here = left.min(self.front.len());
            if here < KEEP_FROM {
                out.extend(&self.front[..here]);
                self.skip(here);
            } else {
                out.push(self.take_front(here));
            }
            left -= here;
        }
    }

    /// Takes the next `len` bytes, or all if there are less, for nothing.
    #[inline]
    pub fn skip(&mut self, len: usize) {
        let mut left = len.min(self.len);
        self.len -= left;
        while left >= self.front.len() && !self.front.is_empty() {
            left -= self.front.len();
            self.next_chunk();
        }
        self.front.advance(left.min(self.front.len()));
    }

    /// Copies what comes next, and takes nothing. Returns how much that is: less than asked for where there is less.
    pub fn copy_to(&self, into: &mut [u8]) -> usize {
        let mut copied = 0;
        for chunk in std::iter::once(&self.front).chain(&self.rest) {
            let left = &mut into[copied..];
            let len = left.len().min(chunk.len());
            left[..len].copy_from_slice(&chunk[..len]);
            copied += len;
            if copied == into.len() {
                break;
            }
        }
        copied
    }

    /// Takes the client's [`PREFACE`] (RFC 9113 3.4): `true` once it has come whole and is taken, `false` while more of
    /// it has to come.
    ///
    /// # Errors
    /// PROTOCOL_ERROR as soon as it is something else.
    pub fn preface(&mut self) -> Result<bool, ConnectionError> {
        let mut bytes = [0; PREFACE.len()];
        let come = self.copy_to(&mut bytes);
        if bytes[..come] != PREFACE[..come] {
            return Err(ConnectionError::protocol("the connection does not begin as HTTP/2"));
        }
        if come < PREFACE.len() {
            return Ok(false);
        }
        self.skip(come);
        Ok(true)
    }

    /// Makes one chunk of those that wait, where they are small.
    #[cold]
    fn join_small(&mut self) {
        let len = self.len - self.front.len();
        if len < self.rest.len() * CHUNK_SMALL {
            let mut all = BytesMut::with_capacity(len);
            self.rest.drain(..).for_each(|chunk| all.extend_from_slice(&chunk));
            self.rest.push_back(all.freeze());
        }
    }

    /// Takes `len` bytes of the front, which has as many.
    #[inline]
    fn take_front(&mut self, len: usize) -> Bytes {
        self.len -= len;
        if len < self.front.len() {
            return self.front.split_to(len);
        }
        self.next_chunk()
    }

    /// Takes the front, and puts the next in its place. When there is none the queue's memory is given back.
    #[inline]
    fn next_chunk(&mut self) -> Bytes {
        let next = match self.rest.pop_front() {
            Some(next) => next,
            None => {
                if self.rest.capacity() > 0 {
                    self.rest = VecDeque::new();
                }
                Bytes::new()
            }
        };
        std::mem::replace(&mut self.front, next)
    }
}

#[cfg(test)]
mod tests;
