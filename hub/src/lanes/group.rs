//! The lanes that one caller has to the agents of one name, on one client connection.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use switch::{CallId, LaneId};
use tokio::time::Instant;
use tunnel::lanes::Source;
use tunnel::limits::SETTINGS_TIMEOUT;
use tunnel::name::Name;

use super::penalty::Penalty;
use crate::limits::{
    AGENT_OUT_MAX, AGENT_OUT_MIN, LANE_AGENTS, LANE_LEAD, LANES_OF_AGENT, PEER_DOUBT,
    STREAM_QUEUE_TIMEOUT,
};
use crate::message::refusal::Refusal;
use crate::registry::{Agent, Away, OpenError, Registry, Session};

/// What is known of the lanes of a connection.
pub(crate) trait LaneView {
    /// Whether the lane takes another call.
    fn has_room(&self, lane: LaneId) -> bool;
    /// Calls that run on it.
    fn calls(&self, lane: LaneId) -> usize;
}

/// One name's lanes of one caller.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: Name,
    pub(crate) source: Source,
    /// Where its client is served.
    worker: usize,
    lanes: Vec<OfAgent>,
    /// Agents on which a lane is being opened.
    opening: Vec<Weak<Agent>>,
    /// Agents that have failed a lane lately.
    out: Vec<Out>,
    penalty: Penalty,
    /// Calls so far.
    calls: u64,
    /// Calls that wait, first come first served.
    pub(crate) waiting: VecDeque<CallId>,
    /// The registry's generation when there was last no further agent to spread to.
    spread_at: Option<u64>,
    /// The same when it was last looked which lanes new calls go to.
    revised_at: Option<u64>,
    /// Somebody waits to be told that the name is back.
    pub(crate) is_awaited: bool,
}

/// A lane.
#[derive(Debug)]
struct OfAgent {
    id: LaneId,
    session: Arc<Session>,
    /// Whether new calls are to go there, while any lane is.
    is_in_turn: bool,
    /// Which of the group's calls was the last that it took.
    last_call: u64,
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
#[derive(Debug)]
pub(crate) enum Take {
    /// The call is this lane's.
    Lane(LaneId),
    /// A lane is to be opened here first.
    Open(Arc<Session>),
    /// There may be one within this time.
    Wait(Duration),
    /// Nobody serves the name now.
    Away(Away),
    /// There is none.
    Refuse(Refusal),
}

impl Group {
    pub(crate) fn new(name: Name, source: Source, worker: usize) -> Self {
        Self {
            name,
            source,
            worker,
            lanes: Vec::new(),
            opening: Vec::new(),
            out: Vec::new(),
            penalty: Penalty::default(),
            calls: 0,
            waiting: VecDeque::new(),
            spread_at: None,
            revised_at: None,
            is_awaited: false,
        }
    }

    /// Whether it holds nothing that would be missed.
    pub(crate) fn is_spent(&self, now: Instant) -> bool {
        let idle = self.lanes.is_empty() && self.opening.is_empty() && self.waiting.is_empty();
        idle && self.penalty.at(now).is_none() && self.out.iter().all(|out| out.until <= now)
    }

    /// A lane for one more call.
    pub(crate) fn take(&mut self, registry: &Registry, view: &impl LaneView) -> Take {
        self.look_whose_turn_it_is(registry);
        if let Some(lane) = self.take_stream(view, |lane| lane.is_in_turn) {
            return Take::Lane(lane);
        }
        let new = self.take_new(registry);
        if matches!(new, Take::Open(_)) || self.is_any_in_turn() || !self.opening.is_empty() {
            return new;
        }
        // Better one that is out of turn than none.
        self.take_stream(view, |_| true).map_or(new, Take::Lane)
    }

    /// A lane for a call for which those that are there have no room.
    fn take_new(&mut self, registry: &Registry) -> Take {
        let now = Instant::now();
        if self.lanes.is_empty()
            && let Some((after, why)) = self.penalty.at(now)
        {
            let (name, why) = (self.name.clone(), why.to_owned());
            return Take::Refuse(Refusal::UpstreamClosed { name, why, after });
        }
        if !self.opening.is_empty() {
            return Take::Wait(SETTINGS_TIMEOUT);
        }
        self.out.retain(|out| {
            out.until > now || out.agent.strong_count() > 0 && now < out.until + AGENT_OUT_MAX
        });
        let is_out = |agent: &Agent| self.is_out(agent, now);
        match registry.choose(&self.name, self.worker, is_out, |agent| self.has_enough(agent)) {
            Ok(Some(session)) => Take::Open(session),
            Err(away) if self.lanes.is_empty() => Take::Away(away),
            Ok(None) if self.lanes.is_empty() => self.failure(),
            Ok(None) | Err(_) => Take::Wait(STREAM_QUEUE_TIMEOUT),
        }
    }

