//! Which of a name's agents and sessions take its calls.

use hub::limits::LANE_LEAD;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tunnel::lanes::ResetCode;
use tunnel::lanes::frame::reset;
use tunnel::wire::Control;

use crate::services::clients::{list, until_sessions};
use crate::support::agent::{Agent, config, server};
use crate::support::client::{Client, answer};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::raw_agent::{PROBE, RawAgent};
use crate::support::upstream::Upstream;
use crate::support::{NAME, until};

/// A half-open connection must never keep a name busy.
#[tokio::test]
async fn a_newer_session_of_the_same_slot_replaces_the_old_one() {
    let hub = Hub::start().await;
    let old = RawAgent::shown(&hub, NAME, "instance-1").await;
    let mut new = RawAgent::register(&hub, NAME, "instance-1", "0").await.serve();
    let closed = old.closed().await.expect("a close frame");
    assert_eq!(closed.0, 4000, "{closed:?}");
    assert_eq!(list(&hub).await[0].sessions, 1);
    let client = hub.client().await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    new.call().await.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
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
        // The first session of a process finds out for all of them.
        if slot == "0" {
            agent.settings().await;
        }
        assert_eq!(agent.control().await, Control::Registered);
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
}

impl Pair {
    async fn start() -> Self {
        Self::of(Hub::start().await).await
    }

    async fn of(hub: Hub) -> Self {
        let upstreams = [Upstream::listen().await, Upstream::listen().await];
        let start = |upstream: &Upstream| Agent::start(config(&hub, server(upstream.address)));
        let agents = [start(&upstreams[0]), start(&upstreams[1])];
        let answered = [Arc::default(), Arc::default()];
        for (upstream, answered) in upstreams.into_iter().zip(&answered) {
            upstream.all().answer_all(Arc::clone(answered));
        }
        until_sessions(&hub, 2).await;
        Self { hub, agents, answered }
    }

    fn answered(&self) -> [usize; 2] {
        [0, 1].map(|i| self.answered[i].load(Ordering::Relaxed))
    }

    /// Neither has had more than three of five.
    fn assert_even(&self, calls: usize) {
        let [first, second] = self.answered();
        assert_eq!(first + second, calls);
        assert!(5 * first.min(second) >= 2 * calls, "{first} and {second}");
    }
}

/// Workers of a hub: one client's calls do not all stay where its connection is.
const WORKERS: [usize; 2] = [1, 8];

async fn pair_of(workers: usize) -> Pair {
    let workers = NonZeroUsize::new(workers).expect("some");
    Pair::of(Hub::start_with(hub::Config { workers, ..hub_config() }).await).await
}

#[tokio::test]
async fn calls_of_one_connection_that_come_one_after_the_other_are_shared() {
    const CALLS: usize = 100;
    for workers in WORKERS {
        let pair = pair_of(workers).await;
        let client = pair.hub.client().await;
        for _ in 0..CALLS {
            call(&client).await;
        }
        pair.assert_even(CALLS);
    }
}

#[tokio::test]
async fn calls_of_one_connection_that_run_at_once_are_shared() {
    const AT_ONCE: usize = 10;
    const CALLS: usize = 300;
    for workers in WORKERS {
        let pair = pair_of(workers).await;
        let client = pair.hub.client().await;
        let calls = async || {
            for _ in 0..CALLS / AT_ONCE {
                call(&client).await;
            }
        };
        futures_util::future::join_all((0..AT_ONCE).map(|_| calls())).await;
        pair.assert_even(CALLS);
    }
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

/// Calls take turns over two agents, but not those beyond a few that one of them leaves unanswered.
#[tokio::test]
async fn an_agent_that_is_stuck_keeps_few_calls() {
    const CALLS: usize = 40;
    let hub = Hub::start().await;
    let (well, stuck) = (Upstream::listen().await, Upstream::listen().await);
    let start = |upstream: &Upstream| Agent::start(config(&hub, server(upstream.address)));
    let _agents = [start(&well), start(&stuck)];
    until_sessions(&hub, 2).await;
    well.all().answer_all(Arc::default());
    let (mut stuck, client) = (stuck.all(), hub.client().await);
    let mut kept = Vec::new();
    for _ in 0..CALLS {
        let (response, sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
        tokio::select! {
            answer = answer(response) => drop(answer.expect("an answer")),
            call = stuck.call() => kept.push((call, sending)),
        }
    }
    assert!((1..=LANE_LEAD).contains(&kept.len()), "{}", kept.len());
}

/// Its server is away, the agent is not: the other one is asked first.
#[tokio::test]
async fn an_agent_whose_server_is_away_is_left_out() {
    let hub = Hub::start().await;
    let (there, mut away) = (Upstream::listen().await, Upstream::listen().await);
    let start = |upstream: &Upstream| Agent::start(config(&hub, server(upstream.address)));
    let _agents = [start(&there), start(&away)];
    until_sessions(&hub, 2).await;
    there.all().answer_all(Arc::default());
    let probe = away.connection().await;
    let ends = probe.ends.clone();
    probe.answer_all(Arc::default());
    away.close().await;
    // What the hub does not know yet it learns from the first call.
    let clients = [hub.client().await, hub.client().await, hub.client().await];
    for client in &clients {
        call(client).await;
    }
    ends.kill();
    let unreachable =
        async || list(&hub).await.iter().filter(|client| client.upstream_unreachable).count();
    until("one is away", async || {
        call(&hub.client().await).await;
        unreachable().await == 1
    })
    .await;
    for client in &clients {
        for _ in 0..10 {
            call(client).await;
        }
    }
}

/// Its server may have got it, and even done it, before the session was lost; that it had said nothing yet proves nothing.
#[tokio::test]
async fn a_call_that_a_silent_server_may_have_got_is_not_sent_again() {
    let hub = Hub::start().await;
    let mut lost = RawAgent::shown(&hub, NAME, "lost").await;
    let (first, second) = (hub.client().await, hub.client().await);
    let (_first, _sending) = first.open(grpc(NAME, "/a.B/C"), true).await;
    lost.request(PROBE).await;
    let (response, _sending) = second.open(grpc(NAME, "/a.B/C"), true).await;
    let lane = lost.opened().await;
    lost.request(lane).await;
    let upstream = Upstream::listen().await;
    let _other = Agent::start(config(&hub, server(upstream.address)));
    until_sessions(&hub, 2).await;
    upstream.all().answer_all(Arc::default());
    drop(lost);
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("14"), Some("session-lost")));
    call(&second).await;
}

/// Its places are with other hubs, or other names: no server is away, and nobody says that it is back.
#[tokio::test]
async fn an_agent_without_a_place_for_a_lane_is_asked_again() {
    let hub = Hub::start().await;
    let mut agent = RawAgent::register(&hub, NAME, "i", "0").await;
    let full = agent.opened().await;
    agent.lane_frame(reset(full, ResetCode::TooMany, 0, "no place")).await;
    hub.until_offline(NAME).await;
    agent.accept().await;
    hub.until_serving(NAME).await;
    assert_eq!(agent.control().await, Control::Registered);
}
