//! A session that owes an answer gets no new calls while another does not.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use h2::Reason;
use tokio::time::timeout;
use tunnel::ws::KeepaliveConfig;

use crate::services::clients::list;
use crate::support::agent::{Agent, config, server};
use crate::support::client::{Client, answer};
use crate::support::frames::{GOAWAY, frame};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::raw_agent::{PROBE, RawAgent};
use crate::support::upstream::Upstream;
use crate::support::{NAME, until};

/// Pings often, and waits long for answers.
async fn hub() -> Hub {
    let keepalive =
        KeepaliveConfig { interval: Duration::from_millis(200), timeout: Duration::from_secs(600) };
    Hub::start_with(hub::Config { keepalive, ..hub_config() }).await
}

async fn suspects(hub: &Hub) -> u32 {
    list(hub).await.iter().map(|client| client.suspect_sessions).sum()
}

async fn call(client: &Client) {
    let answer = client.call(grpc(NAME, "/a.B/C"), b"ping").await.expect("an answer");
    assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("0"), None));
}

#[tokio::test]
async fn calls_go_to_who_answers() {
    let hub = hub().await;
    // Nothing more is read of it: as if its power were gone.
    let mut silent = RawAgent::shown(&hub, NAME, "silent").await;
    let client = hub.client().await;
    let (_on_silent, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    silent.request(PROBE).await;
    let upstream = Upstream::listen().await;
    let _healthy = Agent::start(config(&hub, server(upstream.address)));
    upstream.all().answer_all(Arc::new(AtomicUsize::new(0)));
    until("a suspicion", async || suspects(&hub).await == 1).await;
    assert_eq!(hub.metric("hub_sessions_suspect").await, 1.0);
    // Of who has a lane to the silent one, and of who has none.
    for client in [client, hub.client().await] {
        for _ in 0..10 {
            call(&client).await;
        }
    }
    // It is heard of again, and trusted again.
    tokio::select! {
        () = silent.goes_on() => {}
        () = until("no suspicion", async || suspects(&hub).await == 0) => {}
    }
}

/// What was done meanwhile comes to a server all at once, and it may take that for an attack.
#[tokio::test]
async fn nobody_is_blamed_for_what_a_silence_has_gathered() {
    let hub = hub().await;
    let mut silent = RawAgent::shown(&hub, NAME, "silent").await;
    let client = hub.client().await;
    let (first, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    silent.request(PROBE).await;
    until("a suspicion", async || suspects(&hub).await == 1).await;
    tokio::select! {
        () = silent.goes_on() => {}
        () = until("no suspicion", async || suspects(&hub).await == 0) => {}
    }
    let calm = u32::from(Reason::ENHANCE_YOUR_CALM).to_be_bytes();
    silent.send(PROBE, &frame(GOAWAY, 0, 0, &[&[0; 4], &calm[..]].concat())).await;
    // Whatever becomes of it.
    let _ = answer(first).await;
    let (_second, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    silent.opened().await;
}

/// Better a doubtful one than none.
#[tokio::test]
async fn where_all_are_suspect_they_are_called_all_the_same() {
    let hub = hub().await;
    let mut silent = RawAgent::shown(&hub, NAME, "silent").await;
    until("a suspicion", async || suspects(&hub).await == 1).await;
    let client = hub.client().await;
    let (_call, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    // The first lane has been left to the agent by now.
    let lane = silent.opened().await;
    silent.request(lane).await;
}

/// Whose place another one takes is asked whether it is still there, and need not wait for the keepalive.
#[tokio::test]
async fn when_another_instance_comes_the_others_are_probed() {
    let hub = hub().await;
    let dead = RawAgent::shown(&hub, NAME, "dead").await;
    let alive = RawAgent::shown(&hub, NAME, "alive").await;
    let upstream = Upstream::listen().await;
    let _new = Agent::start(config(&hub, server(upstream.address)));
    // This one answers as long as it is read.
    let lives = timeout(Duration::from_secs(600), alive.closed());
    tokio::select! {
        closed = lives => panic!("closed: {closed:?}"),
        () = until("the dead one gone", async || list(&hub).await.len() == 2) => {}
    }
    drop(dead);
}
