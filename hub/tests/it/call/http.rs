//! HTTP that is not gRPC's crosses as it is.

use std::future::poll_fn;

use h2::Reason;
use http::{HeaderValue, Method, Response, StatusCode};

use crate::support::client::answer;
use crate::support::message::{headers, plain};
use crate::support::world::World;
use crate::support::{NAME, within};

#[tokio::test]
async fn get() {
    let mut world = World::start().await;
    let (response, _) = world.client.open(plain(Method::GET, NAME, "/page?q=1"), true).await;
    let mut call = world.session.call().await;
    assert_eq!(call.request.method(), Method::GET);
    assert_eq!(call.request.uri().path_and_query().unwrap(), "/page?q=1");
    assert!(call.request.body().is_end_stream());
    let mut head = Response::new(());
    *head.status_mut() = StatusCode::NOT_FOUND;
    *head.headers_mut() = headers([
        ("content-length", "5"),
        ("content-type", "text/html"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]);
    let mut body = call.respond.send_response(head.clone(), false).unwrap();
    body.send_data("hello".into(), true).unwrap();
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.head.status(), answer.head.headers()), (head.status(), head.headers()));
    assert_eq!((&*answer.body, answer.end.expect("a clean end")), (&b"hello"[..], headers([])));
}

#[tokio::test]
async fn a_body_with_its_length() {
    let mut world = World::start().await;
    let mut request = plain(Method::PUT, NAME, "/file");
    request.headers_mut().insert("content-length", HeaderValue::from_static("5"));
    let (response, mut sending) = world.client.open(request, false).await;
    sending.send_data("hello".into(), true).unwrap();
    let mut call = world.session.call().await;
    assert_eq!(call.header("content-length"), Some("5"));
    assert_eq!(call.body().await.0, b"hello");
    call.respond.send_response(Response::new(()), true).unwrap();
    assert!(answer(response).await.expect("an answer").head_only);
}

/// An answer to HEAD has the length of a body that does not come.
#[tokio::test]
async fn head() {
    let mut world = World::start().await;
    let (response, _) = world.client.open(plain(Method::HEAD, NAME, "/page"), true).await;
    let mut call = world.session.call().await;
    assert_eq!(call.request.method(), Method::HEAD);
    let mut head = Response::new(());
    *head.headers_mut() = headers([("content-length", "42")]);
    call.respond.send_response(head, true).unwrap();
    let answer = answer(response).await.expect("an answer");
    assert!(answer.head_only);
    assert_eq!(answer.metadata("content-length"), Some("42"));
}

#[tokio::test]
async fn no_content() {
    let mut world = World::start().await;
    let (response, _) = world.client.open(plain(Method::DELETE, NAME, "/page"), true).await;
    let mut head = Response::new(());
    *head.status_mut() = StatusCode::NO_CONTENT;
    world.session.call().await.respond.send_response(head, true).unwrap();
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.http_status(), answer.head_only), (204, true));
}

#[tokio::test]
async fn informational_responses_come_before_the_real_one() {
    let mut world = World::start().await;
    let (mut response, _) = world.client.open(plain(Method::GET, NAME, "/page"), true).await;
    let mut call = world.session.call().await;
    for link in ["</a.css>", "</b.css>"] {
        let mut early = Response::new(());
        *early.status_mut() = StatusCode::EARLY_HINTS;
        *early.headers_mut() = headers([("link", link), ("hub-reason", "made up")]);
        call.respond.send_informational(early).unwrap();
        let informational = poll_fn(|cx| response.poll_informational(cx));
        let informational =
            within("early hints", informational).await.expect("hints").expect("hints");
        assert_eq!(informational.status(), StatusCode::EARLY_HINTS);
        assert_eq!(*informational.headers(), headers([("link", link)]));
    }
    call.respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(answer(response).await.expect("an answer").http_status(), 200);
}

/// They have no flow control, so a server that never comes to an end with them is stopped.
#[tokio::test]
async fn a_flood_of_informational_responses() {
    let mut world = World::start().await;
    let (response, _) = world.client.open(plain(Method::GET, NAME, "/page"), true).await;
    let mut call = world.session.call().await;
    for _ in 0..100 {
        let mut early = Response::new(());
        *early.status_mut() = StatusCode::PROCESSING;
        call.respond.send_informational(early).unwrap();
    }
    let error = within("a reset", response).await.expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(call.reset().await, Reason::ENHANCE_YOUR_CALM);
}
