//! Joins a client's HTTP/2 connection with its lanes: frames pass with another stream number, header blocks are
//! decoded and encoded again, windows are accounts.
//!
//! ```text
//!                 +------------------- Switch --------------------+
//!  client bytes ->| Link: Input, HPACK  ->  Call: up  -> Link ... |-> bytes of a lane, to an upstream
//!  client bytes <-| Link: Output, HPACK <-  Call: down <- Link ...|<- bytes of a lane
//!                 +----- events, for whom knows names and lanes --+
//! ```
//!
//! No I/O and no clock: bytes go in, bytes come out, the owner says how late it is, and is told what has happened, one
//! thing at a time.
//! What must not be done naively, and why, is said where it is done.

mod call;
mod client_frames;
mod endings;
mod event;
mod guard;
mod head;
mod held;
mod ids;
mod lane;
mod lane_frames;
mod limits;
mod link;
mod looks;
mod messages;
mod pace;
mod passing;
mod replay;
mod switch;
#[cfg(test)]
mod tests;
mod way;
mod window;

pub use self::event::{CallId, Ended, Event, How, LaneId, Unfit};
pub use self::guard::{Guard, Unguarded};
pub use self::head::Rewrite;
pub use self::limits::{
    ANSWER_BLOCK_MAX, ANSWER_HEAD_MAX, CLIENT_BYTES, INFORMATIONAL_MAX, LANE_WINDOW_MAX, Limits,
    TRAILERS_MAX,
};
pub use self::looks::{DetachedLane, Progress, Stall};
pub use self::switch::Switch;
