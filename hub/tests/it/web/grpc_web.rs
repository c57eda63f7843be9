//! gRPC-Web, binary and text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use h2::Reason;
use http::HeaderValue;
use tunnel::speaks::Speaks;

use super::{asks, served};
use crate::support::admin::exchange;
use crate::support::agent::{Agent, config, exposed, exposing, server};
use crate::support::client::{Answer, Client};
use crate::support::frames::{DATA, END_HEADERS, END_STREAM, FrameConnection, HEADERS, frame};
use crate::support::hpack::encode;
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{message, plain, receive, receive_exactly};
use crate::support::service::Test;
use crate::support::world::World;
use crate::support::{NAME, within};

const ECHO: &str = "/test.v1.Test/Echo";
const FAIL: &str = "/test.v1.Test/Fail";
const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";

/// The messages of a body, and the lines of its last frame.
fn frames(mut body: &[u8]) -> (Vec<Vec<u8>>, String) {
    let (mut messages, mut trailers) = (Vec::new(), String::new());
    while let [flag, a, b, c, d, rest @ ..] = body {
        let (content, rest) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        assert!(trailers.is_empty(), "nothing follows the trailers");
        match flag {
            0 => messages.push(content.to_vec()),
            0x80 => trailers = String::from_utf8(content.to_vec()).expect("text"),
            other => panic!("a frame of flag {other}"),
        }
        body = rest;
    }
    assert!(body.is_empty(), "{body:?}");
    (messages, trailers)
}

fn said(answer: &Answer) -> (Vec<Vec<u8>>, String) {
    assert_eq!(answer.metadata("content-type"), Some(BINARY));
    assert!(answer.end.as_ref().expect("an end").is_empty(), "no trailers of HTTP/2");
    frames(&answer.body)
}

#[tokio::test]
async fn a_call_gets_its_trailers_in_the_body() {
    let (hub, _agent) = served(hub_config()).await;
    let client = hub.client().await;
    let mut call = asks(ECHO, BINARY);
    call.headers_mut().insert("x-asked", HeaderValue::from_static("this"));
    let answer = client.call(call, b"ping").await.expect("an answer");
    let (messages, trailers) = said(&answer);
    assert_eq!(messages, [b"ping"]);
    assert!(trailers.contains("grpc-status: 0\r\n"), "{trailers}");
    assert_eq!(answer.head.headers()["x-asked"], "this");
}

#[tokio::test]
async fn a_message_comes_when_it_is_sent() {
    let (hub, _agent) = served(hub_config()).await;
    let client = hub.client().await;
    let (response, mut sending) = client.open(asks(ECHO, BINARY), false).await;
    for payload in [&b"one"[..], b"another"] {
        sending.send_data(message(payload), false).unwrap();
    }
    let mut body = within("a head", response).await.expect("a head").into_body();
    let expected = [message(b"one"), message(b"another")].concat();
    let came = within("two messages", receive_exactly(&mut body, expected.len())).await;
    assert_eq!(came, expected);
}

/// Some clients read the status in the head, where it is all there is; the rest is in the body.
#[tokio::test]
async fn an_error_comes_with_its_details() {
    let (hub, _agent) = served(hub_config()).await;
    let answer = hub.client().await.call(asks(FAIL, BINARY), b"x").await.expect("an answer");
    let (messages, trailers) = said(&answer);
    assert!(messages.is_empty());
    for line in ["grpc-status: 9\r\n", "grpc-message: 50 %25 too", "grpc-status-details-bin: AAEC"]
    {
        assert!(trailers.contains(line), "{trailers}");
    }
    // That is nobody's but the hub's.
    assert!(!trailers.contains("hub-reason"), "{trailers}");
}

