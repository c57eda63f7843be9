//! Names and the agents that serve them: the only shared, locked state of the hub.
//!
//! No lock is held across an await. A session is in here exactly as long as its [`Registration`] lives; its agent is
//! shown to callers once it is known whether the upstream is there.

mod about;
mod agent;
mod entry;
mod followers;
mod idle_limit;
mod lane_book;
mod link;
mod names;
mod open_error;
mod overview;
mod page;
mod parking;
mod peers;
mod presence;
mod registered;
mod remote;
mod session;
mod telling;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;
use tunnel::lanes::Lanes;
use tunnel::limits::SESSIONS_PAIRED;
use tunnel::name::Name;
use tunnel::registration::{self, Exposed};
use tunnel::speaks::WebProtocol;

use crate::config::auth::{Auth, Holder};
use crate::observe::activity::{Activity, What};
use crate::observe::metrics::Metrics;

pub(crate) use self::about::About;
pub(crate) use self::agent::{Agent, Running, Upstream};
pub(crate) use self::entry::{Away, Owned};
use self::entry::{Entry, best, better_of_two};
pub(crate) use self::followers::Follower;
use self::followers::Followers;
pub(crate) use self::lane_book::OpenLane;
pub(crate) use self::link::Link;
use self::names::Names;
pub(crate) use self::open_error::OpenError;
pub(crate) use self::page::{Listed, Page, Place};
pub(crate) use self::parking::Parked;
use self::parking::Parking;
use self::peers::Peers;
pub(crate) use self::peers::{Connected, LocalAgent, Others, PeerView};
pub(crate) use self::presence::Presence;
pub(crate) use self::registered::Registration;
pub(crate) use self::remote::{Told, ToldName, ToldState};
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
    metrics: Arc<Metrics>,
    /// Calls that wait for a name.
    parking: Arc<Parking>,
    /// Other hubs that are told of what changes here.
    followers: Followers,
    /// Other hubs that are connected.
    peers: Peers,
    /// Which names there are to be, as far as it spells them out.
    auth: RwLock<Auth>,
    started: Instant,
}

impl Registry {
    pub(crate) fn new(activity: Arc<Activity>, metrics: Arc<Metrics>) -> Self {
        let (names, changed) = (RwLock::default(), watch::Sender::new(()));
        let (generation, agents) = (AtomicU64::new(0), AtomicU64::new(0));
        let (parking, followers, started) = (Arc::default(), Followers::default(), Instant::now());
        let (peers, auth) = (Peers::default(), RwLock::default());
        Self {
            names,
            changed,
            generation,
            agents,
            activity,
            metrics,
            parking,
            followers,
            peers,
            auth,
            started,
        }
    }

    /// Whether this instance could register `name` now. If not, those who have it are asked whether they are still there.
    pub(crate) fn check_owner(
        &self,
        name: &Name,
        holder: Option<&Holder>,
        instance: &str,
    ) -> Result<(), Owned> {
        let checked = self.names.read().check_owner(name, holder, instance);
        if checked.is_err()
            && let Some(entry) = self.names.write().entries.get_mut(name)
        {
            entry.probe_others(holder, instance);
        }
        checked
    }

    /// Whether an agent that is admitted has a session already, of which there is no doubt.
    pub(crate) fn is_there(&self, Admitted { registration, holder, .. }: &Admitted) -> bool {
        let names = self.names.read();
        let entry = names.entries.get(&registration.first.name);
        let is_its = |session: &Arc<Session>| {
            let is_of_agent = session.agent.is(&registration.instance, holder.as_ref());
            // One that this one is to replace does not count.
            let is_other =
                session.link.slot % SESSIONS_PAIRED != registration.slot % SESSIONS_PAIRED;
            let is_fine = session.is_local() && session.is_usable() && !session.is_suspect();
            is_of_agent && is_other && is_fine
        };
        entry.is_some_and(|entry| entry.sessions.iter().any(is_its))
    }

