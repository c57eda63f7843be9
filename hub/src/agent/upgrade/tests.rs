//! Who is let in, and when.

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::advance;
use tunnel::limits::SESSIONS_PAIRED;

use super::*;
use crate::config::Config;
use crate::limits::{REGISTRATIONS, REGISTRATIONS_LATE, TURN_LATE};

/// Somebody at a hub without tokens.
fn origin() -> Origin {
    let hub = Hub::new(Config::default()).expect("a hub");
    let (peer, stop) = (([127, 0, 0, 1], 1).into(), hub.stop.child());
    Origin { hub, peer, worker: 0, sni: None, stop }
}

fn asks(instance: usize) -> Request<()> {
    let request = Request::get(wire::PATH)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", wire::SUBPROTOCOL)
        .header(wire::HUB_NAME, "testserver")
        .header(wire::HUB_INSTANCE, instance.to_string());
    request.body(()).expect("a request")
}

/// As many agents as there are asking at once, at a hub that is behind.
async fn come(origin: &Origin, agents: usize) -> Vec<Rejection> {
    let all = (0..agents).map(async |agent| admit(&asks(agent), origin).await.err());
    let (refused, ()) = tokio::join!(join_all(all), advance(TURN_LATE));
    refused.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn a_busy_hub_asks_agents_to_come_back_soon() {
    let (origin, burst) = (origin(), REGISTRATIONS_LATE.burst as usize);
    let refused = come(&origin, 2 * burst).await;
    assert!((burst * 9 / 10..=burst).contains(&refused.len()), "{}", refused.len());
    assert_eq!(refused[0].status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused[0].reason, "busy");
    assert_eq!(refused[0].header, Some((RETRY_AFTER, RETRY_BUSY_SECONDS.into())));
    admit(&asks(0), &origin).await.expect("it has caught up");
}

/// A fleet behind one address comes again and again until all are there.
#[tokio::test(start_paused = true)]
async fn what_a_busy_hub_refuses_counts_for_nothing() {
    let origin = origin();
    let fleet = REGISTRATIONS.burst as usize / 2;
    for _ in 0..10 {
        let refused = come(&origin, fleet).await;
        assert!(refused.iter().all(|rejection| rejection.reason == "busy"), "{:?}", refused.last());
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_are_told_so_however_busy_it_is() {
    let origin = origin();
    let mut stranger = asks(0);
    stranger.headers_mut().remove(wire::HUB_NAME);
    let (refused, ()) = tokio::join!(admit(&stranger, &origin), advance(TURN_LATE));
    assert_eq!(refused.expect_err("no name").status, StatusCode::BAD_REQUEST);
}

/// Of those who are there already, none comes in that is not to take another's place.
#[tokio::test(start_paused = true)]
async fn a_busy_hub_lets_in_no_second_session_of_an_agent() {
    let origin = origin();
    let hub = &origin.hub;
    let (_, admitted) = admit(&asks(0), &origin).await.expect("the first");
    let (io, _agent) = tokio::io::duplex(1);
    let (_driver, lanes, _control) = tunnel::lanes::start(
        io,
        Bytes::new(),
        hub.config.keepalive,
        tunnel::lanes::Role::Hub,
        hub.lane_memory.clone(),
    );
    let _registration = hub.registry.register(admitted, lanes).expect("a free name");
    let late = async |slot: u16| {
        let mut request = asks(0);
        request.headers_mut().insert(wire::HUB_SLOT, slot.into());
        tokio::join!(admit(&request, &origin), advance(TURN_LATE)).0.err().map(|no| no.reason)
    };
    assert_eq!([late(0).await, late(SESSIONS_PAIRED).await], [None, None]);
    assert_eq!(late(1).await, Some(BUSY));
}
