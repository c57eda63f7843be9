//! Calls by way of another hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use tonic::Code;

use crate::services::health_list;
use crate::support::agent::{Agent, config, exposed, exposing, server};
use crate::support::auth_file::{self, AuthFile};
use crate::support::client::answer;
use crate::support::cluster::{listed, two, two_with, until_listed};
use crate::support::grpc::{Caller, collect};
use crate::support::hub::Hub;
use crate::support::message::{drink, grpc, ok, pour};
use crate::support::raw_agent::RawAgent;
use crate::support::service::Test;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until, within};

#[tokio::test]
async fn a_name_is_called_at_each_hub() {
    let (hubs, _cluster) = two().await;
    let routes = agent::Upstream::Services(Test::new().routes().await);
    let _agent = Agent::start(config(&hubs[0], routes));
    let mut seen = Vec::new();
    for hub in &hubs {
        hub.until_serving(NAME).await;
        let caller = Caller::new(hub.channel().await, NAME);
        let said = caller.unary("Echo", Bytes::from_static(b"hello")).await.expect("an answer");
        assert_eq!(said.into_inner(), "hello");
        let failed = caller.unary("Fail", Bytes::new()).await.expect_err("a status");
        assert_eq!(failed.code(), Code::FailedPrecondition);
        seen.push(listed(hub, None).await);
        assert_eq!(health_list::listed(hub, None).await[NAME], ServingStatus::Serving);
    }
    let [at_home, elsewhere] = [&seen[0][0], &seen[1][0]];
    assert_eq!((seen[0].len(), seen[1].len()), (1, 1));
    assert_eq!(at_home.hubs, elsewhere.hubs);
    assert_eq!(at_home.hubs.len(), 1);
    assert_eq!(at_home.instance, elsewhere.instance);
    assert_eq!(at_home.remote_address, elsewhere.remote_address);
    assert_eq!((at_home.sessions, elsewhere.sessions), (1, 1));
    assert!(at_home.rtt.is_some());
}

#[tokio::test]
async fn streams_pass_in_both_directions() {
    let (hubs, _cluster) = two().await;
    let routes = agent::Upstream::Services(Test::new().routes().await);
    let _agent = Agent::start(config(&hubs[0], routes));
    hubs[1].until_serving(NAME).await;
    let caller = Caller::new(hubs[1].channel().await, NAME);
    let messages = tokio_stream::iter((0..100).map(|n| Bytes::from(vec![n; 1000])));
    let echoed = caller.bidi("Echo", messages).await.expect("a stream");
    let echoed = collect(echoed).await.expect("all of them");
    assert!(echoed.iter().enumerate().all(|(n, said)| *said == vec![n as u8; 1000]));
    assert_eq!(echoed.len(), 100);
}

/// More than any window or credit on the way.
#[tokio::test]
async fn bulk_passes_in_both_directions() {
    const BYTES: usize = 20 << 20;
    let (hubs, _cluster) = two().await;
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&hubs[0], server(upstream.address)));
    hubs[1].until_serving(NAME).await;
    let client = hubs[1].client().await;
    let (response, mut sending) = client.open(grpc(NAME, "/a.B/C"), false).await;
    let mut calls = upstream.all();
    let mut call = calls.call().await;
    let count = AtomicUsize::new(0);
    let up = async {
        let sends = async {
            pour(&mut sending, BYTES, &count).await.expect("sent");
            sending.send_data(Bytes::new(), true).expect("the end");
        };
        tokio::join!(sends, drink(call.request.body_mut())).1
    };
    assert_eq!(within("the upload", up).await, BYTES);
    let mut answering = call.begin();
    let (_, mut body) = within("a head", response).await.expect("a head").into_parts();
    let down = async {
        let sends = async {
            pour(&mut answering, BYTES, &count).await.expect("sent");
            answering.send_trailers(ok()).expect("the end");
        };
        tokio::join!(sends, drink(&mut body)).1
    };
    assert_eq!(within("the download", down).await, BYTES);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_given_up_at_the_server() {
    let (hubs, _cluster) = two().await;
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&hubs[0], server(upstream.address)));
    hubs[1].until_serving(NAME).await;
    let client = hubs[1].client().await;
    let (response, sending) = client.open(grpc(NAME, "/a.B/C"), false).await;
    let mut calls = upstream.all();
    let mut call = calls.call().await;
    drop((response, sending));
    within("a reset", call.reset()).await;
    // And a caller who vanishes takes its lane along.
    assert_eq!(hubs[0].metric("hub_lanes_relayed").await, 1.0);
    client.cut();
    until("no lanes", async || {
        let lanes = listed(&hubs[0], None).await[0].lanes;
        lanes == 0 && hubs[0].metric("hub_lanes_relayed").await == 0.0
    })
    .await;
}

