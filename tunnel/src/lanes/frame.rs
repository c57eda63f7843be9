//! The bytes of a lane frame: one binary WebSocket message each.
//!
//! `kind: u8`, `lane: u32` big endian, then the payload:
//!
//! | kind | from | payload |
//! | --- | --- | --- |
//! | 0 DATA | both | bytes, at most [`LANE_DATA_MAX`] |
//! | 1 OPEN | hub | a list of `type: u8`, `length: u16`, value |
//! | 2 CREDIT | both | `u32`: so many more bytes may be sent |
//! | 3 FIN | both | from the agent `u64 delivered`, from the hub nothing |
//! | 4 RESET | both | `u8` code, `u64 delivered`, UTF-8 reason |
//! | 5 RETURN | both | `u32`: the sender gives up so much unused credit |
//!
//! Unknown kinds are skipped. Of OPEN's values, type 1 is the source (`u64`), 128 for which of the agent's names the lane is
//! (`u16`), 129, between two hubs, for which of the other's agents (`u64`); of types that are not known, those from 128 on
//! have the lane reset.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::limits::{LANE_DATA_MAX, LANE_REASON_MAX};

/// Bytes before the payload: the kind and the lane.
pub const HEAD_BYTES: usize = 5;

const DATA: u8 = 0;
const OPEN: u8 = 1;
const CREDIT: u8 = 2;
const FIN: u8 = 3;
const RESET: u8 = 4;
const RETURN: u8 = 5;

/// OPEN's value that says whose lane it is.
const OPEN_SOURCE: u8 = 1;
/// From here on, a type of OPEN that the agent does not know means that it cannot serve the lane.
const OPEN_CRITICAL: u8 = 0x80;
/// OPEN's value that says which of the agent's names the lane is for; without, the first.
const OPEN_NTH: u8 = 0x80;
/// OPEN's value that says, to another hub, which of its agents the lane is for; without, it is for that hub itself.
const OPEN_AGENT: u8 = 0x81;

/// Whose bytes a lane carries: lanes of one source share its turns. Opaque; equal or not is all it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source(pub u64);

/// What the hub says of a lane when it opens it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Whose lane it is.
    pub source: Source,
    /// Which of the agent's names it is for, from 0, in the order in which they were registered.
    pub nth: u16,
    /// To another hub: which of its agents it is for, by the number that it has told; without, that hub itself. Never to an
    /// agent.
    pub agent: Option<u64>,
}

/// Why a lane was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCode {
    /// 0: its user has gone.
    Closed,
    /// 1: the upstream does not answer.
    Unreachable,
    /// 2: as many lanes are open as the agent, or its upstream, takes.
    TooMany,
    /// 3: the other end said something that this one cannot serve.
    Protocol,
    /// 4: the sender is going away. From a hub: it has no use for the lane, and the agent may keep its connection.
    GoingAway,
    /// 5: the hub that leads on has lost the agent's session, or has none.
    Lost,
    /// Any other, of a newer peer.
    Other(u8),
}

impl From<u8> for ResetCode {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Closed,
            1 => Self::Unreachable,
            2 => Self::TooMany,
            3 => Self::Protocol,
            4 => Self::GoingAway,
            5 => Self::Lost,
            other => Self::Other(other),
        }
    }
}

impl From<ResetCode> for u8 {
    fn from(code: ResetCode) -> Self {
        match code {
            ResetCode::Closed => 0,
            ResetCode::Unreachable => 1,
            ResetCode::TooMany => 2,
            ResetCode::Protocol => 3,
            ResetCode::GoingAway => 4,
            ResetCode::Lost => 5,
            ResetCode::Other(other) => other,
        }
    }
}

/// A lane frame, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of the stream.
    Data(Bytes),
    /// A new lane; `None` where it asks for something that this end does not know.
    Open(Option<Open>),
    /// So many more bytes may be sent.
    Credit(u32),
    /// The sender sends no more. The agent says how many bytes it had written to the upstream.
    Fin(Option<u64>),
    /// The lane is over in both directions.
    Reset {
        /// Why.
        code: ResetCode,
        /// Bytes that had been written to the upstream.
        delivered: u64,
        /// The sender's words.
        reason: String,
    },
    /// The sender gives up so much of its credit.
    Return(u32),
    /// A kind that this version does not know.
    Unknown,
}

