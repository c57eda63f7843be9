//! 64 MiB, each way, byte for byte.

use std::sync::atomic::AtomicUsize;

use agent::Upstream;
use bytes::Bytes;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::agent::{Agent, config};
use crate::support::grpc::Caller;
use crate::support::hub::Hub;
use crate::support::message::{drink, grpc, ok, pour};
use crate::support::service::Test;
use crate::support::world::World;
use crate::support::{NAME, within};

const TOTAL: usize = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn down_through_a_relay() {
    let mut world = World::start().await;
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut body = world.session.call().await.begin();
    let poured = tokio::spawn(async move {
        pour(&mut body, TOTAL, &AtomicUsize::new(0)).await?;
        body.send_trailers(ok())
    });
    let mut received = within("a head", response).await.expect("a head").into_body();
    assert_eq!(within("64 MiB", drink(&mut received)).await, TOTAL);
    assert_eq!(received.trailers().await.expect("a clean end"), Some(ok()));
    poured.await.unwrap().expect("poured");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_through_a_relay() {
    let mut world = World::start().await;
    let (response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
    let poured = tokio::spawn(async move {
        pour(&mut sending, TOTAL, &AtomicUsize::new(0)).await?;
        sending.send_data(Bytes::new(), true)
    });
    let mut call = world.session.call().await;
    assert_eq!(within("64 MiB", drink(call.request.body_mut())).await, TOTAL);
    poured.await.unwrap().expect("poured");
    call.answer();
    within("a head", response).await.expect("an answer");
}

/// Both ways at once, through the services of an agent's own process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echoed_by_services() {
    const MESSAGE: usize = 64 << 10;
    let hub = Hub::start().await;
    let routes = Test::new().routes().await;
    let _agent = Agent::start(config(&hub, Upstream::Services(routes)));
    hub.until_serving(NAME).await;
    let caller = Caller::new(hub.channel().await, NAME);
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let sent = tokio::spawn(async move {
        for i in 0..TOTAL / MESSAGE {
            sender.send(Bytes::from(vec![i as u8; MESSAGE])).await.expect("wanted");
        }
    });
    let mut answers = caller.bidi("Echo", ReceiverStream::new(receiver)).await.expect("answers");
    for i in 0..TOTAL / MESSAGE {
        let answer = within("a message", answers.next()).await.expect("more").expect("a message");
        assert!(answer.len() == MESSAGE && answer.iter().all(|&byte| byte == i as u8), "{i}");
    }
    assert!(within("the end", answers.next()).await.is_none());
    sent.await.unwrap();
}
