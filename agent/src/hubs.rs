//! Which hubs there are, and at which of them the agent has sessions: at two of them, where there are as many, so that the end
//! of one takes no name along.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tunnel::hub_uri::HubUri;

use crate::hub_uris::HubUris;
use crate::limits::{HUBS_TOLD, SPREAD_AFTER, SPREAD_MAX, SPREAD_TRIES_MAX};

/// All that the agent knows of hubs.
#[derive(Debug)]
pub(crate) struct Hubs {
    /// Those that it was started with, the preferred one first.
    configured: HubUris,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What hubs tell of others that have the same names.
    told: Vec<HubUri>,
    /// How many there are, as was told last; 0 or 1 where they do not share their names.
    count: u16,
    /// At which hub the newest session of each slot is, by its id.
    at: BTreeMap<u16, Arc<str>>,
    /// Sessions that were replaced to be at another hub, since they were at two last.
    tries: u32,
}

/// The newest session of a slot, at its hub.
#[derive(Debug)]
pub(crate) struct Stay {
    hubs: Arc<Hubs>,
    slot: u16,
    node: Arc<str>,
}

impl Hubs {
    pub(crate) fn new(configured: HubUris) -> Self {
        Self { configured, state: watch::Sender::default() }
    }

    /// All that can be dialled, the preferred one first.
    pub(crate) fn uris(&self) -> Vec<HubUri> {
        let mut uris: Vec<HubUri> = Vec::new();
        let state = self.state.borrow();
        for uri in self.configured.iter().chain(&state.told) {
            if !uris.contains(uri) {
                uris.push(uri.clone());
            }
        }
        uris
    }

    /// Where a slot begins with them: where hubs share their names, every other slot begins with the second.
    pub(crate) fn first_of(&self, slot: u16) -> usize {
        if self.state.borrow().count > 1 { usize::from(slot % 2) } else { 0 }
    }

    /// At which hubs a session of this slot is not wanted, for slots of the other half have theirs there.
    pub(crate) fn not_at(&self, slot: u16) -> Vec<Arc<str>> {
        let state = self.state.borrow();
        let is_other = |other: &u16| *other % 2 != slot % 2;
        let of_others = state.at.iter().filter(|(other, _)| state.count > 1 && is_other(other));
        let nodes: BTreeSet<_> = of_others.map(|(_, node)| node.clone()).collect();
        nodes.into_iter().collect()
    }

    /// How many dials may end at a hub that is not wanted before any is good: a balancer may lead to the same hub again.
    pub(crate) fn patience(&self) -> usize {
        (2 * usize::from(self.state.borrow().count)).clamp(self.uris().len(), SPREAD_TRIES_MAX)
    }

    /// A session of the slot has begun, at the hub of this id, which says how many there are. The slot's older one is not
    /// counted any more.
    pub(crate) fn enter(self: &Arc<Self>, slot: u16, node: &str, count: u16) -> Stay {
        let node: Arc<str> = node.into();
        self.state.send_modify(|state| {
            state.at.insert(slot, node.clone());
            state.count = count;
            state.is_settled();
        });
        Stay { hubs: self.clone(), slot, node }
    }

    /// A hub that was reached at `by` tells of all that there are. They are dialled as it was, with TLS or without: the agent's
    /// token goes there, too.
    pub(crate) fn told(&self, by: &HubUri, count: u16, uris: &[String]) {
        let uris = uris.iter().take(HUBS_TOLD).filter_map(|uri| uri.parse().ok());
        let told: Vec<HubUri> = uris.filter(|uri: &HubUri| uri.tls == by.tls).collect();
        self.state.send_if_modified(|state| {
            let is_new = state.count != count || state.told != told;
            (state.count, state.told) = (count, told);
            state.is_settled();
            is_new
        });
    }

    /// Resolves when the newest session of a slot had better be replaced by one at another hub: there are others, and all
    /// sessions are at one. Not at once, for hubs come and go together with others, and ever later where it does not help.
    /// `random`, in 0..1, is the session's own.
    pub(crate) async fn is_crowded(&self, slot: u16, random: f64) {
        let mut state = self.state.subscribe();
        loop {
            // Its sender is here.
            let _ = state.wait_for(|state| state.is_crowded(slot)).await;
            let tries = state.borrow().tries.min(SPREAD_MAX.as_secs().ilog2());
            let longest = SPREAD_AFTER.saturating_mul(1 << tries).min(SPREAD_MAX);
            let pause: Duration = longest.mul_f64(0.5 + random / 2.0);
            tokio::select! {
                () = sleep(pause) => {
                    self.state.send_modify(|state| state.tries = state.tries.saturating_add(1));
                    return;
                }
                _ = state.wait_for(|state| !state.is_crowded(slot)) => {}
            }
        }
    }
}

