//! Names and the agents that serve them: the only shared, locked state of the hub.
//!
//! No lock is held across an await. A session is in here exactly as long as its [`Registration`] lives; its agent is
//! shown to callers once it is known whether the upstream is there.

mod agent;
mod idle_limit;
mod lane_book;
mod page;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::Instant;
use tunnel::lanes::Lanes;
use tunnel::name::Name;
use tunnel::wire::CloseCode;

use crate::config::auth::Holder;
use crate::limits::{REMEMBER_NAME, REMEMBERED_NAMES};
use crate::message::refusal::Refusal;
use crate::observe::activity::{Activity, What};

pub(crate) use self::agent::{Agent, Upstream};
pub(crate) use self::lane_book::OpenLane;
pub(crate) use self::page::{Page, Place};
pub(crate) use self::session::{Admitted, Session};

/// The names.
#[derive(Debug)]
pub(crate) struct Registry {
    names: RwLock<Names>,
    /// Told whenever what a caller could reach may have changed.
    changed: watch::Sender<()>,
    /// Counts these changes.
    generation: AtomicU64,
    /// Counts agents.
    agents: AtomicU64,
    activity: Arc<Activity>,
}

#[derive(Debug, Default)]
struct Names {
    /// In order, so that a list of them can go on where it was.
    entries: BTreeMap<Name, Entry>,
    /// Names that lost their last session, oldest first, to forget them in time.
    gone: VecDeque<(Name, Instant)>,
}

/// One name. Without sessions it is remembered for a while, to tell offline from unknown.
#[derive(Debug, Default)]
struct Entry {
    /// By instance, and for each in the order in which they came.
    sessions: Vec<Arc<Session>>,
    gone_since: Option<Instant>,
}

/// Whether calls for a name can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Unknown,
    Offline,
    Online,
}

/// Somebody else owns the name exclusively.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name is owned exclusively by another agent")]
pub(crate) struct Owned;

impl Registry {
    pub(crate) fn new(activity: Arc<Activity>) -> Self {
        let (names, changed) = (RwLock::default(), watch::Sender::new(()));
        Self { names, changed, generation: AtomicU64::new(0), agents: AtomicU64::new(0), activity }
    }

    /// Whether `holder` could register `name` now.
    pub(crate) fn check_owner(&self, name: &Name, holder: Option<&Holder>) -> Result<(), Owned> {
        self.names.read().entries.get(name).map_or(Ok(()), |entry| entry.check_owner(holder))
    }

    /// Takes a session in. An older one of the same instance and slot is closed, unless it is draining: then its
    /// running calls may finish beside the new one.
    ///
    /// # Errors
    /// The name is owned exclusively by somebody else.
    pub(crate) fn register(
        self: &Arc<Self>,
        admitted: Admitted,
        tunnel: Lanes,
    ) -> Result<Registration, Owned> {
        let Admitted { id, registration, holder, peer, worker } = admitted;
        let mut names = self.names.write();
        let entry = names.entries.entry(registration.name.clone()).or_default();
        entry.check_owner(holder.as_ref())?;
        let slot = registration.slot;
        let same =
            |session: &&Arc<Session>| session.agent.is(&registration.instance, holder.as_ref());
        let agent = entry.sessions.iter().find(same).map(|session| session.agent.clone());
        let agent = agent.unwrap_or_else(|| {
            let id = self.agents.fetch_add(1, Ordering::Relaxed);
            Arc::new(Agent::new(id, registration, holder.clone()))
        });
        let session = Arc::new(Session::new(id, slot, agent, (peer, worker), holder, tunnel));
        entry.sessions.retain(|old| {
            let replaced = old.is_same_slot(&session) && !old.is_draining();
            if replaced {
                old.ws().close(CloseCode::Replaced, "replaced by a newer session");
            }
            !replaced
        });
        entry.insert(session.clone());
        drop(names);
        if session.is_shown() {
            self.changed();
        }
        Ok(Registration { registry: self.clone(), session })
    }

    /// Notes what is known of an agent's upstream now.
    pub(crate) fn set_upstream(&self, agent: &Agent, upstream: Upstream) {
        let mut names = self.names.write();
        let first = agent.upstream() == Upstream::Unknown;
        if !agent.set_upstream(upstream) {
            return;
        }
        if first && let Some(entry) = names.entries.get_mut(&agent.name) {
            entry.gone_since = None;
            // Under the lock, so that events come in the order of what they tell.
            self.tell(agent, What::Registered);
        }
        if !first || upstream == Upstream::Down {
            self.tell(agent, What::Upstream { up: upstream == Upstream::Up });
        }
        drop(names);
        self.changed();
    }

    fn unregister(&self, session: &Arc<Session>) {
        let mut names = self.names.write();
        let (agent, names) = (&session.agent, &mut *names);
        let Some(entry) = names.entries.get_mut(&agent.name) else {
            return;
        };
        entry.sessions.retain(|other| !Arc::ptr_eq(other, session));
        let is_last = !entry.sessions.iter().any(|other| Arc::ptr_eq(&other.agent, agent));
        if entry.gone_since.is_none() && !entry.shown().any(|_| true) {
            if session.is_shown() {
                let now = Instant::now();
                entry.gone_since = Some(now);
                names.gone.push_back((agent.name.clone(), now));
            } else if entry.sessions.is_empty() {
                names.entries.remove(&agent.name);
            }
        }
        names.forget();
        if is_last && session.is_shown() {
            self.tell(agent, What::Unregistered);
        }
        self.changed();
    }