    /// All agents have failed lately.
    fn failure(&self) -> Take {
        let now = Instant::now();
        let passes = |out: &Out| match out.error {
            OpenError::Full => true,
            OpenError::Lost => out.until > now,
            _ => false,
        };
        if self.out.iter().any(passes) {
            return Take::Wait(STREAM_QUEUE_TIMEOUT);
        }
        Take::Refuse(Refusal::UpstreamUnreachable(self.name.clone()))
    }

    /// Where a lane is to be opened to a second or third agent, so that the calls of one connection are spread. Nobody
    /// waits for it.
    pub(crate) fn spread(&mut self, registry: &Registry) -> Option<Arc<Session>> {
        // First what nearly every call finds: nobody has come or gone.
        let generation = registry.generation();
        if self.spread_at == Some(generation) || !self.opening.is_empty() {
            return None;
        }
        let agents = self.agents();
        if agents >= LANE_AGENTS || agents as u64 >= self.calls {
            return None;
        }
        let now = Instant::now();
        let is_out = |agent: &Agent| self.is_out(agent, now);
        let has_one = |agent: &Agent| self.lanes_of(agent) > 0;
        match registry.choose(&self.name, self.worker, is_out, has_one) {
            Ok(Some(session)) if !session.is_suspect() => Some(session),
            Ok(_) | Err(_) => {
                self.spread_at = Some(generation);
                None
            }
        }
    }

    /// A lane is being opened on this agent.
    pub(crate) fn opens(&mut self, agent: &Arc<Agent>) {
        self.opening.push(Arc::downgrade(agent));
    }

    /// The lane is there, or will not be.
    pub(crate) fn opened(&mut self, session: &Arc<Session>, lane: Result<LaneId, OpenError>) {
        let agent = &session.agent;
        if let Some(at) = self.opening.iter().position(|other| is(other, agent)) {
            self.opening.swap_remove(at);
        }
        match lane {
            Ok(id) => {
                let session = session.clone();
                self.lanes.push(OfAgent { id, session, is_in_turn: true, last_call: 0 });
                self.revised_at = None;
            }
            Err(error) => self.leave_out(agent, error),
        }
    }

    /// The upstream of this agent has spoken.
    pub(crate) fn is_fine(&mut self, agent: &Arc<Agent>) {
        self.out.retain(|out| !is(&out.agent, agent));
    }

    /// The upstream has ended a lane for what its caller did, in these words.
    pub(crate) fn closed_for_cause(&mut self, why: String) {
        self.penalty.ended(Instant::now(), why);
    }

    /// Whether the lane takes new calls.
    pub(crate) fn has(&self, lane: LaneId) -> bool {
        self.lanes.iter().any(|of| of.id == lane)
    }

    /// The lane takes no new calls.
    pub(crate) fn left(&mut self, lane: LaneId) {
        self.lanes.retain(|of| of.id != lane);
    }

