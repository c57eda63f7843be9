//! An agent stays registered, whatever happens to the hub or to its upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;
use h2::server::Builder;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;

use crate::services::clients::list;
use crate::services::health::check;
use crate::support::agent::{Agent, config, server};
use crate::support::client::{Answer, Client, answer};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
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

/// Calls one after the other, none of which fails.
async fn calls(client: &Client) {
    loop {
        assert!(is_served(client).await);
    }
}

/// An agent, its upstream, and a client whose lane is the upstream's first connection.
struct Lane {
    hub: Hub,
    agent: Agent,
    upstream: Upstream,
    client: Client,
}

impl Lane {
    async fn start() -> Self {
        let hub = Hub::start().await;
        let upstream = Upstream::listen().await;
        let agent = Agent::start(config(&hub, server(upstream.address)));
        hub.until_serving(NAME).await;
        let client = hub.client().await;
        Self { hub, agent, upstream, client }
    }

    /// Nobody but the client has noticed anything.
    async fn assert_unharmed(&self) {
        assert_eq!(check(&self.hub, NAME).await, Ok(ServingStatus::Serving));
        assert_eq!(self.hub.metric("hub_registrations_total").await, 1.0);
        assert_eq!(list(&self.hub).await[0].sessions, 1);
    }

    /// Waits until the hub knows of the end of all lanes.
    async fn until_no_lane(&self) {
        let hub = &self.hub;
        until("the end of the lane", async || hub.metric("hub_lanes").await == 0.0).await;
    }
}

/// A server says GOAWAY under running traffic, as one does that limits the age of its connections.
#[tokio::test]
async fn goaway_of_the_upstream_brings_a_new_lane_and_no_failed_call() {
    let mut lane = Lane::start().await;
    let answered = Arc::new(AtomicUsize::new(0));
    let mut next = lane.upstream.connection().await;
    for _ in 0..3 {
        let ends = next.ends.clone();
        next.answer_all(answered.clone());
        for _ in 0..20 {
            assert!(is_served(&lane.client).await);
        }
        ends.go_away();
        next = tokio::select! {
            connection = lane.upstream.connection() => connection,
            () = calls(&lane.client) => unreachable!("calls go on"),
        };
    }
    assert!(answered.load(Ordering::Relaxed) >= 60);
    lane.assert_unharmed().await;
}

/// The calls that run over it end first.
#[tokio::test]
async fn goaway_of_the_upstream_lets_running_calls_end() {
    let Lane { hub, agent: _agent, mut upstream, client } = Lane::start().await;
    let mut first = upstream.connection().await;
    let (running, _sending) = client.open(grpc(NAME, "/a.B/Running"), true).await;
    let held = first.call().await;
    first.ends.go_away();
    // Until the hub knows of it, calls still come to the old one, which may refuse them.
    first.answer_all(Arc::default());
    let second = tokio::select! {
        connection = upstream.connection() => connection,
        () = calls(&client) => unreachable!("calls go on"),
    };
    second.answer_all(Arc::default());
    assert!(is_served(&client).await);
    held.answer();
    assert_eq!(answer(running).await.expect("an answer").grpc_status(), Some("0"));
    assert_eq!(hub.metric("hub_registrations_total").await, 1.0);
}

/// Servers close connections that are idle, or old, with GOAWAY or without a word.
#[tokio::test]
async fn idle_lanes_that_the_upstream_ends() {
    let mut lane = Lane::start().await;
    for says_goaway in [true, false, true, false] {
        let (response, _sending) = lane.client.open(grpc(NAME, "/a.B/C"), true).await;
        let mut connection = lane.upstream.connection().await;
        connection.call().await.answer();
        answer(response).await.expect("an answer");
        if says_goaway {
            connection.ends.go_away();
        } else {
            connection.ends.kill();
        }
        connection.ended().await;
        lane.until_no_lane().await;
        lane.assert_unharmed().await;
    }
}

/// Nobody has called yet.
#[tokio::test]
async fn a_probes_lane_that_the_upstream_ends() {
    let mut lane = Lane::start().await;
    let mut probe = lane.upstream.connection().await;
    probe.ends.go_away();
    probe.ended().await;
    lane.until_no_lane().await;
    lane.assert_unharmed().await;
    let (response, _sending) = lane.client.open(grpc(NAME, "/a.B/C"), true).await;
    lane.upstream.connection().await.call().await.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
}

#[tokio::test]
async fn an_upstream_that_is_lost_is_dialled_again() {
    let mut lane = Lane::start().await;
    let mut first = lane.upstream.connection().await;
    let (running, _sending) = lane.client.open(grpc(NAME, "/a.B/C"), true).await;
    let _held = first.call().await;
    first.ends.kill();
    assert_eq!(answer(running).await.expect("an answer").hub_reason(), Some("session-lost"));
    lane.upstream.connections.all().answer_all(Arc::default());
    let client = lane.hub.client().await;
    assert!(is_served(&client).await);
}

/// A server that is restarted. The agent finds out by itself, both ways, and stays registered.
#[tokio::test]
async fn an_upstream_that_goes_away_and_comes_back() {
    let Lane { hub, agent: _agent, mut upstream, client } = Lane::start().await;
    let address = upstream.address;
    let mut first = upstream.connection().await;
    upstream.close().await;
    first.ends.kill();
    first.ended().await;
    hub.until_offline(NAME).await;
    let told = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
    assert_eq!((told.grpc_status(), told.hub_reason()), (Some("14"), Some("upstream-unreachable")));
    assert!(list(&hub).await[0].upstream_unreachable);
    Upstream::listen_at(address, Builder::new(), None).await.all().answer_all(Arc::default());
    hub.until_serving(NAME).await;
    assert!(is_served(&client).await);
    assert!(!list(&hub).await[0].upstream_unreachable);
    assert_eq!(hub.metric("hub_registrations_total").await, 1.0);
}

/// An agent may start before its server: it is not shown as serving until then.
#[tokio::test]
async fn an_upstream_that_comes_later() {
    let hub = Hub::start().await;
    let upstream = Upstream::listen().await;
    let address = upstream.address;
    upstream.close().await;
    let _agent = Agent::start(config(&hub, server(address)));
    hub.until_offline(NAME).await;
    let client = hub.client().await;
    let told = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
    assert_eq!(told.hub_reason(), Some("upstream-unreachable"));
    Upstream::listen_at(address, Builder::new(), None).await.all().answer_all(Arc::default());
    hub.until_serving(NAME).await;
    assert!(is_served(&client).await);
}

#[tokio::test]
async fn an_agent_finds_a_hub_that_has_restarted() {
    let mut world = World::start().await;
    world.hub.drain();
    world.hub.ended().await;
    let hub = Hub::start_at(world.hub.address, hub_config()).await;
    world.session.answer_all(Arc::default());
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
