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

mod ask;
mod dial;
pub(crate) mod door;
mod hop;
pub(crate) mod link;
mod listen;
mod offer;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::peer_addr::PeerAddr;
use crate::context::hub::Hub;
use crate::directory::Nodes;

/// Sees the beginning of this hub to its end.
pub(crate) async fn begin(hub: Arc<Hub>, listed: Nodes, told: watch::Receiver<Nodes>) {
    let nodes = || {
        let told = told.borrow();
        // A hub that is in the directory is told of itself at least.
        let is_told = hub.config.peering.directory.is_none() || !told.is_empty();
        is_told.then(|| listed.union(&told).cloned().collect())
    };
    let is_heard = |node: &str| node == hub.node_id || hub.registry.has_told_all(node);
    hub.beginning.pass(nodes, is_heard).await;
}

/// Keeps this hub connected with all others, for ever: with those that are listed, and those that the directory tells of. One
/// that is told no more is dialled no more; a connection that there is stays.
pub(crate) async fn connect(
    hub: Arc<Hub>,
    workers: Arc<[Handle]>,
    listed: Nodes,
    mut told: watch::Receiver<Nodes>,
) {
    let mut keeping = JoinSet::new();
    let mut kept: BTreeMap<PeerAddr, watch::Sender<bool>> = BTreeMap::new();
    loop {
        let nodes: Nodes = listed.union(&told.borrow_and_update()).cloned().collect();
        kept.retain(|peer, wanted| {
            wanted.send_if_modified(|is| {
                *is != nodes.contains(peer) && {
                    *is = !*is;
                    true
                }
            });
            wanted.receiver_count() > 0
        });
        for peer in nodes {
            kept.entry(peer).or_insert_with_key(|peer| {
                let (wanted, is_wanted) = watch::channel(true);
                keeping.spawn(dial::keep(peer.clone(), is_wanted, hub.clone(), workers.clone()));
                wanted
            });
        }
        tokio::select! {
            changed = told.changed() => if changed.is_err() {
                // Nobody tells: there is no directory, or the hub ends.
                std::future::pending().await
            },
            Some(_) = keeping.join_next() => {}
        }
    }
}
