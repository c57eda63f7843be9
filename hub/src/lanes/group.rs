//! The lanes that one caller has to the agents of one name, on one client connection.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tunnel::lanes::Source;
use tunnel::limits::SETTINGS_TIMEOUT;
use tunnel::name::Name;

use super::lane::{Lane, LaneOwner, Permit};
use super::open::OpenError;
use super::owner::Owner;
use super::penalty::Penalty;
use crate::limits::{
    AGENT_OUT_MAX, AGENT_OUT_MIN, LANE_AGENTS, LANE_LEAD, LANE_LOOK, LANES_OF_AGENT,
    STREAM_QUEUE_MAX, STREAM_QUEUE_TIMEOUT,
};

use crate::message::refusal::Refusal;
use crate::observe::limit::Limit;
use crate::registry::{Agent, Session};

/// One name's lanes of one caller.
#[derive(Debug)]
pub(crate) struct Group {
    owner: Owner,
    source: Source,
    name: Name,
    state: Mutex<State>,
    /// Calls that wait, first come first served: only the first looks.
    line: tokio::sync::Mutex<()>,
    /// Told when the first that waits should look again.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<Arc<Lane>>,
    /// Agents on which a lane is being opened.
    opening: Vec<Weak<Agent>>,
    /// Agents that have failed a lane lately.
    out: Vec<Out>,
    penalty: Penalty,
    /// Calls so far.
    calls: u64,
    waiting: usize,
    /// The registry's generation when there was last no further agent to spread to.
    spread_at: Option<u64>,
}

/// An agent that is left alone for a while.
#[derive(Debug)]
struct Out {
    agent: Weak<Agent>,
    pause: Duration,
    until: Instant,
    error: OpenError,
}

/// What comes of looking for a stream.
enum Take {
    Permit(Permit),
    /// There may be one within this time.
    Wait(Duration),
}

impl Group {
    pub(super) fn new(owner: Owner, source: Source, name: Name) -> Self {
        let (state, line, changed) = Default::default();
        Self { owner, source, name, state, line, changed }
    }

    /// Whether it holds nothing that would be missed.
    pub(super) fn is_spent(&self) -> bool {
        let mut state = self.state.lock();
        state.lanes.retain(|lane| lane.is_open());
        let busy = state.waiting > 0 || !state.lanes.is_empty() || !state.opening.is_empty();
        !busy && state.penalty.at(Instant::now()).is_none()
    }

    /// The right to one stream of one of the lanes. Opens one where there is none, or all are full.
    ///
    /// # Errors
    /// No agent serves the name, none of them can be reached, or no stream became free in time.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Permit, Refusal> {
        let begun = Instant::now();
        if self.state.lock().waiting == 0
            && let Take::Permit(permit) = self.take()?
        {
            return Ok(permit);
        }
        let _place = Place::enter(self).ok_or_else(|| self.full())?;
        let longest = SETTINGS_TIMEOUT + STREAM_QUEUE_TIMEOUT;
        let first = timeout(longest, self.line.lock()).await;
        let _first = first.map_err(|_| self.full())?;
        loop {
            // Listening before looking: what changes in between is not missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let patience = match self.take()? {
                Take::Permit(permit) => return Ok(permit),
                Take::Wait(patience) => patience,
            };
            let now = Instant::now();
            if now >= begun + patience {
                return Err(self.full());
            }
            // And once more when an agent that was left out may be tried again.
            let _ = timeout_at((begun + patience).min(now + LANE_LOOK), changed).await;
        }
    }

    fn as_owner(self: &Arc<Self>) -> Weak<dyn LaneOwner> {
        Arc::downgrade(&(self.clone() as Arc<dyn LaneOwner>))
    }

    fn full(&self) -> Refusal {
        self.owner.opener.context.limits.reached(Limit::Streams, self.owner.peer, Some(&self.name));
        Refusal::Limit(self.name.clone())
    }

    fn take(self: &Arc<Self>) -> Result<Take, Refusal> {
        let mut state = self.state.lock();
        state.lanes.retain(|lane| lane.is_open());
        if let Some(permit) = state.take_stream() {
            self.spread(&mut state);
            return Ok(Take::Permit(permit));
        }
        let now = Instant::now();
        if state.lanes.is_empty()
            && let Some((_, why)) = state.penalty.at(now)
        {
            return Err(Refusal::UpstreamClosed { name: self.name.clone(), why: why.to_owned() });
        }
        if !state.opening.is_empty() {
            return Ok(Take::Wait(SETTINGS_TIMEOUT));
        }
        state.out.retain(|out| {
            out.until > now || out.agent.strong_count() > 0 && now < out.until + AGENT_OUT_MAX
        });
        let registry = &self.owner.opener.context.registry;
        match registry.choose(&self.name, self.owner.worker, |agent| state.leaves_out(agent, now)) {
            Ok(Some(session)) => {
                self.open(&mut state, session);
                match state.take_stream() {
                    Some(permit) => Ok(Take::Permit(permit)),
                    None => Ok(Take::Wait(SETTINGS_TIMEOUT)),
                }
            }
            Err(refusal) if state.lanes.is_empty() => Err(refusal),
            Ok(None) if state.lanes.is_empty() => self.failure(&state),
            Ok(None) | Err(_) => Ok(Take::Wait(STREAM_QUEUE_TIMEOUT)),
        }
    }

    /// All agents have failed lately.
    fn failure(&self, state: &State) -> Result<Take, Refusal> {
        if state.out.iter().any(|out| out.error == OpenError::Full) {
            return Ok(Take::Wait(STREAM_QUEUE_TIMEOUT));
        }
        Err(Refusal::UpstreamUnreachable(self.name.clone()))
    }

    /// Opens a lane to a second and third agent, so that the calls of one connection are spread. Nobody waits for it.
    fn spread(self: &Arc<Self>, state: &mut State) {
        let agents = state.agents();
        if agents >= LANE_AGENTS || agents as u64 >= state.calls || !state.opening.is_empty() {
            return;
        }
        let registry = &self.owner.opener.context.registry;
        let generation = registry.generation();
        if state.spread_at == Some(generation) {
            return;
        }
        let now = Instant::now();
        let skip = |agent: &Agent| state.lanes_of(agent) > 0 || state.leaves_out(agent, now);
        match registry.choose(&self.name, self.owner.worker, skip) {
            Ok(Some(session)) => self.open(state, session),
            Ok(None) | Err(_) => state.spread_at = Some(generation),
        }
    }

    /// Opens a lane in the background; one that stands ready is taken at once.
    fn open(self: &Arc<Self>, state: &mut State, session: Arc<Session>) {
        if let Some(lane) = self.owner.opener.ready(&session.agent) {
            lane.belongs_to(self.as_owner());
            state.lanes.push(lane);
            return;
        }
        state.opening.push(Arc::downgrade(&session.agent));
        let group = self.clone();
        tokio::spawn(async move {
            let opened = group.owner.opener.open(&session, group.source).await;
            group.opened(&session.agent, opened);
        });
    }

    fn opened(self: &Arc<Self>, agent: &Arc<Agent>, opened: Result<Arc<Lane>, OpenError>) {
        let mut state = self.state.lock();
        let is_it = |other: &Weak<Agent>| std::ptr::eq(other.as_ptr(), Arc::as_ptr(agent));
        if let Some(at) = state.opening.iter().position(is_it) {
            state.opening.swap_remove(at);
        }
        match opened {
            Ok(lane) => {
                lane.belongs_to(self.as_owner());
                state.lanes.push(lane);
                state.out.retain(|out| !is_it(&out.agent));
            }
            Err(error) => state.leave_out(agent, error),
        }
        drop(state);
        self.wake();
    }
}