/// A message that is no lane frame: too short, too long, or with a payload of the wrong length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lane frame of a wrong length")]
pub struct BadLength;

impl Frame {
    /// Reads one message: the lane, and what is said of it.
    ///
    /// # Errors
    /// Its length is wrong.
    pub fn read(mut message: Bytes) -> Result<(u32, Self), BadLength> {
        if message.len() < HEAD_BYTES {
            return Err(BadLength);
        }
        let (kind, lane) = (message.get_u8(), message.get_u32());
        let frame = match kind {
            DATA if message.len() > LANE_DATA_MAX => return Err(BadLength),
            DATA => Self::Data(message),
            OPEN => Self::Open(read_open(message)?),
            CREDIT => Self::Credit(u32::from_be_bytes(exactly(&message)?)),
            FIN if message.is_empty() => Self::Fin(None),
            FIN => Self::Fin(Some(u64::from_be_bytes(exactly(&message)?))),
            RESET => {
                let code = message.try_get_u8().map_err(|_| BadLength)?.into();
                let delivered = message.try_get_u64().map_err(|_| BadLength)?;
                let words = &message[..message.len().min(LANE_REASON_MAX)];
                Self::Reset { code, delivered, reason: String::from_utf8_lossy(words).into_owned() }
            }
            RETURN => Self::Return(u32::from_be_bytes(exactly(&message)?)),
            _ => Self::Unknown,
        };
        Ok((lane, frame))
    }
}

fn exactly<const N: usize>(payload: &[u8]) -> Result<[u8; N], BadLength> {
    payload.try_into().map_err(|_| BadLength)
}

fn read_open(mut payload: Bytes) -> Result<Option<Open>, BadLength> {
    let mut open = Open::default();
    let mut known = true;
    while payload.has_remaining() {
        let kind = payload.get_u8();
        let len = payload.try_get_u16().map_err(|_| BadLength)?.into();
        if payload.len() < len {
            return Err(BadLength);
        }
        let value = payload.split_to(len);
        match kind {
            OPEN_SOURCE => open.source = Source(u64::from_be_bytes(exactly(&value)?)),
            OPEN_NTH => open.nth = u16::from_be_bytes(exactly(&value)?),
            OPEN_AGENT => open.agent = Some(u64::from_be_bytes(exactly(&value)?)),
            critical if critical >= OPEN_CRITICAL => known = false,
            _ => {}
        }
    }
    Ok(known.then_some(open))
}

/// The start of a DATA message, to which up to [`LANE_DATA_MAX`] bytes are to be added.
#[must_use]
pub fn data(lane: u32, capacity: usize) -> BytesMut {
    let mut message = BytesMut::with_capacity(HEAD_BYTES + capacity);
    head(&mut message, DATA, lane);
    message
}

/// An OPEN message.
#[must_use]
pub fn open(lane: u32, open: Open) -> Bytes {
    let mut message = BytesMut::with_capacity(HEAD_BYTES + 27);
    head(&mut message, OPEN, lane);
    message.put_u8(OPEN_SOURCE);
    message.put_u16(8);
    message.put_u64(open.source.0);
    // An agent with one name may be older than this value.
    if open.nth > 0 {
        message.put_u8(OPEN_NTH);
        message.put_u16(2);
        message.put_u16(open.nth);
    }
    if let Some(agent) = open.agent {
        message.put_u8(OPEN_AGENT);
        message.put_u16(8);
        message.put_u64(agent);
    }
    message.freeze()
}

/// A CREDIT message.
#[must_use]
pub fn credit(lane: u32, bytes: u32) -> Bytes {
    number(CREDIT, lane, bytes)
}

/// A RETURN message.
#[must_use]
pub fn give_back(lane: u32, bytes: u32) -> Bytes {
    number(RETURN, lane, bytes)
}

/// A FIN message; of the agent with what it has delivered.
#[must_use]
pub fn fin(lane: u32, delivered: Option<u64>) -> Bytes {
    let mut message = BytesMut::with_capacity(HEAD_BYTES + 8);
    head(&mut message, FIN, lane);
    if let Some(delivered) = delivered {
        message.put_u64(delivered);
    }
    message.freeze()
}

