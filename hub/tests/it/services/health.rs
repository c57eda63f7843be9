//! grpc.health.v1.Health of the hub and of names, and reflection of the hub's own services.

use hub::limits::OWN_REQUEST_MAX;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_client::HealthClient;
use hub_proto::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use tokio_stream::iter;
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::agent::{Agent, config, server};
use crate::support::grpc::named;
use crate::support::hub::Hub;
use crate::support::service::Test;
use crate::support::{NAME, within};

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

pub(crate) async fn check(hub: &Hub, service: &str) -> Result<ServingStatus, Code> {
    let mut health = HealthClient::new(hub.channel().await);
    let checked = within("a check", health.check(about(service))).await;
    checked.map(|response| response.into_inner().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn the_hub_itself_and_what_is_unknown() {
    let hub = Hub::start().await;
    assert_eq!(check(&hub, "").await, Ok(ServingStatus::Serving));
    assert_eq!(check(&hub, "nobody").await, Err(Code::NotFound));
    assert_eq!(check(&hub, "No Name").await, Err(Code::NotFound));
}

/// More than the first window of a stream.
#[tokio::test]
async fn the_largest_request() {
    // Tag and length of the field take four bytes.
    let name = "x".repeat(OWN_REQUEST_MAX - 4);
    assert_eq!(check(&Hub::start().await, &name).await, Err(Code::NotFound));
}

async fn next(statuses: &mut Streaming<HealthCheckResponse>) -> ServingStatus {
    let status = within("a status", statuses.message()).await.expect("a status");
    status.expect("a watch without an end").status()
}

#[tokio::test]
async fn a_name_is_watched_as_it_comes_and_goes() {
    let hub = Hub::start().await;
    let mut health = HealthClient::new(hub.channel().await);
    let watch = within("a watch", health.watch(about(NAME))).await;
    let mut statuses = watch.expect("a watch").into_inner();
    assert_eq!(next(&mut statuses).await, ServingStatus::ServiceUnknown);
    let upstream = server(Test::new().serve_tcp().await);
    let mut agent = Agent::start(config(&hub, upstream.clone()));
    assert_eq!(next(&mut statuses).await, ServingStatus::Serving);
    assert_eq!(check(&hub, NAME).await, Ok(ServingStatus::Serving));
    agent.drain();
    assert_eq!(next(&mut statuses).await, ServingStatus::NotServing);
    assert_eq!(check(&hub, NAME).await, Ok(ServingStatus::NotServing));
    let _second = Agent::start(config(&hub, upstream));
    assert_eq!(next(&mut statuses).await, ServingStatus::Serving);
}

#[tokio::test]
async fn a_watch_ends_with_the_hub() {
    let mut hub = Hub::start().await;
    let mut health = HealthClient::new(hub.channel().await);
    let watch = within("a watch", health.watch(about(""))).await;
    let mut statuses = watch.expect("a watch").into_inner();
    assert_eq!(next(&mut statuses).await, ServingStatus::Serving);
    hub.drain();
    let ends = async {
        loop {
            match statuses.message().await {
                // It may have been told in between that the hub leaves.
                Ok(Some(told)) => assert_eq!(told.status(), ServingStatus::NotServing),
                Ok(None) => panic!("an end without a reason"),
                Err(status) => return status,
            }
        }
    };
    let end = within("the end", ends).await;
    assert_eq!(end.code(), Code::Unavailable);
    assert_eq!(end.metadata().get("hub-reason").expect("a reason"), "going-away");
    hub.ended().await;
}

/// The services that both versions of reflection list, of an agent's server or of the hub itself.
pub(crate) async fn reflected_services(channel: Channel, name: Option<&str>) -> Vec<String> {
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;

    let question = MessageRequest::ListServices(String::new());
    let question =
        v1::ServerReflectionRequest { message_request: Some(question), ..Default::default() };
    let request = addressed(Request::new(iter([question])), name);
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let answers = within("reflection", client.server_reflection_info(request)).await;
    let answer = within("an answer", answers.expect("answers").get_mut().message()).await;
    let answer = answer.expect("an answer").expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("no list: {answer:?}");
    };
    let services: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert_eq!(services, alpha_services(channel, name).await);
    services
}

async fn alpha_services(channel: Channel, name: Option<&str>) -> Vec<String> {
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;

    let question = MessageRequest::ListServices(String::new());
    let question =
        v1alpha::ServerReflectionRequest { message_request: Some(question), ..Default::default() };
    let request = addressed(Request::new(iter([question])), name);
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let answers = within("reflection", client.server_reflection_info(request)).await;
    let answer = within("an answer", answers.expect("answers").get_mut().message()).await;
    let answer = answer.expect("an answer").expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("no list: {answer:?}");
    };
    list.service.into_iter().map(|service| service.name).collect()
}

fn addressed<T>(request: Request<T>, name: Option<&str>) -> Request<T> {
    match name {
        Some(name) => named(request, name),
        None => request,
    }
}

#[tokio::test]
async fn reflection_lists_the_hubs_own_services() {
    let hub = Hub::start().await;
    let mut services = reflected_services(hub.channel().await, None).await;
    services.sort();
    let want = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "hub.v1.Activity",
        "hub.v1.Hub",
        "hub.v1.Names",
    ];
    assert_eq!(services, want);
}