#[tokio::test]
async fn text_over_http_1() {
    let (hub, _agent) = served(hub_config()).await;
    let body = [STANDARD.encode(message(b"one")), STANDARD.encode(message(b"two"))].concat();
    let request = format!(
        "POST {ECHO} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nname: {NAME}\r\n\
         Content-Type: {TEXT}\r\nX-Grpc-Web: 1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(hub.address, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains(&format!("content-type: {TEXT}\r\n")), "{head}");
    let (messages, trailers) = frames(&text(&unchunked(body)));
    assert_eq!(messages, [b"one", b"two"]);
    assert!(trailers.contains("grpc-status: 0\r\n"), "{trailers}");
}

/// What chunks say together (RFC 9112 7.1).
fn unchunked(body: &str) -> String {
    let mut lines = body.split("\r\n");
    let mut said = String::new();
    while let Some(chunk) = lines.next().filter(|length| *length != "0").and_then(|_| lines.next())
    {
        said += chunk;
    }
    said
}

/// Base64 in pieces that are padded each.
fn text(base64: &str) -> Vec<u8> {
    let groups = base64.as_bytes().chunks(4).map(|group| STANDARD.decode(group).expect("Base64"));
    groups.flatten().collect()
}

#[tokio::test]
async fn the_hub_itself_answers_so_too() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let answer = client.call(asks(ECHO, BINARY), b"").await.expect("an answer");
    assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("14"), Some("unknown-name")));
    let mut own = asks("/hub.v1.Hub/ListClients", BINARY);
    own.headers_mut().remove("name");
    let (messages, trailers) = said(&client.call(own, b"").await.expect("an answer"));
    assert_eq!(messages.len(), 1);
    assert!(trailers.contains("grpc-status: 0\r\n"), "{trailers}");
}

#[tokio::test]
async fn what_is_given_up_is_given_up_at_the_server() {
    let mut world = World::start().await;
    let (_response, mut sending) = world.client.open(asks("/a.B/C", BINARY), false).await;
    let mut call = world.session.call().await;
    assert_eq!(call.header("content-type"), Some("application/grpc+proto"));
    assert_eq!(call.header("te"), Some("trailers"));
    sending.send_reset(Reason::CANCEL);
    assert_eq!(call.reset().await, Reason::CANCEL);
    world.assert_unharmed().await;
}

/// What no library reads is refused in words, and ends no call beside it.
#[tokio::test]
async fn an_odd_path_ends_nobody_elses_call() {
    let (hub, _agent) = served(hub_config()).await;
    let mut front = FrameConnection::connect(hub.address).await;
    let head = |path: &[u8]| {
        let mut head = encode(&[
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "hub.test"),
            ("content-type", BINARY),
            ("name", NAME),
        ]);
        // A literal without indexing, of the name that HPACK's table has at 4 (RFC 7541 6.2.2).
        head.splice(0..0, [&[0x04, path.len() as u8], path].concat());
        head
    };
    let running = frame(HEADERS, END_HEADERS, 1, &head(ECHO.as_bytes()));
    let odd = frame(HEADERS, END_HEADERS | END_STREAM, 3, &head(b"/a\x80b"));
    let angle = frame(HEADERS, END_HEADERS | END_STREAM, 5, &head(b"/a<b>"));
    front.write(&[running, odd, angle]).await;
    assert_eq!([front.next(HEADERS).await, front.next(HEADERS).await], [3, 5]);
    front.write(&[frame(DATA, END_STREAM, 1, &message(b"ping"))]).await;
    front.answer(1).await;
}

/// A reset in the middle of a message is none that a page could take for the rest of it.
#[tokio::test]
async fn what_breaks_off_in_a_message_breaks_off() {
    let mut world = World::start().await;
    let (response, _sending) = world.client.open(asks("/a.B/C", BINARY), true).await;
    let mut answering = world.session.call().await.begin();
    answering.send_data(message(&[7; 1000]).slice(..500), false).unwrap();
    let mut body = within("a head", response).await.expect("a head").into_body();
    within("half of it", receive_exactly(&mut body, 500)).await;
    answering.send_reset(Reason::INTERNAL_ERROR);
    let (rest, end) = within("the end", receive(&mut body)).await;
    assert_eq!(
        (rest.len(), end.expect_err("broken off").reason()),
        (0, Some(Reason::INTERNAL_ERROR))
    );
}

