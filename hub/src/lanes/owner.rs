//! The client connection that has lanes.

use std::net::SocketAddr;
use std::sync::Arc;

use super::open::LaneOpener;

/// Whose lanes they are. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) opener: Arc<LaneOpener>,
    pub(crate) peer: SocketAddr,
    pub(crate) worker: usize,
}
