//! One name: who has registered it, who may, and who gets its calls.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tunnel::name::Name;
use tunnel::wire::CloseCode;

use super::agent::{Agent, Upstream};
use super::session::Session;
use crate::config::auth::{Holder, Ownership};
use crate::limits::{OUSTED_REMEMBERED, PARKED_AFTER, PROBED_AGAIN};
use crate::message::refusal::Refusal;
use crate::observe::tally::{Tallies, Tally};

/// One name. Without sessions it is remembered for a while, to tell offline from unknown.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// By instance, and for each in the order in which they came.
    pub(super) sessions: Vec<Arc<Session>>,
    pub(super) gone_since: Option<Instant>,
    /// The same by the clock on the wall.
    pub(super) gone_at: Option<SystemTime>,
    /// Instances from which another one has taken the name over: they do not take it back.
    ousted: Vec<String>,
    /// When its sessions were probed last.
    probed: Option<Instant>,
    /// What is counted of it, from its first agent on.
    pub(super) tally: Option<Arc<Tally>>,
}

/// Nobody serves a name now.
#[derive(Debug)]
pub(crate) struct Away {
    pub(crate) refusal: Refusal,
    /// Whoever did is expected back: calls may wait for it.
    pub(crate) is_expected: bool,
}

impl Away {
    /// Whether calls that wait already may go on. Not for an agent that is there without its server.
    pub(crate) fn may_be_awaited(&self) -> bool {
        !matches!(self.refusal, Refusal::UpstreamUnreachable(_))
    }
}

/// Another agent has the name, and keeps it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name \"{0}\" has another agent, which is alive")]
pub(crate) struct Owned(pub(crate) Name);

impl Entry {
    /// Whether an instance may not register the name: what its auth file says of the name's owners, and of who has it already.
    pub(super) fn is_owned(&self, holder: Option<&Holder>, instance: &str) -> bool {
        let mine = ownership(holder);
        let is_ousted = self.ousted.iter().any(|ousted| ousted == instance);
        self.others(holder, instance).any(|other| {
            let theirs = ownership(other.holder.as_ref());
            let is_same = other.holder_id() == holder.map(Holder::id);
            match (mine, theirs) {
                (Ownership::Takeover, Ownership::Takeover) => is_ousted,
                // The file has changed since the other came.
                (Ownership::Takeover, Ownership::Share | Ownership::Standby) => !is_same,
                (Ownership::Exclusive, _) | (_, Ownership::Exclusive | Ownership::Takeover) => true,
                (Ownership::Share | Ownership::Standby, Ownership::Share | Ownership::Standby) => {
                    false
                }
            }
        })
    }

    /// The agents that have the name and are not on their way out, but this one.
    fn others(&self, holder: Option<&Holder>, instance: &str) -> impl Iterator<Item = &Arc<Agent>> {
        let stays = self.sessions.iter().filter(|session| session.is_usable());
        stays.map(|session| &session.agent).filter(move |agent| !agent.is(instance, holder))
    }

    /// Has those asked for life whose place a newcomer may be about to take: a half-open connection never keeps a name busy.
    pub(super) fn probe_others(&mut self, holder: Option<&Holder>, instance: &str) {
        let now = Instant::now();
        if self.probed.is_some_and(|probed| now < probed + PROBED_AGAIN) {
            return;
        }
        self.probed = Some(now);
        // One that is at another hub is asked by that one, from time to time.
        let others = self.sessions.iter().filter(|session| session.is_local());
        let others = others.filter(|session| !session.agent.is(instance, holder));
        others.for_each(|session| session.link.ws().probe());
    }

