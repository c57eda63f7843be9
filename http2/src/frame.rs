//! Frames (RFC 9113 4 and 6): kinds, flags and heads; how payloads are read and frames written.

mod payload;
mod write;

pub use self::payload::{Goaway, Inner, increment, reason, settings, unpad};
pub use self::write::{
    write_data, write_data_head, write_goaway, write_headers, write_ping, write_ping_ack,
    write_reset, write_settings_ack, write_window_update,
};
use crate::error::{ConnectionError, Reason};

/// Bytes of a head: length, kind, flags, stream (RFC 9113 4.1).
pub const HEAD_BYTES: usize = 9;

/// Bytes of a PING, its head among them (RFC 9113 6.7).
pub const PING_BYTES: usize = HEAD_BYTES + 8;

/// What a client says before its first frame (RFC 9113 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest payload that is taken and sent, in bytes: the protocol's default (RFC 9113 6.5.2). It is the same on all
/// connections, so no frame is ever cut to be passed on.
pub const MAX_FRAME: usize = 16_384;

/// Takes off the bit that is reserved in stream ids and increments.
pub(crate) const WITHOUT_RESERVED: u32 = u32::MAX >> 1;

/// What a frame is (RFC 9113 6). Any other is to be skipped (4.1).
pub mod kind {
    /// Bytes of messages (6.1).
    pub const DATA: u8 = 0;
    /// The beginning of a header block (6.2).
    pub const HEADERS: u8 = 1;
    /// Says nothing since RFC 9113 (6.3).
    pub const PRIORITY: u8 = 2;
    /// The stream has ended at once (6.4).
    pub const RST_STREAM: u8 = 3;
    /// What the sender takes, or that it has heard what the peer takes (6.5).
    pub const SETTINGS: u8 = 4;
    /// A server's own request (6.6).
    pub const PUSH_PROMISE: u8 = 5;
    /// To be answered at once (6.7).
    pub const PING: u8 = 6;
    /// The sender takes no more streams (6.8).
    pub const GOAWAY: u8 = 7;
    /// The peer may send so much more DATA (6.9).
    pub const WINDOW_UPDATE: u8 = 8;
    /// The rest of a header block (6.10).
    pub const CONTINUATION: u8 = 9;
}

/// What the bits of a head's flags say (RFC 9113 6). They mean something only in the kinds that define them.
pub mod flag {
    /// The last of its stream in this direction. Of DATA and HEADERS.
    pub const END_STREAM: u8 = 0x1;
    /// An answer. Of SETTINGS and PING.
    pub const ACK: u8 = 0x1;
    /// The last of its header block. Of HEADERS, PUSH_PROMISE and CONTINUATION.
    pub const END_HEADERS: u8 = 0x4;
    /// The payload begins with the length of the padding that it ends with. Of DATA, HEADERS and PUSH_PROMISE.
    pub const PADDED: u8 = 0x8;
    /// Five bytes of priority come before the block. Of HEADERS.
    pub const PRIORITY: u8 = 0x20;
}

/// What stands at the beginning of every frame (RFC 9113 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the payload, of which only the lower 24 bits are written.
    pub len: usize,
    /// One of [`kind`], or any other.
    pub kind: u8,
    /// Bits of [`flag`], or any other.
    pub flags: u8,
    /// The stream, without the reserved bit; 0 is the connection.
    pub stream: u32,
}

