//! What the ends of a WebSocket say to each other, whole.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::frame::{CONTROL_BYTES, FrameError};
use crate::wire::CloseCode;

/// A message, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Binary(Bytes),
    Text(String),
    Ping(Bytes),
    Pong(Bytes),
    Close(Option<Close>),
}

impl Message {
    /// Bytes of its payload.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            Self::Close(_) => 0,
        }
    }
}

/// What a Close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: CloseCode,
    pub(super) reason: String,
}

impl Close {
    pub(super) fn new(code: CloseCode, reason: &str) -> Self {
        Self { code, reason: reason.to_owned() }
    }

    /// Reads the payload of a Close frame, which may be empty.
    pub(super) fn parse(payload: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return if payload.is_empty() { Ok(None) } else { Err(FrameError::Close) };
        };
        let code = u16::from_be_bytes(*code);
        if !may_be_sent(code) {
            return Err(FrameError::Close);
        }
        let reason = str::from_utf8(reason).map_err(|_| FrameError::Text)?;
        Ok(Some(Self::new(code.into(), reason)))
    }

    /// The payload. What does not fit of the reason is left out.
    pub(super) fn payload(&self) -> Bytes {
        let mut payload = BytesMut::with_capacity(CONTROL_BYTES);
        payload.put_u16(self.code.into());
        let most = self.reason.floor_char_boundary(CONTROL_BYTES - payload.len());
        payload.extend_from_slice(&self.reason.as_bytes()[..most]);
        payload.freeze()
    }
}

/// Whether a Close frame may have this code (RFC 6455 7.4, and those that IANA has added since).
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_says_what_it_was_told_to() {
        assert_eq!(Close::parse(&[]), Ok(None));
        let close = Close::new(CloseCode::Replaced, "why");
        assert_eq!(Close::parse(&close.payload()), Ok(Some(close)));
        let long = Close::new(CloseCode::Normal, &"ä".repeat(100)).payload();
        assert_eq!(long.len(), 2 + 122);
        Close::parse(&long).expect("no half letters");
    }

    #[test]
    fn a_close_that_nobody_may_send_is_told() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535_u16] {
            assert_eq!(Close::parse(&code.to_be_bytes()), Err(FrameError::Close), "{code}");
        }
        assert_eq!(Close::parse(&[3]), Err(FrameError::Close));
        assert_eq!(Close::parse(&[3, 0xe8, 0xff]), Err(FrameError::Text));
    }
}
