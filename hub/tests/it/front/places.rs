//! Connections, handshakes and registrations: of each there are so many, and whoever takes more is turned away.

use hub::limits::{HANDSHAKES, REGISTRATIONS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tunnel::program::raise_open_files;

use crate::support::admin::exchange;
use crate::support::frames::{PREFACE, SETTINGS, frame};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::{until, within};

#[tokio::test]
async fn connections_beyond_the_limit_are_hung_up_on() {
    let hub = Hub::start_with(hub::Config { max_connections: 2, ..hub_config() }).await;
    let (first, second) = (hub.client().await, hub.client().await);
    let check = || grpc("", "/grpc.health.v1.Health/Check");
    for client in [&first, &second] {
        assert_eq!(client.call(check(), b"").await.expect("an answer").grpc_status(), Some("0"));
    }
    let mut third = TcpStream::connect(hub.address).await.unwrap();
    let hung_up = within("the hub to hang up", third.read(&mut [0; 1])).await;
    assert!(matches!(hung_up, Ok(0) | Err(_)), "{hung_up:?}");
    assert_eq!(hub.metric("hub_limits_reached_total{limit=\"connections\"}").await, 1.0);
    drop(first);
    until("a place", async || {
        let mut next = TcpStream::connect(hub.address).await.unwrap();
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])];
        let _ = next.write_all(&hello.concat()).await;
        next.read(&mut [0; 9]).await.is_ok_and(|n| n > 0)
    })
    .await;
    assert_eq!(second.call(check(), b"").await.expect("an answer").grpc_status(), Some("0"));
}

/// Of connections that do not say what they want, the oldest goes; who says it is served.
#[tokio::test]
async fn connections_that_say_too_little_make_room() {
    // Both ends of each are in this process.
    if raise_open_files() < 6 * HANDSHAKES as u64 {
        return;
    }
    for said in [&b""[..], b"GET /ws HTTP/1.1\r\n"] {
        let hub = Hub::start().await;
        let reached = "hub_limits_reached_total{limit=\"handshakes\"}";
        let mut waiting = Vec::new();
        while waiting.len() < HANDSHAKES
            || (waiting.len() < 2 * HANDSHAKES && hub.metric(reached).await == 0.0)
        {
            let mut tcp = TcpStream::connect(hub.address).await.unwrap();
            tcp.write_all(said).await.unwrap();
            waiting.push(tcp);
        }
        assert!(hub.metric(reached).await > 0.0, "after {said:?}");
        let check = grpc("", "/grpc.health.v1.Health/Check");
        let client = hub.client().await;
        assert_eq!(client.call(check, b"").await.expect("an answer").grpc_status(), Some("0"));
    }
}

/// An agent in a loop is told to come back later.
#[tokio::test]
async fn registrations_beyond_the_limit_are_refused_for_a_while() {
    const AT_ONCE: usize = 1024;
    const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: hub\r\nSec-WebSocket-Protocol: ";
    let _ = raise_open_files();
    let hub = Hub::start().await;
    let request = format!("{REQUEST}{}\r\n\r\n", tunnel::wire::SUBPROTOCOL);
    let (mut refused, mut asked) = (None, 0);
    // Some are forgiven meanwhile.
    while refused.is_none() && asked < 4 * REGISTRATIONS.burst as usize {
        let answers = (0..AT_ONCE).map(|_| exchange(hub.address, &request));
        let answers = futures_util::future::join_all(answers).await;
        refused = answers.into_iter().find(|answer| answer.starts_with("HTTP/1.1 429"));
        asked += AT_ONCE;
    }
    let refused = refused.expect("a refusal");
    assert!(refused.contains("\r\nretry-after: 5\r\n"), "{refused}");
    assert!(hub.metric("hub_limits_reached_total{limit=\"registrations\"}").await > 0.0);
}
