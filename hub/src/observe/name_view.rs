//! A name as it is now, for metrics and for the page.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tunnel::name::Name;

use crate::observe::tally::Tally;

/// How it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NameState {
    /// Nobody is there any more.
    Offline,
    /// Agents are there, and the server of none takes connections.
    Unreachable,
    /// All of its sessions are to end.
    Draining,
    /// All of them owe an answer to a ping.
    Suspect,
    /// Calls are served.
    Online,
}

impl NameState {
    pub(crate) const ALL: [Self; 5] =
        [Self::Offline, Self::Unreachable, Self::Draining, Self::Suspect, Self::Online];
}

/// What is there of a name, and what it has done.
#[derive(Clone, Debug)]
pub(crate) struct NameView {
    pub(crate) name: Name,
    pub(crate) state: NameState,
    /// When its oldest session came, or its last one went.
    pub(crate) since: SystemTime,
    /// Agent processes, at all hubs.
    pub(crate) agents: usize,
    /// Their sessions, at all hubs.
    pub(crate) sessions: usize,
    /// Lanes by way of this hub.
    pub(crate) lanes: usize,
    /// Calls of this hub's callers.
    pub(crate) in_flight: usize,
    /// How far the nearest of its sessions with this hub is.
    pub(crate) rtt: Option<Duration>,
    pub(crate) tally: Arc<Tally>,
}
