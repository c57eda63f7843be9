//! Own services asked in other words than plain gRPC, and for what is not theirs.

use http::{HeaderValue, Method};
use hub_proto::hub::v1::ListClientsRequest;
use hub_proto::hub::v1::hub_client::HubClient;
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::support::hub::Hub;
use crate::support::message::{grpc, plain};
use crate::support::within;

const HINT: &str = "send the metadata `name`";

#[tokio::test]
async fn a_compressed_request_is_read() {
    let hub = Hub::start().await;
    let client = HubClient::new(hub.channel().await);
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let request = ListClientsRequest { page_size: 7, ..ListClientsRequest::default() };
    within("a list", client.list_clients(request)).await.expect("a list");
}

#[tokio::test]
async fn what_is_no_grpc_is_told_so() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let mut json = plain(Method::POST, "", "/hub.v1.Hub/ListClients");
    json.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    for request in [plain(Method::GET, "", "/hub.v1.Hub/ListClients"), json] {
        let answer = client.request(request).await.expect("an answer");
        assert_eq!((answer.http_status(), answer.hub_reason()), (415, Some("bad-request")));
        assert!(answer.body.ends_with(b"Connect\n"));
    }
}

#[tokio::test]
async fn whoever_has_meant_an_agents_server_is_told_how() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    for (path, status) in [("/hub.v1.Hub/Nothing", "12"), ("/a.B/C", "12")] {
        let answer = client.call(grpc("", path), b"").await.expect("an answer");
        assert_eq!(answer.grpc_status(), Some(status));
        let message = answer.metadata("grpc-message").expect("words");
        assert!(message.contains(HINT), "{message}");
    }
    let symbol = MessageRequest::FileContainingSymbol("a.B".into());
    let asked = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let reflection = grpc("", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    let answer = client.call(reflection, &asked.encode_to_vec()).await.expect("an answer");
    assert_eq!(answer.grpc_status(), Some("5"));
    let message = answer.metadata("grpc-message").expect("words").replace("%20", " ");
    assert!(message.starts_with("symbol 'a.B' not found; ") && message.contains(HINT), "{message}");
}
