//! An agent stays registered, whatever happens to the hub or to its upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;
use tokio::time::Instant;
use tunnel::limits::STREAM_QUEUE_TIMEOUT;

use crate::clients::{list, until_sessions};
use crate::support::agent::{Agent, config, server};
use crate::support::client::{Answer, Client, answer};
use crate::support::frames::{GOAWAY, frame};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::upstream::Upstream;
use crate::support::world::World;
use crate::support::{NAME, until};

/// One call. One that the upstream has not looked at is made again, as gRPC libraries do.
async fn call(client: &Client) -> Answer {
    loop {
        match client.call(grpc(NAME, "/a.B/C"), b"ping").await {
            Ok(answer) => return answer,
            Err(error) => assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM)),
        }
    }
}

async fn is_served(client: &Client) -> bool {
    call(client).await.grpc_status() == Some("0")
}

/// An upstream that says GOAWAY on one of two sessions, as a server does that limits their age.
#[tokio::test]
async fn goaway_of_the_upstream_brings_a_new_session_and_no_failed_call() {
    let hub = Hub::start().await;
    let mut upstream = Upstream::listen().await;
    let config = config(&hub, server(upstream.address));
    let _agent = Agent::start(agent::Config { sessions: Some(2), ..config });
    let answered = Arc::new(AtomicUsize::new(0));
    let first = upstream.connection().await;
    let ends = first.ends.clone();
    first.answer_all(answered.clone());
    upstream.connection().await.answer_all(answered.clone());
    until_sessions(&hub, 2).await;
    let client = hub.client().await;
    for _ in 0..50 {
        assert!(is_served(&client).await);
    }
    ends.go_away().await;
    let calls = async {
        loop {
            assert!(is_served(&client).await);
        }
    };
    tokio::select! {
        replacement = upstream.connection() => replacement.answer_all(answered.clone()),
        () = calls => unreachable!("calls go on"),
    }
    until_sessions(&hub, 2).await;
    let before = answered.load(Ordering::Relaxed);
    for _ in 0..50 {
        assert!(is_served(&client).await);
    }
    assert_eq!(answered.load(Ordering::Relaxed), before + 50);
}

/// The calls that run over it end first.
#[tokio::test]
async fn goaway_of_the_upstream_lets_running_calls_end() {
    let World { hub, agent: _agent, mut upstream, mut session, client } = World::start().await;
    let (running, _sending) = client.open(grpc(NAME, "/a.B/Running"), true).await;
    let held = session.call().await;
    session.ends.go_away().await;
    // The next calls find out. There is no other session that could take them, so some may be refused.
    session.answer_all(Arc::default());
    let calls = async {
        loop {
            call(&client).await;
        }
    };
    let replacement = tokio::select! {
        replacement = upstream.connection() => replacement,
        () = calls => unreachable!("calls go on"),
    };
    replacement.answer_all(Arc::default());
    until("served", async || is_served(&client).await).await;
    assert_eq!(list(&hub).await[0].sessions, 2);
    held.answer();
    assert_eq!(answer(running).await.expect("an answer").grpc_status(), Some("0"));
    until_sessions(&hub, 1).await;
}

/// An agent that is asked for a successor and has none: who calls meanwhile is told in the time of two dials.
#[tokio::test]
async fn a_successor_that_does_not_come_is_not_waited_for() {
    const GOAWAY_OF_NOTHING: [u8; 8] = [0; 8];
    let hub = Hub::start().await;
    let mut agent = RawAgent::register(&hub, "leaving", "instance-1", "0").await;
    agent.settings().await;
    hub.until_serving("leaving").await;
    agent.send(&frame(GOAWAY, 0, 0, &GOAWAY_OF_NOTHING)).await;
    until("the end", async || hub.metric("hub_sessions").await == 0.0).await;
    let start = Instant::now();
    let told = hub.client().await.call(grpc("leaving", "/a.B/C"), b"").await.expect("an answer");
    assert_eq!(told.hub_reason(), Some("offline"));
    assert!(start.elapsed() < STREAM_QUEUE_TIMEOUT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_upstream_that_is_lost_is_dialled_again() {
    let mut world = World::start().await;
    world.session.ends.kill().await;
    world.upstream.connection().await.answer_all(Arc::default());
    until("served", async || is_served(&world.client).await).await;
}

#[tokio::test]
async fn an_agent_finds_a_hub_that_has_restarted() {
    let mut world = World::start().await;
    world.hub.drain();
    world.hub.ended().await;
    let hub = Hub::start_at(world.hub.address, hub_config()).await;
    world.upstream.answer_all();
    hub.until_serving(NAME).await;
    assert!(is_served(&hub.client().await).await);
}

/// The agent waits for a hub that is not there yet.
#[tokio::test]
async fn an_agent_may_start_before_its_hub() {
    let first = Hub::start().await;
    let address = first.address;
    let upstream = Upstream::listen().await;
    let config = config(&first, server(upstream.address));
    let mut gone = first;
    gone.drain();
    gone.ended().await;
    let _agent = Agent::start(config);
    let hub = Hub::start_at(address, hub_config()).await;
    hub.until_serving(NAME).await;
}
