//! What the payloads of frames say.

use bytes::{Buf, Bytes};

use super::{Head, WITHOUT_RESERVED, flag, kind};
use crate::error::{ConnectionError, Reason};

/// Bytes of the field that says how long the padding is (RFC 9113 6.1).
const PAD_LEN: usize = 1;
/// Bytes of the fields that the PRIORITY flag says are there: dependency and weight (RFC 9113 6.2).
const PRIORITY: usize = 5;

/// Returns the identifiers and values in a payload of SETTINGS, in their order (RFC 9113 6.5.1). A rest of less than
/// six bytes is passed over: [`Head::check`] refuses it.
pub fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    let (settings, _) = payload.as_chunks();
    settings
        .iter()
        .map(|&[a, b, c, d, e, f]| (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])))
}

/// What a GOAWAY says (RFC 9113 6.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goaway {
    /// The last stream of the peer that the sender has looked at, or may still; without the reserved bit.
    pub last_stream: u32,
    /// Why.
    pub reason: Reason,
    /// The sender's words, which may be any bytes.
    pub debug: Bytes,
}

impl Goaway {
    /// Reads the payload; `None` where it is shorter than 8 bytes, which [`Head::check`] refuses.
    #[must_use]
    pub fn parse(mut payload: Bytes) -> Option<Self> {
        let last_stream = payload.try_get_u32().ok()? & WITHOUT_RESERVED;
        let reason = Reason(payload.try_get_u32().ok()?);
        Some(Self { last_stream, reason, debug: payload })
    }
}

/// Returns by how much a WINDOW_UPDATE makes the window larger, without the reserved bit (RFC 9113 6.9); `None` where
/// the payload is not of 4 bytes, which [`Head::check`] refuses. An increment of 0 is an error too, of the stream or
/// the connection (6.9), for the caller to tell.
#[inline]
#[must_use]
pub fn increment(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(payload.try_into().ok()?) & WITHOUT_RESERVED)
}

/// Returns why an RST_STREAM ends its stream (RFC 9113 6.4); `None` where the payload is not of 4 bytes, which
/// [`Head::check`] refuses.
#[inline]
#[must_use]
pub fn reason(payload: &[u8]) -> Option<Reason> {
    Some(Reason(u32::from_be_bytes(payload.try_into().ok()?)))
}

/// Where in a payload what it is about lies: `from..to`, of which `to` is at most the payload's length and `from` at
/// most `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Bytes before it.
    pub from: usize,
    /// Where padding, or nothing, begins.
    pub to: usize,
    /// The stream on which this one is said to depend (RFC 9113 5.3.2). To depend on itself is an error of the stream
    /// (RFC 7540 5.3.1).
    pub depends_on: Option<u32>,
}

/// Returns the bounds of what is inside the padding and priority fields of DATA or HEADERS (RFC 9113 6.1, 6.2). `first`
/// is what the payload begins with: 6 bytes, or all where it is shorter. Of any other kind of frame it is the whole
/// payload.
///
/// # Errors
/// PROTOCOL_ERROR where the padding is longer than what is left for it, FRAME_SIZE_ERROR where the payload is too short
/// for the fields that the flags say are there.
#[inline]
pub fn unpad(head: Head, first: &[u8]) -> Result<Inner, ConnectionError> {
    let fields = match head.kind {
        kind::DATA => flag::PADDED,
        kind::HEADERS => flag::PADDED | flag::PRIORITY,
        _ => 0,
    };
    if !head.has(fields) {
        return Ok(Inner { from: 0, to: head.len, depends_on: None });
    }
    unpad_fields(head.flags & fields, head.len, first)
}

