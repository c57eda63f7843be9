//! How the agent stands with its hubs: which sessions there are, and why it is not registered, where it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tunnel::hub_uri::HubUri;
use tunnel::ws::Handle;

/// It is told by slots and sessions, and asked by the admin listener.
#[derive(Debug, Default)]
pub(crate) struct Standing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Slots that have no session: they dial, or wait until they do.
    connecting: usize,
    /// In the order in which they began, by number.
    sessions: BTreeMap<u64, Known>,
    next: u64,
    /// What went wrong last, since a session was registered.
    trouble: Option<String>,
}

/// What is known of a session.
#[derive(Debug)]
struct Known {
    hub: HubUri,
    /// The hub's id.
    node: String,
    ws: Handle,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The hub has not shown it to callers yet.
    Connected,
    /// It gets calls.
    Registered,
    /// It gets no new ones.
    Draining,
}

/// What there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// Slots without a session.
    pub(crate) connecting: usize,
    /// Sessions, but for those that drain.
    pub(crate) connected: usize,
    /// Sessions that get no new calls.
    pub(crate) draining: usize,
    /// Hubs at which any of them are.
    pub(crate) hubs: usize,
    /// The longest of their round trips.
    pub(crate) rtt: Option<Duration>,
}

/// A slot without a session, until it is dropped.
#[derive(Debug)]
pub(crate) struct Connecting<'s>(&'s Standing);

/// A session, until it is dropped.
#[derive(Debug)]
pub(crate) struct Connected<'s> {
    standing: &'s Standing,
    number: u64,
}

impl Standing {
    /// A slot has no session.
    pub(crate) fn connecting(&self) -> Connecting<'_> {
        self.0.lock().connecting += 1;
        Connecting(self)
    }

    /// A session has begun, at the hub of this id.
    pub(crate) fn connected(&self, hub: &HubUri, node: &str, ws: &Handle) -> Connected<'_> {
        let (hub, node, ws) = (hub.clone(), node.to_owned(), ws.clone());
        let mut state = self.0.lock();
        let number = state.next;
        state.next += 1;
        state.sessions.insert(number, Known { hub, node, ws, phase: Phase::Connected });
        Connected { standing: self, number }
    }

    /// There is no session, or not any more, for this reason.
    pub(crate) fn failed(&self, why: String) {
        let mut state = self.0.lock();
        if state.first(Phase::Registered).is_none() {
            state.trouble = Some(why);
        }
    }

    /// Why the agent is registered by no session, if it is by none.
    pub(crate) fn why_not_registered(&self) -> Option<String> {
        let state = self.0.lock();
        if state.first(Phase::Registered).is_some() {
            return None;
        }
        let why = if let Some(Known { hub, .. }) = state.first(Phase::Connected) {
            format!("hub {hub}: connected, and not registered yet")
        } else if let Some(trouble) = &state.trouble {
            trouble.clone()
        } else if let Some(Known { hub, .. }) = state.first(Phase::Draining) {
            format!("hub {hub}: draining, and no other session is registered yet")
        } else {
            "no hub has answered yet".to_owned()
        };
        Some(why)
    }

    /// What there is.
    pub(crate) fn seen(&self) -> Seen {
        let state = self.0.lock();
        let is_draining = |known: &&Known| known.phase == Phase::Draining;
        let draining = state.sessions.values().filter(is_draining).count();
        let hubs: BTreeSet<_> = state.sessions.values().map(|known| &known.node).collect();
        Seen {
            connecting: state.connecting,
            connected: state.sessions.len() - draining,
            draining,
            hubs: hubs.len(),
            rtt: state.sessions.values().filter_map(|known| known.ws.rtt()).max(),
        }
    }
}

impl State {
    /// The oldest session of this phase.
    fn first(&self, phase: Phase) -> Option<&Known> {
        self.sessions.values().find(|known| known.phase == phase)
    }
}

impl Connected<'_> {
    /// The hub shows it to callers, unless one of both has begun to take leave. What went wrong before is over.
    pub(crate) fn registered(&self) {
        let mut state = self.standing.0.lock();
        let known = state.sessions.get_mut(&self.number);
        if let Some(known) = known.filter(|known| known.phase == Phase::Connected) {
            known.phase = Phase::Registered;
            state.trouble = None;
        }
    }

    /// It gets no new calls.
    pub(crate) fn draining(&self) {
        if let Some(known) = self.standing.0.lock().sessions.get_mut(&self.number) {
            known.phase = Phase::Draining;
        }
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.0.lock().connecting -= 1;
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.standing.0.lock().sessions.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::session;

    #[tokio::test]
    async fn what_is_told_is_the_newest_that_matters() {
        let (standing, (_hub, lanes)) = (Standing::default(), session());
        let hub = "ws://hub/ws".parse().expect("an address");
        let why = || standing.why_not_registered().unwrap_or_default();
        assert_eq!(why(), "no hub has answered yet");
        standing.failed("refused".to_owned());
        assert_eq!(why(), "refused");
        let first = standing.connected(&hub, "one", lanes.ws());
        assert_eq!(why(), "hub ws://hub/ws: connected, and not registered yet");
        first.registered();
        standing.failed("another slot is refused".to_owned());
        assert_eq!(why(), "");
        first.draining();
        first.registered();
        assert_eq!(why(), "hub ws://hub/ws: draining, and no other session is registered yet");
        standing.failed("refused again".to_owned());
        assert_eq!(why(), "refused again");
        let second = standing.connected(&hub, "two", lanes.ws());
        second.registered();
        let seen = standing.seen();
        assert_eq!((seen.connected, seen.draining, seen.hubs), (1, 1, 2));
        drop((first, second));
        standing.failed("lost".to_owned());
        assert_eq!((why(), standing.seen()), ("lost".to_owned(), Seen::default()));
    }

    #[test]
    fn slots_without_a_session_are_counted() {
        let standing = Standing::default();
        let (one, other) = (standing.connecting(), standing.connecting());
        assert_eq!(standing.seen().connecting, 2);
        drop((one, other));
        assert_eq!(standing.seen().connecting, 0);
    }
}
