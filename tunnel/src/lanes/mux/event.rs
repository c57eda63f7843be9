//! What a message of the peer changes, or breaks.

use crate::lanes::frame::{BadLength, Open, ResetCode};

/// What a message has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The hub has opened a lane.
    Opened(Open),
    /// The hub has opened a lane that this end cannot serve, and is told so.
    Refused,
    /// There is something to read.
    Readable,
    /// There is room to write.
    Writable,
    /// The peer has sent all that it had to.
    Finished {
        /// Of the agent: bytes that it had written to the upstream.
        delivered: u64,
    },
    /// The lane is over.
    Reset {
        /// Why.
        code: ResetCode,
        /// Bytes that had been written to the upstream.
        delivered: u64,
        /// The peer's words.
        reason: String,
    },
    /// Bytes that nobody reads any longer, which the peer could not know when it sent them.
    Late,
    /// Nothing.
    Ignored,
}

/// What the peer must never say. The session is over: hub or agent is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message of a wrong length.
    #[error(transparent)]
    Length(#[from] BadLength),
    /// A lane that was never opened.
    #[error("a frame for a lane that was never opened")]
    UnknownLane,
    /// OPEN from the agent, or of a lane that had been opened before.
    #[error("a lane opened out of order")]
    Open,
    /// More bytes than credit was given for, or more given back than there was.
    #[error("more than there was credit for")]
    Credit,
    /// DATA or FIN after FIN.
    #[error("a frame after the end of a lane")]
    AfterFin,
    /// Resets pile up, because the hub opens lanes and reads no answers.
    #[error("lanes are opened faster than answers are read")]
    Unread,
}
