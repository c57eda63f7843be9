//! Flow control from end to end: who does not read slows the sender, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, SendStream};
use tokio::task::JoinHandle;
use tunnel::limits::STREAM_WINDOW;

use crate::support::client::{Client, answer, builder};
use crate::support::message::{drink, grpc, message, ok, pour, receive, send};
use crate::support::upstream::Connection;
use crate::support::world::World;
use crate::support::{NAME, until, within};

const TOTAL: usize = 64 << 20;
/// Far more than the windows and buffers of one stream along the way, far less than [`TOTAL`].
const STALLED: usize = 4 << 20;

/// Calls beside one that stalls, on the same connection and so on the same lane.
struct Bystander {
    client: Client,
}

impl Bystander {
    /// With room on its connection for whatever it does not read.
    async fn of(world: &World) -> Self {
        let roomy = builder().initial_connection_window_size(1 << 30).clone();
        Self { client: Client::connect_with(world.hub.address, &roomy).await }
    }

    /// One call that the test answers.
    async fn call(&self, session: &mut Connection) {
        let (response, _sending) = self.client.open(grpc(NAME, "/a.B/Bystander"), true).await;
        session.call().await.answer();
        let answer = answer(response).await.expect("an answer");
        assert_eq!(answer.grpc_status(), Some("0"));
    }

    /// Calls until nobody has sent anything for twenty calls. Returns how much was sent by then.
    async fn until_stalled(&self, sent: &AtomicUsize, session: &mut Connection) -> usize {
        let (mut before, mut quiet) = (0, 0);
        while quiet < 20 {
            self.call(session).await;
            let now = sent.load(Ordering::Relaxed);
            quiet = if now == before && now > 0 { quiet + 1 } else { 0 };
            before = now;
        }
        before
    }
}

/// A bulk stream from the upstream, of which nobody has read anything yet.
async fn bulk_down(
    client: &Client,
    session: &mut Connection,
) -> (ResponseFuture, Arc<AtomicUsize>, JoinHandle<Result<(), h2::Error>>) {
    let (response, _sending) = client.open(grpc(NAME, "/a.B/Bulk"), true).await;
    let mut body = session.call().await.begin();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let pouring = tokio::spawn(async move {
        pour(&mut body, TOTAL, &counted).await?;
        body.send_trailers(ok())
    });
    (response, sent, pouring)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_slows_its_own_sender_and_nobody_else() {
    let mut world = World::start().await;
    let bystander = Bystander::of(&world).await;
    let (response, sent, pouring) = bulk_down(&bystander.client, &mut world.session).await;
    let mut body = within("a head", response).await.expect("a head").into_body();

    let stalled = within("a stall", bystander.until_stalled(&sent, &mut world.session)).await;
    assert!(stalled < STALLED, "{stalled} bytes went to somebody who does not read");
    let calls = async {
        for _ in 0..200 {
            bystander.call(&mut world.session).await;
        }
    };
    within("200 calls beside a stalled stream", calls).await;
    world.assert_unharmed().await;
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < STALLED, "{sent} bytes went to somebody who does not read");

    assert_eq!(within("64 MiB", drink(&mut body)).await, TOTAL);
    assert_eq!(body.trailers().await.expect("a clean end"), Some(ok()));
    pouring.await.unwrap().expect("poured");
}

/// Small frames that wait count against the flood guards of HTTP/2 libraries, whose answer is to end the
/// whole connection.
#[tokio::test]
async fn many_small_messages_that_nobody_reads() {
    // As many as a lane's first window holds.
    const MESSAGES: usize = 2_600;
    const BULK: usize = STREAM_WINDOW as usize / 2;
    let mut world = World::start().await;
    let bystander = Bystander::of(&world).await;
    // Its connection has room for the bulk, and none for the messages: they wait in the hub.
    let mut client = builder();
    client.initial_window_size(4 * BULK as u32).initial_connection_window_size(BULK as u32);
    let client = Client::connect_with(world.hub.address, &client).await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/Small"), true).await;
    let mut body = world.session.call().await.begin();
    let (bulk, message) = (message(&[7; BULK - 5]), message(&[7; 20]));
    let sent = within("the window", send(&mut body, bulk.clone(), false)).await;
    sent.expect("sent");
    for _ in 0..MESSAGES {
        let sent = within("the window", send(&mut body, message.clone(), false)).await;
        sent.expect("sent");
    }
    body.send_trailers(ok()).unwrap();
    for _ in 0..20 {
        bystander.call(&mut world.session).await;
    }
    let (received, end) = answered(response).await;
    assert!(received == [&bulk[..], &message.repeat(MESSAGES)].concat(), "not what was sent");
    assert_eq!(end.expect("a clean end"), ok());
}

