//! Connections that become old are made anew, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::services::clients::until_sessions;
use crate::support::agent::{Agent, config, server};
use crate::support::client::answer;
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{grpc, message, ok};
use crate::support::upstream::Upstream;
use crate::support::world::World;
use crate::support::{NAME, until};

const YOUNG: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_client_is_told_to_connect_again_and_its_calls_go_on() {
    let config = hub::Config { max_connection_age: Some(YOUNG), ..hub_config() };
    let mut world = World::start_with(config, h2::server::Builder::new()).await;
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut body = world.session.call().await.begin();
    world.client.gone().await;
    body.send_data(message(b"late"), false).unwrap();
    body.send_trailers(ok()).unwrap();
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.body, answer.end.expect("trailers")), (message(b"late").to_vec(), ok()));
    world.client.ended().await.expect("a clean end");
}

#[tokio::test]
async fn calls_that_take_too_long_after_that_are_cut_off() {
    let config = hub::Config {
        max_connection_age: Some(YOUNG),
        max_connection_age_grace: Some(Duration::ZERO),
        ..hub_config()
    };
    let mut world = World::start_with(config, h2::server::Builder::new()).await;
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let _running = world.session.call().await;
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("14"), Some("going-away")));
}

/// While callers come and go, and one of them stays.
#[tokio::test]
async fn an_agents_sessions_are_replaced_and_no_call_is_lost() {
    let park_timeout = hub::limits::PARK_TIMEOUT;
    let config_of_hub =
        hub::Config { max_connection_age: Some(YOUNG), park_timeout, ..hub_config() };
    let hub = Hub::start_with(config_of_hub).await;
    let upstream = Upstream::listen().await;
    let agent = agent::Config { sessions: Some(2), ..config(&hub, server(upstream.address)) };
    let _agent = Agent::start(agent);
    upstream.all().answer_all(Arc::new(AtomicUsize::new(0)));
    until_sessions(&hub, 2).await;
    let replaced = async || hub.metric("hub_registrations_total").await >= 8.0;
    until("sessions that were replaced", async || {
        let client = hub.client().await;
        let answer = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
        assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("0"), None));
        replaced().await
    })
    .await;
}
