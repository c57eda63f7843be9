//! Bytes on the hub's port that are no protocol, or half of one.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::certs::Certs;
use crate::support::grpc::Caller;
use crate::support::programs::{Agent, Hub};
use crate::support::raw::exchange;
use crate::support::server::{HELD, Upstream};
use crate::support::soon;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A hub with an agent, a call to it that runs through all of a test, and a caller.
struct Scene {
    hub: Hub,
    caller: Caller,
    upstream: Upstream,
    _agent: Agent,
}

impl Scene {
    async fn start() -> Self {
        let hub = Hub::start(&[]).await;
        let upstream = Upstream::start().await;
        let agent = hub.agent("testserver", &["--upstream", &upstream.address]).await;
        let caller = Caller::connect(hub.address).await;
        Self { hub, caller, upstream, _agent: agent }
    }

    async fn assert_serves(&self) {
        self.caller.check("testserver", "").await.unwrap();
        Caller::connect(self.hub.address).await.check("testserver", "").await.unwrap();
    }
}

#[tokio::test]
async fn garbage_ends_its_own_connection_alone() {
    let mut scene = Scene::start().await;
    let running = {
        let caller = scene.caller.clone();
        tokio::spawn(async move { caller.check("testserver", HELD).await })
    };
    scene.upstream.arrival().await;
    let noise: Vec<u8> = (0..=255).cycle().skip(7).take(100_000).collect();
    let oversized_frame = [PREFACE, b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"].concat();
    let http1_noise = b"GET \0\xff\r\n\r\n".to_vec();
    let smoke = b"PRI * HTTP/2.0\r\n\r\nSMOKE\r\n\r\n".to_vec();
    for bytes in [noise, oversized_frame, http1_noise, smoke, b"\0".to_vec(), b"EHLO\r\n".to_vec()]
    {
        exchange(scene.hub.address, bytes).await;
        scene.assert_serves().await;
    }
    scene.upstream.release();
    soon(running).await.unwrap().unwrap();
}

#[tokio::test]
async fn half_a_preface_holds_nobody_up() {
    let scene = Scene::start().await;
    let mut halves = Vec::new();
    for length in [0, 1, 12, PREFACE.len() - 1] {
        let mut tcp = TcpStream::connect(scene.hub.address).await.unwrap();
        tcp.write_all(&PREFACE[..length]).await.unwrap();
        halves.push(tcp);
        scene.assert_serves().await;
    }
    for mut tcp in halves {
        tcp.shutdown().await.unwrap();
        let mut answer = Vec::new();
        soon(tcp.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, b"");
    }
    scene.assert_serves().await;
}

#[tokio::test]
async fn garbage_on_a_tls_port_ends_its_own_connection_alone() {
    let certs = Certs::new();
    let hub = Hub::start(&certs.hub_flags()).await;
    let hello = b"\x16\x03\x01\x00\x04abcd".to_vec();
    for bytes in [b"\0\0\0\0".to_vec(), b"\x16garbage".to_vec(), hello, vec![0x16; 100_000]] {
        exchange(hub.address, bytes).await;
    }
    let _agent = hub.agent("testserver", &certs.agent_flags()).await;
}
