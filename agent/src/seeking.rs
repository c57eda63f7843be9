//! A session that had better be at another hub looks for one there, and stays where it is otherwise.

use std::pin::Pin;
use std::sync::Arc;

use tracing::{debug, info};

use crate::dial::{Dialled, dial};
use crate::shared::Shared;
use crate::succession::Predecessor;

/// The search, and the session that is told of its successor. Dropped, that one is told that it stays.
pub(crate) struct Seeking {
    predecessor: Predecessor,
    found: Pin<Box<dyn Future<Output = Option<Dialled>> + Send>>,
}

impl Seeking {
    /// For a session of this slot, which registers under this number.
    pub(crate) fn new(
        predecessor: Predecessor,
        agent: Arc<Shared>,
        slot: u16,
        number: u16,
    ) -> Self {
        Self { predecessor, found: Box::pin(seek(agent, slot, number)) }
    }

    /// The end of it, if there is one under way: who is to be told, and the session at another hub.
    pub(crate) async fn ended(seeking: &mut Option<Self>) -> Option<(Predecessor, Dialled)> {
        let Some(Self { found, .. }) = seeking else { return std::future::pending().await };
        let found = found.await;
        let predecessor = seeking.take().map(|seeking| seeking.predecessor);
        predecessor.zip(found)
    }
}

/// At a hub where the other half of the agent's sessions has none. A balancer may lead to the same hub again: after some dials
/// there is none.
async fn seek(agent: Arc<Shared>, slot: u16, number: u16) -> Option<Dialled> {
    let (uris, first) = (agent.hubs.uris(), agent.hubs.first_of(slot));
    for step in 0..agent.hubs.patience() {
        let uri = uris.get((first + step) % uris.len())?;
        let not_at = agent.hubs.not_at(slot);
        if not_at.is_empty() || agent.stop.is_cancelled() {
            return None;
        }
        match dial(&agent, uri, number, &not_at).await {
            Ok(dialled) => {
                info!(hub = %uri, slot, "moving: other sessions of the agent are at the same hub");
                return Some(dialled);
            }
            Err(error) => debug!(hub = %uri, slot, %error, "no session at another hub"),
        }
    }
    None
}