impl LaneOwner for Group {
    fn peer(&self) -> SocketAddr {
        self.owner.peer
    }

    fn wake(&self) {
        self.changed.notify_waiters();
    }

    fn closed_for_cause(&self, why: String) {
        self.state.lock().penalty.ended(Instant::now(), why);
    }
}

impl State {
    /// Takes a stream of the lane that has waited longest for a call, of those that are not much busier than the
    /// least busy one: by calls in flight alone, an agent that is a little faster would get most of them.
    fn take_stream(&mut self) -> Option<Permit> {
        let with_room = || self.lanes.iter().filter(|lane| lane.has_room());
        let least = with_room().map(|lane| lane.calls()).min()?;
        let busy = least + LANE_LEAD.min(1 + least);
        let level = with_room().filter(|lane| lane.calls() <= busy);
        let best = level.min_by_key(|lane| lane.last_call())?;
        let permit = best.take_stream(self.calls + 1)?;
        self.calls += 1;
        Some(permit)
    }

    /// How many agents it has lanes to.
    fn agents(&self) -> usize {
        let mut agents: Vec<_> =
            self.lanes.iter().map(|lane| Arc::as_ptr(&lane.session.agent)).collect();
        agents.sort_unstable();
        agents.dedup();
        agents.len()
    }

    fn lanes_of(&self, agent: &Agent) -> usize {
        self.lanes.iter().filter(|lane| std::ptr::eq(&*lane.session.agent, agent)).count()
    }

    /// Whether no lane is to be opened on this agent now.
    fn leaves_out(&self, agent: &Agent, now: Instant) -> bool {
        let lanes = self.lanes_of(agent);
        let is_it = |out: &&Out| std::ptr::eq(out.agent.as_ptr(), agent);
        let is_out = self.out.iter().find(is_it).is_some_and(|out| out.until > now);
        is_out || lanes >= LANES_OF_AGENT || lanes == 0 && self.agents() >= LANE_AGENTS
    }

    /// The agent has failed a lane.
    fn leave_out(&mut self, agent: &Arc<Agent>, error: OpenError) {
        let is_it = |out: &Out| std::ptr::eq(out.agent.as_ptr(), Arc::as_ptr(agent));
        let before = self.out.iter().position(is_it).map(|at| self.out.swap_remove(at).pause);
        let pause = before.map_or(AGENT_OUT_MIN, |pause| (2 * pause).min(AGENT_OUT_MAX));
        let until = Instant::now() + pause;
        self.out.push(Out { agent: Arc::downgrade(agent), pause, until, error });
    }
}

/// A place among the calls that wait, until dropped.
struct Place<'g>(&'g Group);

impl<'g> Place<'g> {
    fn enter(group: &'g Group) -> Option<Self> {
        let mut state = group.state.lock();
        (state.waiting < STREAM_QUEUE_MAX).then(|| {
            state.waiting += 1;
            Self(group)
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waiting -= 1;
    }
}
