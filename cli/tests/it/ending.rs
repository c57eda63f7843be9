//! How the program ends: status, deadline, Ctrl-C, a closed pipe.

use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_server::HealthServer;
use hub_proto::hub::v1::ActivityEvent;
use hub_proto::hub::v1::activity_server::ActivityServer;
use tonic::transport::Server;

use crate::reflection::v1;
use crate::support::echo::echo;
use crate::support::program::{run, start};
use crate::support::server::serve;
use crate::support::services::{Healthy, events};

async fn hub() -> String {
    serve(Server::builder().add_service(echo().0).add_service(v1())).await
}

#[tokio::test]
async fn a_status_is_the_exit_code_and_a_line_and_its_details() {
    let call = ["call", "x", "test.v1.Echo/Unary", "-d", "{\"text\":\"fail\"}"];
    run(&hub().await, &call, "").await.failed(
        9,
        "FAILED_PRECONDITION: as asked (hub-reason: limit)\n  google.rpc.ErrorInfo: \
         {\"reason\":\"TOO_WARM\",\"domain\":\"example.org\",\"metadata\":{\"max\":\"30\"}}",
    );
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let call = ["call", "x", "test.v1.Echo/Unary", "-d", "{\"text\":\"hang\"}"];
    let args: Vec<&str> = call.into_iter().chain(["--timeout", "200ms"]).collect();
    run(&hub().await, &args, "")
        .await
        .failed(4, "DEADLINE_EXCEEDED: the call took longer than 200ms (--timeout)");
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline_if_it_has_one() {
    let args = ["--timeout", "200ms", "call", "x", "test.v1.Echo/Chat", "-o", "json"];
    let client = start(&hub().await, &args);
    client.end().await.failed(4, "DEADLINE_EXCEEDED: the call took longer than 200ms (--timeout)");
}

#[tokio::test]
async fn input_that_nobody_ends_has_a_deadline() {
    // A service that needs no reflection, so that reading the request is what takes the time.
    let args = ["--timeout", "200ms", "fluentd", "status", "x"];
    let client = start(&hub().await, &args);
    client.end().await.failed(
        4,
        "DEADLINE_EXCEEDED: reading standard input to its end took longer than 200ms (--timeout)",
    );
}

#[tokio::test]
async fn ctrl_c_ends_it_with_130() {
    let (service, sender) = events();
    let hub = serve(Server::builder().add_service(ActivityServer::new(service))).await;
    let mut client = start(&hub, &["hub", "activity", "-d", "{}"]);
    sender.send(Ok(ActivityEvent::default())).await.unwrap();
    client.line().await;
    client.interrupt().await;
    client.end().await.failed(130, "");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let (service, sender) = events();
    let hub = serve(Server::builder().add_service(ActivityServer::new(service))).await;
    let mut client = start(&hub, &["hub", "activity", "-d", "{}"]);
    sender.send(Ok(ActivityEvent::default())).await.unwrap();
    client.line().await;
    client.stop_reading();
    sender.send(Ok(ActivityEvent::default())).await.unwrap();
    client.end().await.succeeded();
}

#[tokio::test]
async fn a_ping_tells_health_and_round_trip() {
    let of = async |status| {
        serve(Server::builder().add_service(HealthServer::new(Healthy(status)))).await
    };
    let hub = of(ServingStatus::Serving).await;
    let ping = ["ping", "testserver", "-c", "3", "--interval", "1ms"];
    let ended = run(&hub, &ping, "").await;
    let lines: Vec<&str> = ended.succeeded().lines().collect();
    for (line, n) in lines.iter().zip(1..) {
        let expected = format!("testserver: SERVING seq={n} time=");
        assert!(line.starts_with(&expected) && line.ends_with('s'), "{line}");
    }
    assert_eq!(lines.len(), 3);

    let hub = of(ServingStatus::NotServing).await;
    let ended = run(&hub, &["ping", "testserver", "-o", "json"], "").await;
    assert_eq!(ended.code, Some(14));
    assert_eq!(ended.stderr, "UNAVAILABLE: testserver is NOT_SERVING\n");
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json["status"], "NOT_SERVING");
    assert!(json["rttMs"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_hub_that_goes_away_is_unavailable() {
    let (service, sender) = events();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let router = Server::builder().add_service(ActivityServer::new(service));
    let hub = runtime.spawn(serve(router)).await.unwrap();
    let mut client = start(&hub, &["hub", "activity", "-d", "{}"]);
    sender.send(Ok(ActivityEvent::default())).await.unwrap();
    client.line().await;
    runtime.shutdown_background();
    let ended = client.end().await;
    assert_eq!(ended.code, Some(14), "{ended:?}");
    assert!(ended.stderr.starts_with("UNAVAILABLE: "), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}
