//! hub.v1.Hub/ListClients: what the hub says of its agents.

use std::net::SocketAddr;
use std::time::SystemTime;

use hub_proto::hub::v1::hub_client::HubClient;
use hub_proto::hub::v1::{Client, ListClientsRequest};

use crate::support::agent::{Agent, config, server};
use crate::support::hub::Hub;
use crate::support::message::grpc;
use crate::support::upstream::Upstream;
use crate::support::world::World;
use crate::support::{NAME, until, within};

/// The list of an open hub.
pub(crate) async fn list(hub: &Hub) -> Vec<Client> {
    let mut clients = HubClient::new(hub.channel().await);
    let list = within("a list", clients.list_clients(ListClientsRequest {})).await;
    list.expect("a list").into_inner().clients
}

/// Waits until the agents of [`NAME`] hold `n` sessions.
pub(crate) async fn until_sessions(hub: &Hub, n: u32) {
    let sessions = async || list(hub).await.iter().map(|client| client.sessions).sum::<u32>();
    until("sessions", async || sessions().await == n).await;
}

#[tokio::test]
async fn an_agent_with_all_its_fields() {
    let before = SystemTime::now();
    let hub = Hub::start().await;
    let upstream = Upstream::listen().await;
    let labels = [("zone".to_owned(), "eu 1".to_owned()), ("empty".to_owned(), String::new())];
    let config = agent::Config {
        labels: labels.clone().into(),
        instance: "instance-1".into(),
        sessions: None,
        ..config(&hub, server(upstream.address))
    };
    let _agent = Agent::start(config);
    // As many as the hub advises: one a worker, of which there are two here.
    until_sessions(&hub, 2).await;
    until("a round trip time", async || list(&hub).await[0].rtt.is_some()).await;

    let clients = list(&hub).await;
    let [client] = &clients[..] else {
        panic!("not one: {clients:?}");
    };
    assert_eq!((&*client.name, &*client.instance), (NAME, "instance-1"));
    assert_eq!((client.sessions, client.calls_in_flight, client.draining), (2, 0, false));
    assert_eq!(client.labels, labels.into());
    assert_eq!(client.agent_version, env!("CARGO_PKG_VERSION"));
    let address: SocketAddr = client.remote_address.parse().expect("an address");
    assert!(address.ip().is_loopback());
    let since = SystemTime::try_from(client.connected_since.expect("a time")).expect("a time");
    assert!(before <= since && since <= SystemTime::now());
    let rtt = client.rtt.expect("a round trip time");
    assert!(rtt.seconds == 0 && rtt.nanos > 0, "{rtt:?}");
}

#[tokio::test]
async fn calls_in_flight_are_those_that_run() {
    let mut world = World::start().await;
    let in_flight = async |world: &World| list(&world.hub).await[0].calls_in_flight;
    let (mut streams, mut calls) = (Vec::new(), Vec::new());
    for running in 1..=3 {
        streams.push(world.client.open(grpc(NAME, "/a.B/C"), true).await);
        calls.push(world.session.call().await);
        assert_eq!(in_flight(&world).await, running);
    }
    calls.pop().expect("a call").answer();
    until("one less", async || in_flight(&world).await == 2).await;
    drop(streams);
    until("none", async || in_flight(&world).await == 0).await;
}

#[tokio::test]
async fn agents_are_listed_by_name_and_instance() {
    let hub = Hub::start().await;
    let upstream = Upstream::listen().await;
    let start = |name: &str, instance: &str| {
        let config = config(&hub, server(upstream.address));
        let (name, instance) = (name.parse().unwrap(), instance.to_owned());
        Agent::start(agent::Config { name, instance, ..config })
    };
    let _agents = [start("b", "1"), start("a", "2"), start("a", "1")];
    until_sessions(&hub, 3).await;
    let listed: Vec<_> =
        list(&hub).await.into_iter().map(|client| (client.name, client.instance)).collect();
    let want = [("a", "1"), ("a", "2"), ("b", "1")];
    assert_eq!(listed, want.map(|(name, instance)| (name.to_owned(), instance.to_owned())));
}

#[tokio::test]
async fn an_agent_that_takes_leave_is_draining_while_its_calls_run() {
    let mut world = World::start().await;
    let (_response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let call = world.session.call().await;
    assert!(!list(&world.hub).await[0].draining);
    world.agent.drain();
    until("draining", async || list(&world.hub).await[0].draining).await;
    call.answer();
    world.agent.ended().await;
    until("gone", async || list(&world.hub).await.is_empty()).await;
}