/// Its scheme and authority are what the agent has said to its own hub.
#[tokio::test]
async fn what_an_agent_says_of_its_server_holds_at_all_hubs() {
    let (hubs, _cluster) = two().await;
    let upstream = Upstream::listen().await;
    let authority = Some("inner.test".parse().unwrap());
    let exposed = agent::Exposed { authority, ..exposed(server(upstream.address)) };
    let _agent = Agent::start(exposing(&hubs[0], exposed));
    hubs[1].until_serving(NAME).await;
    let client = hubs[1].client().await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    let call = upstream.all().call().await;
    assert_eq!(call.request.uri().authority().expect("one").as_str(), "inner.test");
    call.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
}

/// Nothing is gained by a hop where there is an agent.
#[tokio::test]
async fn an_agent_of_the_callers_own_hub_is_preferred() {
    let (hubs, _cluster) = two().await;
    let upstreams = [Upstream::listen().await, Upstream::listen().await];
    let agent = |at: usize| Agent::start(config(&hubs[at], server(upstreams[at].address)));
    let (_far, mut near) = (agent(0), agent(1));
    for hub in &hubs {
        until_listed(hub, 2).await;
    }
    let answered = [0, 1].map(|_| Arc::default());
    for (upstream, answered) in upstreams.into_iter().zip(&answered) {
        upstream.all().answer_all(Arc::clone(answered));
    }
    let answers = || answered.each_ref().map(|count| count.load(Ordering::SeqCst));
    let call = async || {
        let client = hubs[1].client().await;
        let answer = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
        assert_eq!(answer.grpc_status(), Some("0"), "{answer:?}");
    };
    for _ in 0..10 {
        call().await;
    }
    assert_eq!(answers(), [0, 10]);
    near.drain();
    near.ended().await;
    for _ in 0..10 {
        call().await;
    }
    assert_eq!(answers(), [10, 10]);
}

/// So it has one share of each limit of a session, by whichever hub it comes. What agents of other hubs are told of it is
/// something else: they cannot compare.
#[tokio::test]
async fn a_caller_is_the_same_by_way_of_each_hub() {
    let file = AuthFile::new(&[
        auth_file::agent("a", "*"),
        auth_file::caller("ops", "*"),
        auth_file::caller("other", "*"),
    ]);
    let (hubs, _cluster) = two_with(file.config()).await;
    let agent = async |hub: &Hub, name: &str| {
        let headers = [("hub-name", name), ("hub-instance", "i"), ("hub-token", "a")];
        let mut agent = RawAgent::connect(hub, &headers).await.expect("an upgrade");
        agent.settings().await;
        agent
    };
    let mut at_first = agent(&hubs[0], "first").await;
    let mut at_second = agent(&hubs[1], "second").await;
    let calls = async |hub: &Hub, name: &str, token: &str| {
        hub.until(name, ServingStatus::Serving, Some("ops")).await;
        let client = hub.client().await;
        let mut call = grpc(name, "/a.B/C");
        call.headers_mut().insert("hub-token", token.parse().unwrap());
        let calling = client.open(call, true).await;
        (client, calling)
    };
    let _other = calls(&hubs[1], "first", "other").await;
    let other = at_first.opened_by().await.1;
    let _far = calls(&hubs[1], "first", "ops").await;
    let far = at_first.opened_by().await.1;
    // One of them may have got the lane by which its hub has seen the server.
    let twice = async |hub, name| (calls(hub, name, "ops").await, calls(hub, name, "ops").await);
    let _near = twice(&hubs[0], "first").await;
    let near = at_first.opened_by().await.1;
    assert_eq!(near, far);
    assert_ne!(near, other);
    let _elsewhere = twice(&hubs[1], "second").await;
    assert_ne!(near, at_second.opened_by().await.1);
}

#[tokio::test]
async fn a_server_that_is_away_is_told_by_all_hubs() {
    let (hubs, _cluster) = two().await;
    let mut upstream = Upstream::listen().await;
    let address = upstream.address;
    let _agent = Agent::start(config(&hubs[0], server(address)));
    hubs[1].until_serving(NAME).await;
    let seen = upstream.connection().await;
    upstream.close().await;
    seen.ends.kill();
    hubs[1].until_offline(NAME).await;
    let client = hubs[1].client().await;
    let refused = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
    assert_eq!(refused.hub_reason(), Some("upstream-unreachable"), "{refused:?}");
    let upstream = Upstream::listen_at(address, h2::server::Builder::new(), None).await;
    hubs[1].until_serving(NAME).await;
    upstream.all().answer_all(Arc::default());
    let answer = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
    assert_eq!(answer.grpc_status(), Some("0"), "{answer:?}");
}
