//! A header block, from HEADERS to END_HEADERS (RFC 9113 4.3, 6.10).

use bytes::{Bytes, BytesMut};

use crate::error::{ConnectionError, Reason};
use crate::frame::{Head, flag, kind};

/// A block may have so many CONTINUATIONs. Each costs work, and may be empty.
pub const CONTINUATIONS_MAX: usize = 32;

/// Puts the frames of a block together, one block at a time. Holds at most what it was told to, and between blocks
/// nothing.
#[derive(Debug)]
pub struct Block {
    /// Bytes that a block may have, as they are on the wire. More ends the connection: to skip it would leave the table
    /// of the decoder wrong.
    max: usize,
    /// That of the block, or 0 where none is open.
    stream: u32,
    end_stream: bool,
    fragment: BytesMut,
    continuations: usize,
}

/// A block that has come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeBlock {
    /// Whose it is.
    pub stream: u32,
    /// Whether nothing comes after it in this direction.
    pub end_stream: bool,
    /// All of it, to be decoded. Not copied where HEADERS had END_HEADERS.
    pub fragment: Bytes,
}

impl Block {
    /// For blocks of at most so many bytes, as they are on the wire.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, stream: 0, end_stream: false, fragment: BytesMut::new(), continuations: 0 }
    }

    /// Returns whether a block is being read: then only CONTINUATION of its stream may come.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stream != 0
    }

    /// Returns the stream of the block that is being read, or 0.
    #[must_use]
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// Checks any frame that comes against the block that is being read (RFC 9113 6.10).
    ///
    /// # Errors
    /// PROTOCOL_ERROR where something comes into a block, or a CONTINUATION without one.
    #[inline]
    pub fn check(&self, head: Head) -> Result<(), ConnectionError> {
        let continues = head.kind == kind::CONTINUATION;
        if continues == self.is_open() && (!continues || head.stream == self.stream) {
            return Ok(());
        }
        Err(ConnectionError::protocol(if self.is_open() {
            "a header block is interrupted"
        } else {
            "a CONTINUATION without a header block"
        }))
    }

    /// Begins a block with a HEADERS frame, whose fragment is [unpadded](crate::frame::unpad). Returns the block if
    /// that is all of it.
    ///
    /// # Errors
    /// As [`check`](Self::check), and ENHANCE_YOUR_CALM beyond the most bytes.
    pub fn begin(
        &mut self,
        head: Head,
        fragment: Bytes,
    ) -> Result<Option<WholeBlock>, ConnectionError> {
        self.check(head)?;
        self.check_len(fragment.len())?;
        let (stream, end_stream) = (head.stream, head.has(flag::END_STREAM));
        if head.has(flag::END_HEADERS) {
            return Ok(Some(WholeBlock { stream, end_stream, fragment }));
        }
        let fragment = BytesMut::from(&fragment[..]);
        *self = Self { stream, end_stream, fragment, continuations: 0, max: self.max };
        Ok(None)
    }

    /// Goes on with a CONTINUATION frame. Returns the block if it is the last.
    ///
    /// # Errors
    /// As [`check`](Self::check), and ENHANCE_YOUR_CALM beyond the most bytes or [`CONTINUATIONS_MAX`] frames.
    pub fn go_on(
        &mut self,
        head: Head,
        fragment: Bytes,
    ) -> Result<Option<WholeBlock>, ConnectionError> {
        self.check(head)?;
        self.continuations += 1;
        if self.continuations > CONTINUATIONS_MAX {
            let why = "a header block of too many frames";
            return Err(ConnectionError::new(Reason::ENHANCE_YOUR_CALM, why));
        }
        self.check_len(self.fragment.len() + fragment.len())?;
        self.fragment.extend_from_slice(&fragment);
        if !head.has(flag::END_HEADERS) {
            return Ok(None);
        }
        let Self { stream, end_stream, fragment, .. } =
            std::mem::replace(self, Self::new(self.max));
        Ok(Some(WholeBlock { stream, end_stream, fragment: fragment.freeze() }))
    }

    fn check_len(&self, len: usize) -> Result<(), ConnectionError> {
        if len <= self.max {
            return Ok(());
        }
        Err(ConnectionError::new(Reason::ENHANCE_YOUR_CALM, "a header block of too many bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_MAX: usize = 48 << 10;

    fn head(kind: u8, flags: u8, stream: u32) -> Head {
        Head { len: 0, kind, flags, stream }
    }

    fn fragment(len: usize) -> Bytes {
        vec![7; len].into()
    }

    fn calm(why: &'static str) -> Result<Option<WholeBlock>, ConnectionError> {
        Err(ConnectionError::new(Reason::ENHANCE_YOUR_CALM, why))
    }

    const LAST: u8 = flag::END_HEADERS;

    #[test]
    fn a_block_of_one_frame_is_not_copied() {
        let mut block = Block::new(BLOCK_MAX);
        let bytes = fragment(100);
        let flags = LAST | flag::END_STREAM;
        let whole = block.begin(head(kind::HEADERS, flags, 5), bytes.clone());
        let whole = whole.expect("a block").expect("a whole one");
        assert_eq!((whole.stream, whole.end_stream), (5, true));
        assert_eq!(whole.fragment.as_ptr(), bytes.as_ptr());
        assert!(!block.is_open());
    }

    #[test]
    fn frames_are_put_together() {
        let mut block = Block::new(BLOCK_MAX);
        let (begin, go_on) = (head(kind::HEADERS, 0, 5), head(kind::CONTINUATION, 0, 5));
        assert_eq!(block.begin(begin, Bytes::from_static(b"ab")), Ok(None));
        assert_eq!((block.is_open(), block.stream()), (true, 5));
        assert_eq!(block.go_on(go_on, Bytes::new()), Ok(None));
        // In a CONTINUATION the bit of END_STREAM says nothing.
        let last = head(kind::CONTINUATION, LAST | flag::END_STREAM, 5);
        let fragment = Bytes::from_static(b"abcd");
        let whole = WholeBlock { stream: 5, end_stream: false, fragment };
        assert_eq!(block.go_on(last, Bytes::from_static(b"cd")), Ok(Some(whole)));
        assert_eq!((block.is_open(), block.stream()), (false, 0));
        assert_eq!(block.check(begin), Ok(()));
    }

    #[test]
    fn nothing_comes_into_a_block() {
        let mut block = Block::new(BLOCK_MAX);
        let alone = ConnectionError::protocol("a CONTINUATION without a header block");
        let go_on = head(kind::CONTINUATION, LAST, 5);
        assert_eq!(block.check(go_on), Err(alone));
        assert_eq!(block.go_on(go_on, Bytes::new()), Err(alone));
        for kind in [kind::DATA, kind::HEADERS, kind::PING, 0xee] {
            assert_eq!(block.check(head(kind, 0, 5)), Ok(()), "{kind}");
        }
        assert_eq!(block.begin(head(kind::HEADERS, 0, 5), Bytes::new()), Ok(None));
        let interrupted = ConnectionError::protocol("a header block is interrupted");
        for kind in [kind::DATA, kind::HEADERS, kind::PING, 0xee] {
            assert_eq!(block.check(head(kind, 0, 5)), Err(interrupted), "{kind}");
        }
        let other = head(kind::CONTINUATION, LAST, 7);
        assert_eq!(block.check(other), Err(interrupted));
        assert_eq!(block.go_on(other, Bytes::new()), Err(interrupted));
        assert_eq!(block.begin(head(kind::HEADERS, LAST, 7), Bytes::new()), Err(interrupted));
        assert_eq!(block.check(go_on), Ok(()));
    }

    #[test]
    fn blocks_are_bounded() {
        let (begin, go_on) = (head(kind::HEADERS, 0, 1), head(kind::CONTINUATION, 0, 1));
        let last = head(kind::CONTINUATION, LAST, 1);
        let mut bytes = Block::new(BLOCK_MAX);
        assert_eq!(bytes.begin(begin, fragment(BLOCK_MAX - 1)), Ok(None));
        assert_eq!(bytes.go_on(go_on, fragment(1)), Ok(None));
        let too_long = calm("a header block of too many bytes");
        assert_eq!(bytes.go_on(last, fragment(1)), too_long);
        assert_eq!(Block::new(BLOCK_MAX).begin(begin, fragment(BLOCK_MAX + 1)), too_long);

        let mut frames = Block::new(BLOCK_MAX);
        assert_eq!(frames.begin(begin, fragment(1)), Ok(None));
        for _ in 1..CONTINUATIONS_MAX {
            assert_eq!(frames.go_on(go_on, Bytes::new()), Ok(None));
        }
        assert!(frames.go_on(last, Bytes::new()).is_ok_and(|whole| whole.is_some()));
        assert_eq!(frames.begin(begin, fragment(1)), Ok(None));
        for _ in 0..CONTINUATIONS_MAX {
            assert_eq!(frames.go_on(go_on, Bytes::new()), Ok(None));
        }
        assert_eq!(frames.go_on(last, Bytes::new()), calm("a header block of too many frames"));
    }
}
