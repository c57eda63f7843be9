//! The agents in order, a page at a time: whoever lists them costs no more than what it is shown.

use std::ops::Bound;
use std::sync::Arc;

use tunnel::name::Name;

use super::{Entry, Registry, Session};
use crate::limits::LIST_SCAN;

/// How far somebody has come in the list of agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: Name,
    /// The last one of that name; without it, all of them.
    pub(crate) instance: Option<String>,
}

/// Some agents.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) agents: Vec<Listed>,
    /// How far it came, unless that is the end of the list.
    pub(crate) reached: Option<Place>,
}

/// One agent.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) sessions: Vec<Arc<Session>>,
    /// It gets calls only where who came before it does not, who does.
    pub(crate) stands_by: bool,
}

impl Registry {
    /// The agents after `after` that may be seen, `most` of them or fewer: of how many it looks at there is a
    /// limit, too.
    pub(crate) fn agents_after(
        &self,
        after: Option<Place>,
        most: usize,
        may_see: impl Fn(&Name) -> bool,
    ) -> Page {
        let begin = after.clone();
        let begin = begin.as_ref().map_or(Bound::Unbounded, |after| Bound::Included(&after.name));
        let mut page = Page { agents: Vec::new(), reached: after };
        let mut looks = LIST_SCAN;
        let names = self.names.read();
        for (name, entry) in names.entries.range::<Name, _>((begin, Bound::Unbounded)) {
            if looks == 0 {
                return page;
            }
            looks -= 1;
            let left = if may_see(name) { entry.after(name, page.reached.as_ref()) } else { &[] };
            for agent in left.chunk_by(|one, next| one.agent.instance == next.agent.instance) {
                if looks == 0 || page.agents.len() == most {
                    return page;
                }
                looks = looks.saturating_sub(agent.len());
                page.reached = agent.first().map(|session| Place::of(session));
                if agent.iter().any(|session| session.is_shown()) {
                    page.agents.push(entry.listed(agent));
                }
            }
            page.reached = Some(Place { name: name.clone(), instance: None });
        }
        page.reached = None;
        page
    }
}

impl Registry {
    /// The first agents of a name.
    pub(crate) fn agents_of(&self, name: &Name, most: usize) -> Vec<Listed> {
        let names = self.names.read();
        let Some(entry) = names.entries.get(name) else { return Vec::new() };
        let is_same =
            |one: &Arc<Session>, next: &Arc<Session>| one.agent.instance == next.agent.instance;
        let agents = entry.sessions.chunk_by(is_same);
        let shown = agents.filter(|agent| agent.iter().any(|session| session.is_shown()));
        shown.take(most).map(|agent| entry.listed(agent)).collect()
    }
}

impl Place {
    /// The place of the agent whose session it is.
    pub(crate) fn of(session: &Session) -> Self {
        let agent = &session.agent;
        Self { name: agent.name.clone(), instance: Some(agent.instance.clone()) }
    }
}

impl Entry {
    fn listed(&self, sessions: &[Arc<Session>]) -> Listed {
        let agent = sessions.first().map(|session| &session.agent);
        let stands_by = agent.is_some_and(|agent| {
            let in_turn = || self.in_turn(|_| false);
            agent.stands_by() && !in_turn().iter().any(|session| session.agent.is_also(agent))
        });
        // At one of its hubs it may not be known yet whether its server is there.
        let shown = sessions.iter().filter(|session| session.is_shown());
        Listed { sessions: shown.cloned().collect(), stands_by }
    }

    /// The sessions of those of its agents that come after the place.
    fn after(&self, name: &Name, place: Option<&Place>) -> &[Arc<Session>] {
        let Some(place) = place.filter(|place| place.name == *name) else {
            return &self.sessions;
        };
        let Some(instance) = &place.instance else {
            return &[];
        };
        let begin = self.sessions.partition_point(|session| session.agent.instance <= *instance);
        self.sessions.get(begin..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::observe::activity::Activity;
    use crate::observe::metrics::Metrics;

    const NAMES: usize = 2 * LIST_SCAN + 100;

    /// Names that are remembered only; what is shown of others is a matter of integration tests.
    fn registry() -> Registry {
        let registry = Registry::new(Arc::new(Activity::new()), Metrics::new());
        for n in 0..NAMES {
            let name = format!("name-{n:05}").parse().expect("a name");
            registry.names.write().entries.insert(name, Entry::default());
        }
        registry
    }

    #[test]
    fn a_page_looks_at_so_many_names() {
        let (registry, seen) = (registry(), Cell::new(0));
        let (mut place, mut looked) = (None, Vec::new());
        loop {
            seen.set(0);
            let page = registry.agents_after(place, 10, |_| seen.replace(seen.get() + 1) % 2 == 0);
            looked.push(seen.get());
            assert!(page.agents.is_empty());
            place = page.reached;
            if place.is_none() {
                break;
            }
        }
        // The name at which a page begins is looked at again.
        assert_eq!(looked, [LIST_SCAN, LIST_SCAN, 102]);
    }

    #[test]
    fn a_place_may_be_at_a_name_that_is_gone() {
        let (registry, seen) = (registry(), Cell::new(0));
        let name = format!("name-{:05}x", NAMES - 4).parse().expect("a name");
        let place = Place { name, instance: Some("1".into()) };
        let page = registry.agents_after(Some(place), 10, |_| {
            seen.set(seen.get() + 1);
            true
        });
        assert_eq!((seen.get(), page.reached), (3, None));
    }
}
