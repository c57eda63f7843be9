//! What an agent does when the hub refuses it: says why once, and goes on trying, slowly where somebody
//! has to change something first.

use std::ops::RangeInclusive;

use crate::support::auth::{self, AGENT_TOKEN};
use crate::support::certs::{Certs, text};
use crate::support::fake::{Then, answers};
use crate::support::programs::{Agent, Hub};

const FATAL: &str = "not registered; this needs a change of configuration";

/// One error line with these words, a retry in half a minute or more, and no end of the program.
async fn assert_slow(agent: Agent, words: &str) {
    assert_told(agent, words, 30.0..=60.0).await;
}

/// One error line with these words, a retry after so many seconds, and no end of the program.
async fn assert_told(mut agent: Agent, words: &str, pause: RangeInclusive<f64>) {
    let line = agent.process.log.said(FATAL, &[("error", words)]).await;
    assert_eq!(line.field("level"), "ERROR", "{line:?}");
    let seconds: f64 = line.field("retry_in").trim_end_matches('s').parse().unwrap();
    assert!(pause.contains(&seconds), "{line:?}");
    assert_eq!(seconds, (seconds * 1e3).round() / 1e3, "no whole milliseconds: {line:?}");
    agent.process.assert_runs();
    let log = agent.process.log.clone();
    assert_eq!(agent.stop().await.code(), 0);
    let errors = log.lines().into_iter().filter(|line| line.field("level") == "ERROR");
    assert_eq!(errors.count(), 1, "{:#?}", log.lines());
}

/// A warning with these words, and another try soon after: the second one is waited for.
async fn assert_soon(mut agent: Agent, words: &str) {
    let parts = [("error", words), ("level", "WARN"), ("retry_in", "s")];
    let log = agent.process.log.clone();
    log.said("not registered", &parts).await;
    let first = log.lines().iter().position(|line| line.field("message") == "not registered");
    log.said_after(first.unwrap() + 1, "not registered", &parts).await;
    agent.process.assert_runs();
    assert_eq!(agent.stop().await.code(), 0);
}

/// An agent of a "hub" that answers each upgrade so.
async fn agent_of(answer: &'static str) -> Agent {
    let hub = answers(answer, Then::Close).await;
    Agent::start("testserver", &format!("ws://{hub}/ws"), &[])
}

#[tokio::test]
async fn without_a_token() {
    let certs = Certs::new();
    let hub = auth::hub(&certs, &[]).await;
    let agent = Agent::start("berlin-1", &hub.uri(), &[]);
    assert_slow(agent, "set --token-file (HTTP 401)").await;
}

#[tokio::test]
async fn with_an_unknown_token() {
    let certs = Certs::new();
    let hub = auth::hub(&certs, &[]).await;
    let token = certs.file("token", "guess");
    let agent = Agent::start("berlin-1", &hub.uri(), &["--token-file", text(&token)]);
    assert_slow(agent, "this hub does not know").await;
}

#[tokio::test]
async fn with_a_token_for_other_names() {
    let certs = Certs::new();
    let hub = auth::hub(&certs, &[]).await;
    let token = certs.file("token", AGENT_TOKEN);
    let agent = Agent::start("paris-1", &hub.uri(), &["--token-file", text(&token)]);
    assert_slow(agent, "not good for the name \"paris-1\" (HTTP 403)").await;
}

#[tokio::test]
async fn with_a_token_that_fits_no_header() {
    let certs = Certs::new();
    let hub = auth::hub(&certs, &[]).await;
    let token = certs.file("token", "se\ncret");
    let agent = Agent::start("berlin-1", &hub.uri(), &["--token-file", text(&token)]);
    assert_slow(agent, text(&token)).await;
}

#[tokio::test]
async fn as_a_bad_request() {
    let answer =
        "HTTP/1.1 400 Bad Request\r\nHub-Node-Id: 1\r\nContent-Length: 9\r\n\r\nbad slot\n";
    assert_slow(agent_of(answer).await, "refused by the hub: bad slot (HTTP 400)").await;
}

/// A hub that is upgraded has its agents back soon.
#[tokio::test]
async fn as_too_old() {
    let answer =
        "HTTP/1.1 426 Upgrade Required\r\nHub-Node-Id: 1\r\nContent-Length: 9\r\n\r\nv3 only.\n";
    let words = "refused by the hub: v3 only. (HTTP 426)";
    assert_told(agent_of(answer).await, words, 5.0..=10.0).await;
}

#[tokio::test]
async fn for_a_while() {
    let answer = "HTTP/1.1 503 Service Unavailable\r\nHub-Node-Id: 1\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    assert_soon(agent_of(answer).await, "no reason given (HTTP 503)").await;
}

#[tokio::test]
async fn by_a_proxy_without_its_hub() {
    let answer =
        "HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Length: 14\r\n\r\n<h1>nginx</h1>";
    let words = "something in front of the hub (server: nginx) answered HTTP 502: it does not reach the hub";
    assert_soon(agent_of(answer).await, words).await;
}

#[tokio::test]
async fn by_a_front_that_sends_elsewhere() {
    let answer = "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://hub.example/ws\r\n\r\n";
    assert_slow(agent_of(answer).await, "HTTP 308: use --hub-uri wss://hub.example/ws").await;
}

#[tokio::test]
async fn at_another_path() {
    let hub = Hub::start(&[]).await;
    let agent = Agent::start("testserver", &format!("ws://{}/elsewhere", hub.address), &[]);
    assert_soon(agent, "agents open a WebSocket at /ws, and nobody else does (HTTP 404)").await;
}

#[tokio::test]
async fn at_the_admin_listener() {
    let hub = Hub::start(&[]).await;
    let admin = hub.process.log.said("admin listening", &[]).await.field("address");
    let agent = Agent::start("testserver", &format!("ws://{admin}/ws"), &[]);
    assert_soon(
        agent,
        "this is the hub's admin listener: a page at /, /metrics, /healthz, /readyz",
    )
    .await;
}

#[tokio::test]
async fn by_something_that_is_no_hub() {
    for answer in ["SSH-2.0-OpenSSH_9.9\r\n", "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
        assert_soon(agent_of(answer).await, "hub ws://127.0.0.1:").await;
    }
}
