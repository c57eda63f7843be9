//! Programs that are killed while calls run.

use hub_proto::grpc::health::v1::HealthCheckResponse;
use rustix::process::Signal;
use tonic::{Code, Status, Streaming};

use crate::support::grpc::{Caller, about, reason};
use crate::support::port::Port;
use crate::support::programs::{Agent, Hub};
use crate::support::server::{HELD, Upstream};
use crate::support::soon;

/// A stream of the upstream's that has begun and goes on.
async fn watch(caller: &Caller) -> Streaming<HealthCheckResponse> {
    let request = caller.request("testserver", about(""));
    let mut stream = soon(caller.health().watch(request)).await.unwrap().into_inner();
    soon(stream.message()).await.unwrap().unwrap();
    stream
}

#[track_caller]
fn assert_session_lost(status: &Status) {
    assert_eq!((status.code(), reason(status)), (Code::Unavailable, Some("session-lost")));
    assert!(status.message().contains("testserver"), "{status:?}");
}

struct Scene {
    hub: Hub,
    agent: Agent,
    upstream: Upstream,
    caller: Caller,
}

impl Scene {
    async fn start() -> Self {
        let hub = Hub::start(&[]).await;
        let upstream = Upstream::start().await;
        let agent = hub.agent("testserver", &["--upstream", &upstream.address]).await;
        let caller = Caller::connect(hub.address).await;
        Self { hub, agent, upstream, caller }
    }
}

#[tokio::test]
async fn an_agent_killed_before_the_response_head() {
    let mut scene = Scene::start().await;
    let held = tokio::spawn({
        let caller = scene.caller.clone();
        async move { caller.check("testserver", HELD).await }
    });
    scene.upstream.arrival().await;
    scene.agent.process.signal(Signal::KILL);
    assert_session_lost(&soon(held).await.unwrap().unwrap_err());
    let parts = [("hub_reason", "session-lost"), ("status", "UNAVAILABLE")];
    scene.hub.process.log.said("call ended", &parts).await;
}

#[tokio::test]
async fn an_agent_killed_after_the_response_head() {
    let scene = Scene::start().await;
    let mut stream = watch(&scene.caller).await;
    scene.agent.process.signal(Signal::KILL);
    assert_session_lost(&soon(stream.message()).await.unwrap_err());
    let parts = [("hub_reason", "session-lost"), ("status", "UNAVAILABLE")];
    scene.hub.process.log.said("call ended", &parts).await;
}

#[tokio::test]
async fn the_name_of_a_killed_agent_is_offline() {
    let scene = Scene::start().await;
    scene.agent.process.signal(Signal::KILL);
    let lost = [("name", "testserver"), ("ended", "connection lost")];
    scene.hub.process.log.said("unregistered", &lost).await;
    // The agent may have had several sessions: the last one to go takes the name along.
    let gone = async {
        loop {
            let status = scene.caller.check("testserver", "").await.unwrap_err();
            if reason(&status) != Some("session-lost") {
                return status;
            }
        }
    };
    let status = soon(gone).await;
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, Some("offline")));
}

#[tokio::test]
async fn a_hub_killed_under_a_stream_is_dialled_again() {
    let port = Port::reserve();
    let listen = port.address.to_string();
    let hub = Hub::start_at(&listen, &[], &[]).await;
    let upstream = Upstream::start().await;
    let agent = hub.agent("testserver", &["--upstream", &upstream.address]).await;
    agent.process.log.said("registered", &[]).await;
    let mut stream = watch(&Caller::connect(hub.address).await).await;

    hub.process.signal(Signal::KILL);
    soon(stream.message()).await.expect_err("the hub is gone");
    let before = agent.process.log.lines().len();
    agent
        .process
        .log
        .said("disconnected", &[("ended", "connection lost"), ("level", "WARN")])
        .await;
    agent.process.log.said("dialling again", &[("retry_in", "s")]).await;
    hub.process.end().await;

    let hub = Hub::start_at(&listen, &[], &[]).await;
    hub.registered("testserver").await;
    agent.process.log.said_after(before, "registered", &[]).await;
    Caller::connect(hub.address).await.check("testserver", "").await.unwrap();
}
