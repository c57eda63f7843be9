//! What happens at the hub, for whoever watches. While nobody does, an event costs one increment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use hub_proto::hub::v1::ActivityEvent;
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tunnel::name::Name;

use crate::limits::ACTIVITY_BUFFER;
use crate::message::refusal::Refusal;
use crate::observe::ending::Ending;
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

impl ProxiedCall {
    pub(crate) fn of(ending: &Ending<'_>) -> Self {
        Self {
            method: ending.method.to_owned(),
            outcome: ending.outcome,
            reason: ending.refusal.map(Refusal::reason),
            duration: ending.total,
            request_bytes: ending.bytes.0,
            response_bytes: ending.bytes.1,
            parked: ending.parked,
            replays: ending.replays,
        }
    }
}

/// What has happened at another hub, as that one tells it.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    /// The name it is about.
    pub(crate) name: Name,
    pub(crate) event: ActivityEvent,
}

/// Where events come in and watchers listen.
#[derive(Debug)]
pub(crate) struct Activity {
    elsewhere: broadcast::Sender<Arc<Elsewhere>>,
    /// How many want to know what happens elsewhere.
    curious: watch::Sender<usize>,
    sender: broadcast::Sender<Arc<Event>>,
    sequence: AtomicU64,
    /// Held while numbering and sending, so that watchers see the numbers in order.
    in_order: Mutex<()>,
}

impl Activity {
    pub(crate) fn new() -> Self {
        let sequence = AtomicU64::new(0);
        let (sender, in_order) = (broadcast::Sender::new(ACTIVITY_BUFFER), Mutex::new(()));
        let (elsewhere, curious) = (broadcast::Sender::new(ACTIVITY_BUFFER), watch::Sender::new(0));
        Self { elsewhere, curious, sender, sequence, in_order }
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

    /// Tells those who want to know what has happened at another hub.
    pub(crate) fn publish_elsewhere(&self, event: Elsewhere) {
        // The last of them may have left meanwhile.
        let _ = self.elsewhere.send(Arc::new(event));
    }

    /// Whether anybody wants to, and whenever that changes.
    pub(crate) fn curious(&self) -> watch::Receiver<usize> {
        self.curious.subscribe()
    }

    /// Listens from now on, also to what happens elsewhere.
    pub(crate) fn watch_all(self: &Arc<Self>) -> (broadcast::Receiver<Arc<Elsewhere>>, Curious) {
        self.curious.send_modify(|curious| *curious += 1);
        (self.elsewhere.subscribe(), Curious(self.clone()))
    }

    /// Listens from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }
}

/// Somebody who wants to know what happens at other hubs.
#[derive(Debug)]
pub(crate) struct Curious(Arc<Activity>);

impl Drop for Curious {
    fn drop(&mut self) {
        self.0.curious.send_modify(|curious| *curious -= 1);
    }
}
