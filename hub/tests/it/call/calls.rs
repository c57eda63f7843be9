//! All four kinds of method through the hub, whichever way the agent reaches its server.

use agent::Upstream;
use bytes::Bytes;
use hub_proto::grpc::health::v1::HealthCheckRequest;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_client::HealthClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::services::health::reflected_services;
use crate::support::agent::{Agent, config, server};
use crate::support::grpc::{Caller, collect, named};
use crate::support::hub::Hub;
use crate::support::service::Test;
use crate::support::{NAME, within};

#[tokio::test]
async fn relayed_to_a_tcp_port() {
    let upstream = server(Test::new().serve_tcp().await);
    all_kinds(upstream).await;
}

#[tokio::test]
async fn relayed_to_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upstream.sock");
    Test::new().serve_unix(&path).await;
    let upstream = format!("unix:{}", path.display()).parse().unwrap();
    all_kinds(Upstream::Server(upstream)).await;
}

#[tokio::test]
async fn served_in_the_agents_process() {
    let routes = Test::new().routes().await;
    all_kinds(Upstream::Services(routes)).await;
}

async fn all_kinds(upstream: Upstream) {
    let hub = Hub::start().await;
    let _agent = Agent::start(config(&hub, upstream));
    hub.until_serving(NAME).await;
    let caller = Caller::new(hub.channel().await, NAME);

    let one = Bytes::from_static(b"one");
    let answer = caller.unary("Echo", one.clone()).await.expect("an answer");
    assert_eq!(answer.into_inner(), one);

    let parts = ["one, ", "two, ", "three"].map(Bytes::from);
    let answer = caller.client_streaming("Join", parts).await.expect("an answer");
    assert_eq!(answer.into_inner(), "one, two, three");

    let answers = caller.server_streaming("Split", one).await.expect("answers");
    assert_eq!(collect(answers).await.expect("all of them"), ["o", "n", "e"]);

    alternating(&caller).await;
    own_health_and_reflection(&hub).await;
}

/// Each answer is awaited before the next question is asked, so nothing may wait for the end of a stream.
async fn alternating(caller: &Caller) {
    let (questions, receiver) = mpsc::channel(1);
    questions.send(Bytes::from_static(b"0")).await.unwrap();
    let answers = caller.bidi("Echo", ReceiverStream::new(receiver)).await;
    let mut answers = answers.expect("answers");
    for i in 1..10 {
        let answer = within("an answer", answers.message()).await.expect("an answer");
        assert_eq!(answer, Some(Bytes::from((i - 1).to_string())));
        questions.send(Bytes::from(i.to_string())).await.unwrap();
    }
    drop(questions);
    assert_eq!(collect(answers).await.expect("the last"), ["9"]);
}

/// With a `name`, health and reflection are the agent's server's own.
async fn own_health_and_reflection(hub: &Hub) {
    let channel = hub.channel().await;
    let request = HealthCheckRequest { service: "fluentd.v1.Fluentd".into() };
    let mut health = HealthClient::new(channel.clone());
    let checked = within("health", health.check(named(tonic::Request::new(request), NAME))).await;
    let status = checked.expect("known to the agent's server").into_inner().status();
    assert_eq!(status, ServingStatus::Serving);
    let services = reflected_services(channel, Some(NAME)).await;
    assert!(services.contains(&"fluentd.v1.Fluentd".to_owned()), "{services:?}");
    assert!(!services.contains(&"hub.v1.Hub".to_owned()), "{services:?}");
}
