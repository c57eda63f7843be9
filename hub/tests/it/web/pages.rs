//! Pages from elsewhere, whose browsers ask first.

use http::{HeaderValue, Method, Request};
use hub::CorsOrigins;
use tunnel::speaks::Speaks;

use super::{asks, served};
use crate::support::NAME;
use crate::support::admin::exchange;
use crate::support::agent::{Agent, exposed, exposing, server};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{ok, plain};
use crate::support::upstream::Upstream;
use crate::support::world::World;

const PAGE: &str = "https://app.test";
const ECHO: &str = "/test.v1.Test/Echo";
const BINARY: &str = "application/grpc-web+proto";

fn for_pages() -> hub::Config {
    hub::Config { cors_origins: Some(CorsOrigins::These(vec![PAGE.into()])), ..hub_config() }
}

fn of_page(mut request: Request<()>, page: &'static str) -> Request<()> {
    request.headers_mut().insert("origin", HeaderValue::from_static(page));
    request
}

fn preflight(name: &str, page: &'static str) -> Request<()> {
    let mut request = of_page(plain(Method::OPTIONS, name, ECHO), page);
    for (name, value) in [
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,name,x-grpc-web"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request
}

#[tokio::test]
async fn a_preflight_is_answered_here() {
    let hub = Hub::start_with(for_pages()).await;
    let client = hub.client().await;
    let answer = client.request(preflight("", PAGE)).await.expect("an answer");
    assert_eq!(answer.http_status(), 204);
    let allowed = answer.metadata("access-control-allow-headers");
    assert_eq!(allowed, Some("content-type,name,x-grpc-web"));
    assert_eq!(answer.metadata("access-control-allow-origin"), Some(PAGE));
    assert_eq!(answer.metadata("access-control-allow-methods"), Some("GET, POST"));
    let answer = client.request(preflight("", "https://other.test")).await.expect("an answer");
    assert_eq!((answer.http_status(), answer.metadata("access-control-allow-origin")), (403, None));
    let text = format!(
        "OPTIONS {ECHO} HTTP/1.1\r\nHost: x\r\nOrigin: {PAGE}\r\nConnection: close\r\n\
         Access-Control-Request-Method: POST\r\n\r\n"
    );
    let answer = exchange(hub.address, &text).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert!(answer.contains(&format!("access-control-allow-origin: {PAGE}\r\n")), "{answer}");
}

#[tokio::test]
async fn a_page_sees_the_answer_and_why_there_is_none() {
    let (hub, _agent) = served(for_pages()).await;
    let client = hub.client().await;
    let served = client.call(of_page(asks(ECHO, BINARY), PAGE), b"x").await.expect("an answer");
    assert_eq!(served.metadata("access-control-allow-origin"), Some(PAGE));
    let mut nobody = of_page(asks(ECHO, BINARY), PAGE);
    nobody.headers_mut().insert("name", HeaderValue::from_static("nobody"));
    let refused = client.call(nobody, b"x").await.expect("an answer");
    assert_eq!(refused.hub_reason(), Some("unknown-name"));
    assert_eq!(refused.metadata("access-control-expose-headers"), Some("*"));
    let other = of_page(asks(ECHO, BINARY), "https://other.test");
    let other = client.call(other, b"x").await.expect("an answer");
    assert_eq!(other.metadata("access-control-allow-origin"), None);
    assert_eq!(other.metadata("vary"), Some("origin"));
}

/// A page may call, and see nothing else of what is behind the hub.
#[tokio::test]
async fn what_is_no_call_is_not_shown() {
    let mut world = World::start_with(for_pages(), h2::server::Builder::new()).await;
    let text = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nname: {NAME}\r\nOrigin: {PAGE}\r\nConnection: close\r\n\r\n"
    );
    let (said, ()) = tokio::join!(exchange(world.hub.address, &text), async {
        let mut respond = world.session.call().await.respond;
        respond.send_response(http::Response::new(()), true).unwrap();
    });
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert!(!said.contains("access-control"), "{said}");
}

/// With a `name` it is the server's own affair; and where no pages are served, all of it is.
#[tokio::test]
async fn a_preflight_for_a_server_reaches_it() {
    for config in [for_pages(), hub_config()] {
        let mut world = World::start_with(config, h2::server::Builder::new()).await;
        let (response, _) = world.client.open(preflight(NAME, PAGE), true).await;
        let mut call = world.session.call().await;
        assert_eq!(call.request.method(), Method::OPTIONS);
        let head = http::Response::builder().header("access-control-allow-origin", "*");
        call.respond.send_response(head.body(()).unwrap(), true).unwrap();
        let answer = response.await.expect("an answer");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    }
    let hub = Hub::start().await;
    let answer = hub.client().await.request(preflight("", PAGE)).await.expect("an answer");
    assert_eq!((answer.http_status(), answer.hub_reason()), (404, Some("no-name")));
}

/// A page's call is put in other words also for a server that would know its own: who may see the answer, the hub tells.
#[tokio::test]
async fn a_page_is_served_by_the_hub() {
    let hub = Hub::start_with(for_pages()).await;
    let upstream = Upstream::listen().await;
    let speaks = Speaks::from_header("grpc-web");
    let exposed = agent::Exposed { speaks, ..exposed(server(upstream.address)) };
    let _agent = Agent::start(exposing(&hub, exposed));
    hub.until_serving(NAME).await;
    let (client, mut session) = (hub.client().await, upstream.all());
    let (response, _sending) = client.open(of_page(asks("/a.B/C", BINARY), PAGE), true).await;
    let mut call = session.call().await;
    assert_eq!(call.header("content-type"), Some("application/grpc+proto"));
    call.begin().send_trailers(ok()).unwrap();
    let answer = response.await.expect("an answer");
    assert_eq!(answer.headers()["access-control-allow-origin"], PAGE);
}
