//! How streams begin and end: trailers-only, half-closed, answered before they were asked in full.

use bytes::Bytes;
use h2::Reason;

use crate::support::client::answer;
use crate::support::message::{
    grpc, grpc_head, headers, message, ok, receive, receive_exactly, send,
};
use crate::support::upstream::reset;
use crate::support::world::World;
use crate::support::{NAME, within};

/// gRPC clients take a head without END_STREAM for the beginning of more.
#[tokio::test]
async fn trailers_only_stays_one_head() {
    let mut world = World::start().await;
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut head = grpc_head();
    let status = headers([("grpc-status", "5"), ("grpc-message", "none here")]);
    head.headers_mut().extend(status);
    world.session.call().await.respond.send_response(head.clone(), true).unwrap();
    let answer = answer(response).await.expect("an answer");
    assert!(answer.head_only);
    assert_eq!(answer.head.headers(), head.headers());
}

/// Neither an end without a message nor one with it becomes something else.
#[tokio::test]
async fn the_end_of_a_request_arrives() {
    let mut world = World::start().await;
    let (_response, _sending) = world.client.open(grpc(NAME, "/a.B/HeadOnly"), true).await;
    let call = world.session.call().await;
    assert!(call.request.body().is_end_stream());

    let (_response, mut sending) = world.client.open(grpc(NAME, "/a.B/Trailers"), false).await;
    let mut call = world.session.call().await;
    assert!(!call.request.body().is_end_stream());
    sending.send_data(message(b"one"), false).unwrap();
    sending.send_trailers(headers([("x-checksum", "1")])).unwrap();
    let (body, end) = call.body().await;
    assert_eq!(
        (body, end.expect("trailers")),
        (message(b"one").to_vec(), headers([("x-checksum", "1")]))
    );
}

#[tokio::test]
async fn a_server_goes_on_for_long_after_the_client_half_closed() {
    const MESSAGES: usize = 1000;
    let mut world = World::start().await;
    let (response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
    sending.send_data(message(b"all"), true).unwrap();
    let mut call = world.session.call().await;
    let (asked, end) = call.body().await;
    assert_eq!((asked, end.expect("a clean end")), (message(b"all").to_vec(), headers([])));
    let mut body = call.begin();
    let mut received = within("a head", response).await.expect("a head").into_body();
    // Ping-pong, so that the stream lives through a thousand turns and not through one big write.
    for i in 0..MESSAGES {
        let sent = message(&i.to_be_bytes());
        send(&mut body, sent.clone(), false).await.expect("sent");
        let got = within("a message", receive_exactly(&mut received, sent.len())).await;
        assert_eq!(got, sent);
    }
    body.send_trailers(ok()).unwrap();
    let (rest, end) = within("the end", receive(&mut received)).await;
    assert_eq!((rest, end.expect("trailers")), (vec![], ok()));
}

/// The upstream wants no more of the request: it answers in full, and resets with NO_ERROR.
#[tokio::test]
async fn an_answer_before_the_end_of_the_request_arrives_whole() {
    let mut world = World::start().await;
    let (response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
    let mut call = world.session.call().await;
    let mut body = call.begin();
    send(&mut body, message(&[7; 50_000]), false).await.expect("sent");
    body.send_trailers(ok()).unwrap();
    drop((call, body));
    let answer = answer(response).await.expect("an answer");
    assert_eq!(answer.body, message(&[7; 50_000]));
    assert_eq!(answer.end.expect("trailers"), ok());
    assert_eq!(reset(&mut sending).await, Reason::NO_ERROR);
}

/// The upstream has answered in full, and still wants the rest of the request.
#[tokio::test]
async fn the_rest_of_a_request_arrives_after_the_answer() {
    let mut world = World::start().await;
    let (response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
    let mut call = world.session.call().await;
    let mut body = call.begin();
    body.send_trailers(ok()).unwrap();
    answer(response).await.expect("an answer").end.expect("trailers");
    let rest = Bytes::from(vec![7; 300_000]);
    let (sent, (received, end)) =
        tokio::join!(within("the rest", send(&mut sending, rest.clone(), true)), call.body());
    sent.expect("sent");
    assert_eq!((received, end.expect("a clean end")), (rest.to_vec(), headers([])));
}
