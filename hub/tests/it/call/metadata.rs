//! What of heads and trailers crosses, and what does not.

use bytes::Bytes;
use http::HeaderValue;
use tonic::Request;
use tonic::metadata::MetadataValue;

use crate::support::NAME;
use crate::support::agent::{Agent, config, server};
use crate::support::client::answer;
use crate::support::grpc::Caller;
use crate::support::hub::Hub;
use crate::support::message::{grpc, grpc_head, headers, message};
use crate::support::service::{Test, failure};
use crate::support::world::World;

#[tokio::test]
async fn binary_metadata_cross_both_ways() {
    let hub = Hub::start().await;
    let _agent = Agent::start(config(&hub, server(Test::new().serve_tcp().await)));
    hub.until_serving(NAME).await;
    let caller = Caller::new(hub.channel().await, NAME);
    let bytes: Vec<u8> = (0..=255).collect();
    let mut request = Request::new(Bytes::from_static(b"hello"));
    let metadata = request.metadata_mut();
    metadata.append("x-text", "first".parse().unwrap());
    metadata.append("x-text", "second".parse().unwrap());
    metadata.append_bin("x-bytes-bin", MetadataValue::from_bytes(&bytes));
    let response = caller.unary("Echo", request).await.expect("an answer");
    let texts: Vec<_> = response.metadata().get_all("x-text").iter().collect();
    assert_eq!(texts, ["first", "second"]);
    let returned = response.metadata().get_bin("x-bytes-bin").expect("binary metadata");
    assert_eq!(returned.to_bytes().unwrap(), bytes);
}

#[tokio::test]
async fn an_error_crosses_with_its_details() {
    let hub = Hub::start().await;
    let _agent = Agent::start(config(&hub, server(Test::new().serve_tcp().await)));
    hub.until_serving(NAME).await;
    let caller = Caller::new(hub.channel().await, NAME);
    let status = caller.unary("Fail", Bytes::new()).await.expect_err("a failure");
    let sent = failure();
    assert_eq!((status.code(), status.message()), (sent.code(), sent.message()));
    assert_eq!(status.details(), sent.details());
    let bytes = |status: &tonic::Status| {
        status.metadata().get_bin("x-bytes-bin").expect("metadata").to_bytes().unwrap()
    };
    assert_eq!(bytes(&status), bytes(&sent));
    assert_eq!(status.metadata().get("hub-reason"), None);
}

/// C-core sends metadata with the spaces that an application has put around them (grpcio 1.85), which nobody may pass on
/// as they are (RFC 9113 8.2.1); and Node.js, for one, leaves out the whole field.
#[tokio::test]
async fn spaces_around_metadata_are_no_part_of_them() {
    let mut world = World::start().await;
    let mut request = grpc(NAME, "/a.B/C");
    for (name, value) in [("x-tail", "tail "), ("x-head", " \thead"), ("x-none", "  ")] {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    let (response, _sending) = world.client.open(request, true).await;
    let mut call = world.session.call().await;
    let seen = ["x-tail", "x-head", "x-none"].map(|name| call.header(name));
    assert_eq!(seen, [Some("tail"), Some("head"), Some("")]);
    let mut body = call.begin();
    body.send_data(message(b"pong"), false).unwrap();
    body.send_trailers(headers([("grpc-status", "0"), ("x-back", " back ")])).unwrap();
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.grpc_status(), answer.metadata("x-back")), (Some("0"), Some("back")));
}

#[tokio::test]
async fn the_upstream_gets_what_the_client_sent() {
    let mut world = World::start().await;
    let mut request = grpc(NAME, "/any.Service/Method?a=1&b=%20");
    let sent = request.headers_mut();
    for (name, value) in [
        ("hub-token", "secret"),
        ("hub-reason", "made up"),
        ("hub-anything", "made up"),
        ("hubris", "not ours"),
        ("grpc-timeout", "30S"),
        ("x-twice", "one"),
        ("x-twice", "two"),
        ("x-bytes-bin", "AAEC/w"),
    ] {
        sent.append(name, HeaderValue::from_static(value));
    }
    sent.append("x-latin", HeaderValue::from_bytes(b"t\xfcr").unwrap());
    let mut want = sent.clone();
    for own in ["hub-token", "hub-reason", "hub-anything"] {
        want.remove(own);
    }
    let (_response, _sending) = world.client.open(request, true).await;
    let call = world.session.call().await;
    assert_eq!(*call.request.headers(), want);
    assert_eq!(call.header("name"), Some(NAME));
    let uri = call.request.uri();
    assert_eq!(uri.to_string(), "http://hub.test/any.Service/Method?a=1&b=%20");
}

#[tokio::test]
async fn the_hubs_own_headers_do_not_pass_as_trailers() {
    let mut world = World::start().await;
    let (_response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
    sending.send_trailers(headers([("hub-token", "secret"), ("x-checksum", "1")])).unwrap();
    let mut call = world.session.call().await;
    let (_, trailers) = call.body().await;
    assert_eq!(trailers.expect("trailers"), headers([("x-checksum", "1")]));
}

#[tokio::test]
async fn the_client_gets_what_the_upstream_sent() {
    let mut world = World::start().await;
    let mut head = grpc_head();
    head.headers_mut().extend(headers([("x-twice", "one"), ("x-twice", "two")]));
    let trailers = headers([
        ("grpc-status", "9"),
        ("grpc-message", "50 %25 too warm"),
        ("grpc-status-details-bin", "CAkSA3RvbxoA/+8="),
        ("x-trailer-bin", "AAEC/w"),
    ]);
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut call = world.session.call().await;
    let mut body = call.respond.send_response(head.clone(), false).unwrap();
    body.send_data(message(b"hello"), false).unwrap();
    body.send_trailers(trailers.clone()).unwrap();
    let answer = answer(response).await.expect("an answer");
    assert_eq!(answer.head.headers(), head.headers());
    assert_eq!(answer.body, message(b"hello"));
    assert_eq!(answer.end.expect("trailers"), trailers);
}

/// What begins with `hub-` the hub says itself, such as that it answered, so no upstream can say it.
#[tokio::test]
async fn the_hubs_own_headers_of_an_upstream_are_stripped() {
    let mut world = World::start().await;
    let lie = [("hub-reason", "offline"), ("hub-anything", "made up")];
    let (with_body, _sending) = world.client.open(grpc(NAME, "/a.B/Body"), true).await;
    let mut call = world.session.call().await;
    let mut head = grpc_head();
    head.headers_mut().extend(headers(lie));
    let mut body = call.respond.send_response(head.clone(), false).unwrap();
    body.send_trailers(headers([("grpc-status", "14"), lie[0], lie[1]])).unwrap();

    let (head_only, _sending) = world.client.open(grpc(NAME, "/a.B/HeadOnly"), true).await;
    let mut call = world.session.call().await;
    head.headers_mut().extend(headers([("grpc-status", "14")]));
    call.respond.send_response(head, true).unwrap();

    for response in [with_body, head_only] {
        let answer = answer(response).await.expect("an answer");
        assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("14"), None));
        assert_eq!(answer.metadata("hub-anything"), None);
        assert!(!answer.head.headers().contains_key("hub-reason"));
    }
}