async fn answered(response: ResponseFuture) -> (Vec<u8>, Result<http::HeaderMap, h2::Error>) {
    let mut body = within("a head", response).await.expect("a head").into_body();
    within("the messages", receive(&mut body)).await
}

/// A bulk stream to the upstream, which has not read anything of it.
fn bulk_up(
    mut sending: SendStream<Bytes>,
) -> (Arc<AtomicUsize>, JoinHandle<Result<(), h2::Error>>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let pouring = tokio::spawn(async move {
        pour(&mut sending, TOTAL, &counted).await?;
        sending.send_data(Bytes::new(), true)
    });
    (sent, pouring)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_does_not_read_slows_the_upload() {
    let mut world = World::start().await;
    let bystander = Bystander::of(&world).await;
    let (response, sending) = bystander.client.open(grpc(NAME, "/a.B/Bulk"), false).await;
    let mut call = world.session.call().await;
    let (sent, pouring) = bulk_up(sending);
    let stalled = within("a stall", bystander.until_stalled(&sent, &mut world.session)).await;
    assert!(stalled < STALLED, "{stalled} bytes went to somebody who does not read");
    assert_eq!(within("64 MiB", drink(call.request.body_mut())).await, TOTAL);
    pouring.await.unwrap().expect("poured");
    call.answer();
    answer(response).await.expect("an answer");
}

/// A stream that is blocked on one side must still see what the other side says.
#[tokio::test]
async fn a_client_gives_up_an_upload_that_nobody_reads() {
    let mut world = World::start().await;
    let bystander = Bystander::of(&world).await;
    let (response, sending) = bystander.client.open(grpc(NAME, "/a.B/Bulk"), false).await;
    let mut call = world.session.call().await;
    let (sent, pouring) = bulk_up(sending);
    within("a stall", bystander.until_stalled(&sent, &mut world.session)).await;
    // All handles of the stream are gone, so it is reset.
    pouring.abort();
    drop(response);
    assert_eq!(call.reset().await, Reason::CANCEL);
    let hub = &world.hub;
    until("no stream in flight", async || hub.metric("hub_streams_in_flight").await == 0.0).await;
}

/// The same with an answer that the client does not read.
#[tokio::test]
async fn a_client_gives_up_an_answer_that_it_does_not_read() {
    let mut world = World::start().await;
    let bystander = Bystander::of(&world).await;
    let (response, sent, pouring) = bulk_down(&bystander.client, &mut world.session).await;
    within("a stall", bystander.until_stalled(&sent, &mut world.session)).await;
    drop(response);
    let broken = within("a reset", pouring).await.unwrap().expect_err("a reset");
    assert_eq!(broken.reason(), Some(Reason::CANCEL));
}

/// An upstream that fails while the client does not read: what had come before still arrives.
#[tokio::test]
async fn an_upstream_gives_up_an_answer_that_nobody_reads() {
    let mut world = World::start().await;
    let bystander = Bystander::of(&world).await;
    let (response, sent, pouring) = bulk_down(&bystander.client, &mut world.session).await;
    within("a stall", bystander.until_stalled(&sent, &mut world.session)).await;
    pouring.abort();
    let (received, end) = answered(response).await;
    assert!(!received.is_empty());
    assert_eq!(end.expect_err("a reset").reason(), Some(Reason::CANCEL));
}
