//! What a switch may hold, with the reasons.

use crate::window::{WINDOW_FIRST, WINDOW_MAX};

/// What a client may send before any of it is passed on, and what may wait in the hub before that is held against it.
pub(crate) const CLIENT_WINDOW: i64 = 1 << 20;
/// Bytes of a client's requests that may lie in the hub while its window is still given back on receipt: so one lane
/// that takes nothing does not stop the others. From here on it is given back on delivery.
pub(crate) const CLIENT_HELD: usize = 1 << 20;
/// The same where the client is a front, whose callers have lanes of their own: the first windows of 256 calls that
/// nobody reads. They count for the hub's ceiling as all that is held.
pub(crate) const FRONT_HELD: usize = 16 << 20;
/// Bytes of requests that may wait for one lane before its calls are granted no more.
pub(crate) const LANE_HELD: usize = 256 << 10;
/// Bytes that may wait to be written to a lane, heads and windows among them, before it gets no new calls.
pub(crate) const LANE_OUTPUT: usize = 96 << 10;
/// Bytes of a lane's answers that may be on their way, or wait for the client, at first: what HTTP/2 begins with
/// (RFC 9113 6.9.2). Whatever else comes on the lane waits behind them.
pub(crate) const LANE_WINDOW: i64 = WINDOW_FIRST;
/// The same where the link needs more and the client takes them as they come: 160 MB/s at 100 ms, half of it being on its
/// way back. grpc-go lets its own windows grow to half as much.
pub const LANE_WINDOW_MAX: i64 = 32 << 20;
/// What an upstream is told of the first window of streams at most, so that what it is granted ahead of the client fits
/// in beside it.
pub(crate) const STREAM_WINDOW_MAX: i64 = WINDOW_MAX - LANE_WINDOW_MAX;
/// Bytes of answers whose lanes are gone that may wait for the client before its upstreams are asked for no more.
pub(crate) const ORPHANS_MAX: usize = 2 << 20;
/// Bytes of a request's header list that are kept; beyond, the list is decoded to its end and the call refused.
pub(crate) const HEAD_MAX: usize = 64 << 10;
/// Bytes of a request's trailers: what servers take, as hyper does.
pub const TRAILERS_MAX: usize = 48 << 10;
/// Bytes of one header list of an answer. Above what a client may send, so that a server which echoes what it got does
/// not lose its answer.
pub const ANSWER_HEAD_MAX: usize = 96 << 10;
/// Bytes of a client's header block as it is sent; beyond, its connection ends. Twice what is kept, so that who sends
/// somewhat too much is told so.
pub(crate) const BLOCK_MAX: usize = 2 * HEAD_MAX;
/// The same of an upstream, whose lane ends: it is a caller's alone, and what a server answers it says to many.
pub const ANSWER_BLOCK_MAX: usize = 512 << 10;
/// 1xx answers before the real one; they have no flow control, and servers send one or two.
pub const INFORMATIONAL_MAX: u8 = 16;
/// Bytes of a request's body that are kept until its answer begins, so that it can be sent once more.
pub(crate) const REPLAY_BODY: usize = 16 << 10;
/// The same of all calls of a connection.
pub(crate) const REPLAY_ALL: usize = 1 << 20;
/// How often a call is sent once more.
pub(crate) const REPLAYS: u8 = 2;
/// Streams that the switch has ended on a client's connection and still remembers: late frames for them are no breach.
pub(crate) const RESETS_REMEMBERED: usize = 4096;
/// Calls that are kept for the next ones, with their memory.
pub(crate) const SPARE_CALLS: usize = 16;

/// Bytes that a switch holds of the bodies of a client's requests at most: those that wait, what was sent and has come
/// back, and what is kept of it. Of a front's it may be 15 MiB more.
pub const CLIENT_BYTES: usize = CLIENT_HELD + CLIENT_WINDOW as usize + 2 * REPLAY_ALL;

/// What differs from hub to hub.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls at once on the client's connection.
    pub max_calls: u32,
}
