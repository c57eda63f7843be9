//! A lane of a connection, beside its HTTP/2.

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::groups::GroupId;
use super::lane_io::LaneIo;
use super::wakers::Woken;
use crate::lanes::Seat;

/// A lane of the connection, beside its HTTP/2.
#[derive(Debug)]
pub(super) struct ClientLane {
    pub(super) io: LaneIo,
    pub(super) woken: Woken,
    /// Whose it is; nobody's in particular, if it leads to the hub's own services.
    pub(super) group: Option<GroupId>,
    /// Its place at its agent.
    pub(super) seat: Option<Seat>,
    /// Until its upstream has spoken.
    pub(super) under_way: Option<OwnedSemaphorePermit>,
    pub(super) opened: Instant,
    /// It has said goodbye, and is to have written that by then.
    pub(super) leaves_by: Option<Instant>,
    /// Not before that: its upstream floods, and would be back at once on another lane.
    pub(super) is_held: bool,
    /// Since when it has taken nothing of what waits for it, and where that begins.
    pub(super) stuck: Option<(u64, Instant)>,
    pub(super) idle_since: Option<Instant>,
}
