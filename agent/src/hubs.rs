//! Which hubs there are, and at which of them the agent has sessions: at two of them, where there are as many, so that the end
//! of one takes no name along.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;
use tunnel::hub_uri::HubUri;

use crate::config::Config;
use crate::hub_uris::HubUris;
use crate::limits::{HUBS_TOLD, SPREAD_AFTER, SPREAD_MAX, SPREAD_TRIES_MAX};

/// All that the agent knows of hubs.
#[derive(Debug)]
pub(crate) struct Hubs {
    /// Those that it was started with, the preferred one first.
    configured: HubUris,
    /// No others are dialled.
    only_configured: bool,
    /// By which it orders those that it is told of, so that not all agents prefer the same.
    instance: String,
    /// The token would cross the network in clear text without TLS.
    has_token: bool,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What each hub has told, by its id: while there is a session, of those at which there is one.
    told: BTreeMap<Arc<str>, Told>,
    /// Hubs that have asked for no more, and are as good as gone.
    leaving: BTreeSet<Arc<str>>,
    /// At which hub the newest session of each slot is, by its id.
    at: BTreeMap<u16, Arc<str>>,
    /// How often sessions have looked for another hub since one of them has found one.
    tries: u32,
}

/// What a hub tells of all hubs that share its names, itself among them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    count: u16,
    /// Where agents reach those that say so.
    uris: Vec<HubUri>,
}

/// The newest session of a slot, at its hub.
#[derive(Debug)]
pub(crate) struct Stay {
    hubs: Arc<Hubs>,
    slot: u16,
    node: Arc<str>,
}

