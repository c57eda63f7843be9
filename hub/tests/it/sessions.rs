//! Which of a name's sessions take its calls.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tunnel::keepalive::KeepaliveConfig;
use tunnel::wire::Control;

use crate::clients::{list, until_sessions};
use crate::support::agent::{Agent, config, server};
use crate::support::client::{Client, answer};
use crate::support::frames::{GOAWAY, frame};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until};

/// A half-open connection must never keep a name busy.
#[tokio::test]
async fn a_newer_session_of_the_same_slot_replaces_the_old_one() {
    let hub = Hub::start().await;
    let mut old = RawAgent::register(&hub, NAME, "instance-1", "0").await;
    old.settings().await;
    hub.until_serving(NAME).await;
    let mut new = RawAgent::register(&hub, NAME, "instance-1", "0").await.serve();
    let closed = old.closed().await.expect("a close frame");
    assert_eq!(closed.0, 4000, "{closed:?}");
    assert_eq!(list(&hub).await[0].sessions, 1);
    let client = hub.client().await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    new.call().await.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
}

/// Not when somebody wants a new stream, nor when a ping is due: the successor should be there by then.
#[tokio::test]
async fn an_upstream_that_says_goaway_is_replaced_before_it_is_gone() {
    let seldom = Duration::from_secs(3600);
    let keepalive = KeepaliveConfig { interval: seldom, timeout: seldom };
    let hub = Hub::start_with(hub::Config { keepalive, ..hub_config() }).await;
    let mut agent = RawAgent::register(&hub, NAME, "instance-1", "0").await;
    agent.settings().await;
    hub.until_serving(NAME).await;
    let client = hub.client().await;
    let (_response, _sending) = client.open(grpc(NAME, "/a.B/Runs"), true).await;
    agent.request().await;
    agent.send(&frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])).await;
    assert_eq!(agent.control().await, Control::Drain);
}

#[tokio::test]
async fn other_slots_and_instances_replace_nobody() {
    let hub = Hub::start().await;
    let mut ids = HashSet::new();
    let mut agents = Vec::new();
    for (instance, slot) in [("i1", "0"), ("i1", "1"), ("i2", "0")] {
        let mut agent = RawAgent::register(&hub, NAME, instance, slot).await;
        assert_eq!(agent.headers["hub-sessions"], "2");
        ids.insert((agent.headers["hub-session-id"].clone(), agent.headers["hub-node-id"].clone()));
        agent.settings().await;
        agents.push(agent);
    }
    until_sessions(&hub, 3).await;
    assert_eq!(ids.len(), 3);
    assert_eq!(ids.iter().map(|(_, node)| node).collect::<HashSet<_>>().len(), 1);
}

/// Two agents of one name.
struct Pair {
    hub: Hub,
    agents: [Agent; 2],
    answered: [Arc<AtomicUsize>; 2],
    _upstreams: [Upstream; 2],
}

impl Pair {
    async fn start() -> Self {
        Self::of(Hub::start().await).await
    }

    async fn of(hub: Hub) -> Self {
        let mut upstreams = [Upstream::listen().await, Upstream::listen().await];
        let start = |upstream: &Upstream| Agent::start(config(&hub, server(upstream.address)));
        let agents = [start(&upstreams[0]), start(&upstreams[1])];
        let answered = [Arc::default(), Arc::default()];
        for (upstream, answered) in upstreams.iter_mut().zip(&answered) {
            upstream.connection().await.answer_all(Arc::clone(answered));
        }
        until_sessions(&hub, 2).await;
        Self { hub, agents, answered, _upstreams: upstreams }
    }

    fn answered(&self) -> [usize; 2] {
        [0, 1].map(|i| self.answered[i].load(Ordering::Relaxed))
    }
}

/// Each worker of the hub prefers the sessions that it drives itself, so it takes several clients.
#[tokio::test]
async fn two_agents_with_one_name_share_its_calls() {
    const CLIENTS: usize = 4;
    const CALLS: usize = 50 * CLIENTS;
    let pair = Pair::start().await;
    let (mut clients, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..CLIENTS {
        clients.push(pair.hub.client().await);
    }
    for client in clients.iter().cycle().take(CALLS) {
        calls.push(client.open(grpc(NAME, "/a.B/C"), true).await);
    }
    for (response, _sending) in calls {
        answer(response).await.expect("an answer");
    }
    let [first, second] = pair.answered();
    assert_eq!(first + second, CALLS);
    assert!(first.min(second) > CALLS / 10, "{first} and {second}");
}

/// Programs that connect, call once and leave, as `client` does.
#[tokio::test]
async fn clients_that_come_one_after_the_other_are_spread_too() {
    const CLIENTS: usize = 40;
    let pair = Pair::start().await;
    for _ in 0..CLIENTS {
        call(&pair.hub.client().await).await;
    }
    let [first, second] = pair.answered();
    assert_eq!(first + second, CLIENTS);
    assert!(first.min(second) > CLIENTS / 10, "{first} and {second}");
}

/// Nor does it matter which of two sessions came first, where one worker drives both.
#[tokio::test]
async fn calls_that_come_one_after_the_other_are_spread_too() {
    const CALLS: usize = 60;
    let hub = Hub::start_with(hub::Config { workers: NonZeroUsize::MIN, ..hub_config() }).await;
    let pair = Pair::of(hub).await;
    let client = pair.hub.client().await;
    for _ in 0..CALLS {
        call(&client).await;
    }
    let [first, second] = pair.answered();
    assert!(first.min(second) > CALLS / 10, "{first} and {second}");
}

#[tokio::test]
async fn when_one_of_two_agents_leaves_no_call_fails() {
    let mut pair = Pair::start().await;
    let client = pair.hub.client().await;
    pair.agents[0].drain();
    until("one agent", async || {
        call(&client).await;
        list(&pair.hub).await.len() == 1
    })
    .await;
    pair.agents[0].ended().await;
    let [first, second] = pair.answered();
    call(&client).await;
    assert_eq!(pair.answered(), [first, second + 1]);
}

async fn call(client: &Client) {
    let call = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
    assert_eq!((call.grpc_status(), call.hub_reason()), (Some("0"), None));
}

#[tokio::test]
async fn when_one_of_two_agents_is_killed_the_other_serves() {
    let mut pair = Pair::start().await;
    pair.agents[0].kill();
    until("one agent", async || list(&pair.hub).await.len() == 1).await;
    let client = pair.hub.client().await;
    for _ in 0..20 {
        call(&client).await;
    }
    assert_eq!(pair.answered(), [0, 20]);
}
