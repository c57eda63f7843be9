//! How a lane ended.

use std::sync::{Arc, OnceLock};

use super::frame::ResetCode;

/// How a lane came to its end, as the peer said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneEnd {
    /// The peer has sent all that it had to; at the hub, because the upstream hung up.
    Finished {
        /// Of the agent: bytes that it had written to the upstream before.
        delivered: u64,
    },
    /// Over in both directions.
    Reset {
        /// Why.
        code: ResetCode,
        /// Bytes that had been written to the upstream before.
        delivered: u64,
        /// The peer's words.
        reason: String,
    },
    /// The session was lost. Nothing is known of what was delivered, but that it is no more than what was sent.
    Lost {
        /// Bytes of the lane that had been given to the WebSocket before.
        sent: u64,
    },
}

/// Tells how the peer ended a lane, also while its [`Lane`](super::Lane) is held by somebody else. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct LaneStatus(Arc<OnceLock<LaneEnd>>);

impl LaneStatus {
    /// How it ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<&LaneEnd> {
        self.0.get()
    }

    /// The first end stands, but that a finished lane may be lost or reset still changes nothing for its user.
    pub(super) fn set(&self, end: LaneEnd) {
        let _ = self.0.set(end);
    }
}