    /// Takes a stream of the lane that has waited longest for a call, of those that are not much busier than the
    /// least busy one: by calls in flight alone, an agent that is a little faster would get most of them.
    fn take_stream(
        &mut self,
        view: &impl LaneView,
        may: impl Fn(&OfAgent) -> bool,
    ) -> Option<LaneId> {
        if let [only] = &self.lanes[..] {
            let taken = (may(only) && view.has_room(only.id)).then_some(only.id)?;
            self.calls += 1;
            return Some(taken);
        }
        let has_room = |lane: &OfAgent| may(lane) && view.has_room(lane.id);
        let with_room = || self.lanes.iter().filter(|lane| has_room(lane));
        let least = with_room().map(|lane| view.calls(lane.id)).min()?;
        let busy = least + LANE_LEAD.min(1 + least);
        let mut level = self.lanes.iter_mut().filter(|lane| has_room(lane));
        let level = level.by_ref().filter(|lane| view.calls(lane.id) <= busy);
        let best = level.min_by_key(|lane| lane.last_call)?;
        self.calls += 1;
        best.last_call = self.calls;
        Some(best.id)
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

    /// Whether this agent has failed a lane lately.
    fn is_out(&self, agent: &Agent, now: Instant) -> bool {
        let is_it = |out: &&Out| std::ptr::eq(out.agent.as_ptr(), agent);
        self.out.iter().find(is_it).is_some_and(|out| out.until > now)
    }

    /// Whether there are as many lanes to this agent as there may be, or to others instead.
    fn has_enough(&self, agent: &Agent) -> bool {
        let lanes = self.lanes_of(agent);
        let others =
            || self.lanes.iter().any(|lane| lane.is_in_turn) && self.agents() >= LANE_AGENTS;
        lanes >= LANES_OF_AGENT || lanes == 0 && others()
    }

    /// Looks which lanes new calls go to, where somebody has come or gone since.
    fn look_whose_turn_it_is(&mut self, registry: &Registry) {
        let generation = registry.generation();
        // Which it is told a moment later.
        let is_doubtful = |lane: &OfAgent| lane.is_in_turn && lane.session.is_suspect();
        if self.revised_at == Some(generation) && !self.lanes.iter().any(is_doubtful) {
            return;
        }
        self.revised_at = Some(generation);
        let in_turn = registry.in_turn(&self.name);
        for lane in &mut self.lanes {
            lane.is_in_turn = in_turn.iter().any(|session| Arc::ptr_eq(session, &lane.session));
        }
    }

    fn is_any_in_turn(&self) -> bool {
        self.lanes.iter().any(|lane| lane.is_in_turn)
    }

    /// The agent has failed a lane.
    pub(crate) fn leave_out(&mut self, agent: &Arc<Agent>, error: OpenError) {
        // One session is over; the agent has others, or is gone. Of one that is elsewhere, that is heard a moment later.
        let is_lost = error == OpenError::Lost;
        if is_lost && agent.remote.is_none() {
            return;
        }
        let before = self.out.iter().position(|out| is(&out.agent, agent));
        let before = before.map(|at| self.out.swap_remove(at).pause).unwrap_or_default();
        let longer = (2 * before).clamp(AGENT_OUT_MIN, AGENT_OUT_MAX);
        let pause = if is_lost { before } else { longer };
        let until = Instant::now() + if is_lost { PEER_DOUBT } else { pause };
        self.out.push(Out { agent: Arc::downgrade(agent), pause, until, error });
    }
}

fn is(one: &Weak<Agent>, agent: &Arc<Agent>) -> bool {
    std::ptr::eq(one.as_ptr(), Arc::as_ptr(agent))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::SystemTime;

    use bytes::Bytes;
    use http::uri::Scheme;
    use tokio::time::sleep;
    use tunnel::lanes::{LaneMemory, Role};
    use tunnel::registration::Exposed;

    use super::*;
    use crate::limits::PEER_KEEPALIVE;
    use crate::observe::activity::Activity;
    use crate::observe::metrics::Metrics;
    use crate::registry::{About, Connected, Link, Told, ToldName, ToldState};

    /// No lane is there.
    struct None;

    impl LaneView for None {
        fn has_room(&self, _: LaneId) -> bool {
            false
        }

        fn calls(&self, _: LaneId) -> usize {
            0
        }
    }

    fn name() -> Name {
        "name".parse().expect("a name")
    }

    /// A registry that knows another hub, which tells of one agent.
    fn told() -> (Arc<Registry>, Connected) {
        let registry = Arc::new(Registry::new(Arc::new(Activity::new()), Metrics::new()));
        let (io, memory) = (tokio::io::duplex(1).0, LaneMemory::new(0));
        let lanes = tunnel::lanes::start(io, Bytes::new(), PEER_KEEPALIVE, Role::Hub, memory).1;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let link = Link::new("link".into(), 0, (address, 0), Option::None, 0, lanes);
        let connected = registry.connect("other", Option::None, link);
        let (authority, speaks) = Default::default();
        let exposed = Exposed { name: name(), scheme: Scheme::HTTP, authority, speaks };
        let (labels, version, holder, came) = Default::default();
        let about = About { instance: "agent".into(), labels, version, holder, came };
        let (is_draining, is_suspect, is_down, drains, rtt, peer) = Default::default();
        let (sessions, since) = (1, SystemTime::UNIX_EPOCH);
        let state =
            ToldState { is_draining, is_suspect, is_down, drains, sessions, rtt, peer, since };
        let agent = Told { exposed, about, number: 7, max_lanes: 9, state };
        let told = ToldName { name: name(), agents: vec![agent], ousted: Vec::new() };
        registry.told(&connected.peer, vec![told]);
        (registry, connected)
    }

    /// Else a lane would be opened again and again, until it is told that the agent has gone; and once there is no doubt any
    /// more, at once.
    #[tokio::test(start_paused = true)]
    async fn an_agent_that_its_hub_has_not_is_left_alone_for_a_moment() {
        let (registry, _connected) = told();
        let mut group = Group::new(name(), Source(0), 0);
        for _ in 0..3 {
            let Take::Open(session) = group.take(&registry, &None) else { panic!("not there") };
            group.opens(&session.agent);
            group.opened(&session, Err(OpenError::Lost));
            assert!(matches!(group.take(&registry, &None), Take::Wait(_)));
            sleep(PEER_DOUBT - Duration::from_millis(1)).await;
            assert!(matches!(group.take(&registry, &None), Take::Wait(_)));
            // Not for longer each time, as one that fails.
            sleep(Duration::from_millis(2)).await;
        }
    }
}
