//! What callers share, none of them takes whole: an upstream's patience with cancelled calls, its streams,
//! its connection's window, and the hub's own places.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use h2::server::Builder;
use h2::{Reason, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tunnel::limits::{
    CANCELS, CANCELS_REPLACED, CANCELS_WAITING, HANDSHAKES, OWN_CALLS, REGISTRATIONS,
};
use tunnel::program::raise_open_files;

use crate::support::admin::exchange;
use crate::support::agent::{Agent, config, server};
use crate::support::client::{Client, answer};
use crate::support::frames::{PREFACE, SETTINGS, frame};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{grpc, message};
use crate::support::upstream::{Call, Connection, Upstream};
use crate::support::world::World;
use crate::support::{NAME, until, within};

/// A call of this client is answered, whatever else waits at the upstream.
pub(crate) async fn assert_served(
    client: &Client,
    session: &mut Connection,
    payload: &'static [u8],
) {
    let (called, ()) = tokio::join!(client.call(grpc(NAME, "/a.B/Served"), payload), async {
        // Others that come before are held: to drop one would be an answer, and make room.
        let mut others = Vec::new();
        loop {
            let mut call = session.call().await;
            if call.request.uri().path() == "/a.B/Served" {
                assert_eq!(call.body().await.0, message(payload));
                return call.answer();
            }
            others.push(call);
        }
    });
    assert_eq!(called.expect("an answer").grpc_status(), Some("0"));
}

/// So many calls that the upstream has begun to answer.
async fn answered(client: &Client, session: &mut Connection, n: u32) -> (Calls, Vec<Answering>) {
    let (mut calls, mut answering) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let (response, sending) = client.open(grpc(NAME, "/a.B/Many"), false).await;
        let mut call = session.call().await;
        let body = call.begin();
        within("a head", response).await.expect("a head");
        calls.push(sending);
        answering.push((call, body));
    }
    (calls, answering)
}

type Calls = Vec<SendStream<Bytes>>;
type Answering = (Call, SendStream<Bytes>);

/// How many of them have been cancelled so far.
async fn cancelled(answering: &mut [Answering]) -> usize {
    tokio::task::yield_now().await;
    let mut cancelled = 0;
    for (_, body) in answering {
        cancelled +=
            usize::from(poll!(std::pin::pin!(poll_fn(|cx| body.poll_reset(cx)))).is_ready());
    }
    cancelled
}

/// Netty ends a connection after 200 cancelled calls within 30 s. (The upstream here is h2, whose guard
/// against calls that it has not seen, of 20, stands as it is by default.)
#[tokio::test]
async fn cancels_reach_an_upstream_in_turn() {
    const CALLS: u32 = 200;
    let mut world = World::start().await;
    let client = world.hub.client().await;
    let (calls, mut answering) = answered(&client, &mut world.session, CALLS).await;
    drop((client, calls));
    until("the first ones", async || cancelled(&mut answering).await >= CANCELS as usize).await;
    assert_served(&world.client, &mut world.session, b"not behind them").await;
    assert!(cancelled(&mut answering).await < CANCELS as usize + 20, "the others wait");
}

/// A client with many long streams is lost: the upstream does not serve nobody for many minutes.
#[tokio::test]
async fn a_session_on_which_cancels_pile_up_is_replaced() {
    const CALLS: u32 = CANCELS + 2 * CANCELS_REPLACED as u32;
    let mut config = hub_config();
    config.keepalive.interval = Duration::from_millis(200);
    let mut world = World::start_with(config, Builder::new()).await;
    let lost = world.hub.client().await;
    let (_calls, mut answering) = answered(&lost, &mut world.session, CALLS).await;
    lost.cut();
    let mut next = world.upstream.connection().await;
    until("the next session", async || world.hub.metric("hub_registrations_total").await == 2.0)
        .await;
    assert_served(&world.client, &mut next, b"on the next one").await;
    until("all", async || cancelled(&mut answering).await == CALLS as usize).await;
}

#[tokio::test]
async fn an_agent_may_say_that_its_upstream_bears_any_number_of_cancels() {
    const CALLS: u32 = 200;
    let hub = Hub::start().await;
    let mut upstream = Upstream::listen().await;
    let patient = agent::Config { max_cancels: Some(0), ..config(&hub, server(upstream.address)) };
    let _agent = Agent::start(patient);
    let mut session = upstream.connection().await;
    hub.until_serving(NAME).await;
    let client = hub.client().await;
    let (calls, mut answering) = answered(&client, &mut session, CALLS).await;
    drop((client, calls));
    until("all", async || cancelled(&mut answering).await == CALLS as usize).await;
}

/// Calls that nobody has seen yet, cancelled by the thousand: h2's guard of 20 must not notice.
#[tokio::test]
async fn cancels_of_unseen_calls_do_not_trip_an_upstreams_guard() {
    const CALLS: usize = 1000;
    let mut world = World::start().await;
    let storm = world.hub.client().await;
    for _ in 0..CALLS {
        drop(storm.open(grpc(NAME, "/a.B/Storm"), false).await);
    }
    assert_served(&world.client, &mut world.session, b"unharmed").await;
    assert_eq!(world.hub.metric("hub_registrations_total").await, 1.0);
}

