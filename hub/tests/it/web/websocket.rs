//! WebSockets over HTTP/2 (RFC 8441), as fronts make of an agent's.

use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Version};
use tokio::io::{
    AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tunnel::lanes::{LaneMemory, Role, start};
use tunnel::wire::{self, Control};

use crate::services::clients::list;
use crate::support::client::Client;
use crate::support::frames::{
    END_HEADERS, END_STREAM, FrameConnection, HEADERS, RST_STREAM, frame, request_head,
};
use crate::support::hub::Hub;
use crate::support::message::{grpc, send};
use crate::support::upstream::Connections;
use crate::support::{NAME, until, within};

/// What a front makes of an agent's upgrade.
fn asks(path: &str, name: &str) -> Request<()> {
    let request = Request::connect(format!("http://hub.test{path}"))
        .version(Version::HTTP_2)
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", wire::SUBPROTOCOL)
        .header(wire::HUB_NAME, name)
        .header(wire::HUB_INSTANCE, "i");
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    request
}

/// An agent on a stream of the client's connection: its end of the WebSocket.
async fn agent(client: &Client, name: &str) -> (HeaderMap, DuplexStream) {
    let (response, sending) = client.open(asks(wire::PATH, name), false).await;
    let (head, body) = within("an answer", response).await.expect("an answer").into_parts();
    assert_eq!(head.status, 200, "{head:?}");
    let (near, far) = duplex(64 << 10);
    let (reading, writing) = split(far);
    tokio::spawn(downwards(body, writing));
    tokio::spawn(upwards(reading, sending));
    (head.headers, near)
}

async fn downwards(mut body: RecvStream, mut to: WriteHalf<DuplexStream>) {
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).unwrap();
        if to.write_all(&data).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn upwards(mut from: ReadHalf<DuplexStream>, mut to: SendStream<Bytes>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if send(&mut to, Bytes::copy_from_slice(&bytes[..read]), false).await.is_err() {
            return;
        }
    }
    let _ = to.send_data(Bytes::new(), true);
}

#[tokio::test]
async fn an_agent_registers_beside_callers() {
    let mut hub = Hub::start().await;
    let front = hub.client().await;
    let (headers, io) = agent(&front, NAME).await;
    assert_eq!(headers["sec-websocket-protocol"], wire::SUBPROTOCOL);
    assert!(headers.contains_key(wire::HUB_SESSION_ID) && headers.contains_key(wire::HUB_NODE_ID));
    let (memory, keepalive) = (LaneMemory::new(1 << 20), hub::Config::default().keepalive);
    let (driver, lanes, mut control) =
        start(io, Bytes::new(), keepalive, Role::Agent { max_lanes: 16 }, memory);
    let driver = tokio::spawn(driver);
    let mut session = Connections::on_lanes(lanes).all();
    assert_eq!(within("word", control.recv()).await, Some(Control::Registered));
    assert_eq!(list(&hub).await[0].name, NAME);
    // On the connection that its own session is on.
    let (response, _) = front.open(grpc(NAME, "/a.B/C"), true).await;
    session.call().await.answer();
    assert_eq!(within("an answer", response).await.expect("an answer").status(), 200);
    // A hub that stops waits for calls; the session is closed in words, and is not waited for.
    hub.drain();
    assert_eq!(within("word", control.recv()).await, Some(Control::Drain));
    hub.ended().await;
    within("the session's end", driver).await.unwrap();
}

/// Envoy 1.40 passes an agent's key on, and makes no answer to it.
#[tokio::test]
async fn a_key_that_comes_along_is_answered() {
    let hub = Hub::start().await;
    let front = hub.client().await;
    let mut request = asks(wire::PATH, NAME);
    // The example of RFC 6455 1.3.
    let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
    request.headers_mut().insert("sec-websocket-key", key);
    let (response, _sending) = front.open(request, false).await;
    let answer = within("an answer", response).await.expect("an answer");
    assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[tokio::test]
async fn other_connects_are_refused_in_words() {
    let hub = Hub::start().await;
    let front = hub.client().await;
    for (request, status) in [(asks("/other", NAME), 405), (asks(wire::PATH, "-"), 400)] {
        let (response, _sending) = front.open(request, false).await;
        let answer = within("an answer", response).await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
    let mut plain = asks(wire::PATH, NAME);
    plain.extensions_mut().insert(Protocol::from_static("connect-udp"));
    let (response, _sending) = front.open(plain, false).await;
    assert_eq!(within("an answer", response).await.expect("an answer").status(), 405);
    // And the connection goes on.
    let health = front.call(grpc("", "/grpc.health.v1.Health/Check"), b"").await;
    assert_eq!(health.expect("an answer").grpc_status(), Some("0"));
    until("the count", async || {
        hub.metric("hub_registration_refusals_total{reason=\"bad-request\"}").await == 1.0
    })
    .await;
}

/// HAProxy 2.6 resets a stream that it has not opened, on a connection that others call on.
#[tokio::test]
async fn a_reset_of_a_stream_that_was_never_opened_ends_nothing() {
    let hub = Hub::start().await;
    let mut front = FrameConnection::connect(hub.address).await;
    let reset = frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    let call = frame(HEADERS, END_HEADERS | END_STREAM, 3, &request_head("nobody", "/a.B/C"));
    front.write(&[reset, call]).await;
    assert_eq!(front.next(HEADERS).await, 3);
}
