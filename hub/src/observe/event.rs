//! One event of a hub: what has happened, and which one in the row it is.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tunnel::name::Name;

use crate::message::refusal::Refusal;
use crate::observe::ending::Ending;
use crate::observe::outcome::Outcome;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Its place: all events until now, with this one.
    pub(crate) place: Place,
    /// When it happened.
    pub(crate) time: SystemTime,
    /// The name it is about; none where it is about the hub.
    pub(crate) name: Option<Name>,
    /// The agent process it is about; empty where there is none.
    pub(crate) instance: String,
    /// What happened.
    pub(crate) what: What,
}

impl Event {
    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |name| name.as_str().len());
        size_of::<Self>() + name + self.instance.len() + self.what.bytes()
    }
}

/// How many events there have been at a hub since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Of those that traffic brings about.
    pub(crate) traffic: u64,
    /// All others.
    pub(crate) others: u64,
}

impl Place {
    /// Counts the hub's events.
    pub(crate) fn sequence(self) -> u64 {
        self.traffic.saturating_add(self.others)
    }

    /// How many of each there are from `place` on until this one.
    pub(crate) fn since(self, place: Self) -> Self {
        Self {
            traffic: self.traffic.saturating_sub(place.traffic),
            others: self.others.saturating_sub(place.others),
        }
    }
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
    /// Who asked to register was refused.
    Refused { reason: &'static str, address: SocketAddr },
    /// Somebody has reached a limit, and others `untold` times since it was told last.
    LimitReached { limit: &'static str, address: SocketAddr, untold: u64 },
    /// The hub begins to end.
    HubDraining,
}

impl What {
    /// Whether it is brought about by traffic, of which there may be a lot: calls and lanes, and whoever knocks in vain.
    pub(crate) fn is_traffic(&self) -> bool {
        match self {
            Self::Proxied(_) | Self::LaneOpened(_) | Self::LaneEnded(_) | Self::Refused { .. } => {
                true
            }
            Self::Registered
            | Self::Unregistered
            | Self::Upstream { .. }
            | Self::Suspect { .. }
            | Self::Draining { .. }
            | Self::Replaced { .. }
            | Self::LimitReached { .. }
            | Self::HubDraining => false,
        }
    }

    /// Bytes of its text.
    fn bytes(&self) -> usize {
        match self {
            Self::Proxied(call) => call.method.len(),
            Self::LaneOpened(lane) | Self::LaneEnded(lane) => {
                lane.session.len() + lane.error.as_ref().map_or(0, String::len)
            }
            Self::Suspect { session, .. }
            | Self::Draining { session }
            | Self::Replaced { session } => session.len(),
            _ => 0,
        }
    }
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
