//! SIGTERM and SIGINT: nothing new begins, what runs may end, exit code 0.

use rustix::process::Signal;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::support::grpc::{Caller, reason};
use crate::support::port::Port;
use crate::support::programs::{Agent, Hub};
use crate::support::server::{HELD, Upstream};
use crate::support::soon;

/// A hub and an agent, with a call that has reached the upstream and waits there.
struct Scene {
    hub: Hub,
    agent: Agent,
    upstream: Upstream,
    caller: Caller,
    held: JoinHandle<Result<(), Status>>,
}

impl Scene {
    async fn start(hub_args: &[&str]) -> Self {
        let hub = Hub::start(hub_args).await;
        let mut upstream = Upstream::start().await;
        let agent = hub.agent("testserver", &["--upstream", &upstream.address]).await;
        let caller = Caller::connect(hub.address).await;
        let held = tokio::spawn({
            let caller = caller.clone();
            async move { caller.check("testserver", HELD).await }
        });
        upstream.arrival().await;
        Self { hub, agent, upstream, caller, held }
    }
}

#[tokio::test]
async fn an_agent_lets_running_calls_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let scene = Scene::start(&[]).await;
        scene.agent.process.signal(signal);
        scene.agent.process.log.said("draining", &[]).await;
        // New calls are refused as soon as the hub knows.
        let refused = async {
            loop {
                if let Err(status) = scene.caller.check("testserver", "").await {
                    return status;
                }
            }
        };
        let status = soon(refused).await;
        assert_eq!((status.code(), reason(&status)), (Code::Unavailable, Some("offline")));
        assert!(!scene.held.is_finished());
        scene.upstream.release();
        soon(scene.held).await.unwrap().unwrap();
        assert_eq!(scene.agent.process.end().await.code(), 0);
        scene.hub.process.log.said("unregistered", &[("name", "testserver")]).await;
    }
}

#[tokio::test]
async fn an_idle_agent_ends_at_once() {
    let hub = Hub::start(&[]).await;
    let agent = hub.agent("testserver", &[]).await;
    let ended = agent.stop().await;
    assert_eq!(ended.code(), 0);
    assert!(!ended.text().contains("WARN") && !ended.text().contains("ERROR"), "{ended:#?}");
}

#[tokio::test]
async fn a_hub_lets_running_calls_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let scene = Scene::start(&[]).await;
        scene.hub.process.signal(signal);
        scene.hub.process.log.said("draining", &[]).await;
        scene
            .agent
            .process
            .log
            .said("draining: the hub opens no new lanes on this session", &[])
            .await;
        assert!(!scene.held.is_finished());
        scene.upstream.release();
        soon(scene.held).await.unwrap().unwrap();
        // Its connection is all that the hub still waits for.
        drop(scene.caller);
        assert_eq!(scene.hub.process.end().await.code(), 0);
        scene.agent.process.log.said("disconnected", &[("ended", "1001")]).await;
    }
}

#[tokio::test]
async fn an_idle_hub_ends_at_once() {
    let hub = Hub::start(&[]).await;
    let agent = hub.agent("testserver", &[]).await;
    let _idle = Caller::connect(hub.address).await;
    assert_eq!(hub.stop().await.code(), 0);
    let ended = agent.process.log.said("disconnected", &[]).await.field("ended");
    assert!(ended.contains("1001"), "{ended}");
}

#[tokio::test]
async fn a_hub_cuts_off_what_runs_too_long() {
    let scene = Scene::start(&["--drain-timeout", "100ms"]).await;
    scene.hub.process.signal(Signal::TERM);
    soon(scene.held).await.unwrap().expect_err("it was cut off");
    let ended = scene.hub.process.end().await;
    assert_eq!(ended.code(), 0);
    assert!(ended.text().contains("cutting off"), "{ended:#?}");
    // The agent learns why, although what was cut off had words of its own to say on the session.
    let ended = scene.agent.process.log.said("disconnected", &[]).await.field("ended");
    assert!(ended.contains("1001"), "{ended}");
}

#[tokio::test]
async fn a_second_signal_ends_a_hub_at_once() {
    let scene = Scene::start(&[]).await;
    scene.hub.process.signal(Signal::TERM);
    scene.hub.process.log.said("draining", &[]).await;
    scene.hub.process.signal(Signal::TERM);
    assert_eq!(scene.hub.process.end().await.code(), 130);
    soon(scene.held).await.unwrap().expect_err("the hub is gone");
}

#[tokio::test]
async fn a_second_signal_ends_an_agent_at_once() {
    let scene = Scene::start(&[]).await;
    scene.agent.process.signal(Signal::TERM);
    scene.agent.process.log.said("draining", &[]).await;
    scene.agent.process.signal(Signal::INT);
    assert_eq!(scene.agent.process.end().await.code(), 130);
    let status = soon(scene.held).await.unwrap().unwrap_err();
    assert_eq!(reason(&status), Some("session-lost"));
}

#[tokio::test]
async fn an_agent_that_waits_for_its_hub_ends_at_once() {
    let port = Port::reserve();
    let agent = Agent::start("testserver", &format!("ws://{}/ws", port.address), &[]);
    agent.process.log.said("not registered", &[]).await;
    assert_eq!(agent.stop().await.code(), 0);
}
