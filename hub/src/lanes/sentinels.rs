//! The lanes that have shown agents' servers to be there: one for each agent, for a moment, or until a caller takes it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::lane::Lane;
use crate::registry::Agent;

/// By agent. A sentinel is as good as a new lane: nobody has called on it. What nobody takes goes back to the agent,
/// which watches its connection and tells when the server goes away.
#[derive(Debug, Default)]
pub(crate) struct Sentinels(Mutex<HashMap<u64, Arc<Lane>>>);

impl Sentinels {
    /// Keeps it from now on, unless it has ended already.
    pub(crate) fn keep(&self, lane: Arc<Lane>) {
        let mut sentinels = self.0.lock();
        if lane.is_open() {
            lane.rest();
            sentinels.insert(lane.session.agent.id, lane);
        }
    }

    /// The agent's sentinel, for a caller.
    pub(super) fn take(&self, agent: &Agent) -> Option<Arc<Lane>> {
        self.0.lock().remove(&agent.id).filter(|lane| lane.is_open())
    }

    /// It has ended, or is to end. Returns `true` if nobody has taken it.
    pub(super) fn forget(&self, lane: &Arc<Lane>) -> bool {
        let mut sentinels = self.0.lock();
        let id = lane.session.agent.id;
        let is_kept = sentinels.get(&id).is_some_and(|kept| Arc::ptr_eq(kept, lane));
        if is_kept {
            sentinels.remove(&id);
        }
        is_kept
    }
}
