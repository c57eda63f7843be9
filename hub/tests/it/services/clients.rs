//! hub.v1.Hub/ListClients: what the hub says of its agents.

use std::net::SocketAddr;
use std::time::SystemTime;

use agent::Exposed;
use hub::limits::LIST_PAGE_BYTES;
use hub_proto::hub::v1::hub_client::HubClient;
use hub_proto::hub::v1::{Client, ListClientsRequest, ListClientsResponse};
use prost::Message as _;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tunnel::limits::LABELS_MAX_BYTES;

use crate::support::agent::{Agent, config, exposing, server};
use crate::support::client::answer;
use crate::support::hub::Hub;
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::upstream::Upstream;
use crate::support::world::World;
use crate::support::{NAME, until, within};

/// The list of an open hub.
pub(crate) async fn list(hub: &Hub) -> Vec<Client> {
    pages(hub, 0).await.concat()
}

/// The same list in pages of such a size.
async fn pages(hub: &Hub, size: i32) -> Vec<Vec<Client>> {
    let mut client = HubClient::new(hub.channel().await);
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let response = page(&mut client, size, &token).await.expect("a page");
        pages.push(response.clients);
        token = response.next_page_token;
        if token.is_empty() {
            return pages;
        }
    }
}

async fn page(
    client: &mut HubClient<Channel>,
    page_size: i32,
    page_token: &str,
) -> Result<ListClientsResponse, Status> {
    let request = ListClientsRequest { page_size, page_token: page_token.to_owned() };
    Ok(within("a page", client.list_clients(request)).await?.into_inner())
}

fn names(page: &[Client]) -> Vec<(&str, &str)> {
    page.iter().map(|client| (&*client.name, &*client.instance)).collect()
}

/// An agent by hand, that is shown.
async fn raw(hub: &Hub, name: &str, instance: &str, more: &[(&'static str, &str)]) -> RawAgent {
    let headers = [&[("hub-name", name), ("hub-instance", instance)], more].concat();
    let mut agent = RawAgent::connect(hub, &headers).await.expect("an upgrade");
    agent.settings().await;
    agent
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
    // The lane by which the hub has found out that the server is there.
    assert_eq!((client.lanes, client.upstream_unreachable), (1, false));
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

/// Of a server that dies, whose calls end with their lane: they would count against its agent for ever.
#[tokio::test]
async fn calls_that_end_with_their_lane_are_in_flight_no_more() {
    let hub = Hub::start().await;
    let mut upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&hub, server(upstream.address)));
    hub.until_serving(NAME).await;
    let client = hub.client().await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut connection = upstream.connection().await;
    let _running = connection.call().await;
    let in_flight = async || list(&hub).await[0].calls_in_flight;
    assert_eq!(in_flight().await, 1);
    connection.ends.kill();
    let lost = answer(response).await.expect("an answer");
    assert_eq!(lost.hub_reason(), Some("session-lost"));
    assert_eq!(in_flight().await, 0);
}

#[tokio::test]
async fn agents_are_listed_by_name_and_instance() {
    let hub = Hub::start().await;
    let upstream = Upstream::listen().await;
    let start = |name: &str, instance: &str| {
        let exposed = Exposed::new(name.parse().unwrap(), server(upstream.address));
        Agent::start(agent::Config { instance: instance.to_owned(), ..exposing(&hub, exposed) })
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

#[tokio::test]
async fn a_list_comes_in_pages() {
    let hub = Hub::start().await;
    let mut agents = Vec::new();
    let all = [("a", "1"), ("b", "1"), ("b", "2"), ("b", "3"), ("c", "1")];
    for (name, instance) in all.iter().rev() {
        agents.push(raw(&hub, name, instance, &[]).await);
    }
    until("all", async || list(&hub).await.len() == all.len()).await;
    for size in 1..=6 {
        let pages = pages(&hub, size).await;
        let pages: Vec<_> = pages.iter().map(|page| names(page)).collect();
        let want: Vec<_> = all.chunks(size as usize).map(<[_]>::to_vec).collect();
        assert_eq!(pages, want);
    }
}

#[tokio::test]
async fn pages_stay_right_while_agents_come_and_go() {
    let hub = Hub::start().await;
    let mut client = HubClient::new(hub.channel().await);
    let mut agents = Vec::new();
    for (name, instance) in [("b", "1"), ("b", "3"), ("c", "1")] {
        agents.push(raw(&hub, name, instance, &[]).await);
    }
    until("all", async || list(&hub).await.len() == 3).await;
    let first = page(&mut client, 1, "").await.expect("a page");
    assert_eq!(names(&first.clients), [("b", "1")]);
    let second = page(&mut client, 1, &first.next_page_token).await.expect("a page");
    assert_eq!(names(&second.clients), [("b", "3")]);
    // The last one shown goes; before and after it somebody comes.
    drop(agents.drain(..2));
    let mut came = Vec::new();
    for (name, instance) in [("a", "1"), ("b", "2"), ("b", "4")] {
        came.push(raw(&hub, name, instance, &[]).await);
    }
    let now = [("a", "1"), ("b", "2"), ("b", "4"), ("c", "1")];
    until("the change", async || names(&list(&hub).await) == now).await;
    let rest = page(&mut client, 10, &second.next_page_token).await.expect("a page");
    assert_eq!(names(&rest.clients), [("b", "4"), ("c", "1")]);
    assert_eq!(rest.next_page_token, "");
}

#[tokio::test]
async fn a_page_has_a_largest_size() {
    const AGENTS: usize = LIST_PAGE_BYTES / LABELS_MAX_BYTES + 10;
    let hub = Hub::start().await;
    let labels: Vec<_> = (0..8).map(|n| format!("{n}={}", "x".repeat(253))).collect();
    let mut agents = Vec::new();
    for n in 0..AGENTS {
        let labels = [("hub-labels", &*labels.join(","))];
        agents.push(raw(&hub, &format!("name-{n}"), "1", &labels).await);
    }
    until("all", async || list(&hub).await.len() == AGENTS).await;
    let pages = pages(&hub, i32::MAX).await;
    assert_eq!(pages.len(), 2);
    for clients in pages {
        let page = ListClientsResponse { clients, next_page_token: String::new() };
        assert!(page.encoded_len() <= LIST_PAGE_BYTES, "{}", page.encoded_len());
    }
}

#[tokio::test]
async fn pages_that_there_are_not() {
    let hub = Hub::start().await;
    let mut client = HubClient::new(hub.channel().await);
    let others = Hub::start().await;
    let _agents = [raw(&others, "a", "1", &[]).await, raw(&others, "b", "1", &[]).await];
    until("both", async || list(&others).await.len() == 2).await;
    let first = page(&mut HubClient::new(others.channel().await), 1, "").await.expect("a page");
    for (size, token, why) in [
        (-1, "", "page_size"),
        (0, "x", "page_token"),
        (0, "a/1", "page_token"),
        (0, &first.next_page_token, "page_token"),
    ] {
        let status = page(&mut client, size, token).await.expect_err("a refusal");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(why), "{status}");
    }
}