/// Whom to blame a frame on (RFC 9113 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The stream alone, which is to be reset.
    #[error("stream {stream}: {reason}: {why}")]
    Stream {
        /// Which, never 0.
        stream: u32,
        /// What RST_STREAM says.
        reason: Reason,
        /// In words, for a log.
        why: &'static str,
    },
    /// The connection, which must end.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl Head {
    /// Reads a head. The reserved bit is taken off.
    #[inline]
    #[must_use]
    pub fn parse(bytes: [u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        Self {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & WITHOUT_RESERVED,
        }
    }

    /// Returns the head as it is written.
    #[inline]
    #[must_use]
    pub fn bytes(self) -> [u8; HEAD_BYTES] {
        let [.., a, b, c] = self.len.to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }

    /// Returns whether any bit of `flag` is set.
    #[inline]
    #[must_use]
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Checks all of a frame that needs nothing but its head: lengths, and whether it is of a stream or of the
    /// connection (RFC 9113 4.2, 6.1 to 6.10). Kinds that are unknown may be of either, and as long as any.
    ///
    /// # Errors
    /// A PRIORITY of a wrong length is a fault of its stream, everything else of the connection.
    #[inline]
    pub fn check(self) -> Result<(), Fault> {
        self.check_len()?;
        self.check_stream()?;
        let fits = match self.kind {
            kind::PRIORITY if self.len != 5 => {
                let why = "a PRIORITY that is not of 5 bytes";
                return Err(self.of_stream(Reason::FRAME_SIZE_ERROR, why));
            }
            kind::RST_STREAM | kind::WINDOW_UPDATE => self.len == 4,
            kind::SETTINGS if self.has(flag::ACK) => self.len == 0,
            kind::SETTINGS => self.len.is_multiple_of(6),
            kind::PUSH_PROMISE => self.len >= 4,
            kind::PING => self.len == 8,
            kind::GOAWAY => self.len >= 8,
            _ => true,
        };
        if fits { Ok(()) } else { Err(self.wrong_len().into()) }
    }

    /// Checks the length against [`MAX_FRAME`] (RFC 9113 4.2).
    ///
    /// # Errors
    /// FRAME_SIZE_ERROR: the frame is too long to be taken, whatever it is.
    #[inline]
    pub fn check_len(self) -> Result<(), ConnectionError> {
        if self.len <= MAX_FRAME {
            return Ok(());
        }
        let why = "a frame longer than SETTINGS_MAX_FRAME_SIZE";
        Err(ConnectionError::new(Reason::FRAME_SIZE_ERROR, why))
    }

    /// Returns the fault of the frame's stream with this code, in these words.
    #[must_use]
    pub fn of_stream(self, reason: Reason, why: &'static str) -> Fault {
        Fault::Stream { stream: self.stream, reason, why }
    }

    #[inline]
    fn check_stream(self) -> Result<(), ConnectionError> {
        match self.kind {
            kind::SETTINGS | kind::PING | kind::GOAWAY if self.stream != 0 => {
                Err(ConnectionError::protocol("a frame of the connection that names a stream"))
            }
            kind::DATA
            | kind::HEADERS
            | kind::PRIORITY
            | kind::RST_STREAM
            | kind::PUSH_PROMISE
            | kind::CONTINUATION
                if self.stream == 0 =>
            {
                Err(ConnectionError::protocol("a frame of a stream that names none"))
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn wrong_len(self) -> ConnectionError {
        let why = match self.kind {
            kind::RST_STREAM => "an RST_STREAM that is not of 4 bytes",
            kind::WINDOW_UPDATE => "a WINDOW_UPDATE that is not of 4 bytes",
            kind::SETTINGS if self.has(flag::ACK) => "a SETTINGS acknowledgement with a payload",
            kind::SETTINGS => "SETTINGS that are not of 6 bytes each",
            kind::PUSH_PROMISE => "a PUSH_PROMISE of less than 4 bytes",
            kind::PING => "a PING that is not of 8 bytes",
            _ => "a GOAWAY of less than 8 bytes",
        };
        ConnectionError::new(Reason::FRAME_SIZE_ERROR, why)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(kind: u8, flags: u8, stream: u32, len: usize) -> Head {
        Head { len, kind, flags, stream }
    }

    fn size_error(why: &'static str) -> Result<(), Fault> {
        Err(ConnectionError::new(Reason::FRAME_SIZE_ERROR, why).into())
    }

    #[test]
    fn a_head_is_read() {
        let bytes = [1, 2, 3, kind::HEADERS, 0x25, 0x81, 2, 3, 4];
        let read = Head::parse(bytes);
        assert_eq!(read, head(kind::HEADERS, 0x25, 0x0102_0304, 0x01_0203));
        assert!(read.has(flag::END_STREAM) && read.has(flag::END_HEADERS));
        assert!(read.has(flag::PRIORITY) && !read.has(flag::PADDED));
    }

    #[test]
    fn frames_as_long_as_they_should_be() {
        for (kind, flags, stream, len) in [
            (kind::DATA, 0, 1, 0),
            (kind::DATA, 0, 1, MAX_FRAME),
            (kind::HEADERS, 0, 1, MAX_FRAME),
            (kind::PRIORITY, 0, 1, 5),
            (kind::RST_STREAM, 0, 1, 4),
            (kind::SETTINGS, 0, 0, 0),
            (kind::SETTINGS, 0, 0, 18),
            (kind::SETTINGS, flag::ACK, 0, 0),
            (kind::PUSH_PROMISE, 0, 1, 4),
            (kind::PING, flag::ACK, 0, 8),
            (kind::GOAWAY, 0, 0, 8),
            (kind::GOAWAY, 0, 0, 100),
            (kind::WINDOW_UPDATE, 0, 0, 4),
            (kind::WINDOW_UPDATE, 0, 1, 4),
            (kind::CONTINUATION, 0, 1, 0),
            (0xee, 0, 0, 1),
            (0xee, 0, 1, 0),
        ] {
            let head = head(kind, flags, stream, len);
            assert_eq!(head.check(), Ok(()), "{head:?}");
        }
    }

    #[test]
    fn frames_of_a_wrong_length() {
        let too_long = "a frame longer than SETTINGS_MAX_FRAME_SIZE";
        for (kind, flags, stream, len, why) in [
            (kind::DATA, 0, 1, MAX_FRAME + 1, too_long),
            (kind::PRIORITY, 0, 1, MAX_FRAME + 1, too_long),
            (0xee, 0, 0, MAX_FRAME + 1, too_long),
            (kind::RST_STREAM, 0, 1, 5, "an RST_STREAM that is not of 4 bytes"),
            (kind::SETTINGS, 0, 0, 7, "SETTINGS that are not of 6 bytes each"),
            (kind::SETTINGS, flag::ACK, 0, 6, "a SETTINGS acknowledgement with a payload"),
            (kind::PUSH_PROMISE, 0, 1, 3, "a PUSH_PROMISE of less than 4 bytes"),
            (kind::PING, 0, 0, 7, "a PING that is not of 8 bytes"),
            (kind::GOAWAY, 0, 0, 7, "a GOAWAY of less than 8 bytes"),
            (kind::WINDOW_UPDATE, 0, 1, 3, "a WINDOW_UPDATE that is not of 4 bytes"),
        ] {
            assert_eq!(head(kind, flags, stream, len).check(), size_error(why), "{kind} {len}");
        }
        let why = "a PRIORITY that is not of 5 bytes";
        let fault = Fault::Stream { stream: 7, reason: Reason::FRAME_SIZE_ERROR, why };
        assert_eq!(head(kind::PRIORITY, 0, 7, 4).check(), Err(fault));
        let words = "stream 7: FRAME_SIZE_ERROR: a PRIORITY that is not of 5 bytes";
        assert_eq!(fault.to_string(), words);
    }

    #[test]
    fn frames_of_a_wrong_stream() {
        let named = ConnectionError::protocol("a frame of the connection that names a stream");
        for (kind, len) in [(kind::SETTINGS, 0), (kind::PING, 8), (kind::GOAWAY, 8)] {
            assert_eq!(head(kind, 0, 1, len).check(), Err(named.into()), "{kind}");
        }
        let unnamed = ConnectionError::protocol("a frame of a stream that names none");
        for (kind, len) in [
            (kind::DATA, 1),
            (kind::HEADERS, 1),
            (kind::PRIORITY, 5),
            (kind::PRIORITY, 4),
            (kind::RST_STREAM, 4),
            (kind::PUSH_PROMISE, 4),
            (kind::CONTINUATION, 1),
        ] {
            assert_eq!(head(kind, 0, 0, len).check(), Err(unnamed.into()), "{kind}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn heads_survive_the_wire(
            len in 0_usize..1 << 24, kind: u8, flags: u8, stream in 0_u32..1 << 31
        ) {
            let head = head(kind, flags, stream, len);
            prop_assert_eq!(Head::parse(head.bytes()), head);
        }

        #[test]
        fn no_head_does_harm(bytes: [u8; HEAD_BYTES]) {
            let head = Head::parse(bytes);
            if head.check().is_ok() {
                prop_assert!(head.len <= MAX_FRAME);
            }
        }
    }
}
