//! Small messages that a handler leaves unread wait before they end the session at servers that count them; no
//! others do.

use std::time::Duration;

use bytes::Bytes;
use h2::server::Builder;
use tokio::time::Instant;
use tunnel::limits::{COUNTED_FRAME, UNREAD_FRAME_PAUSE};

use crate::shares::assert_served;
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, FrameConnection, HEADERS, PING, frame, request_head,
};
use crate::support::hub::hub_config;
use crate::support::world::World;
use crate::support::{NAME, until, within};

/// An upstream that counts small frames which its handlers do not read, and bears two thousand.
fn like_tonic() -> Builder {
    const MIB: u32 = 1 << 20;
    let mut builder = Builder::new();
    builder
        .initial_connection_window_size(MIB)
        .initial_window_size(MIB)
        .max_frame_size(16 << 10)
        .max_header_list_size(16 << 10);
    builder
}

/// One byte after the other on stream 1: what comes together is passed on together anyway.
async fn send_singly(caller: &mut FrameConnection, messages: usize) {
    for _ in 0..messages {
        caller.write(&[frame(DATA, 0, 1, b"x"), frame(PING, 0, 0, b"in turn.")]).await;
        caller.next(PING).await;
    }
}

/// h2 ends a connection on which small frames are not read. Tonic's bears two thousand of a byte.
#[tokio::test]
async fn small_messages_that_nobody_reads_do_not_trip_an_upstreams_guard() {
    const MESSAGES: usize = 3000;
    let mut config = hub_config();
    config.keepalive.interval = Duration::from_millis(200);
    let mut world = World::start_with(config, like_tonic()).await;
    let mut caller = FrameConnection::connect(world.hub.address).await;
    caller.write(&[frame(HEADERS, END_HEADERS, 1, &request_head(NAME, "/a.B/Unread"))]).await;
    let mut unread = world.session.call().await;
    send_singly(&mut caller, MESSAGES).await;
    let held = async || world.hub.metric("hub_limits_reached_total{limit=\"unread-frames\"}").await;
    until("the limit", async || held().await > 0.0).await;
    // Whatever comes of it, new calls have another session.
    let mut next = world.upstream.connection().await;
    until("the next session", async || world.hub.metric("hub_registrations_total").await == 2.0)
        .await;
    assert_served(&world.client, &mut next, b"on the next one").await;
    // And nothing of it is lost.
    caller.write(&[frame(DATA, END_STREAM, 1, b"x")]).await;
    assert_eq!(within("the body", unread.body()).await.0.len(), MESSAGES + 1);
}

/// A conversation in small messages is not held up, however long.
#[tokio::test]
async fn small_messages_that_are_answered_do_not_wait() {
    // Some more than one caller gets of what the upstream bears.
    const MESSAGES: usize = 1820;
    let mut world = World::start_with(hub_config(), like_tonic()).await;
    let mut caller = FrameConnection::connect(world.hub.address).await;
    caller.write(&[frame(HEADERS, END_HEADERS, 1, &request_head(NAME, "/a.B/Talk"))]).await;
    let mut call = world.session.call().await;
    let mut answer = call.begin();
    for _ in 0..MESSAGES {
        caller.write(&[frame(DATA, 0, 1, b"x")]).await;
        let asked = within("a message", call.request.body_mut().data()).await;
        assert_eq!(asked.expect("more").expect("a message"), "x");
        answer.send_data(Bytes::from_static(b"y"), false).expect("an open stream");
        caller.next(DATA).await;
    }
    assert_eq!(world.hub.metric("hub_limits_reached_total{limit=\"unread-frames\"}").await, 0.0);
}

/// Like grpc-go, which says how large frames may be, too, and counts none.
#[tokio::test]
async fn small_messages_to_a_server_that_does_not_count_them_do_not_wait() {
    const MESSAGES: usize = 1000;
    let mut like_grpc_go = Builder::new();
    like_grpc_go.max_frame_size(16 << 10).data_frame_budget(usize::MAX);
    let mut world = World::start_with(hub_config(), like_grpc_go).await;
    let mut caller = FrameConnection::connect(world.hub.address).await;
    caller.write(&[frame(HEADERS, END_HEADERS, 1, &request_head(NAME, "/a.B/Unread"))]).await;
    let mut unread = world.session.call().await;
    send_singly(&mut caller, MESSAGES).await;
    caller.write(&[frame(DATA, END_STREAM, 1, b"x")]).await;
    assert_eq!(within("the body", unread.body()).await.0.len(), MESSAGES + 1);
    assert_eq!(world.hub.metric("hub_limits_reached_total{limit=\"unread-frames\"}").await, 0.0);
}

/// What waits as one small message of too many goes at once when more comes that makes it large.
#[tokio::test]
async fn a_message_that_waits_goes_with_a_large_one() {
    const ENOUGH: usize = 1900;
    const ROUNDS: u32 = 8;
    let mut world = World::start_with(hub_config(), like_tonic()).await;
    let mut caller = FrameConnection::connect(world.hub.address).await;
    caller.write(&[frame(HEADERS, END_HEADERS, 1, &request_head(NAME, "/a.B/Unread"))]).await;
    let mut unread = world.session.call().await;
    send_singly(&mut caller, ENOUGH).await;
    let held = async || world.hub.metric("hub_limits_reached_total{limit=\"unread-frames\"}").await;
    until("the limit", async || held().await > 0.0).await;
    let (mut got, mut sent) = (0, ENOUGH);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        send_singly(&mut caller, 1).await;
        caller.write(&[frame(DATA, 0, 1, &[7; COUNTED_FRAME])]).await;
        sent += 1 + COUNTED_FRAME;
        while got < sent {
            let data = within("data", unread.request.body_mut().data()).await;
            got += data.expect("more").expect("data").len();
        }
    }
    // Each other one would wait for a whole pause: in the one between, a small one may go by itself.
    assert!(start.elapsed() < UNREAD_FRAME_PAUSE * ROUNDS / 4, "{:?}", start.elapsed());
}
