//! An agent whose hub or upstream is not there yet: it says so, waits, and registers by itself.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;

use crate::support::certs::{Certs, text};
use crate::support::grpc::{Caller, reason};
use crate::support::port::Port;
use crate::support::programs::{ANY_PORT, Agent, Hub};
use crate::support::server::Upstream;
use crate::support::soon;

#[tokio::test]
async fn a_hub_that_comes_later_is_waited_for() {
    let port = Port::reserve();
    let uri = format!("ws://{}/ws", port.address);
    let mut agent = Agent::start("testserver", &uri, &[]);
    let refused = [("error", "onnection refused"), ("level", "WARN"), ("retry_in", "s")];
    let line = agent.process.log.said("not registered", &refused).await;
    assert!(line.field("error").contains(&uri), "{line:?}");
    agent.process.assert_runs();

    let hub = Hub::start_at(&port.address.to_string(), &[], &[]).await;
    agent.process.log.said("registered", &[("hub", &uri)]).await;
    assert!(Caller::connect(hub.address).await.is_registered("testserver").await);
}

const UNREACHABLE: &str = "the upstream is not reachable; dialling it until it is";
const BACK: &str = "the upstream is reachable again";

/// A hub and an agent whose upstream is not there.
async fn without_upstream(upstream: &str) -> (Hub, Agent, Caller) {
    let hub = Hub::start(&[]).await;
    let agent = Agent::start("testserver", &hub.uri(), &["--upstream", upstream]);
    let parts = [("upstream", upstream), ("error", "cannot connect"), ("level", "WARN")];
    agent.process.log.said(UNREACHABLE, &parts).await;
    hub.process.log.said("upstream not reachable", &[("error", upstream)]).await;
    let caller = Caller::connect(hub.address).await;
    assert!(!caller.is_registered("testserver").await);
    let status = caller.check("testserver", "").await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, Some("upstream-unreachable")));
    (hub, agent, caller)
}

#[tokio::test]
async fn an_upstream_that_comes_later_is_waited_for() {
    let port = Port::reserve();
    let (hub, mut agent, caller) = without_upstream(&format!("http://{}", port.address)).await;
    agent.process.assert_runs();

    let start = Instant::now();
    let _upstream = Upstream::serve(port.listen().await);
    hub.registered("testserver").await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    agent.process.log.said(BACK, &[("level", "INFO")]).await;
    agent.process.log.said("registered", &[("name", "testserver")]).await;
    assert!(caller.is_registered("testserver").await);
    caller.check("testserver", "").await.unwrap();
}

#[tokio::test]
async fn an_upstream_that_goes_is_waited_for() {
    let hub = Hub::start(&[]).await;
    let upstream = Upstream::start().await;
    let (door, address) = open_door(ANY_PORT, &upstream).await;
    let agent = hub.agent("testserver", &["--upstream", &address]).await;
    let caller = Caller::connect(hub.address).await;
    caller.check("testserver", "").await.unwrap();

    // With all its connections: that it is gone is found out before anybody calls.
    drop(door);
    agent.process.log.said(UNREACHABLE, &[("error", "onnection refused")]).await;
    soon(async { while caller.is_registered("testserver").await {} }).await;
    let status = caller.check("testserver", "").await.unwrap_err();
    assert_eq!(reason(&status), Some("upstream-unreachable"));

    let start = Instant::now();
    let _door = open_door(&address, &upstream).await;
    soon(async { while !caller.is_registered("testserver").await {} }).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    caller.check("testserver", "").await.unwrap();
    agent.process.log.said(BACK, &[]).await;
}

/// Another address of the upstream's. All connections to it end when it is dropped.
async fn open_door(address: &str, upstream: &Upstream) -> (AbortOnDropHandle<()>, String) {
    let listener = TcpListener::bind(address).await.unwrap();
    let (address, to) = (listener.local_addr().unwrap(), upstream.address.clone());
    let door = tokio::spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut outside, _)) = listener.accept().await {
            let mut inside = TcpStream::connect(&to).await.unwrap();
            open.spawn(async move {
                _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (AbortOnDropHandle::new(door), address.to_string())
}

#[tokio::test]
async fn a_unix_socket_that_comes_later_is_waited_for() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("upstream.sock");
    let (hub, _agent, _) = without_upstream(&format!("unix:{}", text(&path))).await;

    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (stream, _) = soon(listener.accept()).await.unwrap();
    // Dialled, and still not registered: the upstream has not said a word of HTTP/2.
    assert!(!Caller::connect(hub.address).await.is_registered("testserver").await);
    drop(stream);
}

#[tokio::test]
async fn trusted_certificates_are_needed_for_tls_alone() {
    let hub = Hub::start(&[]).await;
    let none = Certs::new().file("none.pem", "");
    let nobody = [("SSL_CERT_FILE", text(&none)), ("SSL_CERT_DIR", "/nowhere")];
    let agent = Agent::start_with("testserver", &hub.uri(), &[], &nobody);
    agent.process.log.said("registered", &[]).await;
}