/// What the hub answers before it is a call of its own is counted, too.
#[tokio::test]
async fn what_becomes_no_call_is_counted() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let query = plain(http::Method::GET, NAME, "/a.B/C?connect=v1&encoding=proto");
    let answer = client.request(query).await.expect("an answer");
    assert_eq!((answer.http_status(), answer.hub_reason()), (400, Some("bad-request")));
    let line = "hub_calls_total{target=\"agent\",outcome=\"INVALID_ARGUMENT\",hub_reason=\"bad-request\",via=\"local\"}";
    crate::support::until("the count", async || hub.metric(line).await == 1.0).await;
    let (_response, mut sending) = client.open(asks(ECHO, "application/proto"), false).await;
    sending.send_data(Bytes::from_static(b"half"), false).unwrap();
    sending.send_reset(Reason::CANCEL);
    let line =
        "hub_calls_total{target=\"agent\",outcome=\"RESET\",hub_reason=\"none\",via=\"local\"}";
    crate::support::until("the count", async || hub.metric(line).await == 1.0).await;
    crate::support::until("none", async || hub.metric("hub_streams_in_flight").await == 0.0).await;
}

#[tokio::test]
async fn what_is_no_base64_is_told_so() {
    let mut world = World::start().await;
    let (response, mut sending) = world.client.open(asks("/a.B/C", TEXT), false).await;
    let mut call = world.session.call().await;
    sending.send_data(Bytes::from_static(b"AAAA*AAA"), true).unwrap();
    call.reset().await;
    let answer = within("an answer", response).await.expect("an answer");
    assert_eq!(answer.headers()["grpc-status"], "3");
}

/// Each call is counted once, though it passes through the hub twice.
#[tokio::test]
async fn it_is_one_call() {
    let (hub, _agent) = served(hub_config()).await;
    let client = hub.client().await;
    let counted = async || {
        hub.metric(
            "hub_calls_total{target=\"agent\",outcome=\"OK\",hub_reason=\"none\",via=\"local\"}",
        )
        .await
    };
    let before = counted().await;
    client.call(asks(ECHO, BINARY), b"ping").await.expect("an answer");
    crate::support::until("the count", async || counted().await == before + 1.0).await;
    assert_eq!(hub.metric("hub_streams_in_flight").await, 0.0);
}

#[tokio::test]
async fn a_server_that_speaks_it_is_asked_as_it_is() {
    let hub = Hub::start().await;
    let upstream = crate::support::upstream::Upstream::listen().await;
    let speaks = Speaks::from_header("grpc-web");
    let exposed = agent::Exposed { speaks, ..exposed(server(upstream.address)) };
    let _agent = Agent::start(exposing(&hub, exposed));
    hub.until_serving(NAME).await;
    let mut session = upstream.all();
    let client: Client = hub.client().await;
    let (_response, mut sending) = client.open(asks("/a.B/C", BINARY), false).await;
    sending.send_data(Bytes::from_static(b"as it is"), true).unwrap();
    let mut call = session.call().await;
    assert_eq!(call.header("content-type"), Some(BINARY));
    assert_eq!(call.body().await.0, b"as it is");
}

/// The agent's own services are spoken so as any.
#[tokio::test]
async fn built_in_services_are_spoken_to_so() {
    let hub = Hub::start().await;
    let builtin = agent::Upstream::Services(Test::new().routes().await);
    let _agent = Agent::start(config(&hub, builtin));
    hub.until_serving(NAME).await;
    let health = asks("/grpc.health.v1.Health/Check", BINARY);
    let answer = hub.client().await.call(health, b"").await.expect("an answer");
    assert_eq!(said(&answer).0, [b"\x08\x01"]);
}
