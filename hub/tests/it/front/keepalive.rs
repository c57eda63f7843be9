//! Whether TCP asks silent peers for life: clients, which may be silent for hours. Agents ping by themselves.

#![cfg(target_os = "linux")]

use std::net::SocketAddr;

use agent::HubUri;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tunnel::tls::Trust;

use crate::support::agent::{Agent, config, server};
use crate::support::client::{Client, builder};
use crate::support::hub::Hub;
use crate::support::secure::Certificate;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until, within};

/// A keepalive timer runs (`tr` of `/proc/net/tcp`, in Linux' Documentation/networking/proc_net_tcp.rst).
const KEEPALIVE: &str = "02";
const NONE: &str = "00";

/// The timers of the hub's connections.
fn timers(hub: SocketAddr) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (mut timers, port) = (Vec::new(), format!(":{:04X}", hub.port()));
    for line in table.lines().skip(1) {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, state, timer) = (fields[1], fields[3], fields[5]);
        if local.ends_with(&port) && state == "01" {
            timers.push(timer[..2].to_owned());
        }
    }
    timers
}

/// The only connection has this timer, once what was sent is acknowledged.
async fn expect(hub: &Hub, timer: &str) {
    until("a quiet connection", async || timers(hub.address) == [timer]).await;
}

/// It has answered, so it knows what is spoken.
async fn answered(client: &Client) {
    let request = Request::get("http://hub.test/").body(()).unwrap();
    client.request(request).await.expect("an answer");
}

#[tokio::test]
async fn of_clients_it_does() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    answered(&client).await;
    expect(&hub, KEEPALIVE).await;
}

#[tokio::test]
async fn of_clients_it_does_also_inside_tls() {
    let certificate = Certificate::new();
    let hub = Hub::start_with(certificate.config()).await;
    for alpn in [&[&b"h2"[..]][..], &[]] {
        let tls = certificate.connect(hub.address, alpn).await.unwrap();
        let client = Client::handshake(tls, &builder()).await;
        answered(&client).await;
        expect(&hub, KEEPALIVE).await;
        drop(client);
        until("its end", async || timers(hub.address).is_empty()).await;
    }
}

/// It may be an agent until it has asked for something.
#[tokio::test]
async fn of_clients_of_http1_it_does_once_they_call() {
    let hub = Hub::start().await;
    let mut tcp = TcpStream::connect(hub.address).await.unwrap();
    let call =
        format!("POST /a.B/C HTTP/1.1\r\nHost: hub\r\nname: {NAME}\r\nContent-Length: 0\r\n\r\n");
    tcp.write_all(call.as_bytes()).await.unwrap();
    within("an answer", tcp.read_u8()).await.unwrap();
    expect(&hub, KEEPALIVE).await;
}

/// With one session.
async fn of_an_agent_it_does_not(hub: Hub, uri: HubUri, trust: Trust) {
    let upstream = Upstream::listen().await;
    let config = config(&hub, server(upstream.address));
    let config = agent::Config { hubs: uri.into(), sessions: Some(1), trust, ..config };
    let _agent = Agent::start(config);
    until("a session", async || hub.metric("hub_sessions").await == 1.0).await;
    expect(&hub, NONE).await;
}

#[tokio::test]
async fn of_agents_it_does_not() {
    let hub = Hub::start().await;
    let uri = hub.uri();
    of_an_agent_it_does_not(hub, uri, Trust::System).await;
}

#[tokio::test]
async fn of_agents_it_does_not_inside_tls() {
    let certificate = Certificate::new();
    let hub = Hub::start_with(certificate.config()).await;
    let uri = format!("wss://localhost:{}/ws", hub.address.port()).parse().unwrap();
    of_an_agent_it_does_not(hub, uri, certificate.trust()).await;
}
