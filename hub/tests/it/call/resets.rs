//! How an upstream's resets and GOAWAY reach the client.

use h2::Reason;
use http::Method;

use crate::support::agent::{Agent, config, server};
use crate::support::client::{Client, answer, builder};
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, FrameConnection, FrameServer, GOAWAY, HEADERS, RST_STREAM,
    STATUS_200, frame,
};
use crate::support::hub::Hub;
use crate::support::message::{grpc, plain, receive};
use crate::support::world::World;
use crate::support::{NAME, within};

/// What the upstream says, and what the client hears.
const CROSSING: [(Reason, Reason); 11] = [
    (Reason::REFUSED_STREAM, Reason::REFUSED_STREAM),
    (Reason::CANCEL, Reason::CANCEL),
    (Reason::ENHANCE_YOUR_CALM, Reason::ENHANCE_YOUR_CALM),
    (Reason::INADEQUATE_SECURITY, Reason::INADEQUATE_SECURITY),
    (Reason::HTTP_1_1_REQUIRED, Reason::HTTP_1_1_REQUIRED),
    (Reason::NO_ERROR, Reason::INTERNAL_ERROR),
    (Reason::PROTOCOL_ERROR, Reason::INTERNAL_ERROR),
    (Reason::INTERNAL_ERROR, Reason::INTERNAL_ERROR),
    (Reason::FLOW_CONTROL_ERROR, Reason::INTERNAL_ERROR),
    (Reason::STREAM_CLOSED, Reason::INTERNAL_ERROR),
    (Reason::COMPRESSION_ERROR, Reason::INTERNAL_ERROR),
];

#[tokio::test]
async fn resets_before_the_response_head_cross_by_the_table() {
    let mut world = World::start().await;
    for (said, heard) in CROSSING {
        let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
        // What was refused is sent once more, twice.
        let times = if said == Reason::REFUSED_STREAM { 3 } else { 1 };
        for _ in 0..times {
            world.session.call().await.respond.send_reset(said);
        }
        let error = within("a reset", response).await.expect_err("a reset");
        assert!(error.is_reset() && error.is_remote(), "{error:?}");
        assert_eq!(error.reason(), Some(heard), "{said:?}");
    }
}

/// An upstream that writes frames, and a client.
struct Frames {
    client: Client,
    upstream: FrameConnection,
    hub: Hub,
    _agent: Agent,
}

impl Frames {
    async fn start() -> Self {
        let hub = Hub::start().await;
        let server_ = FrameServer::listen().await;
        let agent = Agent::start(config(&hub, server(server_.address)));
        let upstream = server_.connection().await;
        hub.until_serving(NAME).await;
        Self { client: hub.client().await, upstream, hub, _agent: agent }
    }
}

/// Head, DATA and reset in one write: the DATA must not be lost under the reset.
#[tokio::test]
async fn data_before_a_reset_still_arrives() {
    let mut world = Frames::start().await;
    for (said, heard) in CROSSING {
        let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
        let stream = world.upstream.request().await;
        let reset = u32::from(said).to_be_bytes();
        let answer = [
            frame(HEADERS, END_HEADERS, stream, STATUS_200),
            frame(DATA, 0, stream, b"part"),
            frame(RST_STREAM, 0, stream, &reset),
        ];
        world.upstream.write(&answer).await;
        let mut body = within("a head", response).await.expect("a head").into_body();
        let (received, end) = within("an end", receive(&mut body)).await;
        assert_eq!(received, b"part", "{said:?}");
        assert_eq!(end.expect_err("a reset").reason(), Some(heard), "{said:?}");
    }
}

/// "Stop sending, all is well" (RFC 9113 8.1): the answer was whole.
#[tokio::test]
async fn no_error_after_the_end_is_a_clean_end() {
    let mut world = Frames::start().await;
    let (response, mut sending) = world.client.open(plain(Method::POST, NAME, "/any"), false).await;
    let stream = world.upstream.request().await;
    let written = [
        frame(HEADERS, END_HEADERS, stream, STATUS_200),
        frame(DATA, END_STREAM, stream, b"whole"),
        frame(RST_STREAM, 0, stream, &u32::from(Reason::NO_ERROR).to_be_bytes()),
    ];
    world.upstream.write(&written).await;
    let answer = answer(response).await.expect("an answer");
    assert_eq!(answer.body, b"whole");
    assert!(answer.end.is_ok(), "{answer:?}");
    let told = within("a reset", std::future::poll_fn(|cx| sending.poll_reset(cx))).await;
    assert_eq!(told.expect("a reset"), Reason::NO_ERROR);
}

/// What a client has not read yet is not lost under the reset either, if it reads on.
#[tokio::test]
async fn data_before_a_reset_arrives_through_a_small_window() {
    let mut world = Frames::start().await;
    let window = builder().initial_window_size(100).clone();
    let client = Client::connect_with(world.hub.address, &window).await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    let stream = world.upstream.request().await;
    let answer = [
        frame(HEADERS, END_HEADERS, stream, STATUS_200),
        frame(DATA, 0, stream, &[7; 100]),
        frame(RST_STREAM, 0, stream, &u32::from(Reason::CANCEL).to_be_bytes()),
    ];
    world.upstream.write(&answer).await;
    let mut body = within("a head", response).await.expect("a head").into_body();
    let (received, end) = within("an end", receive(&mut body)).await;
    assert_eq!(received.len(), 100);
    assert_eq!(end.expect_err("a reset").reason(), Some(Reason::CANCEL));
}

/// GOAWAY: the last stream that was looked at, and a code.
fn goaway(last: u32, code: Reason) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), u32::from(code).to_be_bytes()].concat())
}

/// The upstream has not looked at the call, so the client may try again, whatever was wrong.
#[tokio::test]
async fn a_call_that_goaway_leaves_unprocessed_is_refused() {
    for code in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let mut world = Frames::start().await;
        let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
        world.upstream.request().await;
        world.upstream.write(&[goaway(0, code)]).await;
        let error = within("a reset", response).await.expect_err("a reset");
        assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM), "{code:?}");
    }
}

/// The upstream may have acted on the call, so nobody may try it again by itself.
#[tokio::test]
async fn a_call_that_goaway_leaves_half_done_is_lost() {
    for code in [Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        let mut world = Frames::start().await;
        let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
        let stream = world.upstream.request().await;
        world.upstream.write(&[goaway(stream, code)]).await;
        drop(world.upstream);
        let answer = answer(response).await.expect("an answer");
        assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("14"), Some("session-lost")));
    }
}

/// Codes that speak of the client's own connection stay there.
#[tokio::test]
async fn the_upstream_hears_cancel_only() {
    let mut world = Frames::start().await;
    let (_response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
    world.upstream.request().await;
    sending.send_reset(Reason::COMPRESSION_ERROR);
    assert_eq!(world.upstream.reset().await, u32::from(Reason::CANCEL));
}
