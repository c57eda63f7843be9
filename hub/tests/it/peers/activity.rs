//! What happens at one hub, as another tells it.

use bytes::Bytes;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::hub::v1::activity_client::ActivityClient;
use hub_proto::hub::v1::{ActivityEvent, ConnectRequest, EventType};
use tonic::Streaming;

use crate::support::agent::{Agent, config, exposing, server};
use crate::support::auth_file::{AuthFile, agent, caller};
use crate::support::client::answer;
use crate::support::cluster::{nodes, two, two_with};
use crate::support::grpc::{Caller, with_token};
use crate::support::hub::Hub;
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::service::Test;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until, within};

async fn watch(hub: &Hub, token: Option<&str>, this_hub_only: bool) -> Streaming<ActivityEvent> {
    let mut client = ActivityClient::new(hub.channel().await);
    let request = with_token(ConnectRequest { this_hub_only, ..ConnectRequest::default() }, token);
    within("a stream", client.connect(request)).await.expect("a stream").into_inner()
}

/// The next event of this kind.
async fn next(events: &mut Streaming<ActivityEvent>, kind: EventType) -> ActivityEvent {
    let next = async {
        loop {
            let event = events.message().await.expect("no failure").expect("no end");
            if event.r#type() == kind {
                return event;
            }
        }
    };
    within(kind.as_str_name(), next).await
}

/// Makes calls until one of them is told of: at first, the other hub may not know yet that somebody watches.
async fn next_call(caller: &Caller, events: &mut Streaming<ActivityEvent>) -> ActivityEvent {
    let told = next(events, EventType::RequestProxied);
    let calls = async {
        loop {
            caller.unary("Echo", Bytes::new()).await.expect("an answer");
        }
    };
    tokio::select! {
        event = told => event,
        () = calls => unreachable!("it goes on"),
    }
}

#[tokio::test]
async fn one_hub_tells_what_happens_at_all() {
    let (mut hubs, _cluster) = two().await;
    until("both to know each other", async || hubs[0].metric("hub_peers").await == 1.0).await;
    let ids: Vec<_> = nodes(&hubs[0]).await.into_iter().map(|(id, _)| id).collect();
    let routes = agent_routes().await;
    let _agent = Agent::start(config(&hubs[0], routes));
    hubs[1].until_serving(NAME).await;
    let (mut all, mut here) =
        (watch(&hubs[1], None, false).await, watch(&hubs[1], None, true).await);
    let at_home = Caller::new(hubs[0].channel().await, NAME);
    let told = next_call(&at_home, &mut all).await;
    assert_eq!((&*told.hub, &*told.name), (&*ids[0], NAME));
    assert_eq!(told.call.expect("a call").status, "OK");
    // By way of the other hub, it happens there.
    let elsewhere = Caller::new(hubs[1].channel().await, NAME);
    elsewhere.unary("Echo", Bytes::new()).await.expect("an answer");
    let told = next(&mut here, EventType::RequestProxied).await;
    assert_eq!(told.hub, ids[1], "and it is the first that this one tells of");
    loop {
        if next(&mut all, EventType::RequestProxied).await.hub == ids[1] {
            break;
        }
    }
    hubs[0].drain();
    assert_eq!(next(&mut all, EventType::HubDraining).await.hub, ids[0]);
}

async fn agent_routes() -> agent::Upstream {
    agent::Upstream::Services(Test::new().routes().await)
}

/// Of what happens at a hub that drains, nobody else can tell.
#[tokio::test]
async fn a_hub_that_drains_tells_to_the_end() {
    let (mut hubs, _cluster) = two().await;
    let _agent = Agent::start(config(&hubs[0], agent_routes().await));
    let upstream = Upstream::listen().await;
    let exposed = agent::Exposed::new("held".parse().unwrap(), server(upstream.address));
    let _holds = Agent::start(exposing(&hubs[0], exposed));
    let leaves = RawAgent::shown(&hubs[0], "leaves", "instance-1").await;
    for name in [NAME, "held", "leaves"] {
        hubs[1].until(name, ServingStatus::Serving, None).await;
    }
    let mut all = watch(&hubs[1], None, false).await;
    next_call(&Caller::new(hubs[0].channel().await, NAME), &mut all).await;
    // For as long as this runs, the hub is there.
    let client = hubs[0].client().await;
    let (response, _sending) = client.open(grpc("held", "/a.B/C"), true).await;
    let call = upstream.all().call().await;
    hubs[0].drain();
    // This agent looks for no other hub, so it is offline because its hub drains.
    hubs[1].until_offline("leaves").await;
    drop(leaves);
    while next(&mut all, EventType::ClientUnregistered).await.name != "leaves" {}
    call.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
}

/// Whoever watches sees no more of other hubs than of the one that it asks.
#[tokio::test]
async fn only_of_names_that_the_watcher_may_call() {
    let holders = [agent("a", "*"), caller("all", "*"), caller("other", "other")];
    let file = AuthFile::new(&holders);
    let (hubs, _cluster) = two_with(file.config()).await;
    let (_folder, token_file) = crate::support::auth_file::token_file("a");
    let mut agents = Vec::new();
    for name in [NAME, "other"] {
        let exposed = agent::Exposed::new(name.parse().unwrap(), agent_routes().await);
        let config = exposing(&hubs[0], exposed);
        agents.push(Agent::start(agent::Config { token_file: Some(token_file.clone()), ..config }));
        hubs[1].until(name, ServingStatus::Serving, Some("all")).await;
    }
    let (mut some, mut all) =
        (watch(&hubs[1], Some("other"), false).await, watch(&hubs[1], Some("all"), false).await);
    let call = async |name: &'static str| {
        let caller = Caller::new(hubs[0].channel().await, name);
        caller.unary("Echo", with_token(Bytes::new(), Some("all"))).await.expect("an answer");
    };
    // Until it is known that somebody watches.
    until("a call that is told of", async || {
        call(NAME).await;
        tokio::time::timeout(std::time::Duration::from_millis(50), all.message()).await.is_ok()
    })
    .await;
    call(NAME).await;
    call("other").await;
    assert_eq!(next(&mut some, EventType::RequestProxied).await.name, "other");
}