    /// Orders an agent that comes now after all that are there, whatever their hubs' clocks say; one that is at another hub has
    /// come already.
    pub(super) fn came(&self, instance: &str, holder: Option<&Holder>) -> u64 {
        let there = self.sessions.iter().find(|session| session.agent.is(instance, holder));
        if let Some(session) = there {
            return session.agent.came;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let last = self.sessions.iter().map(|session| session.agent.came).max();
        last.map_or(now, |last| now.max(last.saturating_add(1)))
    }

    /// What is counted of it, from now on.
    pub(super) fn tally(&mut self, tallies: &Tallies) -> Arc<Tally> {
        let tally = self.tally.get_or_insert_with(|| tallies.begin());
        tally.comes();
        tally.clone()
    }

    /// Takes a session in. Returns the one that it replaces: an older one of the same instance and slot, unless that is
    /// leaving; then its running calls may finish beside the new one.
    pub(super) fn insert(&mut self, session: Arc<Session>) -> Option<Arc<Session>> {
        let is_replaced = |old: &Arc<Session>| old.is_same_slot(&session) && old.link.gives_way();
        let replaced = self.sessions.iter().position(is_replaced);
        let replaced = replaced.map(|at| self.sessions.remove(at));
        if let Some(replaced) = &replaced {
            replaced.link.loses_name();
            replaced.link.ws().close(CloseCode::Replaced, "replaced by a newer session");
        }
        self.add(session);
        replaced
    }

    /// Takes a session in beside all others.
    pub(super) fn add(&mut self, session: Arc<Session>) {
        fn key(session: &Session) -> (&str, usize) {
            (&session.agent.instance, Arc::as_ptr(&session.agent) as usize)
        }
        let at = self.sessions.partition_point(|other| key(other) <= key(&session));
        self.sessions.insert(at, session);
    }

    /// Takes a session out. Returns `false` if it is in here no more.
    pub(super) fn remove(&mut self, session: &Arc<Session>) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|other| !Arc::ptr_eq(other, session));
        self.sessions.len() < before
    }

    /// The agent is there, here or at another hub: where it takes the name over, the sessions of those before it are taken out,
    /// as far as they are this hub's, and returned. Of two that have a name exclusively, for their hubs had not heard of each
    /// other, the first keeps it.
    pub(super) fn take_over(&mut self, agent: &Agent) -> Vec<Arc<Session>> {
        let ownership = ownership(agent.holder.as_ref());
        let takes = matches!(ownership, Ownership::Takeover | Ownership::Exclusive);
        if !takes || agent.upstream() != Upstream::Up {
            // There may be thousands, each of which would be held against all others.
            return Vec::new();
        }
        let is_remote = agent.remote.is_some();
        let gives_way = |other: &Agent| match ownership {
            // The same process may be at several hubs.
            _ if other.is_also(agent) => false,
            Ownership::Takeover => other.is_before(agent),
            Ownership::Exclusive => is_remote && agent.is_before(other),
            Ownership::Share | Ownership::Standby => false,
        };
        let ousted = self.sessions.iter().map(|session| &session.agent);
        let ousted = ousted.filter(|other| gives_way(other));
        let ousted: Vec<_> = ousted.map(|other| other.instance.clone()).collect();
        self.remember_ousted(ousted);
        let is_ousted =
            |session: &mut Arc<Session>| session.is_local() && gives_way(&session.agent);
        let ousted: Vec<_> = self.sessions.extract_if(.., is_ousted).collect();
        for session in &ousted {
            session.loses_name();
            session.agent.lanes.retire(&session.link.id, |_| true);
            if session.link.loses_name() {
                let reason = "another agent has taken the name over";
                session.link.ws().close(CloseCode::Replaced, reason);
            }
        }
        ousted
    }

    /// These do not take the name back from whoever has taken it over.
    pub(super) fn remember_ousted(&mut self, instances: Vec<String>) {
        for instance in instances {
            if !self.ousted.contains(&instance) {
                self.ousted.push(instance);
            }
        }
        let too_many = self.ousted.len().saturating_sub(OUSTED_REMEMBERED);
        self.ousted.drain(..too_many);
    }

    /// Those that are remembered.
    pub(super) fn ousted(&self) -> &[String] {
        &self.ousted
    }

    /// Somebody has, or had, registered it.
    pub(super) fn is_known(&self) -> bool {
        self.gone_since.is_some() || self.shown().next().is_some()
    }

    /// Whether an agent of this hub is shown.
    pub(super) fn is_here(&self) -> bool {
        self.shown().any(|session| session.is_local())
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.iter().filter(|session| session.is_shown())
    }

    pub(super) fn usable(&self) -> impl Iterator<Item = &Arc<Session>> {
        let is_up = |session: &&Arc<Session>| session.agent.upstream() == Upstream::Up;
        self.sessions.iter().filter(move |session| is_up(session) && session.is_usable())
    }

    /// The sessions that new calls go to, of those whose agents are not left out: none that owes an answer while another does
    /// not, of agents that stand by only the first, where nobody else is there, and none by way of another hub, where there
    /// are others.
    pub(super) fn in_turn(&self, leave_out: impl Fn(&Agent) -> bool) -> Vec<&Arc<Session>> {
        let mut sessions: Vec<_> =
            self.usable().filter(|session| !leave_out(&session.agent)).collect();
        let (healthy, suspect) =
            sessions.iter().partition::<Vec<_>, _>(|session| !session.is_suspect());
        sessions = if healthy.is_empty() { suspect } else { healthy };
        let first =
            sessions.iter().min_by_key(|session| session.agent.rank()).map(|first| &first.agent);
        // The same agent may be at several hubs, and comes to each for itself.
        let is_first = |agent: &Agent| match first {
            Some(first) if first.stands_by() => agent.is_also(first),
            _ => !agent.stands_by(),
        };
        sessions.retain(|session| is_first(&session.agent));
        if sessions.iter().any(|session| session.is_local()) {
            sessions.retain(|session| session.is_local());
        }
        sessions
    }

    /// Why nothing is usable.
    pub(super) fn away(&self, name: &Name) -> Away {
        let is_down = |session: &Arc<Session>| session.agent.upstream() == Upstream::Down;
        if self.shown().any(|session| is_down(session) && session.is_usable()) {
            // Its agent is there, and has dialled it.
            return Away {
                refusal: Refusal::UpstreamUnreachable(name.clone()),
                is_expected: false,
            };
        }
        let since = self.gone_since.map(|since| since.elapsed());
        let is_expected = since.is_none_or(|since| since < PARKED_AFTER);
        Away { refusal: Refusal::Offline { name: name.clone(), since }, is_expected }
    }
}

fn ownership(holder: Option<&Holder>) -> Ownership {
    holder.map_or(Ownership::Share, Holder::ownership)
}

/// Two random choices, then the less loaded: nearly as even as looking at all, without the herd that
/// follows whoever was least loaded a moment ago.
pub(super) fn better_of_two<'s, 'e>(
    agents: &[&'s [&'e Arc<Session>]],
) -> Option<&'s [&'e Arc<Session>]> {
    if agents.len() < 2 {
        return agents.first().copied();
    }
    // In no order, so that of two which are idle now one, now the other is taken.
    let first = fastrand::usize(..agents.len());
    let second = (first + fastrand::usize(1..agents.len())) % agents.len();
    let load = |sessions: &&[&Arc<Session>]| sessions.first().map(|session| session.agent.calls());
    [agents[first], agents[second]].into_iter().min_by_key(load)
}

/// Of one agent's sessions.
pub(super) fn best<'e>(sessions: &[&'e Arc<Session>], worker: usize) -> Option<&'e Arc<Session>> {
    sessions
        .iter()
        .copied()
        .min_by_key(|session| (session.link.worker != worker, session.link.lanes()))
}
