//! A lane's place among those of its agent and session, from its opening to its end.

use std::sync::{Arc, Weak};

use super::lane::Lane;
use crate::registry::{OpenLane, Session};

#[derive(Debug)]
pub(super) struct Place {
    session: Arc<Session>,
    number: u64,
}

impl Place {
    /// Waits for one.
    pub(super) async fn take(session: &Arc<Session>) -> Self {
        let number = session.agent.lanes.enter().await;
        session.lane_began();
        Self { session: session.clone(), number }
    }

    /// The lane is there.
    pub(super) fn opened(&self, lane: &Arc<Lane>) {
        let lane: Weak<dyn OpenLane> = Arc::downgrade(&(lane.clone() as Arc<dyn OpenLane>));
        self.session.agent.lanes.opened(self.number, lane);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.session.agent.lanes.leave(self.number);
        self.session.lane_ended();
    }
}
