//! Several hubs: the first that takes the agent is its hub, until it has to dial again.

use crate::support::auth;
use crate::support::binaries;
use crate::support::certs::{Certs, text};
use crate::support::fake::{Then, answers};
use crate::support::fake_hub::FakeHub;
use crate::support::port::Port;
use crate::support::process::{Process, command};
use crate::support::programs::{Agent, Hub};

#[tokio::test]
async fn the_next_one_is_dialled_and_later_the_first_again() {
    let port = Port::reserve();
    let first = format!("ws://{}/ws", port.address);
    let second = Hub::start(&[]).await;
    let agent =
        Agent::start("testserver", &format!("{first},{}", second.uri()), &["--sessions", "1"]);
    let log = &agent.process.log;
    log.said("not registered", &[("error", &format!("hub {first}: cannot connect"))]).await;
    log.said("registered", &[("hub", &second.uri())]).await;

    let hub = Hub::start_at(&port.address.to_string(), &[], &[]).await;
    assert_eq!(second.stop().await.code(), 0);
    hub.registered("testserver").await;
    log.said("registered", &[("hub", &first)]).await;
}

/// What one hub asks for is no reason to wait for another: not a rest, nor a change of the configuration.
#[tokio::test]
async fn who_refuses_does_not_hold_up_the_others() {
    let rest = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 300\r\nContent-Length: 0\r\n\r\n";
    let busy = answers(rest, Then::Close).await;
    let certs = Certs::new();
    let strict = auth::hub(&certs, &[]).await;
    let open = Hub::start(&[]).await;
    let mut agent = command(binaries::agent(), ["--name", "testserver", "--log-format", "json"]);
    let token = certs.file("token", "guess");
    agent.env("AGENT_HUB_URI", format!("ws://{busy}/ws,{},{}", strict.uri(), open.uri()));
    agent.env("AGENT_TOKEN_FILE", text(&token));
    let agent = Process::start(agent);
    agent.log.said("not registered", &[("error", "HTTP 503"), ("retry_in", "ms")]).await;
    agent.log.said("registered", &[("hub", &open.uri())]).await;
    let refused = "not registered; this needs a change of configuration";
    agent.log.said(refused, &[("error", &strict.uri()), ("retry_in", "s")]).await;
}

/// With TLS or without, as each of them is named.
#[tokio::test]
async fn each_is_spoken_to_as_it_is_named() {
    let certs = Certs::new();
    let secure = Hub::start(&certs.hub_flags()).await;
    let plain = Hub::start(&[]).await;
    for (first, second) in [(&secure, &plain), (&plain, &secure)] {
        // A hub of another path takes nobody.
        let uris = format!("{}/elsewhere,{}", first.uri(), second.uri());
        let agent = Agent::start("testserver", &uris, &["--tls-insecure-skip-verify"]);
        agent.process.log.said("not registered", &[("error", "HTTP 404")]).await;
        agent.process.log.said("registered", &[("hub", &second.uri())]).await;
    }
}

/// A hub that takes sessions and loses them is as good as none.
#[tokio::test]
async fn who_loses_sessions_is_left() {
    let (first, second) = (FakeHub::start().await, FakeHub::start().await);
    let uris = format!("{},{}", first.uri(), second.uri());
    let _agent = Agent::start("testserver", &uris, &["--sessions", "1"]);
    drop(first.session().await);
    second.session().await;
}

#[tokio::test]
async fn each_that_reads_the_token_is_told_of() {
    let certs = Certs::new();
    let token = certs.file("token", "secret");
    let args = ["--token-file", text(&token)];
    let agent =
        Agent::start("testserver", "ws://localhost:1,wss://localhost:2,ws://localhost:3", &args);
    let message = "the token crosses the network in clear text: use wss://";
    agent.process.log.said(message, &[("hub", "ws://localhost:1/ws")]).await;
    agent.process.log.said(message, &[("hub", "ws://localhost:3/ws")]).await;
    agent.process.log.said("not registered", &[]).await;
    assert_eq!(agent.process.log.with(message).len(), 2);
}
