//! The Connect protocol, unary and streaming.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use serde_json::{Value, json};

use super::{asks, served};
use crate::support::client::{Answer, Client, answer};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{message, plain, receive_exactly, send};
use crate::support::world::World;
use crate::support::{NAME, within};

const ECHO: &str = "/test.v1.Test/Echo";
const FAIL: &str = "/test.v1.Test/Fail";
const UNARY: &str = "application/proto";
const STREAM: &str = "application/connect+proto";

async fn unary(client: &Client, request: Request<()>, body: &'static [u8]) -> Answer {
    let (response, mut sending) = client.open(request, false).await;
    within("the request sent", send(&mut sending, Bytes::from_static(body), true)).await.unwrap();
    if body.is_empty() {
        sending.send_data(Bytes::new(), true).unwrap();
    }
    answer(response).await.expect("an answer")
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.metadata("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test]
async fn a_unary_call_has_no_frames() {
    let (hub, _agent) = served(hub_config()).await;
    let client = hub.client().await;
    let mut call = asks(ECHO, UNARY);
    call.headers_mut().insert("x-asked", HeaderValue::from_static("this"));
    let echoed = unary(&client, call, b"ping").await;
    assert_eq!((echoed.http_status(), &echoed.body[..]), (200, &b"ping"[..]));
    assert_eq!(echoed.metadata("content-type"), Some(UNARY));
    assert_eq!(echoed.metadata("x-asked"), Some("this"));
    assert_eq!(echoed.metadata("grpc-status"), None);
    assert_eq!(unary(&client, asks(ECHO, UNARY), b"").await.body, b"");
}

#[tokio::test]
async fn a_unary_call_may_stand_in_the_query() {
    let mut world = World::start().await;
    let path = format!(
        "/a.B/C?connect=v1&encoding=proto&base64=1&message={}",
        URL_SAFE_NO_PAD.encode("ping")
    );
    let (response, _) = world.client.open(plain(Method::GET, NAME, &path), true).await;
    let mut call = world.session.call().await;
    assert_eq!((call.request.method(), call.request.uri().path()), (&Method::POST, "/a.B/C"));
    assert_eq!(call.request.uri().query(), None);
    assert_eq!(call.header("content-type"), Some("application/grpc+proto"));
    assert_eq!(call.body().await.0, message(b"ping"));
    let mut answering = call.begin();
    answering.send_data(message(b"pong"), false).unwrap();
    answering.send_trailers(crate::support::message::ok()).unwrap();
    assert_eq!(answer(response).await.expect("an answer").body, b"pong");
}

#[tokio::test]
async fn an_error_is_json() {
    let (hub, _agent) = served(hub_config()).await;
    let client = hub.client().await;
    let failed = unary(&client, asks(FAIL, UNARY), b"x").await;
    assert_eq!(failed.http_status(), 400);
    let error = json_of(&failed);
    assert_eq!(error["code"], "failed_precondition");
    assert_eq!(error["message"], "50 % too warm, \u{fc}berall\n");
    assert!(failed.metadata("trailer-x-bytes-bin").is_some(), "{failed:?}");
    let refused = unary(&Hub::start().await.client().await, asks(ECHO, UNARY), b"").await;
    assert_eq!((refused.http_status(), refused.hub_reason()), (503, Some("unknown-name")));
    assert_eq!(json_of(&refused)["code"], "unavailable");
}

#[tokio::test]
async fn what_is_compressed_stays_so() {
    let mut world = World::start().await;
    let mut call = asks("/a.B/C", UNARY);
    for (name, value) in [("content-encoding", "gzip"), ("accept-encoding", "gzip, br")] {
        call.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let (response, mut sending) = world.client.open(call, false).await;
    sending.send_data(Bytes::from_static(b"small"), true).unwrap();
    let mut call = world.session.call().await;
    assert_eq!(call.header("grpc-encoding"), Some("gzip"));
    assert_eq!(call.header("grpc-accept-encoding"), Some("gzip,br"));
    assert_eq!(call.body().await.0, b"\x01\0\0\0\x05small");
    let head = http::Response::builder()
        .header("content-type", "application/grpc+proto")
        .header("grpc-encoding", "gzip");
    let mut answering = call.respond.send_response(head.body(()).unwrap(), false).unwrap();
    answering.send_data(Bytes::from_static(b"\x01\0\0\0\x04back"), false).unwrap();
    answering.send_trailers(crate::support::message::ok()).unwrap();
    let answered = answer(response).await.expect("an answer");
    assert_eq!(answered.metadata("content-encoding"), Some("gzip"));
    assert_eq!(answered.body, b"back");
}

#[tokio::test]
async fn a_deadline_is_said_as_grpc_says_it() {
    let mut world = World::start().await;
    let mut call = asks("/a.B/C", UNARY);
    call.headers_mut().insert("connect-timeout-ms", HeaderValue::from_static("60000"));
    let (_response, mut sending) = world.client.open(call, false).await;
    sending.send_data(Bytes::new(), true).unwrap();
    let call = world.session.call().await;
    let left = call.header("grpc-timeout").expect("a timeout").strip_suffix('m').expect("millis");
    assert!((50_000..=60_000).contains(&left.parse::<u64>().expect("a number")), "{left}");
    assert_eq!(call.header("connect-timeout-ms"), None);
}

/// What ends a stream, behind its messages.
fn end(body: &[u8]) -> Value {
    assert_eq!(body[0], 2, "{body:?}");
    let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
    assert_eq!(body.len(), 5 + length);
    serde_json::from_slice(&body[5..]).expect("JSON")
}

#[tokio::test]
async fn a_stream_ends_with_a_frame() {
    let (hub, _agent) = served(hub_config()).await;
    let client = hub.client().await;
    let (response, mut sending) = client.open(asks(ECHO, STREAM), false).await;
    sending.send_data(message(b"one"), false).unwrap();
    let mut body = within("a head", response).await.expect("a head").into_body();
    let first = within("a message", receive_exactly(&mut body, message(b"one").len())).await;
    assert_eq!(first, message(b"one"));
    sending.send_data(Bytes::new(), true).unwrap();
    let (rest, _) = within("the end", crate::support::message::receive(&mut body)).await;
    assert_eq!(end(&rest), json!({}));
}

#[tokio::test]
async fn a_stream_says_its_error_in_that_frame() {
    let (hub, _agent) = served(hub_config()).await;
    let client = hub.client().await;
    let failed = client.call(asks(FAIL, STREAM), b"x").await.expect("an answer");
    assert_eq!((failed.http_status(), failed.metadata("content-type")), (200, Some(STREAM)));
    let said = end(&failed.body);
    assert_eq!(said["error"]["code"], "failed_precondition");
    assert!(said["metadata"]["x-bytes-bin"].is_array(), "{said}");
    assert_eq!(said["metadata"].get("hub-reason"), None);
    let hub = Hub::start().await;
    let refused = hub.client().await.call(asks(ECHO, STREAM), b"x").await.expect("an answer");
    assert_eq!(end(&refused.body)["error"]["code"], "unavailable");
    assert_eq!(refused.hub_reason(), Some("unknown-name"));
}

/// An upstream that is gone in the middle is told as any other error.
#[tokio::test]
async fn a_stream_that_is_cut_off_says_so() {
    let mut world = World::start().await;
    let (response, _sending) = world.client.open(asks("/a.B/C", STREAM), false).await;
    let mut answering = world.session.call().await.begin();
    answering.send_data(message(b"one"), false).unwrap();
    let mut body = within("a head", response).await.expect("a head").into_body();
    within("a message", receive_exactly(&mut body, message(b"one").len())).await;
    answering.send_reset(h2::Reason::ENHANCE_YOUR_CALM);
    let (rest, _) = within("the end", crate::support::message::receive(&mut body)).await;
    assert_eq!(end(&rest)["error"]["code"], "resource_exhausted");
}
