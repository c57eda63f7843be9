//! A lane's place among those of its agent and session, from its opening to its end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::debug;

use crate::observe::activity::{LaneEvent, What};
use crate::observe::metrics::{GaugeGuard, Metrics};
use crate::registry::{OpenLane, Registry, Session};

/// Held for as long as the lane is there.
pub(crate) struct Seat {
    registry: Arc<Registry>,
    number: u64,
    handle: Arc<Handle>,
    /// What the lane ended of, if it was an error.
    pub(crate) error: Option<String>,
    _counted: GaugeGuard,
}

/// What the agent's book of lanes knows of it.
#[derive(Debug)]
struct Handle {
    session: Arc<Session>,
    idle_since: Mutex<Option<Instant>>,
    is_retired: AtomicBool,
    /// Whoever drives the lane.
    driver: Mutex<Option<Waker>>,
}

impl Seat {
    /// Waits for a place, and takes it.
    pub(super) async fn take(
        session: &Arc<Session>,
        registry: &Arc<Registry>,
        metrics: &Metrics,
    ) -> Self {
        let number = session.agent.lanes.enter().await;
        session.link.lane_began();
        let handle = Arc::new(Handle {
            session: session.clone(),
            idle_since: Mutex::new(Some(Instant::now())),
            is_retired: AtomicBool::new(false),
            driver: Mutex::new(None),
        });
        let open: Arc<dyn OpenLane> = handle.clone();
        session.agent.lanes.opened(number, Arc::downgrade(&open));
        let seat = Self {
            registry: registry.clone(),
            number,
            handle,
            error: None,
            _counted: metrics.lane(),
        };
        seat.tell(None, What::LaneOpened);
        seat
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.handle.session
    }

    /// It has calls, or none from now on.
    pub(crate) fn set_busy(&self, is_busy: bool) {
        *self.handle.idle_since.lock() = (!is_busy).then(Instant::now);
    }

    /// Wakes this one when the lane is to be ended.
    pub(crate) fn driven_by(&self, driver: Waker) {
        *self.handle.driver.lock() = Some(driver);
    }

    /// Whether it is to take no new calls.
    pub(crate) fn is_retired(&self) -> bool {
        self.handle.is_retired.load(Ordering::Relaxed) || self.handle.session.is_draining()
    }

    fn tell(&self, error: Option<String>, what: fn(LaneEvent) -> What) {
        let session = &self.handle.session;
        let (agent, open) = (&session.agent, session.agent.lanes.len());
        debug!(name = %agent.name, session = session.link.id, open, error, "lane");
        let what = what(LaneEvent { session: session.link.id.clone(), open, error });
        self.registry.tell(agent, what);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let session = self.handle.session.clone();
        session.agent.lanes.leave(self.number);
        session.link.lane_ended();
        let error = self.error.take();
        self.tell(error, What::LaneEnded);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("number", &self.number).finish_non_exhaustive()
    }
}

impl OpenLane for Handle {
    fn idle_since(&self) -> Option<Instant> {
        *self.idle_since.lock()
    }

    fn session_id(&self) -> &str {
        &self.session.link.id
    }

    fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
        let driver = self.driver.lock().clone();
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
