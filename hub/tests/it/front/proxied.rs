//! Behind a balancer that says whose connections it passes on.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::services::clients::list;
use crate::support::admin::exchange;
use crate::support::agent::{Agent, config, server};
use crate::support::client::{Client, builder};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::registrations::exhaust;
use crate::support::secure::Certificate;
use crate::support::upstream::Upstream;
use crate::support::{until, within};

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4660 443\r\n";

/// Of a hub that takes what balancers on this machine say.
fn behind(config: hub::Config) -> hub::Config {
    let networks = ["127.0.0.0/8"].map(|network| network.parse().unwrap());
    hub::Config { proxy_protocol: networks.into_iter().collect(), ..config }
}

/// Passes each connection on to `to`, and says first what `header` is.
async fn balancer(to: SocketAddr, header: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await?;
                far.write_all(header).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    address
}

#[tokio::test]
async fn an_agent_is_listed_where_it_is_and_not_where_the_balancer_is() {
    let certificate = Certificate::new();
    for tls in [false, true] {
        let config_of = if tls { certificate.config() } else { hub_config() };
        let mut hub = Hub::start_with(behind(config_of)).await;
        let upstream = Upstream::listen().await;
        let port = balancer(hub.address, HEADER).await.port();
        let scheme = if tls { "wss" } else { "ws" };
        let uri: agent::HubUri = format!("{scheme}://localhost:{port}/ws").parse().unwrap();
        let trust = certificate.trust();
        let config = config(&hub, server(upstream.address));
        let _agent = Agent::start(agent::Config { hubs: uri.into(), trust, ..config });
        until("an agent", async || hub.metric("hub_agents").await == 1.0).await;
        if !tls {
            hub.address = ([127, 0, 0, 1], port).into();
            assert_eq!(list(&hub).await[0].remote_address, "192.0.2.7:4660");
        }
    }
}

/// Or somebody would say that it is somebody else.
#[tokio::test]
async fn who_is_no_balancer_is_not_believed() {
    let hub = Hub::start().await;
    let failed = "hub_handshake_failures_total{stage=\"proxy-header\"}";
    for (count, said) in [(1.0, HEADER), (2.0, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c")] {
        let mut tcp = TcpStream::connect(hub.address).await.unwrap();
        tcp.write_all(&[said, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"].concat()).await.unwrap();
        let hung_up = within("the hub to hang up", tcp.read(&mut [0; 1])).await;
        assert!(matches!(hung_up, Ok(0) | Err(_)), "{hung_up:?}");
        until("the count", async || hub.metric(failed).await == count).await;
    }
}

#[tokio::test]
async fn a_balancer_has_to_say_it() {
    let hub = Hub::start_with(behind(hub_config())).await;
    let mut tcp = TcpStream::connect(hub.address).await.unwrap();
    tcp.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let hung_up = within("the hub to hang up", tcp.read(&mut [0; 1])).await;
    assert!(matches!(hung_up, Ok(0) | Err(_)), "{hung_up:?}");
    let failed = "hub_handshake_failures_total{stage=\"proxy-header\"}";
    until("the count", async || hub.metric(failed).await == 1.0).await;
    // Its own health checks are nobody's.
    let own = balancer(hub.address, b"PROXY UNKNOWN\r\n").await;
    let client = Client::connect_with(own, &builder()).await;
    let answer = client.call(grpc("", "/grpc.health.v1.Health/Check"), b"").await;
    assert_eq!(answer.expect("an answer").grpc_status(), Some("0"));
}

/// Limits go by address: behind a balancer by that which it tells.
#[tokio::test]
async fn each_address_has_limits_of_its_own() {
    let hub = Hub::start_with(behind(hub_config())).await;
    let asks = |address: &str| {
        let header = format!("PROXY TCP4 {address} 198.51.100.1 4660 443\r\n");
        let offer = tunnel::wire::SUBPROTOCOL;
        format!("{header}GET /ws HTTP/1.1\r\nHost: hub\r\nSec-WebSocket-Protocol: {offer}\r\n\r\n")
    };
    exhaust(hub.address, &asks("192.0.2.7")).await;
    let other = exchange(hub.address, &asks("203.0.113.9")).await;
    assert!(other.starts_with("HTTP/1.1 426"), "{other}");
}
