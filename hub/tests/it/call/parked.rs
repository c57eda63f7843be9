//! Calls for a name that was there just now wait for it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::task::JoinHandle;

use crate::support::agent::{Agent, config, server};
use crate::support::client::{Answer, Client};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until};

/// A hub at which calls wait for so long, an agent whose server answers everything, and a client.
struct Parking {
    hub: Hub,
    agent: Agent,
    upstream: std::net::SocketAddr,
    client: Arc<Client>,
}

impl Parking {
    async fn start(park_timeout: Duration) -> Self {
        let hub = Hub::start_with(hub::Config { park_timeout, ..hub_config() }).await;
        let upstream = Upstream::listen().await;
        let address = upstream.address;
        upstream.all().answer_all(Arc::default());
        let agent = Agent::start(config(&hub, server(address)));
        hub.until_serving(NAME).await;
        let client = Arc::new(hub.client().await);
        Self { hub, agent, upstream: address, client }
    }

    /// Ends the agent, which leaves nobody.
    async fn agent_leaves(&mut self) {
        self.agent.drain();
        self.agent.ended().await;
        self.hub.until_offline(NAME).await;
    }

    fn agent_comes(&mut self) {
        self.agent = Agent::start(config(&self.hub, server(self.upstream)));
    }

    /// A call that is under way.
    fn call(&self) -> JoinHandle<Result<Answer, h2::Error>> {
        let client = self.client.clone();
        tokio::spawn(async move { client.call(grpc(NAME, "/a.B/C"), b"ping").await })
    }

    async fn until_parked(&self, calls: usize) {
        let parked = async || self.hub.metric("hub_calls_parked").await == calls as f64;
        until("calls that wait", parked).await;
    }
}

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn calls_wait_for_the_only_agent_to_be_back() {
    const CALLS: usize = 50;
    let mut parking = Parking::start(LONG).await;
    parking.agent_leaves().await;
    let calls: Vec<_> = (0..CALLS).map(|_| parking.call()).collect();
    parking.until_parked(CALLS).await;
    parking.agent_comes();
    for call in calls {
        let answer = call.await.unwrap().expect("an answer");
        assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("0"), None));
    }
    parking.until_parked(0).await;
    let served = parking.hub.metric("hub_call_parkings_total{outcome=\"served\"}").await;
    assert_eq!(served, CALLS as f64);
}

#[tokio::test]
async fn who_waits_in_vain_is_told_why_and_when_to_try_again() {
    let mut parking = Parking::start(SHORT).await;
    parking.agent_leaves().await;
    let answer = parking.call().await.unwrap().expect("an answer");
    assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("14"), Some("offline")));
    assert_eq!(answer.metadata("grpc-retry-pushback-ms"), Some("1000"));
    assert!(answer.metadata("grpc-status-details-bin").is_some());
    let refused = parking.hub.metric("hub_call_parkings_total{outcome=\"refused\"}").await;
    assert_eq!(refused, 1.0);
}

/// Who keeps the time is the client, but not every client does.
#[tokio::test]
async fn nobody_waits_for_longer_than_its_own_timeout() {
    let mut parking = Parking::start(LONG).await;
    parking.agent_leaves().await;
    let mut call = grpc(NAME, "/a.B/C");
    call.headers_mut().insert("grpc-timeout", HeaderValue::from_static("50m"));
    let answer = parking.client.call(call, b"ping").await.expect("an answer");
    assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("14"), Some("offline")));
}

#[tokio::test]
async fn who_gives_up_waits_no_longer() {
    let mut parking = Parking::start(LONG).await;
    parking.agent_leaves().await;
    let (response, sending) = parking.client.open(grpc(NAME, "/a.B/C"), false).await;
    parking.until_parked(1).await;
    drop((response, sending));
    parking.until_parked(0).await;
    let given_up = parking.hub.metric("hub_call_parkings_total{outcome=\"given-up\"}").await;
    assert_eq!(given_up, 1.0);
}

/// Its agents dial again, and it knows none of them yet.
#[tokio::test]
async fn a_hub_that_has_just_started_expects_every_name() {
    let hub = Hub::start_with(hub::Config { park_timeout: LONG, ..hub_config() }).await;
    let client = hub.client().await;
    let call = tokio::spawn(async move { client.call(grpc(NAME, "/a.B/C"), b"ping").await });
    until("a call that waits", async || hub.metric("hub_calls_parked").await == 1.0).await;
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&hub, server(upstream.address)));
    upstream.all().answer_all(Arc::default());
    assert_eq!(call.await.unwrap().expect("an answer").grpc_status(), Some("0"));
}
