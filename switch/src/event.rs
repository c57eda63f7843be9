//! What a switch tells its owner, who knows of names, callers and sessions.

use bytes::Bytes;
use http2::error::{ConnectionError, Reason};
use http2::message::Malformed;

/// A call of the client: the number of its stream on the client's connection.
pub type CallId = u32;

/// A lane of the client, for as long as the switch knows it.
pub type LaneId = usize;

/// What has happened. Whoever is told acts on it before the switch reads on.
#[derive(Debug, PartialEq)]
pub enum Event<C> {
    /// A call has begun. It waits until it is forwarded, answered or reset.
    Call(CallId),
    /// The upstream never processed the call, and it can be sent once more: it waits again, and its lane is left.
    Returned(CallId),
    /// The lane ended under a call that may have been processed: the owner says what the client is told.
    Lost(CallId),
    /// The head of the upstream's answer has been passed on.
    Answered(CallId),
    /// The call is over for its client.
    Ended {
        /// Which it was. What is left of its request may go on.
        call: CallId,
        /// What the owner knew of it.
        user: Option<C>,
        /// How it ended.
        end: Ended,
    },
    /// The upstream has spoken HTTP/2.
    LaneReady(LaneId),
    /// A lane that had no room for a stream, or was busy, has room, or is idle.
    LaneRoom(LaneId),
    /// The upstream takes no new streams on the lane.
    Goaway {
        /// Which lane.
        lane: LaneId,
        /// Its code.
        reason: Reason,
        /// What it said.
        debug: Bytes,
    },
    /// The upstream does not speak HTTP/2 as it should; its calls are lost, and the lane is to be closed.
    LaneFailed(LaneId, ConnectionError),
    /// The client has acknowledged the ping by which it was told to go elsewhere.
    DrainHeard,
}

/// How a call ended, and what it moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// By what.
    pub how: How,
    /// Of the response; 0 before its head.
    pub status: u16,
    /// `grpc-status`, where the response had one.
    pub grpc_status: Option<u32>,
    /// Bytes of the request and of the response that were passed on.
    pub bytes: (u64, u64),
    /// Messages of the request and of the response that have come, if they are gRPC's: by the prefix of five bytes that each
    /// has.
    pub messages: (u64, u64),
}

/// What ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The response was passed on whole.
    Complete,
    /// The owner answered it, or broke it off.
    Answered,
    /// The client reset the stream, or is gone.
    ClientReset(Reason),
    /// The client broke the protocol on the stream.
    ClientBreach(Reason),
    /// The upstream reset the stream, as the client is told.
    UpstreamReset(Reason),
    /// The upstream broke the protocol on the stream, or said more than a call may.
    UpstreamBreach(Reason),
    /// It was never processed, and could not be sent again.
    Refused,
}

/// Why a request cannot be passed on.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfit {
    /// Its header list has this size, which is more than is kept.
    TooLarge(usize),
    /// It is malformed.
    Malformed(Malformed),
}
