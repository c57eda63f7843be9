//! `list` and `describe`, and what servers do with reflection.

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Status};
use tonic_reflection::pb::v1::server_reflection_server::{
    ServerReflection, ServerReflectionServer,
};
use tonic_reflection::pb::v1alpha::server_reflection_server as v1alpha_server;
use tonic_reflection::server::Builder;

use crate::support::echo::{descriptors, echo};
use crate::support::program::run;
use crate::support::server::serve;

/// Reflection that sends one file for each question.
pub(crate) fn v1() -> ServerReflectionServer<impl ServerReflection> {
    builder().build_v1().unwrap()
}

fn v1alpha() -> v1alpha_server::ServerReflectionServer<impl v1alpha_server::ServerReflection> {
    builder().build_v1alpha().unwrap()
}

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_file_descriptor_set(descriptors())
        .include_reflection_service(false)
}

/// Refuses whom the hub would not have sent here.
fn only_by_name(request: Request<()>) -> Result<Request<()>, Status> {
    match request.metadata().get("name") {
        Some(name) if name == "testserver" => Ok(request),
        _ => Err(Status::unavailable("not for me")),
    }
}

#[tokio::test]
async fn the_older_version_will_do() {
    let hub = serve(Server::builder().add_service(echo().0).add_service(v1alpha())).await;
    let call = ["call", "x", "test.v1.Echo/Split", "-o", "json"];
    let ended = run(&hub, &call, "{\"count\": 2}").await;
    assert_eq!(ended.succeeded().lines().count(), 2);
    assert_eq!(run(&hub, &["list", "x"], "").await.succeeded(), "test.v1.Echo");
}

#[tokio::test]
async fn the_agents_server_is_asked_not_the_hub() {
    let reflection = InterceptedService::new(v1(), only_by_name);
    let hub = serve(Server::builder().add_service(reflection)).await;
    assert_eq!(run(&hub, &["list", "testserver"], "").await.succeeded(), "test.v1.Echo");
    run(&hub, &["list", "-"], "").await.failed(14, "UNAVAILABLE: not for me");
}

#[tokio::test]
async fn services_and_methods_are_listed() {
    let hub = serve(Server::builder().add_service(v1())).await;
    assert_eq!(
        run(&hub, &["list", "x", "test.v1.Echo"], "").await.succeeded(),
        "test.v1.Echo/Unary\ntest.v1.Echo/Split\ntest.v1.Echo/Join\ntest.v1.Echo/Chat"
    );
    let ended = run(&hub, &["list", "x", "-o", "json"], "").await;
    assert_eq!(ended.succeeded(), "{\"service\":\"test.v1.Echo\"}");
    let ended = run(&hub, &["list", "x", "test.v1.Echo", "-o", "json"], "").await;
    let json: serde_json::Value =
        serde_json::from_str(ended.succeeded().lines().nth(1).unwrap()).unwrap();
    assert_eq!(json["method"], "test.v1.Echo/Split");
    assert_eq!((&json["clientStreaming"], &json["serverStreaming"]), (&false.into(), &true.into()));
}

#[tokio::test]
async fn symbols_are_described_as_source() {
    let hub = serve(Server::builder().add_service(v1())).await;
    let describe = |symbol| {
        let hub = &hub;
        async move { run(hub, &["describe", "x", symbol], "").await.succeeded().to_owned() }
    };
    assert_eq!(
        describe("test.v1.Echo/Chat").await,
        "test.v1.Echo.Chat is a method:\n// Answers each ping.\n\
         rpc Chat(stream test.v1.Ping) returns (stream test.v1.Pong);"
    );
    let ping = describe("test.v1.Ping").await;
    for line in [
        "message Ping {",
        "  google.protobuf.Duration pause = 3;",
        "  optional test.v1.Ping.Urgency urgency = 4;",
        "  enum Urgency {",
        "    HIGH = 1;",
    ] {
        assert!(ping.lines().any(|found| found == line), "{line} in {ping}");
    }
    let urgency = describe("test.v1.Ping.Urgency").await;
    assert!(urgency.starts_with("test.v1.Ping.Urgency is an enum:\n"), "{urgency}");
    let args = ["describe", "x", "test.v1.Pong", "-o", "json"];
    let ended = run(&hub, &args, "").await;
    let json: serde_json::Value = serde_json::from_str(ended.succeeded()).unwrap();
    assert_eq!(json["field"][1]["name"], "metadata");
}

#[tokio::test]
async fn own_services_need_no_reflection() {
    let hub = serve(Server::builder().add_service(echo().0)).await;
    let listed = run(&hub, &["list", "x", "fluentd.v1.Fluentd"], "").await;
    assert!(listed.succeeded().starts_with("fluentd.v1.Fluentd/Start\n"), "{listed:?}");
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let hub = serve(Server::builder().add_service(echo().0)).await;
    let ended = run(&hub, &["list", "x"], "").await;
    assert_eq!(ended.code, Some(12));
    let line = "UNIMPLEMENTED: the server has no reflection, v1 or v1alpha";
    assert!(ended.stderr.starts_with(line), "{ended:?}");
    run(&hub, &["ping", "x"], "").await.failed(
        12,
        "UNIMPLEMENTED: the server behind x has no health service (grpc.health.v1.Health)",
    );

    let hub = serve(Server::builder().add_service(v1())).await;
    run(&hub, &["call", "x", "test.v1.Echo/Nothing"], "")
        .await
        .failed(5, "NOT_FOUND: test.v1.Echo has no method Nothing, but Unary, Split, Join, Chat");
    let ended = run(&hub, &["describe", "x", "test.v1.Nothing"], "").await;
    assert_eq!(ended.code, Some(5));
    assert!(ended.stderr.starts_with("NOT_FOUND: "), "{ended:?}");
    assert!(ended.stderr.contains("test.v1.Nothing"), "{ended:?}");
    assert!(ended.stderr.contains("; `client list NAME` shows the services"), "{ended:?}");
    run(&hub, &["list", "x", "test.v1.Ping"], "")
        .await
        .failed(5, "NOT_FOUND: test.v1.Ping is no service");
}