fn unpad_fields(flags: u8, len: usize, first: &[u8]) -> Result<Inner, ConnectionError> {
    let too_short = ConnectionError::new(
        Reason::FRAME_SIZE_ERROR,
        "a frame too short for its padding or priority",
    );
    let (mut from, mut padding, mut depends_on) = (0, 0, None);
    if flags & flag::PADDED != 0 {
        padding = usize::from(*first.first().ok_or(too_short)?);
        from += PAD_LEN;
    }
    if flags & flag::PRIORITY != 0 {
        let priority = first.get(from..).and_then(<[u8]>::first_chunk::<PRIORITY>);
        let [stream @ .., _weight] = *priority.ok_or(too_short)?;
        depends_on = Some(u32::from_be_bytes(stream) & WITHOUT_RESERVED);
        from += PRIORITY;
    }
    let inner = len.checked_sub(from).ok_or(too_short)?;
    let Some(inner) = inner.checked_sub(padding) else {
        return Err(ConnectionError::protocol("a frame with more padding than payload"));
    };
    Ok(Inner { from, to: from + inner, depends_on })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const BOTH: u8 = flag::PADDED | flag::PRIORITY;

    fn look_at(kind: u8, flags: u8, payload: &[u8]) -> Result<(usize, usize, Option<u32>), Reason> {
        let head = Head { len: payload.len(), kind, flags, stream: 1 };
        let first = &payload[..payload.len().min(PAD_LEN + PRIORITY)];
        let inner = unpad(head, first).map_err(|error| error.reason)?;
        Ok((inner.from, inner.to, inner.depends_on))
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        let priority = b"\x80\0\0\x05\x10abc";
        assert_eq!(look_at(kind::DATA, 0, b""), Ok((0, 0, None)));
        assert_eq!(look_at(kind::DATA, flag::PRIORITY, b"abc"), Ok((0, 3, None)));
        assert_eq!(look_at(kind::DATA, flag::PADDED, b"\0abc"), Ok((1, 4, None)));
        assert_eq!(look_at(kind::DATA, flag::PADDED, b"\x02abc"), Ok((1, 2, None)));
        assert_eq!(look_at(kind::DATA, flag::PADDED, b"\x03abc"), Ok((1, 1, None)));
        assert_eq!(look_at(kind::HEADERS, 0, b"\x03abc"), Ok((0, 4, None)));
        assert_eq!(look_at(kind::HEADERS, flag::PRIORITY, priority), Ok((5, 8, Some(5))));
        assert_eq!(look_at(kind::HEADERS, flag::PRIORITY, &priority[..5]), Ok((5, 5, Some(5))));
        let both = [b"\x02", &priority[..]].concat();
        assert_eq!(look_at(kind::HEADERS, BOTH, &both), Ok((6, 7, Some(5))));
        assert_eq!(look_at(kind::CONTINUATION, BOTH, b"\x09"), Ok((0, 1, None)));
    }

    #[test]
    fn padding_and_priority_that_do_not_fit() {
        let (size, protocol) = (Reason::FRAME_SIZE_ERROR, Reason::PROTOCOL_ERROR);
        for (kind, flags, payload, reason) in [
            (kind::DATA, flag::PADDED, &b""[..], size),
            (kind::DATA, flag::PADDED, b"\x01", protocol),
            (kind::DATA, flag::PADDED, b"\x04abc", protocol),
            (kind::HEADERS, flag::PADDED, b"\x01", protocol),
            (kind::HEADERS, flag::PRIORITY, b"\0\0\0\x01", size),
            (kind::HEADERS, BOTH, b"", size),
            (kind::HEADERS, BOTH, b"\0\0\0\0\x01", size),
            (kind::HEADERS, BOTH, b"\x01\0\0\0\x01\x10", protocol),
            (kind::HEADERS, BOTH, b"\x02\0\0\0\x01\x10a", protocol),
        ] {
            assert_eq!(look_at(kind, flags, payload), Err(reason), "{kind} {flags} {payload:?}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(increment(b"\x80\0\x01\x02"), Some(258));
        assert_eq!(increment(b"\0\0\0\0"), Some(0));
        assert_eq!(increment(b"\0\0\x01"), None);
        assert_eq!(reason(b"\0\0\0\x08"), Some(Reason::CANCEL));
        assert_eq!(reason(b"\0\0\0\x08\0"), None);
        let listed: Vec<_> = settings(b"\0\x04\0\0\x01\0\xff\xff\xff\xff\xff\xff\0\x01").collect();
        assert_eq!(listed, [(4, 256), (u16::MAX, u32::MAX)]);
    }

    #[test]
    fn goaway() {
        let payload = b"\x80\0\0\x05\0\0\0\x0btoo_many_pings";
        let told = Goaway {
            last_stream: 5,
            reason: Reason::ENHANCE_YOUR_CALM,
            debug: Bytes::from_static(b"too_many_pings"),
        };
        assert_eq!(Goaway::parse(Bytes::from_static(payload)), Some(told));
        assert_eq!(Goaway::parse(Bytes::from_static(&payload[..7])), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_inside_lies_inside(
            kind in 0_u8..2, flags: u8, len in 0..300_usize, first in vec(any::<u8>(), 0..8)
        ) {
            let head = Head { len, kind, flags, stream: 1 };
            if let Ok(inner) = unpad(head, &first) {
                prop_assert!(inner.from <= inner.to && inner.to <= len);
            }
        }
    }
}
