//! Several callers on one connection, as a proxy makes it: what one of them does, the others do not wait for.

use http::{HeaderName, HeaderValue, Request};
use tokio::time::Instant;
use tunnel::limits::{CLIENT_RESETS, HEAD_BYTES, HEAD_BYTES_FREE};
use tunnel::wire::HUB_TOKEN;

use crate::support::auth_file::{caller, guarded_hub};
use crate::support::client::{Client, answer};
use crate::support::frames::{
    END_HEADERS, END_STREAM, FrameConnection, HEADERS, frame, given_up, request_head,
};
use crate::support::hpack::encode;
use crate::support::hub::Hub;
use crate::support::message::grpc;
use crate::support::within;

const ABUSER: &str = "abuser";
const BYSTANDER: &str = "bystander";

async fn hub() -> Hub {
    guarded_hub(&[caller(ABUSER, "*"), caller(BYSTANDER, "*")]).await
}

#[tokio::test]
async fn calls_that_are_given_up_at_once() {
    // On a connection of its own, these take a minute.
    const CALLS: u32 = 32 * CLIENT_RESETS.burst;
    let hub = hub().await;
    let mut front = FrameConnection::connect(hub.address).await;
    let call = |token| [request_head("nobody", "/a.B/C"), encode(&[("hub-token", token)])].concat();
    let whole = END_HEADERS | END_STREAM;
    for (stream, token) in [(1, BYSTANDER), (3, ABUSER)] {
        front.write(&[frame(HEADERS, whole, stream, &call(token))]).await;
        front.answer(stream).await;
    }
    front.write(&given_up(&call(ABUSER), 5, CALLS)).await;
    let last = 5 + 2 * CALLS;
    front.write(&[frame(HEADERS, whole, last, &call(BYSTANDER))]).await;
    front.answer(last).await;
}

#[tokio::test]
async fn calls_that_are_given_up_later() {
    const AT_ONCE: u32 = 128;
    let hub = hub().await;
    let client = hub.client().await;
    assert_answered(&client, BYSTANDER).await;
    let watch = call(ABUSER, "", "/grpc.health.v1.Health/Watch");
    for _ in 0..3 * CLIENT_RESETS.burst / AT_ONCE {
        let mut open = Vec::new();
        for _ in 0..AT_ONCE {
            let (response, mut send) = client.open(watch.clone(), false).await;
            send.send_data(vec![0; 5].into(), true).expect("sent");
            open.push(within("a head", response).await.expect("a head"));
        }
    }
    let counted = async || hub.metric("hub_limits_reached_total{limit=\"client-resets\"}").await;
    assert!(counted().await >= 1.0, "the abuser's calls wait");
    assert_answered(&client, BYSTANDER).await;
}

/// A call that the hub answers itself.
fn call(token: &'static str, name: &str, path: &str) -> Request<()> {
    let mut call = grpc(name, path);
    call.headers_mut().insert(HUB_TOKEN, HeaderValue::from_static(token));
    call
}

async fn assert_answered(client: &Client, token: &'static str) {
    let (response, _send) = client.open(call(token, "nobody", "/a.B/C"), true).await;
    let answer = within("an answer", answer(response)).await.expect("an answer");
    assert_eq!(answer.hub_reason(), Some("unknown-name"));
}

#[tokio::test]
async fn long_heads() {
    const HEAD: u32 = 2 * HEAD_BYTES_FREE;
    // So many take some seconds, and wait in line.
    const CALLS: u32 = 8 * HEAD_BYTES.burst / HEAD_BYTES_FREE;
    let hub = hub().await;
    let client = hub.client().await;
    assert_answered(&client, BYSTANDER).await;
    assert_answered(&client, ABUSER).await;
    let mut long = call(ABUSER, "nobody", "/a.B/C");
    // `~` takes 13 bits in Huffman's code, so it is sent as it is.
    let value = HeaderValue::from_str(&"~".repeat(HEAD as usize)).unwrap();
    long.headers_mut().append(HeaderName::from_static("long"), value);
    let mut waiting = Vec::new();
    for _ in 0..CALLS {
        waiting.push(client.open(long.clone(), true).await.0);
    }
    assert_answered(&client, BYSTANDER).await;
    let begun = Instant::now();
    let last = within("an answer", answer(waiting.pop().unwrap())).await.expect("an answer");
    assert_eq!(last.hub_reason(), Some("unknown-name"));
    assert!(begun.elapsed() > 2 * HEAD_BYTES.per, "the abuser's own calls wait");
}