    /// Takes a session in, under all of its names or none.
    ///
    /// # Errors
    /// Another agent has one of them, and keeps it.
    pub(crate) fn register(
        self: &Arc<Self>,
        admitted: Admitted,
        tunnel: Lanes,
    ) -> Result<Registration, Owned> {
        let Admitted { id, registration: asked, holder, peer, worker, claims } = admitted;
        let mut claims = claims.into_iter();
        let mut names = self.names.write();
        for Exposed { name, .. } in asked.exposed() {
            names.check_owner(name, holder.as_ref(), &asked.instance)?;
        }
        let count = asked.exposed().count();
        let link = Link::new(id, asked.slot, (peer, worker), holder, count, tunnel);
        let link = Arc::new(link);
        let of_name = |(exposed, nth): (&Exposed, u16)| {
            let Names { entries, numbers, .. } = &mut *names;
            let entry = entries.entry(exposed.name.clone()).or_default();
            let agent = self.agent(entry, exposed, &asked, link.holder.as_ref());
            numbers.entry(agent.id).or_insert_with(|| exposed.name.clone());
            let session = Arc::new(Session::new(link.clone(), agent, nth));
            session.has_claim(claims.next());
            if let Some(old) = entry.insert(session.clone()) {
                self.replaced(&old);
            }
            session
        };
        let sessions: Arc<[_]> = asked.exposed().zip(0..).map(of_name).collect();
        drop(names);
        let shown = sessions.iter().filter(|session| session.is_shown());
        self.arrived(shown.map(|session| &session.agent.name));
        Ok(Registration { registry: self.clone(), link, sessions })
    }

    /// The agent that registers here: known from another session, or new.
    fn agent(
        &self,
        entry: &mut Entry,
        exposed: &Exposed,
        asked: &registration::Registration,
        holder: Option<&Holder>,
    ) -> Arc<Agent> {
        let is_same = |session: &&Arc<Session>| {
            session.is_local() && session.agent.is(&asked.instance, holder)
        };
        if let Some(session) = entry.sessions.iter().find(is_same) {
            return session.agent.clone();
        }
        entry.probe_others(holder, &asked.instance);
        let id = self.agents.fetch_add(1, Ordering::Relaxed);
        let came = entry.came(&asked.instance, holder);
        let tally = entry.tally(&self.metrics.tallies);
        Arc::new(Agent::new((id, came), exposed, asked, holder.cloned(), tally))
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
        if upstream == Upstream::Up
            && let Some(entry) = names.entries.get_mut(&agent.name)
        {
            let ousted = entry.take_over(agent);
            self.ousted(&mut names, &ousted);
        }
        drop(names);
        self.arrived([&agent.name]);
    }

    /// Another session of its agent has taken its place.
    fn replaced(&self, session: &Session) {
        if session.link.has_no_name() {
            self.metrics.session_replaced();
        }
        self.tell(&session.agent, What::Replaced { session: session.link.id.clone() });
    }

    /// Another agent has taken the place of those that have these sessions, and nothing else. What they still say changes
    /// nothing: they are in here no more.
    fn ousted(&self, names: &mut Names, sessions: &[Arc<Session>]) {
        for of_agent in sessions.chunk_by(|one, next| Arc::ptr_eq(&one.agent, &next.agent)) {
            for session in of_agent {
                let (agent, link) = (&session.agent, &session.link);
                info!(name = %agent.name, instance = agent.instance, session = link.id, "taken over by another agent");
                self.replaced(session);
            }
            let Some(session) = of_agent.first() else { continue };
            names.numbers.remove(&session.agent.id);
            self.followers.touch(&session.agent.name);
            if session.is_shown() {
                self.tell(&session.agent, What::Unregistered);
            }
        }
    }

    fn unregister(&self, sessions: &[Arc<Session>]) {
        let mut names = self.names.write();
        for session in sessions {
            self.unregister_name(&mut names, session);
        }
        names.forget();
        drop(names);
        self.changed();
    }