/// Who has too many cancelled calls waiting begins no more; others do.
#[tokio::test]
async fn a_caller_with_too_many_cancelled_calls_gets_no_new_ones() {
    let mut world = World::start().await;
    let client = world.hub.client().await;
    let many = CANCELS + CANCELS_WAITING as u32 + 20;
    let (calls, _answering) = answered(&client, &mut world.session, many).await;
    drop(calls);
    let refused = async || {
        let call = client.request(grpc(NAME, "/a.B/More")).await.expect("an answer");
        call.hub_reason() == Some("limit") && call.grpc_status() == Some("8")
    };
    // The hub learns of the cancels one by one, and lets calls pass until it has; nobody answers those.
    let mut tries = Vec::new();
    until("the limit", async || {
        tries.push(client.open(grpc(NAME, "/a.B/More"), true).await);
        world.hub.metric("hub_limits_reached_total{limit=\"cancels\"}").await > 0.0
    })
    .await;
    assert!(refused().await);
    assert_served(&world.client, &mut world.session, b"unharmed").await;
}

/// Of sixteen streams, a caller alone gets fourteen; whoever comes next finds one.
#[tokio::test]
async fn nobody_takes_all_streams_of_an_upstream() {
    let upstream = Builder::new().max_concurrent_streams(16).clone();
    let mut world = World::start_with(hub_config(), upstream).await;
    let hog = world.hub.client().await;
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(hog.open(grpc(NAME, "/a.B/Hog"), true).await);
    }
    let mut held = Vec::new();
    for _ in 0..14 {
        held.push(world.session.call().await);
    }
    assert_served(&world.client, &mut world.session, b"one is left").await;
}

/// The upstream's connection takes 64 KiB in all. A caller whose uploads are not read has most of it.
#[tokio::test]
async fn nobody_fills_the_window_of_an_upstreams_connection() {
    let mut world = World::start().await;
    let hog = world.hub.client().await;
    let mut uploads = Vec::new();
    for _ in 0..8 {
        let (response, mut sending) = hog.open(grpc(NAME, "/a.B/Hog"), false).await;
        sending.send_data(vec![0; 64 << 10].into(), false).unwrap();
        uploads.push((response, sending, world.session.call().await));
    }
    for _ in 0..20 {
        assert_served(&world.client, &mut world.session, b"there is room for this").await;
    }
}

/// A server that ends its connections now and then (nginx does after 1000 requests) is not offline meanwhile.
#[tokio::test]
async fn calls_wait_for_a_session_that_is_being_replaced() {
    let mut world = World::start().await;
    let (held, _held) = world.client.open(grpc(NAME, "/a.B/Held"), true).await;
    let held_call = world.session.call().await;
    let World { hub, mut upstream, session, client, agent: _agent } = world;
    session.ends.go_away().await;
    // What is on its way to the old session is still answered there.
    session.answer_all(Arc::default());
    let replaced = async { upstream.connection().await.answer_all(Arc::default()) };
    let calls = async {
        while hub.metric("hub_registrations_total").await < 2.0 {
            match client.call(grpc(NAME, "/a.B/C"), b"ping").await {
                Ok(call) => assert_eq!(call.grpc_status(), Some("0"), "{call:?}"),
                // It came too late for the old session, which gRPC clients repeat.
                Err(error) => assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM)),
            }
        }
    };
    tokio::join!(replaced, calls);
    held_call.answer();
    assert_eq!(answer(held).await.expect("an answer").grpc_status(), Some("0"));
}

#[tokio::test]
async fn a_client_has_so_many_calls_to_the_hub_itself() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let mut watches = Vec::new();
    for _ in 0..OWN_CALLS {
        let (response, mut sending) =
            client.open(grpc("", "/grpc.health.v1.Health/Watch"), false).await;
        sending.send_data(message(b""), true).unwrap();
        let watch = within("a watch", response).await.expect("a head");
        watches.push(watch);
    }
    let check = || grpc("", "/grpc.health.v1.Health/Check");
    let refused = client.call(check(), b"").await.expect("an answer");
    assert_eq!((refused.hub_reason(), refused.grpc_status()), (Some("limit"), Some("8")));
    let other = hub.client().await;
    assert_eq!(other.call(check(), b"").await.expect("an answer").grpc_status(), Some("0"));
    assert_eq!(hub.metric("hub_limits_reached_total{limit=\"own-calls\"}").await, 1.0);
    drop(watches);
    let served =
        async || client.call(check(), b"").await.expect("an answer").hub_reason().is_none();
    until("a place", served).await;
}

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
        let _ = tokio::io::AsyncWriteExt::write_all(&mut next, &hello.concat()).await;
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
    while refused.is_none() && asked < 4 * REGISTRATIONS as usize {
        let answers = (0..AT_ONCE).map(|_| exchange(hub.address, &request));
        let answers = futures_util::future::join_all(answers).await;
        refused = answers.into_iter().find(|answer| answer.starts_with("HTTP/1.1 429"));
        asked += AT_ONCE;
    }
    let refused = refused.expect("a refusal");
    assert!(refused.contains("\r\nretry-after: 5\r\n"), "{refused}");
    assert!(hub.metric("hub_limits_reached_total{limit=\"registrations\"}").await > 0.0);
}
