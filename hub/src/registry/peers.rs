//! Other hubs in the registry: the connections with them, and their agents.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use tunnel::hub_uri::HubUri;
use tunnel::name::Name;
use tunnel::wire::{CloseCode, Control};

use super::Registry;
use super::agent::Agent;
use super::entry::best;
use super::followers::Follower;
use super::link::Link;
use super::session::Session;
use crate::limits::{HUBS_TOLD, HUBS_TOLD_MOST};

/// Another hub process, while it is connected.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its id.
    pub(crate) node: Arc<str>,
    /// Held by the connection by which it tells of its agents.
    pub(crate) following: tokio::sync::Mutex<()>,
    /// And by the one by which it tells what happens.
    pub(crate) listening: tokio::sync::Mutex<()>,
    pub(super) known: Mutex<Known>,
}

/// All that are connected.
#[derive(Debug, Default)]
pub(super) struct Peers {
    by_id: Mutex<HashMap<Arc<str>, Weak<Peer>>>,
    others: watch::Sender<Others>,
}

/// Which other hubs there are, as agents are told.
#[derive(Debug, Default)]
pub(crate) struct Others {
    pub(crate) count: u16,
    /// Where agents reach those that say so.
    pub(crate) uris: Vec<HubUri>,
    /// In which words, once one was told: all hear the same.
    pub(crate) told: OnceLock<Control>,
}

impl Others {
    fn are(&self, others: &Self) -> bool {
        self.count == others.count && self.uris == others.uris
    }
}

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) links: Vec<Arc<Link>>,
    /// Where agents reach it.
    public_uri: Option<HubUri>,
    /// Its agents.
    pub(super) agents: BTreeMap<Name, Vec<Arc<Agent>>>,
    /// They are all that it has.
    pub(super) are_all: bool,
}

/// A connection with another hub, in the registry; dropping it takes it out.
#[derive(Debug)]
pub(crate) struct Connected {
    registry: Arc<Registry>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) link: Arc<Link>,
}

/// An agent of this hub, as others are told of it.
#[derive(Debug)]
pub(crate) struct LocalAgent {
    pub(crate) agent: Arc<Agent>,
    /// All that it has here; one at least.
    pub(crate) sessions: Vec<Arc<Session>>,
}

/// Another hub, as far as people want to know.
#[derive(Debug)]
pub(crate) struct PeerView {
    pub(crate) node: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) since: SystemTime,
    pub(crate) connections: usize,
    pub(crate) rtt: Option<Duration>,
    pub(crate) names: usize,
    pub(crate) is_suspect: bool,
}

impl Peer {
    /// Nothing of one that has no connection.
    fn view(&self) -> Option<PeerView> {
        let known = self.known.lock();
        let oldest = known.links.iter().min_by_key(|link| link.since)?;
        Some(PeerView {
            node: self.node.clone(),
            address: oldest.peer,
            since: oldest.since,
            connections: known.links.len(),
            rtt: known.links.iter().filter_map(|link| link.ws().rtt()).min(),
            names: known.agents.len(),
            is_suspect: known.links.iter().all(|link| link.is_suspect()),
        })
    }
}

impl Peers {
    /// The hub of this id: the same for all of its connections.
    fn find(&self, node: &str) -> Arc<Peer> {
        let mut peers = self.by_id.lock();
        peers.retain(|_, peer| peer.strong_count() > 0);
        if let Some(peer) = peers.get(node).and_then(Weak::upgrade) {
            return peer;
        }
        let node: Arc<str> = node.into();
        let (following, listening, known) = Default::default();
        let peer = Arc::new(Peer { node: node.clone(), following, listening, known });
        peers.insert(node, Arc::downgrade(&peer));
        peer
    }

    fn all(&self) -> Vec<Arc<Peer>> {
        self.by_id.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// To be called when one may have come or gone.
    fn are_others(&self) {
        // Looked at in there, so that whoever looks last tells.
        self.others.send_if_modified(|known| {
            let others = self.now();
            let is_new = !known.are(&others);
            if is_new {
                *known = others;
            }
            is_new
        });
    }

    fn now(&self) -> Others {
        let mut others = Others::default();
        for peer in self.all() {
            let known = peer.known.lock();
            others.count += u16::from(!known.links.is_empty());
            others.uris.extend(known.public_uri.clone().filter(|_| !known.links.is_empty()));
        }
        others.uris.sort_by_key(ToString::to_string);
        others
    }
}

/// What this hub does with others.
impl Registry {
    /// Whether a connection of this number with the hub of this id is as good as another one would be.
    pub(crate) fn is_connected(&self, node: &str, slot: u16) -> bool {
        let Some(peer) = self.peers.by_id.lock().get(node).and_then(Weak::upgrade) else {
            return false;
        };
        let known = peer.known.lock();
        let mut links = known.links.iter().filter(|link| link.slot == slot);
        links.any(|link| link.is_usable() && !link.is_suspect())
    }

    /// Whether the hub of this id is connected, and has told all that it has.
    pub(crate) fn has_told_all(&self, node: &str) -> bool {
        let peer = self.peers.by_id.lock().get(node).and_then(Weak::upgrade);
        peer.is_some_and(|peer| peer.known.lock().are_all)
    }

