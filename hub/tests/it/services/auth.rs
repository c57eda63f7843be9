//! Callers of a hub with an auth file: who may call what, and who sees what.

use http::{HeaderValue, Method, Request};
use hub_proto::grpc::health::v1::HealthCheckRequest;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_client::HealthClient;
use hub_proto::hub::v1::activity_client::ActivityClient;
use hub_proto::hub::v1::hub_client::HubClient;
use hub_proto::hub::v1::{ConnectRequest, EventType, ListClientsRequest};
use tonic::Code;

use crate::support::agent::{Agent, config, server};
use crate::support::auth_file::{agent, caller, guarded_hub, token_file};
use crate::support::client::Client;
use crate::support::grpc::with_token;
use crate::support::hub::Hub;
use crate::support::message::{grpc, plain};
use crate::support::service::Test;
use crate::support::{NAME, within};

/// A hub with an agent `testserver`; `ops` may call everything, `guest` may call `guest-…` only.
async fn guarded() -> (Hub, Agent) {
    let entries = [agent("agent-token", "*"), caller("ops", "*"), caller("guest", "guest-*")];
    let hub = guarded_hub(&entries).await;
    let (_folder, token_file) = token_file("agent-token\n");
    let upstream = server(Test::new().serve_tcp().await);
    let agent =
        Agent::start(agent::Config { token_file: Some(token_file), ..config(&hub, upstream) });
    hub.until(NAME, ServingStatus::Serving, Some("ops")).await;
    (hub, agent)
}

fn with(mut request: Request<()>, token: Option<&'static str>) -> Request<()> {
    if let Some(token) = token {
        request.headers_mut().insert("hub-token", HeaderValue::from_static(token));
    }
    request
}

#[tokio::test]
async fn callers_are_let_in_by_their_token() {
    let (hub, _agent) = guarded().await;
    let client = hub.client().await;
    let ok = client.call(with(grpc(NAME, "/test.v1.Test/Echo"), Some("ops")), b"hello").await;
    let ok = ok.expect("an answer");
    assert_eq!((ok.grpc_status(), ok.hub_reason()), (Some("0"), None));
    for token in [None, Some("wrong"), Some("agent-token")] {
        refused(&client, token, "16", 401, "unauthenticated").await;
    }
    refused(&client, Some("guest"), "7", 403, "denied").await;
}

async fn refused(
    client: &Client,
    token: Option<&'static str>,
    grpc_status: &str,
    http_status: u16,
    reason: &str,
) {
    let call = client.call(with(grpc(NAME, "/a.B/C"), token), b"hello").await.expect("an answer");
    assert_eq!((call.grpc_status(), call.hub_reason()), (Some(grpc_status), Some(reason)));
    assert!(call.head_only);
    let get = client.request(with(plain(Method::GET, NAME, "/any"), token)).await;
    let get = get.expect("an answer");
    assert_eq!((get.http_status(), get.hub_reason()), (http_status, Some(reason)));
}

/// To who may not call it, a name that is there looks like one that is not.
#[tokio::test]
async fn a_name_that_one_may_not_call_does_not_show() {
    let (hub, _agent) = guarded().await;
    let client = hub.client().await;
    let mut answers = Vec::new();
    for name in [NAME, "nobody"] {
        let call = client.call(with(grpc(name, "/a.B/C"), Some("guest")), b"").await;
        let call = call.expect("an answer");
        let message = call.metadata("grpc-message").expect("a message").replace(name, "…");
        answers.push((call.grpc_status().map(str::to_owned), message));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_list_has_the_names_one_may_call() {
    let (hub, _agent) = guarded().await;
    let mut clients = HubClient::new(hub.channel().await);
    let mut names = async |token| {
        let list = clients.list_clients(with_token(ListClientsRequest::default(), token));
        let list = within("a list", list).await.map_err(|status| status.code())?;
        let clients = list.into_inner().clients.into_iter();
        Ok::<Vec<_>, Code>(clients.map(|client| client.name).collect())
    };
    assert_eq!(names(Some("ops")).await, Ok(vec![NAME.to_owned()]));
    assert_eq!(names(Some("guest")).await, Ok(vec![]));
    assert_eq!(names(Some("wrong")).await, Err(Code::Unauthenticated));
    assert_eq!(names(None).await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn activity_tells_of_the_names_one_may_call() {
    let (hub, _agent) = guarded().await;
    let mut activity = ActivityClient::new(hub.channel().await);
    let watched = activity.connect(with_token(ConnectRequest::default(), Some("guest")));
    let mut events = within("a watch", watched).await.expect("a watch").into_inner();
    for name in [NAME, "guest-1"] {
        let request = with(grpc(name, "/a.B/C"), Some("ops"));
        hub.client().await.call(request, b"").await.expect("an answer");
    }
    let event = within("an event", events.message()).await.unwrap().expect("an event");
    assert_eq!((event.r#type(), &*event.name), (EventType::RequestProxied, "guest-1"));
    let nobody = activity.connect(with_token(ConnectRequest::default(), None));
    let status = within("a refusal", nobody).await.expect_err("a refusal");
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.metadata().get("hub-reason").unwrap(), "unauthenticated");
}

#[tokio::test]
async fn health_of_the_hub_is_open_and_of_a_name_is_not() {
    let (hub, _agent) = guarded().await;
    let mut health = HealthClient::new(hub.channel().await);
    for (service, token, want) in [
        ("", None, Ok(ServingStatus::Serving)),
        ("", Some("wrong"), Ok(ServingStatus::Serving)),
        (NAME, Some("ops"), Ok(ServingStatus::Serving)),
        (NAME, Some("guest"), Err(Code::PermissionDenied)),
        ("guest-1", Some("guest"), Err(Code::NotFound)),
        (NAME, Some("wrong"), Err(Code::Unauthenticated)),
        (NAME, None, Err(Code::Unauthenticated)),
    ] {
        let request = with_token(HealthCheckRequest { service: service.into() }, token);
        let checked = within("a check", health.check(request)).await;
        let status = checked.map(|response| response.into_inner().status());
        assert_eq!(status.map_err(|status| status.code()), want, "{service:?} {token:?}");
    }
}
