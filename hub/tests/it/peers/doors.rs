//! Who is another hub.

use http::StatusCode;
use hub::{Config, PeerTls};

use crate::support::agent::{Agent, config, server};
use crate::support::client::answer;
use crate::support::cluster::{Cluster, listed};
use crate::support::hub::hub_config;
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::secure::Certificate;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until};

#[tokio::test]
async fn who_has_another_token_is_no_hub_of_these() {
    let mut cluster = Cluster::new(3).await;
    let (first, second) = (cluster.start(0).await, cluster.start(1).await);
    let peering = cluster.with_token("another");
    let stranger = cluster.start_as(2, Config { peering, ..hub_config() }).await;
    let upstream = Upstream::listen().await;
    let agent = |hub| Agent::start(config(hub, server(upstream.address)));
    let _agents = [agent(&first), agent(&stranger)];
    first.until_serving(NAME).await;
    stranger.until_serving(NAME).await;
    second.until_serving(NAME).await;
    until("refusals", async || {
        stranger.metric("hub_peer_refusals_total{reason=\"token\"}").await >= 2.0
            && first.metric("hub_peer_refusals_total{reason=\"token\"}").await >= 2.0
    })
    .await;
    for hub in [&first, &second, &stranger] {
        assert_eq!(listed(hub, None).await.len(), 1);
    }
}

/// What runs by way of the one is not disturbed by the other.
#[tokio::test]
async fn a_hub_under_two_addresses_is_let_in_once() {
    let mut cluster = Cluster::new(2).await;
    let mut peering = cluster.peering();
    let others = peering.peers.clone();
    peering
        .peers
        .extend(others.into_iter().map(|peer| hub::PeerAddr { host: "localhost".into(), ..peer }));
    let config = || Config { peering: peering.clone(), ..hub_config() };
    let (first, second) =
        (cluster.start_as(0, config()).await, cluster.start_as(1, config()).await);
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(crate::support::agent::config(&first, server(upstream.address)));
    second.until_serving(NAME).await;
    let client = second.client().await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    let call = upstream.all().call().await;
    until("some refusals", async || {
        second.metric("hub_peer_refusals_total{reason=\"twice\"}").await >= 3.0
    })
    .await;
    call.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
}

/// The public port is for agents and callers.
#[tokio::test]
async fn an_agent_cannot_come_in_as_a_hub() {
    let mut cluster = Cluster::new(1).await;
    let hub = cluster.start(0).await;
    let headers = [("hub-node-id", "0123456789abcdef"), ("hub-slot", "0")];
    let refused = RawAgent::connect(&hub, &headers).await.err().expect("a refusal");
    assert_eq!(refused.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn hubs_show_each_other_certificates() {
    let (certificate, stranger) = (Certificate::new(), Certificate::new());
    let tls = |of: &Certificate, ca: &Certificate| {
        PeerTls::from_files(&of.cert, &of.key, &ca.cert).expect("TLS")
    };
    let ours = tls(&certificate, &certificate);
    let mut cluster = Cluster::new(3).await.with_tls(ours);
    let (first, second) = (cluster.start(0).await, cluster.start(1).await);
    let theirs = Some(tls(&stranger, &certificate));
    let peering = hub::Peering { tls: theirs, ..cluster.peering() };
    let third = cluster.start_as(2, Config { peering, ..hub_config() }).await;
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&first, server(upstream.address)));
    second.until_serving(NAME).await;
    assert_eq!(listed(&third, None).await.len(), 0);
}
