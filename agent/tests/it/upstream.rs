//! Upstreams that are there and cannot be used.

use crate::support::certs::Certs;
use crate::support::fake::{Then, answers, tls};
use crate::support::grpc::Caller;
use crate::support::programs::{Agent, Hub};

/// The hub and the agent both say that the upstream does not speak HTTP/2, and nobody is registered.
async fn assert_not_http2(then: Then) {
    let hub = Hub::start(&[]).await;
    let answer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    let upstream = answers(answer, then).await.to_string();
    let hint = format!("; if it speaks TLS, say --upstream https://{upstream}");
    let mut agent = Agent::start("testserver", &hub.uri(), &["--upstream", &upstream]);
    let why = ("ended", "4001: the upstream does not speak HTTP/2");
    let line = agent.process.log.said(DISCONNECTED, &[why, ("ended", &hint)]).await;
    assert_eq!(line.field("level"), "ERROR", "{line:?}");
    let why = [("name", "testserver"), ("error", "the upstream does not speak HTTP/2")];
    hub.process.log.said("session did not begin", &why).await;
    agent.process.assert_runs();
    assert!(!Caller::connect(hub.address).await.is_registered("testserver").await);
    // Told at the first try already, and not taken for an upstream that came and went.
    for other in ["registered", "disconnected"] {
        let lines = agent.process.log.with(other);
        assert!(lines.is_empty(), "{lines:#?}");
    }
}

const DISCONNECTED: &str = "disconnected; this needs a change of configuration";
const UNREACHABLE: &str = "the upstream is not reachable; dialling it until it is";

#[tokio::test]
async fn http1_that_stays_is_told_at_both_ends() {
    assert_not_http2(Then::Stay).await;
}

#[tokio::test]
async fn http1_that_hangs_up_is_told_at_both_ends() {
    assert_not_http2(Then::Close).await;
}

/// The agent says why, goes on, and is not shown to callers.
async fn assert_unreachable(upstream: &str, args: &[&str], why: &str) {
    let hub = Hub::start(&[]).await;
    let args = [&["--upstream", upstream], args].concat();
    let mut agent = Agent::start("testserver", &hub.uri(), &args);
    let parts = [("error", why), ("upstream", upstream), ("level", "WARN")];
    agent.process.log.said(UNREACHABLE, &parts).await;
    hub.process.log.said("upstream not reachable", &[("error", why), ("error", upstream)]).await;
    agent.process.assert_runs();
    assert!(!Caller::connect(hub.address).await.is_registered("testserver").await);
    assert_eq!(agent.process.log.with(UNREACHABLE).len(), 1, "said once");
}

#[tokio::test]
async fn https_without_alpn_is_told() {
    let certs = Certs::new();
    let upstream = format!("https://{}", tls(&certs, &[]).await);
    assert_unreachable(&upstream, &certs.upstream_flags(), "does not offer HTTP/2").await;
}

#[tokio::test]
async fn https_with_http1_alone_is_told() {
    let certs = Certs::new();
    let upstream = format!("https://{}", tls(&certs, &[b"http/1.1"]).await);
    assert_unreachable(&upstream, &certs.upstream_flags(), "does not offer HTTP/2").await;
}

#[tokio::test]
async fn https_with_an_unknown_certificate_is_told() {
    let (certs, other) = (Certs::new(), Certs::new());
    let upstream = format!("https://{}", tls(&certs, &[b"h2"]).await);
    assert_unreachable(&upstream, &other.upstream_flags(), "(--upstream-tls-ca-file)").await;
}

#[tokio::test]
async fn https_to_a_plain_port_is_told() {
    let upstream = answers("HTTP/1.1 400 Bad Request\r\n\r\n", Then::Close).await;
    assert_unreachable(&format!("https://{upstream}"), &[], "does not speak TLS").await;
}
