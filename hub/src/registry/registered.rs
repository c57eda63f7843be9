//! A session's place in the registry.

use std::sync::Arc;
use std::time::Duration;

use super::Registry;
use super::link::Link;
use super::session::Session;
use crate::limits::PEER_RTT_SESSIONS;
use crate::observe::activity::What;

/// A session's place in the registry, under each of its names; dropping it takes the session out.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(super) registry: Arc<Registry>,
    pub(crate) link: Arc<Link>,
    /// One for each name, in the order in which the agent has named them.
    pub(crate) sessions: Arc<[Arc<Session>]>,
}

impl Registration {
    /// Those of its names that no other agent has taken over.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.iter().filter(|session| session.has_name())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.link.is_over();
        self.sessions.iter().for_each(|session| session.has_claim(None));
        self.registry.unregister(&self.sessions);
    }
}

impl Registry {
    /// The session owes an answer, or is heard of again.
    pub(crate) fn suspicion(&self, registration: &Registration) {
        let link = &registration.link;
        let is_suspect = link.is_suspect();
        if is_suspect {
            self.metrics.session_suspected();
        } else {
            link.is_heard_again();
        }
        for session in registration.names() {
            self.tell(&session.agent, What::Suspect { session: link.id.clone(), is_suspect });
        }
        self.arrived(registration.names().map(|session| &session.agent.name));
    }

    /// How far the session's agent is, which other hubs are told anew where it has changed.
    pub(crate) fn is_so_far(&self, registration: &Registration, rtt: Duration) {
        let names = self.names.read();
        for Session { agent, .. } in registration.names().map(|session| &**session) {
            let Some(entry) = names.entries.get(&agent.name) else { continue };
            let is_its = |session: &&Arc<Session>| Arc::ptr_eq(&session.agent, agent);
            let all = entry.sessions.iter().filter(is_its).filter_map(|session| session.rtt());
            // Each change of one is told with all others of its name.
            let are_few = entry.sessions.len() <= PEER_RTT_SESSIONS;
            if are_few && agent.is_told_otherwise(all.min().unwrap_or(rtt)) {
                self.followers.touch(&agent.name);
            }
        }
    }

    /// The session takes no new calls from now on. Lanes without calls are ended.
    pub(crate) fn drain(&self, registration: &Registration) {
        let link = &registration.link;
        if !link.drain() {
            return;
        }
        for session in registration.names() {
            session.agent.lanes.retire(&link.id, |lane| lane.idle_since().is_some());
            session.agent.drains_one();
            self.tell(&session.agent, What::Draining { session: link.id.clone() });
            self.followers.touch(&session.agent.name);
        }
        self.changed();
    }
}
