//! Whether TCP asks silent peers for life: clients, which may be silent for hours; agents ping by themselves.

use std::net::SocketAddr;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::hub::Hub;
use crate::support::secure::Certificate;
use crate::support::until;

/// What a client says first, and an agent.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HTTP1: &[u8] = b"GET /ws HTTP/1.1\r\n";

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
    timers.sort();
    timers
}

/// Begins to speak on a connection of its own, and waits until the hub's end has this timer.
async fn expect(hub: &Hub, mut io: impl AsyncWrite + Unpin, says: &[u8], timer: &str) {
    io.write_all(says).await.unwrap();
    io.flush().await.unwrap();
    until("the timer", async || timers(hub.address) == [timer]).await;
    drop(io);
    until("its end", async || timers(hub.address).is_empty()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn of_clients_it_does_and_of_agents_it_does_not() {
    let hub = Hub::start().await;
    for (says, timer) in [(HTTP2, KEEPALIVE), (HTTP1, NONE)] {
        expect(&hub, TcpStream::connect(hub.address).await.unwrap(), says, timer).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn also_inside_tls() {
    let certificate = Certificate::new();
    let hub = Hub::start_with(certificate.config()).await;
    for (alpn, says, timer) in [
        (&[&b"h2"[..]][..], HTTP2, KEEPALIVE),
        (&[b"http/1.1"], HTTP1, NONE),
        (&[], HTTP2, KEEPALIVE),
        (&[], HTTP1, NONE),
    ] {
        let tls = certificate.connect(hub.address, alpn).await.unwrap();
        expect(&hub, tls, says, timer).await;
    }
}