/// A RESET message; the reason is cut to [`LANE_REASON_MAX`] bytes.
#[must_use]
pub fn reset(lane: u32, code: ResetCode, delivered: u64, reason: &str) -> Bytes {
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(LANE_REASON_MAX)];
    let mut message = BytesMut::with_capacity(HEAD_BYTES + 9 + reason.len());
    head(&mut message, RESET, lane);
    message.put_u8(code.into());
    message.put_u64(delivered);
    message.put_slice(reason);
    message.freeze()
}

fn number(kind: u8, lane: u32, number: u32) -> Bytes {
    let mut message = BytesMut::with_capacity(HEAD_BYTES + 4);
    head(&mut message, kind, lane);
    message.put_u32(number);
    message.freeze()
}

fn head(message: &mut BytesMut, kind: u8, lane: u32) {
    message.put_u8(kind);
    message.put_u32(lane);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire() {
        let mut bytes = data(7, 3);
        bytes.put_slice(b"abc");
        let opened = Open { source: Source(u64::MAX - 1), ..Open::default() };
        let of_another = Open { nth: 258, ..opened };
        let at_a_hub = Open { agent: Some(u64::MAX - 2), ..opened };
        let reset_frame = |reason: &str| Frame::Reset {
            code: ResetCode::TooMany,
            delivered: 9,
            reason: reason.into(),
        };
        for (message, frame) in [
            (bytes.freeze(), Frame::Data(Bytes::from_static(b"abc"))),
            (open(7, opened), Frame::Open(Some(opened))),
            (open(7, of_another), Frame::Open(Some(of_another))),
            (open(7, at_a_hub), Frame::Open(Some(at_a_hub))),
            (credit(7, 65_536), Frame::Credit(65_536)),
            (fin(7, Some(5)), Frame::Fin(Some(5))),
            (fin(7, None), Frame::Fin(None)),
            (reset(7, ResetCode::TooMany, 9, "full"), reset_frame("full")),
            (reset(7, ResetCode::TooMany, 9, &"ü".repeat(200)), reset_frame(&"ü".repeat(127))),
            (give_back(7, 1), Frame::Return(1)),
        ] {
            assert_eq!(Frame::read(message), Ok((7, frame)));
        }
    }

    #[test]
    fn unknown_kinds_and_values_are_skipped() {
        assert_eq!(Frame::read(Bytes::from_static(b"\xee\0\0\0\x01xyz")), Ok((1, Frame::Unknown)));
        let known = Frame::Open(Some(Open { source: Source(2), ..Open::default() }));
        let optional = b"\x01\0\0\0\x01\x07\0\x01x\x01\0\x08\0\0\0\0\0\0\0\x02";
        assert_eq!(Frame::read(Bytes::from_static(optional)), Ok((1, known)));
        let critical = b"\x01\0\0\0\x01\x82\0\x00";
        assert_eq!(Frame::read(Bytes::from_static(critical)), Ok((1, Frame::Open(None))));
    }

    #[test]
    fn wrong_lengths_are_told() {
        for wrong in [
            &b""[..],
            b"\0\0\0\0",
            b"\x01\0\0\0\x01\x01",
            b"\x01\0\0\0\x01\x01\0\x02x",
            b"\x01\0\0\0\x01\x01\0\x01x",
            b"\x01\0\0\0\x01\x80\0\x01x",
            b"\x01\0\0\0\x01\x81\0\x01x",
            b"\x02\0\0\0\x01\0\0\0",
            b"\x03\0\0\0\x01\0",
            b"\x03\0\0\0\x01\0\0\0\0\0\0\0\0\0",
            b"\x01\0\0\0\x01\x01\0\x09\0\0\0\0\0\0\0\0\0",
            b"\x04\0\0\0\x01\x01\0\0\0",
            b"\x05\0\0\0\x01\0\0\0\0\0",
        ] {
            assert_eq!(Frame::read(Bytes::copy_from_slice(wrong)), Err(BadLength), "{wrong:?}");
        }
        let long = data(1, 0);
        let long = [&long[..], &vec![0; LANE_DATA_MAX + 1]].concat();
        assert_eq!(Frame::read(long.into()), Err(BadLength));
    }
}
