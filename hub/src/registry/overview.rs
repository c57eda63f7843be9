//! All names at a glance, for whoever looks after the hub.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use tunnel::name::Name;

use super::{Entry, Link, Registry, Session, Upstream};
use crate::limits::LIST_SCAN;
use crate::observe::metrics::There;
use crate::observe::name_view::{NameState, NameView};
use crate::observe::tally::Tally;

impl Registry {
    /// All names that somebody has, or had a while ago, in order.
    pub(crate) fn overview(&self) -> Vec<NameView> {
        let mut views = Vec::new();
        self.each_name(|name, entry| views.extend(entry.view(name)));
        views
    }

    /// Looks at each name, in order. It takes as long as there are agents, but nobody waits so long: between some and the next,
    /// others have their turn.
    pub(super) fn each_name(&self, mut look: impl FnMut(&Name, &Entry)) {
        let mut last = None::<Name>;
        loop {
            let begin = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let (mut looks, mut reached) = (LIST_SCAN, None);
            let names = self.names.read();
            for (name, entry) in names.entries.range::<Name, _>((begin, Bound::Unbounded)) {
                look(name, entry);
                looks = looks.saturating_sub(1 + entry.sessions.len());
                if looks == 0 {
                    reached = Some(name.clone());
                    break;
                }
            }
            drop(names);
            match reached {
                Some(name) => last = Some(name),
                None => return,
            }
        }
    }

    /// Who is there, at this hub.
    pub(crate) fn there(&self) -> There {
        let sessions = self.sessions();
        let agents: HashSet<_> =
            sessions.iter().map(|session| (&session.agent.name, &session.agent.instance)).collect();
        // One session may be there under several names.
        let mut links: Vec<&Link> = sessions.iter().map(|session| &*session.link).collect();
        links.sort_unstable_by_key(|link| std::ptr::from_ref(*link));
        links.dedup_by(|one, next| std::ptr::eq(*one, *next));
        let count = |is: fn(&Link) -> bool| links.iter().filter(|link| is(link)).count();
        let peers = self.peer_views();
        There {
            agents: agents.len(),
            sessions: links.len(),
            suspect: count(Link::is_suspect),
            draining: count(Link::is_draining),
            peers: (peers.len(), peers.iter().filter(|peer| peer.is_suspect).count()),
            directory_age: None,
        }
    }

    /// What is counted of a name that is known.
    pub(crate) fn tally(&self, name: &Name) -> Option<Arc<Tally>> {
        self.names.read().entries.get(name)?.tally.clone()
    }

    /// One of them.
    pub(crate) fn view(&self, name: &Name) -> Option<NameView> {
        self.names.read().entries.get(name)?.view(name)
    }
}

impl Entry {
    /// Nothing, where nobody is known to have or to have had it.
    fn view(&self, name: &Name) -> Option<NameView> {
        let tally = self.tally.clone().filter(|_| self.is_known())?;
        let shown: Vec<_> = self.shown().collect();
        let by_agent = || shown.chunk_by(|one, next| Arc::ptr_eq(&one.agent, &next.agent));
        let first = || by_agent().filter_map(|sessions| sessions.first());
        let processes = shown.chunk_by(|one, next| one.agent.is_also(&next.agent));
        Some(NameView {
            name: name.clone(),
            state: self.state(),
            since: self.since(&shown),
            agents: processes.count(),
            sessions: by_agent().map(sessions_of).sum(),
            lanes: first().map(|session| session.agent.lanes.len()).sum(),
            in_flight: first().map(|session| session.agent.calls()).sum(),
            rtt: shown.iter().filter_map(|session| session.rtt()).min(),
            tally,
        })
    }

    fn state(&self) -> NameState {
        let mut usable = self.usable().peekable();
        if usable.peek().is_some() {
            let is_suspect = usable.all(|session| session.is_suspect());
            return if is_suspect { NameState::Suspect } else { NameState::Online };
        }
        let is_down = |session: &Arc<Session>| session.agent.upstream() == Upstream::Down;
        let mut shown = self.shown().peekable();
        if shown.peek().is_none() {
            NameState::Offline
        } else if shown.any(|session| is_down(session) && session.is_usable()) {
            NameState::Unreachable
        } else {
            NameState::Draining
        }
    }

    /// When its oldest session came, or, without one, its last one went.
    fn since(&self, shown: &[&Arc<Session>]) -> SystemTime {
        let came = shown.iter().map(|session| match &session.agent.remote {
            Some(remote) => remote.state().since,
            None => session.link.since,
        });
        came.min().or(self.gone_at).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// How many an agent has: one at another hub as many as that one says, however many ways lead there.
fn sessions_of(sessions: &[&Arc<Session>]) -> usize {
    let remote = sessions.first().and_then(|session| session.agent.remote.as_ref());
    remote.map_or(sessions.len(), |remote| remote.state().sessions as usize)
}