    /// Tells whoever watches what has become of an agent.
    pub(crate) fn tell(&self, agent: &Agent, what: What) {
        self.activity.publish(|| (agent.name.clone(), agent.instance.clone(), what));
    }

    /// Who listens for changes.
    pub(crate) fn watchers(&self) -> usize {
        self.changed.receiver_count()
    }

    /// To be called when a session begins to drain.
    pub(crate) fn changed(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    /// Tells of changes from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Differs whenever something may have changed.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(crate) fn presence(&self, name: &Name) -> Presence {
        match self.names.read().entries.get(name) {
            Some(entry) if entry.usable().next().is_some() => Presence::Online,
            Some(entry) if entry.is_known() => Presence::Offline,
            _ => Presence::Unknown,
        }
    }

    /// Every session that is shown, in no order.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.names.read().entries.values().flat_map(Entry::shown).cloned().collect()
    }

    /// A session on which to open a lane for `name`: of the better of two agents by calls in flight, and of those the
    /// one of the caller's worker, where no thread waits for another. `None` if `skip` leaves out all agents that
    /// could serve.
    ///
    /// # Errors
    /// No agent serves the name now.
    pub(crate) fn choose(
        &self,
        name: &Name,
        worker: usize,
        skip: impl Fn(&Agent) -> bool,
    ) -> Result<Option<Arc<Session>>, Refusal> {
        let names = self.names.read();
        let entry = names.entries.get(name).filter(|entry| entry.is_known());
        let entry = entry.ok_or_else(|| Refusal::UnknownName(name.clone()))?;
        if entry.usable().next().is_none() {
            return Err(entry.refusal(name));
        }
        let usable = entry.usable().filter(|session| !skip(&session.agent));
        let agents: Vec<_> = usable.collect();
        let agents: Vec<_> =
            agents.chunk_by(|one, next| Arc::ptr_eq(&one.agent, &next.agent)).collect();
        Ok(better_of_two(&agents).and_then(|sessions| best(sessions, worker)).cloned())
    }
}

/// Two random choices, then the less loaded: nearly as even as looking at all, without the herd that
/// follows whoever was least loaded a moment ago.
fn better_of_two<'s, 'e>(agents: &[&'s [&'e Arc<Session>]]) -> Option<&'s [&'e Arc<Session>]> {
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
fn best<'e>(sessions: &[&'e Arc<Session>], worker: usize) -> Option<&'e Arc<Session>> {
    sessions.iter().copied().min_by_key(|session| (session.worker != worker, session.lanes()))
}

impl Entry {
    fn check_owner(&self, holder: Option<&Holder>) -> Result<(), Owned> {
        let id = holder.map(Holder::id);
        let exclusive = |holder: Option<&Holder>| holder.is_some_and(Holder::is_exclusive);
        let owned = self.sessions.iter().map(|session| &session.agent).any(|agent| {
            let stranger = agent.holder_id() != id;
            stranger && (exclusive(agent.holder.as_ref()) || exclusive(holder))
        });
        if owned { Err(Owned) } else { Ok(()) }
    }

    fn insert(&mut self, session: Arc<Session>) {
        let key = |session: &Session| {
            (session.agent.instance.clone(), Arc::as_ptr(&session.agent) as usize)
        };
        let at = self.sessions.partition_point(|other| key(other) <= key(&session));
        self.sessions.insert(at, session);
    }

    /// Somebody has, or had, registered it.
    fn is_known(&self) -> bool {
        self.gone_since.is_some() || self.shown().next().is_some()
    }

    fn shown(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.iter().filter(|session| session.is_shown())
    }

    fn usable(&self) -> impl Iterator<Item = &Arc<Session>> {
        let is_up = |session: &&Arc<Session>| session.agent.upstream() == Upstream::Up;
        self.sessions.iter().filter(move |session| is_up(session) && session.is_usable())
    }

    /// Why nothing is usable.
    fn refusal(&self, name: &Name) -> Refusal {
        let is_down = |session: &Arc<Session>| session.agent.upstream() == Upstream::Down;
        if self.shown().any(|session| is_down(session) && session.is_usable()) {
            return Refusal::UpstreamUnreachable(name.clone());
        }
        let since = self.gone_since.map(|since| since.elapsed());
        Refusal::Offline { name: name.clone(), since }
    }
}

impl Names {
    /// Forgets names that have been gone for too long, or are too many.
    fn forget(&mut self) {
        let expired = |since: Instant| since.elapsed() > REMEMBER_NAME;
        while let Some((_, since)) = self.gone.front()
            && (self.gone.len() > REMEMBERED_NAMES || expired(*since))
        {
            let Some((name, since)) = self.gone.pop_front() else {
                return;
            };
            // It may have come back, and gone again, since.
            if self.entries.get(&name).is_some_and(|entry| entry.gone_since == Some(since)) {
                self.entries.remove(&name);
            }
        }
    }
}

/// A session's place in the registry; dropping it takes the session out.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    pub(crate) session: Arc<Session>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.unregister(&self.session);
    }
}
