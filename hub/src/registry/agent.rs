//! One agent process, as callers of a name meet it: what all its sessions share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use parking_lot::Mutex;
use tunnel::lanes::Source;
use tunnel::limits::LANES_MAX;
use tunnel::name::Name;
use tunnel::registration::{Exposed, Registration, share_of_lanes};
use tunnel::speaks::Speaks;

use crate::config::auth::{Holder, Ownership};
use crate::guard::rate_by::RateBy;
use crate::limits::{INITIAL_MAX_LANE_STREAMS, OPENS, OPENS_SOURCES, PEER_RTT_LEAST};
use crate::observe::tally::Tally;

use super::about::About;
use super::idle_limit::IdleLimit;
use super::lane_book::LaneBook;
use super::open_error::OpenError;
use super::remote::{Remote, Told, ToldState};

/// An agent process under one of its names, and the upstream that it has for that.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Its number among the agents of this hub.
    pub(crate) id: u64,
    pub(crate) name: Name,
    pub(crate) instance: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) version: String,
    /// What calls are told in `:scheme`.
    pub(crate) scheme: Scheme,
    /// What replaces `:authority`.
    pub(crate) authority: Option<Authority>,
    /// What its upstream speaks beside gRPC.
    pub(crate) speaks: Speaks,
    /// Whose token registered it.
    pub(crate) holder: Option<Holder>,
    /// Orders the agents of a name by when they came, at all hubs: microseconds since 1970, or just more than an earlier one's.
    pub(crate) came: u64,
    /// Where it is connected to another hub.
    pub(crate) remote: Option<Remote>,
    /// What is counted of its name.
    pub(crate) tally: Arc<Tally>,
    /// Its open lanes, on all sessions together.
    pub(crate) lanes: LaneBook,
    /// How often a source may have lanes opened.
    pub(crate) opens: RateBy<Source>,
    /// For how long its upstream bears idle connections, as far as that was seen.
    pub(crate) idle: Mutex<IdleLimit>,
    /// Held by the session that finds out whether the upstream speaks HTTP/2: why it could not be reached, when it was last
    /// found that it cannot.
    pub(crate) probing: tokio::sync::Mutex<Option<OpenError>>,
    /// How often that was found.
    pub(crate) probes: AtomicU64,
    /// Held by the session that is being replaced by a new one.
    pub(crate) renewing: tokio::sync::Mutex<()>,
    /// How many of its sessions have begun to drain.
    drains: AtomicU64,
    /// How far it is, as other hubs were told last, in microseconds.
    told_rtt: AtomicU64,
    upstream: AtomicU8,
    calls: AtomicUsize,
    /// Streams that a connection may have, as its upstream said last.
    max_streams: AtomicUsize,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A call that runs on an agent's lanes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Agent>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known of an agent's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Nothing yet: the agent is not shown.
    Unknown,
    /// It speaks HTTP/2.
    Up,
    /// It takes no connections.
    Down,
}

impl Agent {
    pub(super) fn new(
        (id, came): (u64, u64),
        exposed: &Exposed,
        registration: &Registration,
        holder: Option<Holder>,
        tally: Arc<Tally>,
    ) -> Self {
        let max_lanes = registration.max_lanes.unwrap_or(LANES_MAX.get());
        let max_lanes = share_of_lanes(max_lanes, registration.exposed().count()) as usize;
        let about = About {
            instance: registration.instance.clone(),
            labels: registration.labels.clone(),
            version: registration.agent_version.clone(),
            holder,
            came,
        };
        Self::of(id, exposed.clone(), about, max_lanes, None, tally)
    }

    /// One of another hub, which says itself how many lanes it takes.
    pub(super) fn elsewhere(id: u64, told: Told, node: &Arc<str>, tally: Arc<Tally>) -> Self {
        let Told { exposed, about, number, max_lanes, state } = told;
        let remote = Remote::new(node.clone(), number, state);
        let agent = Self::of(id, exposed, about, max_lanes.max(1), Some(remote), tally);
        agent.set_upstream(agent.told_upstream());
        agent
    }

    fn of(
        id: u64,
        exposed: Exposed,
        about: About,
        max_lanes: usize,
        remote: Option<Remote>,
        tally: Arc<Tally>,
    ) -> Self {
        let Exposed { name, scheme, authority, speaks } = exposed;
        let About { instance, labels, version, holder, came } = about;
        Self {
            id,
            name,
            instance,
            labels,
            version,
            scheme,
            authority,
            speaks,
            holder,
            came,
            remote,
            tally,
            lanes: LaneBook::new(max_lanes),
            opens: RateBy::new(OPENS, OPENS_SOURCES),
            idle: Mutex::default(),
            probing: tokio::sync::Mutex::default(),
            probes: AtomicU64::new(0),
            renewing: tokio::sync::Mutex::default(),
            drains: AtomicU64::new(0),
            told_rtt: AtomicU64::new(0),
            upstream: AtomicU8::new(Upstream::Unknown as u8),
            calls: AtomicUsize::new(0),
            max_streams: AtomicUsize::new(INITIAL_MAX_LANE_STREAMS),
        }
    }

