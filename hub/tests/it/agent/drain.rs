//! How a hub and an agent take leave.

use std::time::Duration;

use h2::Reason;
use tokio::net::TcpStream;
use tunnel::wire::{CloseCode, Control};
use tunnel::ws::Ended;

use crate::support::admin::get;
use crate::support::agent::{Agent, config, server};
use crate::support::client::answer;
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{grpc, message, ok};
use crate::support::raw_agent::{PROBE, RawAgent};
use crate::support::upstream::{Connections, Upstream};
use crate::support::world::World;
use crate::support::{NAME, until, within};

/// Not waited for: what is cut off should be cut off soon.
const SOON: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_running_call_ends_while_the_hub_drains() {
    let mut world = World::start().await;
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut body = world.session.call().await.begin();
    world.hub.drain();
    world.client.gone().await;
    assert_eq!(get(world.hub.admin, "/readyz").await, (503, "draining\n".to_owned()));
    assert_eq!(get(world.hub.admin, "/healthz").await.0, 200);
    TcpStream::connect(world.hub.address).await.expect_err("nobody listens");

    body.send_data(message(b"late"), false).unwrap();
    body.send_trailers(ok()).unwrap();
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.body, answer.end.expect("trailers")), (message(b"late").to_vec(), ok()));
    world.hub.ended().await;
    world.client.ended().await.expect("a clean end");
}

#[tokio::test]
async fn what_still_runs_after_the_drain_timeout_is_cut_off() {
    let config = hub::Config { drain_timeout: SOON, ..hub_config() };
    let mut world = World::start_with(config, h2::server::Builder::new()).await;
    let (unanswered, _first) = world.client.open(grpc(NAME, "/a.B/First"), true).await;
    let _unanswered_call = world.session.call().await;
    let (answered, _second) = world.client.open(grpc(NAME, "/a.B/Second"), true).await;
    let _body = world.session.call().await.begin();
    let mut answered = within("a head", answered).await.expect("a head").into_body();
    world.hub.drain();
    let refused = answer(unanswered).await.expect("an answer");
    assert_eq!((refused.grpc_status(), refused.hub_reason()), (Some("14"), Some("going-away")));
    let end = within("an end", answered.trailers()).await.expect("an end").expect("trailers");
    assert_eq!(
        (end["grpc-status"].as_bytes(), end["hub-reason"].as_bytes()),
        (&b"14"[..], &b"going-away"[..])
    );
    world.hub.ended().await;
    world.session.ended().await;
}

/// Agents are told first to dial elsewhere, and closed with 1001 after the last call.
#[tokio::test]
async fn an_agent_is_told_that_the_hub_drains() {
    let mut hub = Hub::start().await;
    let mut agent = RawAgent::shown(&hub, NAME, "instance-1").await;
    let client = hub.client().await;
    let running = client.open(grpc(NAME, "/a.B/C"), true).await;
    agent.request(PROBE).await;
    hub.drain();
    assert_eq!(agent.control().await, Control::Drain);
    drop(running);
    let closed = agent.closed().await.expect("a close frame");
    assert_eq!(closed.0, 1001, "{closed:?}");
    hub.ended().await;
}

/// So that who is told to call elsewhere finds them there.
#[tokio::test]
async fn clients_are_told_to_go_once_the_agents_are_elsewhere() {
    let mut hub = Hub::start().await;
    let mut agent = RawAgent::shown(&hub, NAME, "instance-1").await;
    let client = hub.client().await;
    let (_first, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    agent.request(PROBE).await;
    hub.drain();
    assert_eq!(agent.control().await, Control::Drain);
    let heard = agent.heard(PROBE);
    let (second, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    agent.more_than(PROBE, heard).await;
    drop(second);
    agent.say(Control::Moved).await;
    client.gone().await;
}

#[tokio::test]
async fn connections_are_accepted_for_a_while_where_balancers_need_it() {
    let config = hub::Config { shutdown_delay: Duration::MAX, ..hub_config() };
    let mut world = World::start_with(config, h2::server::Builder::new()).await;
    world.hub.drain();
    until("not ready", async || get(world.hub.admin, "/readyz").await.0 == 503).await;
    let late = world.hub.client().await;
    let (response, _sending) = late.open(grpc(NAME, "/a.B/C"), true).await;
    world.session.call().await.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
}

#[tokio::test]
async fn a_running_call_ends_while_its_agent_drains() {
    let mut world = World::start().await;
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut body = world.session.call().await.begin();
    world.agent.drain();
    world.hub.until_offline(NAME).await;
    let refused = world.client.call(grpc(NAME, "/a.B/C"), b"").await.expect("an answer");
    assert_eq!(refused.hub_reason(), Some("offline"));
    body.send_data(message(b"late"), false).unwrap();
    body.send_trailers(ok()).unwrap();
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.body, answer.end.expect("trailers")), (message(b"late").to_vec(), ok()));
    world.agent.ended().await;
    world.session.ended().await;
}

/// Of the lanes of a session that drains, those without calls end at once, and it itself after the last one.
#[tokio::test]
async fn lanes_end_while_their_agent_drains() {
    let hub = Hub::start().await;
    let (lanes, mut control) = RawAgent::register(&hub, NAME, "instance-1", "0").await.into_lanes();
    let ws = lanes.ws().clone();
    let mut connections = Connections::on_lanes(lanes);
    assert_eq!(within("a word", control.recv()).await, Some(Control::Registered));
    let (idle, busy) = (hub.client().await, hub.client().await);
    let (response, _sending) = idle.open(grpc(NAME, "/a.B/C"), true).await;
    let mut idles = connections.next().await;
    idles.call().await.answer();
    answer(response).await.expect("an answer");
    let (response, _sending) = busy.open(grpc(NAME, "/a.B/C"), true).await;
    let mut busys = connections.next().await;
    let running = busys.call().await;
    ws.send(Control::Drain);
    idles.ended().await;
    hub.until_offline(NAME).await;
    running.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
    busys.ended().await;
    until("the end", async || ws.ended().is_some()).await;
    let closed = Ended::ByPeer { code: CloseCode::Normal, reason: "drained".into() };
    assert_eq!(ws.ended(), Some(&closed));
}

#[tokio::test]
async fn what_still_runs_after_an_agents_drain_timeout_is_cut_off() {
    let hub = Hub::start().await;
    let mut upstream = Upstream::listen().await;
    let config = config(&hub, server(upstream.address));
    let mut agent = Agent::start(agent::Config { drain_timeout: SOON, ..config });
    let mut session = upstream.connection().await;
    hub.until_serving(NAME).await;
    let client = hub.client().await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    let _call = session.call().await;
    agent.drain();
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("14"), Some("session-lost")));
    agent.ended().await;
    session.ended().await;
}

/// What nobody uses is not waited for, however long the drain timeout.
#[tokio::test]
async fn an_idle_hub_stops_at_once() {
    let config = hub::Config { drain_timeout: Duration::MAX, ..hub_config() };
    let mut world = World::start_with(config, h2::server::Builder::new()).await;
    world.hub.drain();
    world.hub.ended().await;
    world.session.ended().await;
    let idle = world.client.ended().await;
    let reason = idle.err().and_then(|error| error.reason());
    assert!(reason.is_none_or(|reason| reason == Reason::NO_ERROR), "{reason:?}");
}
