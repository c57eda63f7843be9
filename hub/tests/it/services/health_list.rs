//! grpc.health.v1.Health/List: all names at once, for those who may ask about them.

use std::collections::BTreeMap;

use hub::limits::HEALTH_LIST_BYTES;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_client::HealthClient;
use hub_proto::grpc::health::v1::{HealthListRequest, HealthListResponse};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_reflection::pb::v1;

use super::public_health::registered;
use crate::support::auth_file::{Entry, agent, caller, guarded_hub, public};
use crate::support::grpc::with_token;
use crate::support::hub::Hub;
use crate::support::raw_agent::RawAgent;
use crate::support::within;

const OPS: Entry = caller("ops", "*");
const GUEST: Entry = caller("guest", "hidden-*");
const SEEN: Entry = public("seen", "seen-*");
const HIDDEN: Entry = agent("hidden", "hidden-*");
const SERVING: ServingStatus = ServingStatus::Serving;
const NOT_SERVING: ServingStatus = ServingStatus::NotServing;

async fn asked(hub: &Hub, token: Option<&str>) -> Result<HealthListResponse, Status> {
    let mut health = HealthClient::new(hub.channel().await);
    let request = with_token(HealthListRequest {}, token);
    within("a list", health.list(request)).await.map(tonic::Response::into_inner)
}

/// What somebody is told, by name.
pub(crate) async fn listed(hub: &Hub, token: Option<&str>) -> BTreeMap<String, ServingStatus> {
    let told = asked(hub, token).await.expect("a list");
    told.statuses.into_iter().map(|(name, told)| (name, told.status())).collect()
}

fn these<const N: usize>(names: [(&str, ServingStatus); N]) -> BTreeMap<String, ServingStatus> {
    names.into_iter().map(|(name, status)| (name.to_owned(), status)).collect()
}

#[tokio::test]
async fn an_open_hub_tells_of_itself_and_of_each_name() {
    let hub = Hub::start().await;
    assert_eq!(listed(&hub, None).await, these([("", SERVING)]));
    let _here = RawAgent::shown(&hub, "here", "instance-1").await;
    let gone = RawAgent::shown(&hub, "gone", "instance-2").await;
    assert_eq!(
        listed(&hub, None).await,
        these([("", SERVING), ("here", SERVING), ("gone", SERVING)])
    );
    drop(gone);
    hub.until_offline("gone").await;
    assert_eq!(
        listed(&hub, None).await,
        these([("", SERVING), ("here", SERVING), ("gone", NOT_SERVING)])
    );
}

#[tokio::test]
async fn a_token_shows_the_names_that_it_is_good_for_and_all_else_is_public_or_hidden() {
    let missing = public("missing", "seen-missing");
    let hub = guarded_hub(&[SEEN, HIDDEN, missing, OPS, GUEST]).await;
    let _seen = registered(&hub, "seen", "seen-1").await;
    let gone = registered(&hub, "seen", "seen-2").await;
    let _hidden = registered(&hub, "hidden", "hidden-1").await;
    drop(gone);
    hub.until("seen-2", NOT_SERVING, Some("ops")).await;
    let all = [("", SERVING), ("seen-1", SERVING), ("seen-2", NOT_SERVING)];
    let more = [("hidden-1", SERVING), ("seen-missing", NOT_SERVING)];
    let [all, more] = [these(all), these(more)];
    assert_eq!(listed(&hub, Some("ops")).await, all.into_iter().chain(more).collect());
    // That a public name was there, or is to be, is for those who may call it.
    let public = these([("", SERVING), ("seen-1", SERVING)]);
    for token in [None, Some("wrong"), Some("hidden")] {
        assert_eq!(listed(&hub, token).await, public, "{token:?}");
    }
    let public_and_own = these([("", SERVING), ("seen-1", SERVING), ("hidden-1", SERVING)]);
    assert_eq!(listed(&hub, Some("guest")).await, public_and_own);
}

/// Names of an auth file, which are known before they come, so many of the longest.
fn spelled_out(count: usize) -> Entry {
    let names: Vec<_> = (0..count).map(|name| format!("{name:0>128}")).collect();
    agent("many", names.join("','").leak())
}

/// Each with tags, lengths and its status.
const ENTRY_BYTES: usize = 138;
/// The hub's own.
const OWN_BYTES: usize = 8;

#[tokio::test]
async fn a_list_is_full_and_beyond_that_refused() {
    let fit = (HEALTH_LIST_BYTES - OWN_BYTES) / ENTRY_BYTES;
    let hub = guarded_hub(&[spelled_out(fit), OPS]).await;
    let full = asked(&hub, Some("ops")).await.expect("a list");
    assert_eq!(full.statuses.len(), 1 + fit);
    assert!(full.encoded_len() > HEALTH_LIST_BYTES - ENTRY_BYTES, "{}", full.encoded_len());

    let hub = guarded_hub(&[spelled_out(fit + 1), SEEN, OPS]).await;
    let refused = asked(&hub, Some("ops")).await.expect_err("a refusal");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.metadata().get("hub-reason").expect("a reason"), "limit");
    for hint in ["Check", "hub.v1.Names"] {
        assert!(refused.message().contains(hint), "{}", refused.message());
    }
    assert_eq!(hub.metric("hub_limits_reached_total{limit=\"health-list\"}").await, 1.0);
    // Whoever may see few of them has a list.
    let _seen = registered(&hub, "seen", "seen-1").await;
    assert_eq!(listed(&hub, None).await, these([("", SERVING), ("seen-1", SERVING)]));
}

#[tokio::test]
async fn reflection_knows_it() {
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;

    let hub = Hub::start().await;
    let symbol = "grpc.health.v1.Health.List".to_owned();
    let question = v1::ServerReflectionRequest {
        message_request: Some(MessageRequest::FileContainingSymbol(symbol)),
        ..Default::default()
    };
    let channel = hub.channel().await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel);
    let asked = client.server_reflection_info(tokio_stream::iter([question]));
    let mut answers = within("reflection", asked).await.expect("answers").into_inner();
    let answer = within("an answer", answers.message()).await.expect("an answer");
    let answer = answer.expect("an answer").message_response;
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer else {
        panic!("no file: {answer:?}");
    };
    let file = prost_types::FileDescriptorProto::decode(&*files.file_descriptor_proto[0]);
    let file = file.expect("a file");
    assert_eq!(file.name(), "grpc/health/v1/health.proto");
    let methods: Vec<_> = file.service[0].method.iter().map(|method| method.name()).collect();
    assert_eq!(methods, ["Check", "List", "Watch"]);
}