impl Hubs {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            configured: config.hubs.clone(),
            only_configured: config.hub_uris_only,
            instance: config.instance.clone(),
            has_token: config.token_file.is_some(),
            state: watch::Sender::default(),
        }
    }

    /// All that can be dialled, the preferred one first. Those that hubs tell of are in an order of this agent's own.
    pub(crate) fn uris(&self) -> Vec<HubUri> {
        let mut uris: Vec<HubUri> = Vec::new();
        let state = self.state.borrow();
        let mut told: Vec<_> = state.told.values().flat_map(|told| &told.uris).collect();
        told.sort_by_cached_key(|uri| {
            let mut hasher = DefaultHasher::new();
            (&self.instance, uri).hash(&mut hasher);
            hasher.finish()
        });
        for uri in self.configured.iter().chain(told) {
            if !uris.contains(uri) {
                uris.push(uri.clone());
            }
        }
        uris
    }

    /// Where a slot begins with them: where hubs share their names, every other slot begins with the second.
    pub(crate) fn first_of(&self, slot: u16) -> usize {
        if self.state.borrow().count() > 1 { usize::from(slot % 2) } else { 0 }
    }

    /// At which hubs a session of this slot is not wanted, for slots of the other half have theirs there.
    pub(crate) fn not_at(&self, slot: u16) -> Vec<Arc<str>> {
        let state = self.state.borrow();
        if state.count() > 1 { state.of_others(slot).into_iter().collect() } else { Vec::new() }
    }

    /// How many dials may fail, or end at a hub that is not wanted, before any is good: a balancer may lead to the same hub
    /// again.
    pub(crate) fn patience(&self) -> usize {
        let (uris, count) = (self.uris().len(), usize::from(self.state.borrow().count()));
        (2 * count).max(uris).min(SPREAD_TRIES_MAX)
    }

    /// A session of the slot has begun, at the hub of this id, which says how many there are. The slot's older one is not
    /// counted any more.
    pub(crate) fn enter(self: &Arc<Self>, slot: u16, node: &str, count: u16) -> Stay {
        let node: Arc<str> = node.into();
        self.state.send_modify(|state| {
            state.at.insert(slot, node.clone());
            // Nobody is let in at the end of a hub: it has only renewed a session.
            state.leaving.remove(&node);
            state.told.entry(node.clone()).or_default().count = count;
            state.forget();
            if slot % 2 == 1 && !state.is_crowded(slot) {
                state.tries = 0;
            }
        });
        Stay { hubs: self.clone(), slot, node }
    }

    /// The hub of this id, reached at `by`, tells of all that there are. They are dialled as it was, with TLS or without: the
    /// agent's token goes there, too. So without TLS only hosts are that it was told of by whoever has started it.
    pub(crate) fn told(&self, node: &str, by: &HubUri, count: u16, uris: &[String]) {
        let is_known = |uri: &HubUri| self.configured.iter().any(|known| known.host == uri.host);
        let may_be_dialled = |uri: &HubUri| {
            !self.only_configured
                && uri.tls == by.tls
                && (uri.tls || is_known(uri) || !self.has_token)
        };
        let uris: Vec<HubUri> =
            uris.iter().take(HUBS_TOLD).filter_map(|uri| uri.parse().ok()).collect();
        if let Some(uri) = uris.iter().find(|uri| !self.only_configured && !may_be_dialled(uri)) {
            warn!(hub = %by, %uri, "a hub tells of another that is not dialled: it would be without TLS, or the other way round");
        }
        let uris = uris.into_iter().filter(may_be_dialled).collect();
        self.state.send_if_modified(|state| {
            let told = Told { count, uris };
            let node: Arc<str> = node.into();
            let before = state.told.insert(node.clone(), told);
            let is_new = state.told.get(&node) != before.as_ref();
            if before.is_some_and(|before| count > before.count) {
                // One has come, at which there may be room.
                state.tries = 0;
            }
            state.forget();
            is_new
        });
    }

    /// The hub of this id has asked for no more: it is about to end.
    pub(crate) fn leaves(&self, node: &str) {
        self.state.send_modify(|state| {
            state.leaving.insert(node.into());
            state.forget();
        });
    }

    /// Resolves when the newest session of a slot had better be at another hub: there are others, and slots of the other half
    /// are at this one. Not at once, for hubs come and go together with others, and ever later where it does not help.
    /// `random`, in 0..1, is the session's own: so a fleet does not come at once to a hub that has just begun.
    pub(crate) async fn is_crowded(&self, slot: u16, random: f64) {
        let mut state = self.state.subscribe();
        loop {
            // Its sender is here.
            let _ = state.wait_for(|state| state.is_crowded(slot)).await;
            let tries = state.borrow().tries;
            let doubled = tries.min(SPREAD_MAX.as_secs().ilog2());
            let longest = SPREAD_AFTER.saturating_mul(1 << doubled).min(SPREAD_MAX);
            tokio::select! {
                () = sleep(longest.mul_f64(random)) => {
                    self.state.send_modify(|state| state.tries = state.tries.saturating_add(1));
                    return;
                }
                _ = state.wait_for(|state| !state.is_crowded(slot) || state.tries < tries) => {}
            }
        }
    }
}

impl State {
    /// How many hubs share their names, but for those that are about to end: the most that one of them tells of. Another may
    /// have just begun, and know of nobody yet.
    fn count(&self) -> u16 {
        let told = self.told.values().map(|told| told.count).max().unwrap_or_default();
        told.saturating_sub(u16::try_from(self.leaving.len()).unwrap_or(u16::MAX))
    }

    /// The hubs at which slots of the other half are.
    fn of_others(&self, slot: u16) -> BTreeSet<Arc<str>> {
        let is_other = |other: &u16| *other % 2 != slot % 2;
        self.at.iter().filter(|(other, _)| is_other(other)).map(|(_, node)| node.clone()).collect()
    }

    /// Whether a session of this slot would better be elsewhere: one of every other slot, so that half of them stay.
    fn is_crowded(&self, slot: u16) -> bool {
        let node = self.at.get(&slot).filter(|_| slot % 2 == 1 && self.count() > 1);
        node.is_some_and(|node| self.of_others(slot).contains(node))
    }

