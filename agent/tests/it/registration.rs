//! Requests on the hub's port that register nobody: each is told why, and none of them hurts the hub.

use crate::support::auth::{self, AGENT_TOKEN};
use crate::support::certs::{Certs, text};
use crate::support::grpc::Caller;
use crate::support::programs::Hub;
use crate::support::raw::{Answer, Request, exchange};

/// Sends a request, and expects a status and one plain sentence with these words.
async fn assert_refused(hub: &Hub, request: Request, status: u16, words: &str) -> Answer {
    let answer = request.send(hub.address).await;
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{answer:?}");
    assert!(answer.body.contains(words), "no {words:?}: {answer:?}");
    assert_eq!(answer.body.lines().count(), 1, "{answer:?}");
    answer
}

/// The hub registers an agent, and calls reach it.
async fn assert_serves(hub: &Hub, name: &str, args: &[&str]) {
    let _agent = hub.agent(name, args).await;
    let lines = hub.process.log.with("registered");
    assert!(lines.iter().all(|line| line.field("name") == name), "{lines:#?}");
    let caller = Caller::connect(hub.address).await;
    caller.check("", "").await.unwrap();
}

#[tokio::test]
async fn bad_names_are_400() {
    let hub = Hub::start(&[]).await;
    let long = "a".repeat(129);
    for (name, words) in [
        ("", "hub-name is missing"),
        ("Testserver", "a-z 0-9"),
        ("a b", "a-z 0-9"),
        ("-a", "starts and ends"),
        ("a.", "starts and ends"),
        ("t\u{fc}r", "plain ASCII"),
        (&long, "at most 128"),
    ] {
        assert_refused(&hub, Request::upgrade(name), 400, words).await;
    }
    assert_serves(&hub, "testserver", &[]).await;
}

#[tokio::test]
async fn missing_doubled_and_oversized_headers_are_400() {
    let hub = Hub::start(&[]).await;
    let good = || Request::upgrade("testserver");
    let long = "x".repeat(300);
    for (request, words) in [
        (good().without("Hub-Name"), "hub-name is missing"),
        (good().without("Hub-Instance"), "hub-instance is missing"),
        (good().with("Hub-Name", "other"), "hub-name is given more than once"),
        (good().with("Hub-Instance", "other"), "hub-instance is given more than once"),
        (good().but("Hub-Name", &long), "hub-name must be at most 255"),
        (good().but("Hub-Instance", &long), "hub-instance must be at most 255"),
        (good().with("Hub-Slot", "64"), "hub-slot must be a number from 0 to 63"),
        (good().with("Hub-Slot", "first"), "hub-slot"),
        (good().with("Hub-Labels", "zone"), "key=value"),
        (good().with("Hub-Upstream-Scheme", "ftp"), "http or https"),
        (good().with("Hub-Max-Lanes", "many"), "hub-max-lanes must be a number"),
        (good().with("Hub-Authority", "a b"), "hub-authority"),
    ] {
        assert_refused(&hub, request, 400, words).await;
    }
    assert_serves(&hub, "testserver", &[]).await;
}

#[tokio::test]
async fn tokens_that_are_not_good_are_401_and_403() {
    let certs = Certs::new();
    let hub = auth::hub(&certs, &[]).await;
    let upgrade = || Request::upgrade("berlin-1");
    assert_refused(&hub, upgrade(), 401, "wants an agent's token").await;
    let wrong = upgrade().with("Hub-Token", "guess");
    assert_refused(&hub, wrong, 401, "does not know").await;
    let other = Request::upgrade("paris-1").with("Hub-Token", AGENT_TOKEN);
    assert_refused(&hub, other, 403, "not good for the name \"paris-1\"").await;
    // Who it is comes after what it says: a bad name is told whether the token is good or not.
    assert_refused(&hub, Request::upgrade("No"), 400, "a-z 0-9").await;
    let token = certs.file("token", &format!("{AGENT_TOKEN}\n"));
    assert_serves(&hub, "berlin-1", &["--token-file", text(&token)]).await;
}

#[tokio::test]
async fn a_doubled_token_is_no_token() {
    let hub = auth::hub(&Certs::new(), &[]).await;
    let one = Request::upgrade("berlin-1").with("Hub-Token", AGENT_TOKEN);
    let answer = one.with("Hub-Token", "guess").send(hub.address).await;
    assert!([400, 401].contains(&answer.status), "{answer:?}");
}

#[tokio::test]
async fn a_missing_or_foreign_subprotocol_is_400() {
    const HEADER: &str = "Sec-WebSocket-Protocol";
    let hub = Hub::start(&[]).await;
    let good = || Request::upgrade("testserver");
    for request in [good().without(HEADER), good().but(HEADER, "mqtt"), good().but(HEADER, "")] {
        assert_refused(&hub, request, 400, "hub-tunnel.v2").await;
    }
    assert_serves(&hub, "testserver", &[]).await;
}

#[tokio::test]
async fn another_version_of_the_subprotocol_is_426() {
    let hub = Hub::start(&[]).await;
    let newer = Request::upgrade("testserver").but("Sec-WebSocket-Protocol", "hub-tunnel.v9");
    let answer = assert_refused(&hub, newer, 426, "hub-tunnel.v2, not hub-tunnel.v9").await;
    assert_eq!(answer.header("sec-websocket-protocol"), Some("hub-tunnel.v2"));
    assert_serves(&hub, "testserver", &[]).await;
}

#[tokio::test]
async fn http_that_is_no_websocket_is_told_what_is_here() {
    let hub = Hub::start(&[]).await;
    let get = Request::plain("GET /ws HTTP/1.1");
    let answer = assert_refused(&hub, get, 426, "for WebSockets only").await;
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    let post = Request::plain("POST /ws HTTP/1.1").with("Content-Length", "0");
    let answer = assert_refused(&hub, post, 405, "for WebSockets only").await;
    assert_eq!(answer.header("allow"), Some("get"));
    for line in ["GET / HTTP/1.1", "GET /ws/ HTTP/1.1", "POST /a.B/C HTTP/1.1"] {
        assert_refused(&hub, Request::plain(line), 404, "send the metadata `name`").await;
    }
    assert_serves(&hub, "testserver", &[]).await;
}

#[tokio::test]
async fn half_a_websocket_upgrade_is_426() {
    let hub = Hub::start(&[]).await;
    let good = || Request::upgrade("testserver");
    for request in [
        good().without("Upgrade"),
        good().without("Sec-WebSocket-Key"),
        good().but("Sec-WebSocket-Version", "8"),
        good().but("Connection", "close"),
    ] {
        assert_refused(&hub, request, 426, "for WebSockets only").await;
    }
    assert_serves(&hub, "testserver", &[]).await;
}

#[tokio::test]
async fn a_head_without_bounds_is_cut_off() {
    let hub = Hub::start(&[]).await;
    let endless = Request::upgrade("testserver").with("X-Long", &"x".repeat(1 << 20));
    let answer = Answer::parse(&exchange(hub.address, endless.bytes()).await);
    assert_eq!(answer.status, 431, "{answer:?}");
    assert_serves(&hub, "testserver", &[]).await;
}
