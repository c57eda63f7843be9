//! Many calls at once on one connection of a client.

use agent::Upstream;

use crate::support::NAME;
use crate::support::agent::{Agent, config, server};
use crate::support::client::answer;
use crate::support::hub::Hub;
use crate::support::message::{grpc, message};
use crate::support::service::Test;

const CALLS: usize = 1000;

#[tokio::test]
async fn a_thousand_calls_held_open_through_a_relay() {
    let address = Test::meeting_of(CALLS).serve_tcp().await;
    a_thousand_calls(server(address)).await;
}

#[tokio::test]
async fn a_thousand_calls_held_open_by_services() {
    let routes = Test::meeting_of(CALLS).routes().await;
    a_thousand_calls(Upstream::Services(routes)).await;
}

/// None is answered before all have arrived.
async fn a_thousand_calls(upstream: Upstream) {
    let hub = Hub::start().await;
    let _agent = Agent::start(config(&hub, upstream));
    hub.until_serving(NAME).await;
    let client = hub.client().await;
    let mut calls = Vec::new();
    for i in 0..CALLS {
        let (response, mut sending) = client.open(grpc(NAME, "/test.v1.Test/Meet"), false).await;
        sending.send_data(message(&i.to_be_bytes()), true).unwrap();
        calls.push(tokio::spawn(answer(response)));
    }
    for (i, call) in calls.into_iter().enumerate() {
        let answer = call.await.unwrap().expect("an answer");
        assert_eq!(answer.grpc_status(), Some("0"), "{answer:?}");
        assert_eq!(answer.body, message(&i.to_be_bytes()));
    }
}