    /// What hubs have told at which there is no session any more. Where there is none at all, it is kept: who knows where the
    /// next one will be?
    fn forget(&mut self) {
        if !self.at.is_empty() {
            let at: BTreeSet<_> = self.at.values().cloned().collect();
            self.told.retain(|node, _| at.contains(node));
            self.leaving.retain(|node| at.contains(node));
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.hubs.state.send_modify(|state| {
            // A successor may be there, even at the same hub.
            if state.at.get(&self.slot).is_some_and(|node| Arc::ptr_eq(node, &self.node)) {
                state.at.remove(&self.slot);
                state.forget();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::tests::{agent, services};

    fn uri(text: &str) -> HubUri {
        text.parse().expect("an address")
    }

    fn config(configured: &[&str]) -> Config {
        let hubs = HubUris::new(configured.iter().map(|text| uri(text))).expect("one at least");
        Config { hubs, ..agent(services(), 1).config.clone() }
    }

    fn hubs(configured: &[&str]) -> Arc<Hubs> {
        Arc::new(Hubs::new(&config(configured)))
    }

    fn texts(uris: &[HubUri]) -> Vec<String> {
        uris.iter().map(ToString::to_string).collect()
    }

    fn not_at(hubs: &Hubs, slot: u16) -> Vec<String> {
        hubs.not_at(slot).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn told_ones_come_behind_and_are_dialled_as_who_told_of_them() {
        let told = ["wss://b", "wss://c", "ws://d", "ws://a:1", "nonsense"].map(str::to_owned);
        let hubs = hubs(&["wss://a", "wss://b"]);
        hubs.told("one", &uri("wss://a"), 4, &told);
        assert_eq!(texts(&hubs.uris()), ["wss://a/ws", "wss://b/ws", "wss://c/ws"]);
        hubs.told("one", &uri("wss://a"), 4, &[]);
        assert_eq!(hubs.uris().len(), 2);
        // In clear text, a token goes to known hosts only.
        let mut config = config(&["ws://a"]);
        let by = uri("ws://a");
        for (token_file, hub_uris_only, uris) in
            [(None, false, 3), (Some("token".into()), false, 2), (None, true, 1)]
        {
            (config.token_file, config.hub_uris_only) = (token_file, hub_uris_only);
            let hubs = Hubs::new(&config);
            hubs.told("one", &by, 4, &told);
            assert_eq!(hubs.uris().len(), uris, "{:?}", hubs.uris());
        }
    }

    /// Or all of them would be at two hubs.
    #[test]
    fn agents_do_not_prefer_the_same() {
        let told: Vec<_> = (0..64).map(|at| format!("wss://hub-{at}")).collect();
        let mut firsts = BTreeSet::new();
        for instance in ["one", "other", "third"] {
            let instance = instance.to_owned();
            let hubs = Hubs::new(&Config { instance, ..config(&["wss://a"]) });
            hubs.told("one", &uri("wss://a"), 64, &told);
            assert_eq!((hubs.uris().len(), hubs.patience()), (65, SPREAD_TRIES_MAX));
            firsts.insert(hubs.uris()[1].to_string());
        }
        assert!(firsts.len() > 1, "{firsts:?}");
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
        // Another one, which has just begun and knows of nobody.
        let second = hubs.enter(3, "two", 1);
        assert_eq!((not_at(&hubs, 0), hubs.patience()), (vec!["two".to_owned()], 4));
        // It is about to end, and then there is one only.
        hubs.leaves("two");
        assert!(hubs.not_at(0).is_empty() && hubs.not_at(1).is_empty());
        drop(second);
        assert_eq!(not_at(&hubs, 1), ["one"]);
        drop(first);
        assert!(hubs.not_at(1).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_beside_those_of_the_other_half_look_for_another_hub_ever_later() {
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
        let soon = timeout(Duration::ZERO, hubs.is_crowded(1, 0.0)).await;
        soon.expect("each has a moment of its own");
        // Where one more comes, soon again.
        let (waits, comes) = (hubs.is_crowded(1, 1.0), async {
            sleep(SPREAD_AFTER / 2).await;
            hubs.told("one", &uri("ws://a"), 3, &[]);
        });
        let began = Instant::now();
        tokio::join!(waits, comes);
        assert_eq!(began.elapsed(), SPREAD_AFTER / 2 + SPREAD_AFTER);
        hubs.told("one", &uri("ws://a"), 1, &[]);
        is_crowded(1).await.expect_err("there is no other");
    }
}
