//! Hubs and agents that come and go.

use hub::Config;
use tunnel::wire::Control;

use crate::support::agent::{Agent, config, server};
use crate::support::cluster::{Cluster, listed, nodes, two, until_listed};
use crate::support::hub::hub_config;
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until};

#[tokio::test]
async fn an_agent_that_goes_is_gone_at_all_hubs() {
    let (hubs, _cluster) = two().await;
    let upstream = Upstream::listen().await;
    let mut agent = Agent::start(config(&hubs[0], server(upstream.address)));
    hubs[1].until_serving(NAME).await;
    agent.drain();
    agent.ended().await;
    hubs[1].until_offline(NAME).await;
    let client = hubs[1].client().await;
    let refused = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
    assert_eq!(refused.hub_reason(), Some("offline"), "{refused:?}");
    let _agent = Agent::start(config(&hubs[0], server(upstream.address)));
    hubs[1].until_serving(NAME).await;
}

#[tokio::test]
async fn what_was_there_before_a_hub_came_is_told_too() {
    let mut cluster = Cluster::new(2).await;
    let first = cluster.start(0).await;
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&first, server(upstream.address)));
    first.until_serving(NAME).await;
    let mut second = cluster.start(1).await;
    second.until_serving(NAME).await;
    second.drain();
    second.ended().await;
    let second = cluster.start(1).await;
    second.until_serving(NAME).await;
}

#[tokio::test]
async fn a_hub_that_ends_takes_its_agents_along_until_it_is_back() {
    let mut cluster = Cluster::new(2).await;
    let mut first = cluster.start(0).await;
    let second = cluster.start(1).await;
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&first, server(upstream.address)));
    second.until_serving(NAME).await;
    let address = first.address;
    first.drain();
    first.ended().await;
    second.until_offline(NAME).await;
    let peering = cluster.peering();
    let config = Config { peering, ..hub_config() };
    let _first = cluster.start_again(0, address, config).await;
    second.until_serving(NAME).await;
}

/// What a hub has been told, it does not tell: there are no loops, and nobody is there twice.
#[tokio::test]
async fn of_three_hubs_each_tells_its_own_names() {
    let mut cluster = Cluster::new(3).await;
    let mut hubs = Vec::new();
    for at in 0..3 {
        hubs.push(cluster.start(at).await);
    }
    let upstream = Upstream::listen().await;
    let _agents: Vec<_> = [0, 1, 1]
        .map(|at| Agent::start(config(&hubs[at as usize], server(upstream.address))))
        .into();
    for hub in &hubs {
        until_listed(hub, 3).await;
        let clients = listed(hub, None).await;
        assert!(clients.iter().all(|client| client.hubs.len() == 1), "{clients:?}");
    }
    let mut each = Vec::new();
    for hub in &hubs {
        let nodes = nodes(hub).await;
        assert_eq!(nodes.len(), 3);
        // Two agents of one name are one name.
        assert_eq!(nodes.iter().map(|(_, names)| names).sum::<u32>(), 2);
        each.push(nodes[0].0.clone());
    }
    each.sort_unstable();
    let mut listed: Vec<_> = nodes(&hubs[0]).await.into_iter().map(|(id, _)| id).collect();
    listed.sort_unstable();
    assert_eq!(listed, each);
    upstream.all().answer_all(std::sync::Arc::default());
    let client = hubs[2].client().await;
    for _ in 0..10 {
        let answer = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
        assert_eq!(answer.grpc_status(), Some("0"), "{answer:?}");
    }
}

/// The agent's other hub is asked without the caller noticing.
#[tokio::test]
async fn an_agent_at_two_hubs_is_reached_by_the_other_once_one_ends() {
    let mut cluster = Cluster::new(3).await;
    let mut first = cluster.start(0).await;
    let (second, third) = (cluster.start(1).await, cluster.start(2).await);
    let upstream = Upstream::listen().await;
    let agent = |hub, instance: &str| agent::Config {
        instance: instance.into(),
        ..config(hub, server(upstream.address))
    };
    let _agents = [Agent::start(agent(&first, "a")), Agent::start(agent(&second, "a"))];
    until("both hubs listed", async || {
        let clients = listed(&third, None).await;
        clients.len() == 1 && clients[0].hubs.len() == 2 && clients[0].sessions == 2
    })
    .await;
    upstream.all().answer_all(std::sync::Arc::default());
    let client = third.client().await;
    let call = async || {
        let answer = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
        assert_eq!(answer.grpc_status(), Some("0"), "{answer:?}");
    };
    for _ in 0..10 {
        call().await;
    }
    first.drain();
    for _ in 0..50 {
        call().await;
    }
    first.ended().await;
    for _ in 0..10 {
        call().await;
    }
}

/// A session that is replaced ends once its last call has, wherever the callers are.
#[tokio::test]
async fn a_session_that_drains_is_left_by_callers_of_other_hubs() {
    let age = Some(std::time::Duration::from_secs(1));
    let mut cluster = Cluster::new(2).await;
    let first = cluster.start_with(0, Config { max_connection_age: age, ..hub_config() }).await;
    let second = cluster.start(1).await;
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&first, server(upstream.address)));
    second.until_serving(NAME).await;
    upstream.all().answer_all(std::sync::Arc::default());
    let client = second.client().await;
    // Its lane is never idle for long, and yet moves from session to session.
    until("two more lanes", async || {
        let answer = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
        assert_eq!(answer.grpc_status(), Some("0"), "{answer:?}");
        first.metric("hub_lanes_opened_total{outcome=\"opened\"}").await >= 4.0
    })
    .await;
}

/// An agent's limit holds for callers of all hubs together: who calls is not in the way of who does not.
#[tokio::test]
async fn busy_lanes_of_other_hubs_do_not_keep_idle_ones() {
    let (hubs, _cluster) = two().await;
    let upstream = Upstream::listen().await;
    let max_lanes = tunnel::setting::Setting::Value(std::num::NonZeroU32::new(2).unwrap());
    let config = agent::Config { max_lanes, ..config(&hubs[0], server(upstream.address)) };
    let _agent = Agent::start(config);
    hubs[1].until_serving(NAME).await;
    let mut calls = upstream.all();
    let far = hubs[1].client().await;
    let (_running, _sending) = far.open(grpc(NAME, "/a.B/Stays"), false).await;
    let stays = calls.call().await;
    let near = hubs[0].client().await;
    let (response, _sending) = near.open(grpc(NAME, "/a.B/C"), true).await;
    calls.call().await.answer();
    response.await.expect("an answer");
    // Another caller needs the place of the one that does nothing.
    let other = hubs[0].client().await;
    let (response, _sending) = other.open(grpc(NAME, "/a.B/C"), true).await;
    calls.call().await.answer();
    response.await.expect("an answer");
    // None was refused for want of a place.
    assert_eq!(hubs[0].metric("hub_lanes_opened_total{outcome=\"full\"}").await, 0.0);
    drop(stays);
}

/// Nobody calls by way of the hub that goes itself, but by way of another one somebody may.
#[tokio::test]
async fn a_hub_waits_until_its_agents_are_elsewhere_for_callers_of_others() {
    let (mut hubs, _cluster) = two().await;
    let mut agent = RawAgent::shown(&hubs[0], NAME, "instance-1").await;
    hubs[1].until_serving(NAME).await;
    hubs[0].drain();
    while agent.control().await != Control::Drain {}
    let caller = hubs[1].client().await;
    let (_response, _sending) = caller.open(grpc(NAME, "/a.B/C"), true).await;
    let lane = agent.opened().await;
    agent.request(lane).await;
}
