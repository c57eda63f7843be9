//! An agent whose hub or upstream is not there yet: it says so, waits, and registers by itself.

use crate::support::certs::{Certs, text};
use crate::support::grpc::Caller;
use crate::support::port::Port;
use crate::support::programs::{Agent, Hub};
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

#[tokio::test]
async fn an_upstream_that_comes_later_is_waited_for() {
    let hub = Hub::start(&[]).await;
    let caller = Caller::connect(hub.address).await;
    let port = Port::reserve();
    let upstream = format!("http://{}", port.address);
    let mut agent = Agent::start("testserver", &hub.uri(), &["--upstream", &upstream]);
    let unreachable = [("error", "is not reachable"), ("level", "WARN"), ("retry_in", "s")];
    let line = agent.process.log.said("not registered", &unreachable).await;
    assert!(line.field("error").contains(&upstream), "{line:?}");
    agent.process.assert_runs();
    assert!(!caller.is_registered("testserver").await);

    let _upstream = Upstream::serve(port.listen().await);
    hub.registered("testserver").await;
    assert!(caller.is_registered("testserver").await);
    caller.check("testserver", "").await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_that_comes_later_is_waited_for() {
    let hub = Hub::start(&[]).await;
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("upstream.sock");
    let upstream = format!("unix:{}", text(&path));
    let agent = Agent::start("testserver", &hub.uri(), &["--upstream", &upstream]);
    let parts = [("error", upstream.as_str()), ("error", "is not reachable")];
    agent.process.log.said("not registered", &parts).await;

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
