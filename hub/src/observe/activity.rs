//! What happens at the hub, for whoever watches. While nobody does, an event costs one increment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tunnel::name::Name;

use crate::limits::ACTIVITY_BUFFER;
use crate::observe::outcome::Outcome;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Counts the hub's events.
    pub(crate) sequence: u64,
    /// When it happened.
    pub(crate) time: SystemTime,
    /// The name it is about.
    pub(crate) name: Name,
    /// The agent process it is about; empty where there is none.
    pub(crate) instance: String,
    /// What happened.
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An agent process registered its first session.
    Registered,
    /// An agent process lost its last session.
    Unregistered,
    /// A call for a name has ended.
    Proxied(ProxiedCall),
    /// A lane was opened.
    LaneOpened(LaneEvent),
    /// A lane has ended.
    LaneEnded(LaneEvent),
    /// An agent's server takes connections again, or no more.
    Upstream { up: bool },
    /// A session, by its id, gets no new calls while another does better; or does well again.
    Suspect { session: String, is_suspect: bool },
    /// A session gets no new calls any more.
    Draining { session: String },
    /// Another session has taken the place of this one.
    Replaced { session: String },
}

/// A lane, as it is told of.
#[derive(Clone, Debug)]
pub(crate) struct LaneEvent {
    pub(crate) session: String,
    /// Lanes of the agent that are open now.
    pub(crate) open: usize,
    pub(crate) error: Option<String>,
}

/// A call for a name that has ended.
#[derive(Clone, Debug)]
pub(crate) struct ProxiedCall {
    pub(crate) method: String,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<&'static str>,
    pub(crate) duration: Duration,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    /// How long it has waited for its name to come back.
    pub(crate) parked: Option<Duration>,
    /// How often it was sent once more.
    pub(crate) replays: u32,
}

/// Where events come in and watchers listen.
#[derive(Debug)]
pub(crate) struct Activity {
    sender: broadcast::Sender<Arc<Event>>,
    sequence: AtomicU64,
    /// Held while numbering and sending, so that watchers see the numbers in order.
    in_order: Mutex<()>,
}

impl Activity {
    pub(crate) fn new() -> Self {
        let sequence = AtomicU64::new(0);
        Self { sender: broadcast::Sender::new(ACTIVITY_BUFFER), sequence, in_order: Mutex::new(()) }
    }

    /// Tells the watchers. `about` is asked only if there are any.
    pub(crate) fn publish(&self, about: impl FnOnce() -> (Name, String, What)) {
        if self.sender.receiver_count() == 0 {
            self.sequence.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (name, instance, what) = about();
        let _in_order = self.in_order.lock();
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let event = Event { sequence, time: SystemTime::now(), name, instance, what };
        // The last watcher may have left meanwhile.
        let _ = self.sender.send(Arc::new(event));
    }

    /// How many listen.
    pub(crate) fn watchers(&self) -> usize {
        self.sender.receiver_count()
    }

    /// Listens from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }
}
