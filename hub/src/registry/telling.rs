//! What another hub tells of its agents becomes what this one knows of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tunnel::name::Name;

use super::Registry;
use super::agent::Agent;
use super::entry::Entry;
use super::lane_book::OpenLane;
use super::link::Link;
use super::names::Names;
use super::peers::{Known, Peer};
use super::remote::{Told, ToldName};
use super::session::Session;

impl Registry {
    /// What another hub tells of some names takes the place of all that it has told of them before.
    /// Returns how many names it has.
    pub(crate) fn told(&self, peer: &Peer, told: Vec<ToldName>) -> usize {
        let mut names = self.names.write();
        let mut known = peer.known.lock();
        let of: Vec<_> = told.iter().map(|told| told.name.clone()).collect();
        for told in told {
            self.told_of(&mut names, &mut known, &peer.node, told);
        }
        let count = known.agents.len();
        drop(known);
        names.forget();
        drop(names);
        self.changed();
        of.iter().for_each(|name| self.parking.arrived(name));
        count
    }

    /// The other hub has told all that there is: these names, and no others.
    pub(crate) fn told_all(&self, peer: &Peer, all: &BTreeSet<Name>) {
        let mut known = peer.known.lock();
        known.are_all = true;
        let gone = known.agents.keys().filter(|name| !all.contains(*name));
        let gone: Vec<_> = gone.map(|name| ToldName::gone(name.clone())).collect();
        drop(known);
        if !gone.is_empty() {
            self.told(peer, gone);
        }
    }

    fn told_of(
        &self,
        names: &mut Names,
        known: &mut Known,
        node: &Arc<str>,
        ToldName { name, agents, ousted }: ToldName,
    ) {
        let before = known.agents.remove(&name).unwrap_or_default();
        let entry = names.entries.entry(name.clone()).or_default();
        let now = self.agents_told(entry, &known.links, node, &before, agents);
        entry.remember_ousted(ousted);
        let stays: HashSet<_> = now.iter().map(|agent| agent.id).collect();
        let gone: HashSet<_> = before.iter().map(|agent| agent.id).collect();
        let gone: HashSet<_> = gone.difference(&stays).copied().collect();
        if !gone.is_empty() {
            entry.sessions.retain(|session| !gone.contains(&session.agent.id));
        }
        for agent in before.iter().filter(|agent| gone.contains(&agent.id)) {
            retire(agent, &known.links, |_| true);
        }
        if entry.shown().next().is_some() {
            entry.gone_since = None;
        }
        let ousted: Vec<_> = now.iter().flat_map(|agent| entry.take_over(agent)).collect();
        self.ousted(names, &ousted);
        names.left(&name, !before.is_empty());
        if !now.is_empty() {
            known.agents.insert(name, now);
        }
    }

    /// The agents of a name as they are told of now: those that were known, and new ones.
    fn agents_told(
        &self,
        entry: &mut Entry,
        links: &[Arc<Link>],
        node: &Arc<str>,
        before: &[Arc<Agent>],
        told: Vec<Told>,
    ) -> Vec<Arc<Agent>> {
        let number = |agent: &Arc<Agent>| agent.remote.as_ref().map(|remote| remote.number);
        let before: HashMap<_, _> = before.iter().map(|agent| (number(agent), agent)).collect();
        let (mut now, mut seen) = (Vec::new(), HashSet::new());
        for told in told {
            if !seen.insert(told.number) {
                continue;
            }
            if let Some(&agent) = before.get(&Some(told.number)) {
                let has_drained = agent.is_told(told.state);
                if has_drained || told.state.is_draining {
                    let is_idle = |lane: &dyn OpenLane| lane.idle_since().is_some();
                    retire(agent, links, |lane| has_drained || is_idle(lane));
                }
                now.push(agent.clone());
                continue;
            }
            let id = self.agents.fetch_add(1, Ordering::Relaxed);
            let agent =
                Arc::new(Agent::elsewhere(id, told, node, entry.tally(&self.metrics.tallies)));
            let session = |link: &Arc<Link>| Session::new(link.clone(), agent.clone(), 0);
            links.iter().for_each(|link| entry.add(Arc::new(session(link))));
            now.push(agent);
        }
        now
    }
}

/// Ends such lanes of an agent, each with its last call. Where a session of its drains, nobody knows here which of them it is
/// that carries them on.
fn retire(agent: &Agent, links: &[Arc<Link>], which: impl Fn(&dyn OpenLane) -> bool) {
    links.iter().for_each(|link| agent.lanes.retire(&link.id, &which));
}
