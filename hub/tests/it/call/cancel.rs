//! A call that its client gives up ends at the server, as CANCEL, whatever the client said and whenever.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use tonic::{Code, Request};

use crate::support::NAME;
use crate::support::client::Client;
use crate::support::grpc::Caller;
use crate::support::message::{grpc, message, receive_exactly};
use crate::support::upstream::reset;
use crate::support::within;
use crate::support::world::World;

#[tokio::test]
async fn a_deadline_is_seen_by_the_server() {
    let mut world = World::start().await;
    let caller = Caller::new(world.hub.channel().await, NAME);
    let mut request = Request::new(Bytes::new());
    request.set_timeout(Duration::from_millis(50));
    let (status, code) = tokio::join!(caller.unary("Echo", request), async {
        let mut call = world.session.call().await;
        assert!(call.header("grpc-timeout").is_some(), "{:?}", call.request);
        call.reset().await
    });
    let status = status.expect_err("too late").code();
    assert!(matches!(status, Code::Cancelled | Code::DeadlineExceeded), "{status:?}");
    assert_eq!(code, Reason::CANCEL);
}

#[tokio::test]
async fn a_reset_before_the_response_head() {
    let mut world = World::start().await;
    for (code, heard) in [
        (Reason::CANCEL, Reason::CANCEL),
        (Reason::NO_ERROR, Reason::NO_ERROR),
        (Reason::PROTOCOL_ERROR, Reason::CANCEL),
    ] {
        let (_response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
        let mut call = world.session.call().await;
        sending.send_reset(code);
        assert_eq!(call.reset().await, heard, "{code:?}");
    }
}

#[tokio::test]
async fn a_reset_after_the_response_head() {
    let mut world = World::start().await;
    for code in [Reason::CANCEL, Reason::FLOW_CONTROL_ERROR] {
        let (response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
        let mut body = world.session.call().await.begin();
        within("a head", response).await.expect("a head");
        sending.send_reset(code);
        assert_eq!(reset(&mut body).await, Reason::CANCEL, "{code:?}");
    }
}

/// As a client does that has read enough of a stream.
#[tokio::test]
async fn a_client_that_drops_the_call() {
    let mut world = World::start().await;
    let (response, sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut body = world.session.call().await.begin();
    body.send_data(message(b"first"), false).unwrap();
    let mut received = within("a head", response).await.expect("a head").into_body();
    assert_eq!(receive_exactly(&mut received, 10).await, message(b"first"));
    drop((received, sending));
    assert_eq!(reset(&mut body).await, Reason::CANCEL);
}

/// Every call of a client whose connection is lost, with and without a response head.
#[tokio::test]
async fn a_client_that_is_lost() {
    let mut world = World::start().await;
    let client = Client::connect(world.hub.address).await;
    let (_first_response, _first) = client.open(grpc(NAME, "/a.B/First"), true).await;
    let mut unanswered = world.session.call().await;
    let (response, _second) = client.open(grpc(NAME, "/a.B/Second"), false).await;
    let mut answered = world.session.call().await.begin();
    within("a head", response).await.expect("a head");
    client.cut();
    assert_eq!(unanswered.reset().await, Reason::CANCEL);
    assert_eq!(reset(&mut answered).await, Reason::CANCEL);
}
