//! Other hubs: each name of theirs can be called here.
//!
//! ```text
//!  hub with agents                                              hub with callers
//!  dial ------------- WebSocket, at a port of its own --------> door
//!  offer <== lanes: to one of its agents, to what it tells === link
//!    | copies bytes                                              | follows what is told
//!  agent's session                                             registry
//! ```
//!
//! Each hub dials every other one, so that each leads to its agents, and each learns of the others'. The hub with agents
//! does what an agent does: it accepts lanes, and copies bytes. It looks at none of them.

mod dial;
pub(crate) mod door;
mod hop;
mod link;
mod offer;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::context::hub::Hub;

/// Keeps this hub connected with all others, until what it returns is dropped.
pub(crate) fn connect(hub: &Arc<Hub>, workers: &[Handle]) -> JoinSet<()> {
    let workers: Arc<[Handle]> = workers.into();
    let peers = hub.config.peering.peers.iter();
    peers.map(|peer| dial::keep(peer.clone(), hub.clone(), workers.clone())).collect()
}
