//! An agent is at two hubs, where there are as many.

use bytes::Bytes;
use hub::{Config, Peering};

use crate::support::agent::{Agent, config, server};
use crate::support::balancer::Balancer;
use crate::support::cluster::{Cluster, listed, two};
use crate::support::grpc::Caller;
use crate::support::hub::{Hub, hub_config};
use crate::support::service::Test;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until};

/// At how many hubs the only agent is.
async fn hubs_of_agent(hub: &Hub) -> usize {
    let clients = listed(hub, None).await;
    clients.first().map_or(0, |client| client.hubs.len())
}

async fn until_at_two(hub: &Hub) {
    until("the agent at two hubs", async || hubs_of_agent(hub).await == 2).await;
}

/// A balancer that leads to the same hub again is asked again.
#[tokio::test]
async fn behind_one_address() {
    let (hubs, _cluster) = two().await;
    until("both to know each other", async || hubs[0].metric("hub_peers").await == 1.0).await;
    let balancer = Balancer::start().await;
    let [first, second] = [hubs[0].address, hubs[1].address];
    balancer.leads_to(&[first, first, first, second]);
    let upstream = Upstream::listen().await;
    let agent = agent::Config {
        hubs: balancer.uri().into(),
        sessions: None,
        ..config(&hubs[0], server(upstream.address))
    };
    let _agent = Agent::start(agent);
    until_at_two(&hubs[0]).await;
    let refused = "hub_registration_refusals_total{reason=\"elsewhere\"}";
    assert_eq!(hubs[0].metric(refused).await, 2.0);
    assert_eq!(hubs[1].metric(refused).await, 0.0);
}

/// One that leads to one hub alone does not keep an agent from having both its sessions.
#[tokio::test]
async fn where_only_one_can_be_reached_all_sessions_are_there() {
    let (hubs, _cluster) = two().await;
    until("both to know each other", async || hubs[0].metric("hub_peers").await == 1.0).await;
    let upstream = Upstream::listen().await;
    let agent = agent::Config { sessions: None, ..config(&hubs[0], server(upstream.address)) };
    let _agent = Agent::start(agent);
    until("two sessions at one hub", async || {
        let clients = listed(&hubs[0], None).await;
        clients.first().is_some_and(|client| client.sessions == 2 && client.hubs.len() == 1)
    })
    .await;
}

/// Hubs tell of each other where agents reach them, so an agent that knows one of them is at another one, too, goes on when
/// the first ends, and comes back to it.
#[tokio::test]
async fn at_hubs_that_it_was_told_of() {
    let mut cluster = Cluster::new(2).await;
    let doors = [Balancer::start().await, Balancer::start().await];
    let config_of = |cluster: &Cluster, at: usize| {
        let peering = Peering { public_uri: Some(doors[at].uri()), ..cluster.peering() };
        Config { peering, ..hub_config() }
    };
    let of_first = config_of(&cluster, 0);
    let mut first = cluster.start_as(0, of_first.clone()).await;
    let of_second = config_of(&cluster, 1);
    let second = cluster.start_as(1, of_second).await;
    doors[0].leads_to(&[first.address]);
    doors[1].leads_to(&[second.address]);
    let routes = agent::Upstream::Services(Test::new().routes().await);
    let agent =
        agent::Config { hubs: doors[0].uri().into(), sessions: None, ..config(&first, routes) };
    let _agent = Agent::start(agent);
    until_at_two(&second).await;
    // It was at both, so nobody notices.
    first.drain();
    first.ended().await;
    doors[0].leads_to(&[]);
    let caller = Caller::new(second.channel().await, NAME);
    caller.unary("Echo", Bytes::new()).await.expect("an answer");
    until("the agent at one hub", async || hubs_of_agent(&second).await == 1).await;
    let first = cluster.start_as(0, of_first).await;
    doors[0].leads_to(&[first.address]);
    until_at_two(&second).await;
    until_at_two(&first).await;
}