impl State {
    /// Whether a session of this slot would better be elsewhere: one of every other slot, so that half of them stay.
    fn is_crowded(&self, slot: u16) -> bool {
        slot % 2 == 1 && self.count > 1 && self.at.contains_key(&slot) && self.hubs() == 1
    }

    /// At how many hubs there is a session.
    fn hubs(&self) -> usize {
        self.at.values().collect::<BTreeSet<_>>().len()
    }

    fn is_settled(&mut self) {
        if self.hubs() > 1 || self.count < 2 {
            self.tries = 0;
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.hubs.state.send_modify(|state| {
            // A successor may be there, even at the same hub.
            if state.at.get(&self.slot).is_some_and(|node| Arc::ptr_eq(node, &self.node)) {
                state.at.remove(&self.slot);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    fn hubs(configured: &[&str]) -> Arc<Hubs> {
        let uris = configured.iter().map(|uri| uri.parse().expect("an address"));
        Arc::new(Hubs::new(HubUris::new(uris).expect("one at least")))
    }

    fn texts(uris: &[HubUri]) -> Vec<String> {
        uris.iter().map(ToString::to_string).collect()
    }

    fn not_at(hubs: &Hubs, slot: u16) -> Vec<String> {
        hubs.not_at(slot).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn told_ones_come_behind_and_are_dialled_as_who_told_of_them() {
        let hubs = hubs(&["wss://a", "wss://b"]);
        let by = "wss://a".parse().expect("an address");
        let told = ["wss://b", "wss://c", "ws://d", "nonsense"].map(str::to_owned);
        hubs.told(&by, 4, &told);
        assert_eq!(texts(&hubs.uris()), ["wss://a/ws", "wss://b/ws", "wss://c/ws"]);
        hubs.told(&"ws://a".parse().expect("an address"), 4, &told);
        assert_eq!(texts(&hubs.uris())[2..], ["ws://d/ws"]);
        hubs.told(&by, 4, &[]);
        assert_eq!(hubs.uris().len(), 2);
    }

    #[test]
    fn each_half_of_the_slots_keeps_away_from_the_other() {
        let hubs = hubs(&["ws://a", "ws://b"]);
        let alone = hubs.enter(0, "one", 1);
        assert!(hubs.not_at(1).is_empty(), "they are not one hub");
        assert_eq!((hubs.first_of(1), hubs.first_of(2)), (0, 0));
        let first = hubs.enter(0, "one", 2);
        drop(alone);
        assert_eq!((not_at(&hubs, 1), not_at(&hubs, 2)), (vec!["one".to_owned()], vec![]));
        assert_eq!((hubs.first_of(1), hubs.first_of(2)), (1, 0));
        let _second = hubs.enter(3, "two", 2);
        assert_eq!(not_at(&hubs, 0), ["two"]);
        drop(first);
        assert!(hubs.not_at(1).is_empty());
        assert_eq!(hubs.patience(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_are_all_at_one_hub_are_spread_ever_later() {
        let hubs = hubs(&["ws://a"]);
        let _first = hubs.enter(0, "one", 2);
        let _second = hubs.enter(1, "one", 2);
        let is_crowded = async |slot| timeout(2 * SPREAD_MAX, hubs.is_crowded(slot, 1.0)).await;
        is_crowded(0).await.expect_err("it stays");
        for pause in [SPREAD_AFTER, 2 * SPREAD_AFTER, 4 * SPREAD_AFTER] {
            let began = Instant::now();
            is_crowded(1).await.expect("crowded");
            assert_eq!(began.elapsed(), pause);
        }
        let elsewhere = hubs.enter(1, "two", 2);
        is_crowded(1).await.expect_err("it is elsewhere");
        drop(elsewhere);
        let _again = hubs.enter(1, "one", 2);
        let began = Instant::now();
        is_crowded(1).await.expect("crowded");
        assert_eq!(began.elapsed(), SPREAD_AFTER);
        hubs.told(&"ws://a".parse().expect("an address"), 1, &[]);
        is_crowded(1).await.expect_err("there is no other");
    }
}