    fn unregister_name(&self, names: &mut Names, session: &Arc<Session>) {
        let agent = &session.agent;
        let Some(entry) = names.entries.get_mut(&agent.name) else {
            return;
        };
        if !entry.remove(session) {
            return;
        }
        let is_last = !entry.sessions.iter().any(|other| Arc::ptr_eq(&other.agent, agent));
        names.left(&agent.name, session.is_shown());
        self.followers.touch(&agent.name);
        if is_last {
            names.numbers.remove(&agent.id);
            if session.is_shown() {
                self.tell(agent, What::Unregistered);
            }
        }
    }

    /// Tells whoever watches what has become of an agent.
    pub(crate) fn tell(&self, agent: &Agent, what: What) {
        let about = || (agent.name.clone(), agent.instance.clone());
        if what.is_traffic() {
            self.activity.publish(|| {
                let (name, instance) = about();
                (name, instance, what)
            });
        } else {
            let (name, instance) = about();
            self.activity.tell(name, instance, what);
        }
    }

    /// Who listens for changes.
    pub(crate) fn watchers(&self) -> usize {
        self.changed.receiver_count()
    }

    /// Somebody may serve these names that could not before.
    fn arrived<'n>(&self, names: impl IntoIterator<Item = &'n Name>) {
        let mut names = names.into_iter().peekable();
        if names.peek().is_some() {
            self.changed();
        }
        names.for_each(|name| {
            self.parking.arrived(name);
            self.followers.touch(name);
        });
    }

    /// A place for a call that waits for the name, unless too many wait.
    pub(crate) fn park(&self, name: &Name) -> Option<Parked> {
        self.parking.enter(name)
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

    /// Every session of this hub's agents that is shown, in no order.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        let names = self.names.read();
        let shown = names.entries.values().flat_map(Entry::shown);
        shown.filter(|session| session.is_local()).cloned().collect()
    }

    /// A session on which to open a lane for `name`: of the better of two agents by calls in flight, and of those the
    /// one of the caller's worker, where no thread waits for another. Agents that are out are asked for nothing; of
    /// the others, those whose turn it is get the lane, or nobody where all of them have enough.
    ///
    /// # Errors
    /// No agent serves the name now.
    pub(crate) fn choose(
        &self,
        name: &Name,
        worker: usize,
        is_out: impl Fn(&Agent) -> bool,
        has_enough: impl Fn(&Agent) -> bool,
    ) -> Result<Option<Arc<Session>>, Away> {
        let names = self.names.read();
        let entry = names.entries.get(name).filter(|entry| entry.is_known());
        let entry = entry.ok_or_else(|| self.unknown(name))?;
        if entry.usable().next().is_none() {
            return Err(entry.away(name));
        }
        let mut sessions = entry.in_turn(is_out);
        sessions.retain(|session| !has_enough(&session.agent));
        let agents: Vec<_> =
            sessions.chunk_by(|one, next| Arc::ptr_eq(&one.agent, &next.agent)).collect();
        Ok(better_of_two(&agents).and_then(|sessions| best(sessions, worker)).cloned())
    }

    /// The sessions that new calls for `name` go to.
    pub(crate) fn in_turn(&self, name: &Name) -> Vec<Arc<Session>> {
        let names = self.names.read();
        let in_turn = names.entries.get(name).map(|entry| entry.in_turn(|_| false));
        in_turn.unwrap_or_default().into_iter().cloned().collect()
    }

    /// Whether all agents that calls for `name` may go to have servers which speak this themselves.
    pub(crate) fn speaks(&self, name: &Name, protocol: WebProtocol) -> bool {
        let names = self.names.read();
        let Some(entry) = names.entries.get(name) else { return false };
        let mut shown = entry.shown().peekable();
        shown.peek().is_some() && shown.all(|session| session.agent.speaks.has(protocol))
    }
}
