//! Lanes of an agent, on sessions in memory.

use std::time::Duration;

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tunnel::lanes::{LaneEnd, Lanes};
use tunnel::tls::{Trust, server_config};

use super::*;
use crate::config::Config;
use crate::exposed::{Exposed, UpstreamTls};
use crate::tests::{agent, lane, services, session, soon};

/// A lane that the agent serves, as the hub holds it.
async fn served(sessions: &(Lanes, Lanes), agent: &Arc<Shared>) -> (Lane, JoinHandle<()>) {
    let (hub, lane) = lane(sessions).await;
    (hub, tokio::spawn(serve(lane, Open::default(), agent.clone())))
}

/// Waits for a reset.
async fn reset(mut hub: Lane) -> (ResetCode, String) {
    soon(hub.read(&mut [0])).await.expect_err("a reset");
    match hub.status().end() {
        Some(LaneEnd::Reset { code, delivered: 0, reason }) => (*code, reason.clone()),
        other => panic!("{other:?}"),
    }
}

async fn listener() -> (TcpListener, Upstream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address").to_string();
    (listener, Upstream::Server(addr.parse().expect("an address")))
}

#[tokio::test]
async fn an_upstream_that_is_away_is_told() {
    let (listener, upstream) = listener().await;
    drop(listener);
    let (agent, sessions) = (Arc::new(agent(upstream, 4)), session());
    let (hub, _) = served(&sessions, &agent).await;
    let (code, reason) = reset(hub).await;
    assert_eq!(code, ResetCode::Unreachable);
    assert!(reason.starts_with("http://127.0.0.1:"), "{reason}");
    assert!(reason.contains("cannot connect"), "{reason}");
    assert!(!*agent.reaches[0].monitor.watch().borrow());
}

#[tokio::test]
async fn an_upstream_that_serves_others_is_not_away() {
    let (listener, upstream) = listener().await;
    let (agent, sessions) = (Arc::new(agent(upstream, 4)), session());
    let (mut first, _) = served(&sessions, &agent).await;
    let (mut server, _) = listener.accept().await.expect("a lane");
    drop(listener);
    let (second, _) = served(&sessions, &agent).await;
    assert_eq!(reset(second).await.0, ResetCode::TooMany);
    assert!(*agent.reaches[0].monitor.watch().borrow());
    // The first one notices nothing.
    first.write_all(b"a call").await.expect("written");
    server.read_exact(&mut [0; 6]).await.expect("the call");
}

#[tokio::test]
async fn a_lane_for_a_name_that_there_is_not() {
    let (agent, sessions) = (Arc::new(agent(services(), 4)), session());
    let (hub, lane) = lane(&sessions).await;
    soon(serve(lane, Open { nth: 1, ..Open::default() }, agent)).await;
    assert_eq!(reset(hub).await, (ResetCode::Protocol, "the agent has no such name".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn no_more_lanes_than_there_are_places() {
    let (agent, sessions) = (Arc::new(agent(services(), 2)), session());
    let (first, _) = served(&sessions, &agent).await;
    let (_second, _) = served(&sessions, &agent).await;
    let (third, _) = served(&sessions, &agent).await;
    let start = Instant::now();
    let (code, reason) = reset(third).await;
    assert_eq!(code, ResetCode::TooMany, "{reason}");
    assert_eq!(start.elapsed().as_secs(), LANE_PLACE_PATIENCE.as_secs());
    // Sessions share the places, and who is early waits for who is late.
    let other_session = session();
    let (mut fourth, _) = served(&other_session, &agent).await;
    drop(first);
    soon(fourth.read_exact(&mut [0; 9])).await.expect("SETTINGS");
}

#[tokio::test(start_paused = true)]
async fn a_dial_takes_no_longer_than_it_may() {
    let upstream = Upstream::Server("upstream:1".parse().expect("an address"));
    let (agent, sessions) = (Arc::new(agent(upstream, 4)), session());
    // As if as many dials were under way.
    let _all = agent.reaches[0].dials.acquire_many(32).await.expect("all of them");
    let (hub, _) = served(&sessions, &agent).await;
    let (code, reason) = reset(hub).await;
    assert_eq!(
        (code, &*reason),
        (ResetCode::Unreachable, "http://upstream:1: no connection within 8s")
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_dials_for_a_lane_that_is_gone() {
    let upstream = Upstream::Server("upstream:1".parse().expect("an address"));
    let (agent, sessions) = (Arc::new(agent(upstream, 4)), session());
    let _all = agent.reaches[0].dials.acquire_many(32).await.expect("all of them");
    let (hub, serving) = served(&sessions, &agent).await;
    let start = Instant::now();
    drop(hub);
    soon(serving).await.expect("no panic");
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(*agent.reaches[0].monitor.watch().borrow());
}

/// A server over TLS that says a word to whoever comes, tells how the handshake went, and stays.
async fn tls_server(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    seen: mpsc::Sender<HandshakeKind>,
) {
    let mut open = Vec::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let mut stream = acceptor.accept(tcp).await.expect("a handshake");
        let kind = stream.get_ref().1.handshake_kind().expect("it is done");
        stream.write_all(b"word").await.expect("written");
        seen.send(kind).await.expect("somebody asks");
        open.push(stream);
    }
}

/// Each lane has a TLS connection of its own, and all but the first resume: it saves the signatures and a round trip's
/// worth of certificates.
#[tokio::test]
async fn tls_sessions_are_resumed() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("made");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let server = server_config(&cert, &key, &[b"h2"]).expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = format!("https://{}", listener.local_addr().expect("an address"));
    let (seen, mut kinds) = mpsc::channel(4);
    tokio::spawn(tls_server(listener, TlsAcceptor::from(server), seen));

    let base = agent(Upstream::Server(addr.parse().expect("an address")), 4);
    let tls = UpstreamTls { trust: Trust::CaFile(cert), ..UpstreamTls::default() };
    let first = Exposed { tls, ..base.config.first.clone() };
    let config = Config { first, ..base.config.clone() };
    let agent = Arc::new(Shared::new(config).expect("a CA"));
    let sessions = session();
    let mut lanes = Vec::new();
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        let (mut hub, _) = served(&sessions, &agent).await;
        hub.read_exact(&mut [0; 4]).await.expect("its word");
        lanes.push(hub);
        assert_eq!(kinds.recv().await, Some(expected));
    }
}

/// What an idle lane costs the agent is this, its socket, and what the session keeps of it.
#[tokio::test]
async fn an_idle_lane_holds_little() {
    let (agent, sessions) = (Arc::new(agent(services(), 4)), session());
    let (_hub, lane) = lane(&sessions).await;
    let serving = serve(lane, Open::default(), agent);
    assert!(size_of_val(&serving) < 1024, "{} bytes", size_of_val(&serving));
}