    /// Other hubs are told how far it is.
    pub(crate) fn tells_rtt(&self, rtt: Option<Duration>) {
        self.told_rtt.store(micros(rtt.unwrap_or_default()), Ordering::Relaxed);
    }

    /// Whether they were told what is wrong by more than a quarter, and by more than what says nothing.
    pub(super) fn is_told_otherwise(&self, rtt: Duration) -> bool {
        let (told, now) = (self.told_rtt.load(Ordering::Relaxed), micros(rtt));
        told.abs_diff(now) > (now / 4).max(micros(PEER_RTT_LEAST))
    }

    /// Whose token registered it; nobody's at an open hub.
    pub(crate) fn holder_id(&self) -> Option<&str> {
        self.holder.as_ref().map(Holder::id)
    }

    /// Instances are shown in lists. Among agents with tokens, knowing one is no right to take its place; those
    /// without, or with the same one, cannot be told apart.
    pub(crate) fn is(&self, instance: &str, holder: Option<&Holder>) -> bool {
        self.instance == instance && self.holder_id() == holder.map(Holder::id)
    }

    /// Which agents get the calls of its name: those of the least rank. Who stands by comes after all who do not, and each
    /// after the one before it.
    pub(super) fn rank(&self) -> (u64, &str) {
        if self.stands_by() { (self.came, &self.instance) } else { (0, "") }
    }

    /// Whether this is the same process, which may be at several hubs.
    pub(super) fn is_also(&self, other: &Self) -> bool {
        self.is(&other.instance, other.holder.as_ref())
    }

    /// Whether it came before another, at whichever hubs.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        (self.came, &self.instance) < (other.came, &other.instance)
    }

    /// Whether it gets calls only where who came before it does not.
    pub(crate) fn stands_by(&self) -> bool {
        let holder = self.holder.as_ref();
        holder.is_some_and(|holder| holder.ownership() == Ownership::Standby)
    }

    pub(crate) fn upstream(&self) -> Upstream {
        match self.upstream.load(Ordering::SeqCst) {
            0 => Upstream::Unknown,
            1 => Upstream::Up,
            _ => Upstream::Down,
        }
    }

    /// Notes what is known of the upstream now. Returns `true` if that is news.
    pub(super) fn set_upstream(&self, upstream: Upstream) -> bool {
        self.upstream.swap(upstream as u8, Ordering::SeqCst) != upstream as u8
    }

    /// How many of its sessions have begun to drain so far.
    pub(crate) fn drains(&self) -> u64 {
        self.drains.load(Ordering::SeqCst)
    }

    /// One more does.
    pub(super) fn drains_one(&self) {
        self.drains.fetch_add(1, Ordering::SeqCst);
    }

    /// Calls that run on its lanes.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// One more of them.
    pub(crate) fn call(self: &Arc<Self>) -> Running {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Streams that a new lane may have until its upstream's SETTINGS say otherwise.
    pub(crate) fn max_streams(&self) -> usize {
        self.max_streams.load(Ordering::Relaxed)
    }

    pub(crate) fn note_max_streams(&self, max: usize) {
        self.max_streams.store(max, Ordering::Relaxed);
    }
}

/// Of one that is connected to another hub.
impl Agent {
    /// Its hub tells of it again. An agent of this hub is as it is.
    ///
    /// Returns whether a session of its has begun to drain since.
    pub(super) fn is_told(&self, state: ToldState) -> bool {
        let Some(remote) = &self.remote else { return false };
        let before = remote.state().drains;
        remote.is_told(state);
        self.set_upstream(self.told_upstream());
        state.drains > before
    }

    /// What its hub says of its server.
    fn told_upstream(&self) -> Upstream {
        let is_down = self.remote.as_ref().is_some_and(|remote| remote.state().is_down);
        if is_down { Upstream::Down } else { Upstream::Up }
    }

    /// Whether another hub says that it takes no new calls.
    pub(super) fn is_told_draining(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.state().is_draining)
    }

    /// Whether another hub says that it does not answer.
    pub(super) fn is_told_suspect(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.state().is_suspect)
    }
}