    /// The agents of the hub of this id can be reached by this connection, too, for as long as what this returns lives. It
    /// takes the place of an older one of the same slot.
    pub(crate) fn connect(
        self: &Arc<Self>,
        node: &str,
        public_uri: Option<HubUri>,
        link: Link,
    ) -> Connected {
        let (peer, link) = (self.peers.find(node), Arc::new(link));
        let mut names = self.names.write();
        let mut known = peer.known.lock();
        for old in known.links.iter().filter(|old| old.slot == link.slot) {
            old.ws().close(CloseCode::Replaced, "replaced by a newer connection");
        }
        for (name, agents) in &known.agents {
            let entry = names.entries.entry(name.clone()).or_default();
            let session = |agent: &Arc<Agent>| Session::new(link.clone(), agent.clone(), 0);
            agents.iter().for_each(|agent| entry.add(Arc::new(session(agent))));
        }
        known.links.push(link.clone());
        known.public_uri = public_uri;
        drop(known);
        drop(names);
        self.peers.are_others();
        self.changed();
        Connected { registry: self.clone(), peer, link }
    }

    /// Sessions by way of others under a name, each by the number of its agent, in order.
    #[cfg(fuzzing)]
    pub(crate) fn remote(&self, name: &Name) -> Vec<u64> {
        let names = self.names.read();
        let sessions = names.entries.get(name).map(|entry| &entry.sessions[..]).unwrap_or_default();
        let mut numbers: Vec<_> = sessions
            .iter()
            .filter_map(|session| session.agent.remote.as_ref())
            .map(|remote| remote.number)
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// The other hubs that are connected, by id.
    pub(crate) fn peer_views(&self) -> Vec<PeerView> {
        let peers = self.peers.all();
        let mut views: Vec<_> = peers.iter().filter_map(|peer| peer.view()).collect();
        views.sort_by(|one, other| one.node.cmp(&other.node));
        views
    }

    /// The same as agents are told: now, where there are any, and whenever that changes.
    pub(crate) fn other_hubs(&self) -> watch::Receiver<Others> {
        let mut others = self.peers.others.subscribe();
        if others.borrow().count > 0 {
            others.mark_changed();
        }
        others
    }

    /// Over how long it is spread to tell all sessions that this has changed.
    pub(crate) fn telling_lasts(&self) -> Duration {
        let sessions = self.peers.others.receiver_count();
        HUBS_TOLD.saturating_mul(u32::try_from(sessions).unwrap_or(u32::MAX)).min(HUBS_TOLD_MOST)
    }

    /// How many hubs are connected, this one included.
    pub(crate) fn hubs(&self) -> u16 {
        self.peers.others.borrow().count.saturating_add(1)
    }

    /// How many names have an agent that is connected to this hub.
    pub(crate) fn local_names(&self) -> usize {
        self.names.read().entries.values().filter(|entry| entry.is_here()).count()
    }

    fn disconnect(&self, peer: &Peer, link: &Arc<Link>) {
        let mut names = self.names.write();
        let mut known = peer.known.lock();
        for name in known.agents.keys() {
            let Some(entry) = names.entries.get_mut(name) else { continue };
            entry.sessions.retain(|session| !Arc::ptr_eq(&session.link, link));
            names.left(name, true);
        }
        known.links.retain(|other| !Arc::ptr_eq(other, link));
        if known.links.is_empty() {
            // Nobody tells any more what becomes of them.
            known.agents.clear();
            known.are_all = false;
        }
        drop(known);
        names.forget();
        drop(names);
        self.peers.are_others();
        self.changed();
    }

    /// A connection with another hub owes an answer, or is heard of again.
    pub(crate) fn peer_suspicion(&self, Connected { peer, link, .. }: &Connected) {
        if !link.is_suspect() {
            link.is_heard_again();
        }
        self.changed();
        let known = peer.known.lock();
        known.agents.keys().for_each(|name| self.parking.arrived(name));
    }
}

/// What other hubs do with this one.
impl Registry {
    /// Tells what changes about the agents of this hub, and begins with all that there is.
    pub(crate) fn follow(&self) -> Arc<Follower> {
        let names = self.names.read();
        let here = names.entries.iter().filter(|(_, entry)| entry.is_here());
        // Under the lock, so that nothing is missed.
        self.followers.add(here.map(|(name, _)| name.clone()).collect())
    }

    /// Other hubs are told anew of all agents of this one.
    pub(crate) fn tell_peers_of_all(&self) {
        let names = self.names.read();
        names.numbers.values().for_each(|name| self.followers.touch(name));
    }

    /// The agents of this hub that are shown under the name.
    pub(crate) fn local_agents(&self, name: &Name) -> Vec<LocalAgent> {
        let names = self.names.read();
        let Some(entry) = names.entries.get(name) else { return Vec::new() };
        let local: Vec<_> = entry.shown().filter(|session| session.is_local()).cloned().collect();
        let agents = local.chunk_by(|one, next| Arc::ptr_eq(&one.agent, &next.agent));
        agents
            .filter_map(|sessions| {
                let agent = sessions.first()?.agent.clone();
                Some(LocalAgent { agent, sessions: sessions.to_vec() })
            })
            .collect()
    }

    /// Instances from which another one has taken the name over, as far as that is remembered.
    pub(crate) fn ousted_from(&self, name: &Name) -> Vec<String> {
        let names = self.names.read();
        names.entries.get(name).map(|entry| entry.ousted().to_vec()).unwrap_or_default()
    }

    /// A session of an agent of this hub, by the agent's number: the best for a worker.
    pub(crate) fn session_of(&self, number: u64, worker: usize) -> Option<Arc<Session>> {
        let names = self.names.read();
        let entry = names.entries.get(names.numbers.get(&number)?)?;
        let of_agent: Vec<_> =
            entry.usable().filter(|session| session.agent.id == number).collect();
        let healthy: Vec<_> =
            of_agent.iter().copied().filter(|session| !session.is_suspect()).collect();
        best(if healthy.is_empty() { &of_agent } else { &healthy }, worker).cloned()
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.link.is_over();
        self.registry.disconnect(&self.peer, &self.link);
    }
}
