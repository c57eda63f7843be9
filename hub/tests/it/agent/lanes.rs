//! Each caller has its own connection to an agent's server: what a server does to one, no other notices.

use std::num::NonZeroU32;
use std::pin::pin;

use h2::Reason;
use http::{HeaderValue, Request};
use hub::limits::{LANE_EVICTED_AFTER, PENALTY_MIN};
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use tokio::time::Instant;
use tunnel::lanes::ResetCode;
use tunnel::lanes::frame::{fin, reset};
use tunnel::setting::Setting;

use crate::support::agent::{Agent, config, server};
use crate::support::auth_file::{agent, caller, guarded_hub, token_file};
use crate::support::client::{Client, answer};
use crate::support::frames::{GOAWAY, frame};
use crate::support::hub::Hub;
use crate::support::message::{grpc, headers};
use crate::support::pair::Pair;
use crate::support::peer::Settings;
use crate::support::raw_agent::{PROBE, RawAgent};
use crate::support::upstream::{Connection, Upstream};
use crate::support::{NAME, until, within};

/// An agent whose server's connections are told apart.
struct World {
    hub: Hub,
    upstream: Upstream,
    _agent: Agent,
}

impl World {
    async fn start() -> Self {
        Self::start_with(|config| config).await
    }

    async fn start_with(change: impl Fn(agent::Config) -> agent::Config) -> Self {
        let hub = Hub::start().await;
        let upstream = Upstream::listen().await;
        let agent = Agent::start(change(config(&hub, server(upstream.address))));
        hub.until_serving(NAME).await;
        Self { hub, upstream, _agent: agent }
    }
}

/// A call that is answered on this connection.
async fn served(client: &Client, connection: &mut Connection) {
    served_with(client, connection, |request| request).await;
}

async fn served_with(
    client: &Client,
    connection: &mut Connection,
    edit: impl Fn(Request<()>) -> Request<()>,
) {
    let (response, _sending) = client.open(edit(grpc(NAME, "/a.B/C")), true).await;
    connection.call().await.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
}

#[tokio::test]
async fn each_client_connection_has_its_own() {
    let mut world = World::start().await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        let client = world.hub.client().await;
        let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
        // The first one's stands ready since the agent has registered.
        let mut connection = world.upstream.connection().await;
        connection.call().await.answer();
        answer(response).await.expect("an answer");
        connections.push((client, connection));
    }
    for (client, connection) in &mut connections {
        for _ in 0..2 {
            served(client, connection).await;
        }
    }
    assert!(!world.upstream.connections.has_next());
}

/// The agent keeps the connection by which the hub has seen its server, and watches it; the hub keeps nothing of it.
#[tokio::test]
async fn an_agent_that_nobody_calls_has_no_lane_and_is_watched() {
    let mut world = World::start().await;
    let probe = world.upstream.connection().await;
    until("no lane", async || world.hub.metric("hub_lanes").await == 0.0).await;
    world.upstream.close().await;
    probe.ends.kill();
    world.hub.until(NAME, ServingStatus::NotServing, None).await;
}

/// A server may serve its connections one after the other.
#[tokio::test]
async fn the_first_caller_after_that_takes_the_place_of_the_connection() {
    let mut world = World::start().await;
    let mut probe = world.upstream.connection().await;
    until("no lane", async || world.hub.metric("hub_lanes").await == 0.0).await;
    let client = world.hub.client().await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    probe.ended().await;
    world.upstream.connection().await.call().await.answer();
    answer(response).await.expect("an answer");
}

/// As a front has that pools its users' calls, and passes their credentials on.
#[tokio::test]
async fn so_has_each_caller_on_one_client_connection() {
    let entries = [agent("agent-token", "*"), caller("one", "*"), caller("two", "*")];
    let hub = guarded_hub(&entries).await;
    let (_folder, token_file) = token_file("agent-token");
    let mut upstream = Upstream::listen().await;
    let config = config(&hub, server(upstream.address));
    let _agent = Agent::start(agent::Config { token_file: Some(token_file), ..config });
    let mut first = upstream.connection().await;
    until("registered", async || hub.metric("hub_registrations_total").await == 1.0).await;
    let client = hub.client().await;
    let with = |token| {
        move |mut request: Request<()>| {
            request.headers_mut().insert("hub-token", HeaderValue::from_static(token));
            request
        }
    };
    served_with(&client, &mut first, with("one")).await;
    let (response, _sending) = client.open(with("two")(grpc(NAME, "/a.B/C")), true).await;
    let mut second = upstream.connection().await;
    second.call().await.answer();
    answer(response).await.expect("an answer");
    for _ in 0..2 {
        served_with(&client, &mut first, with("one")).await;
        served_with(&client, &mut second, with("two")).await;
    }
    assert!(!upstream.connections.has_next());
}

/// The hub takes leave of the upstream as of anybody: GOAWAY with NO_ERROR, and the end.
#[tokio::test]
async fn a_client_that_leaves_ends_its_lane() {
    let hub = Hub::start().await;
    for (name, cuts) in [("cuts", true), ("takes-leave", false)] {
        let (client, upstream) = (Settings::default(), Settings::default());
        let mut pair = Pair::start(&hub, name, client, upstream).await;
        pair.call(1, name).await;
        if cuts {
            pair.client.cut().await;
        } else {
            pair.client.go_away(0, Reason::NO_ERROR.into());
            pair.client.flush().await;
        }
        let ended = async {
            while !pair.upstream.ended {
                pair.upstream.hear().await.expect("frames by the rules");
            }
        };
        within("the end of the lane", ended).await;
        assert_eq!(pair.upstream.gone_away.map(|(_, code)| code), Some(Reason::NO_ERROR.into()));
    }
}

/// A server's guard: who has tripped it is told so, is not dialled again at once, and nobody else notices.
#[tokio::test]
async fn a_caller_that_its_server_has_cut_off() {
    let mut world = World::start().await;
    let (culprit, other) = (world.hub.client().await, world.hub.client().await);
    let mut first = world.upstream.connection().await;
    let (cut_off, _cut_off) = culprit.open(grpc(NAME, "/a.B/Culprit"), true).await;
    let _held = first.call().await;
    let (running, _running) = other.open(grpc(NAME, "/a.B/Other"), true).await;
    let mut second = world.upstream.connection().await;
    let held = second.call().await;

    let start = Instant::now();
    first.ends.go_away_for(Reason::ENHANCE_YOUR_CALM);
    let lost = answer(cut_off).await.expect("an answer");
    assert_eq!(lost.hub_reason(), Some("session-lost"));
    let told = culprit.call(grpc(NAME, "/a.B/Again"), b"").await.expect("an answer");
    assert_eq!((told.grpc_status(), told.hub_reason()), (Some("8"), Some("upstream-closed")));
    let why = told.metadata("grpc-message").expect("a message");
    assert!(why.contains("ENHANCE_YOUR_CALM"), "{why}");
    let closed = "hub_limits_reached_total{limit=\"upstream-closed\"}";
    assert_eq!(world.hub.metric(closed).await, 1.0);

    held.answer();
    assert_eq!(answer(running).await.expect("an answer").grpc_status(), Some("0"));
    served(&other, &mut second).await;
    assert!(!world.upstream.connections.has_next());
    assert_eq!(world.hub.metric("hub_registrations_total").await, 1.0);

    let again = async {
        loop {
            let (response, sending) = culprit.open(grpc(NAME, "/a.B/Again"), true).await;
            let mut answered = pin!(answer(response));
            tokio::select! {
                mut connection = world.upstream.connection() => {
                    connection.call().await.answer();
                    return answered.await.expect("an answer");
                }
                told = &mut answered => {
                    assert_eq!(told.expect("an answer").hub_reason(), Some("upstream-closed"));
                    drop(sending);
                }
            }
        }
    };
    let again = within("another connection", again).await;
    assert!(start.elapsed() >= PENALTY_MIN, "{:?}", start.elapsed());
    assert_eq!(again.grpc_status(), Some("0"));
}

fn takes(lanes: u32, config: agent::Config) -> agent::Config {
    let max_lanes = Setting::Value(NonZeroU32::new(lanes).expect("some"));
    agent::Config { max_lanes, ..config }
}

/// As many as the agent takes: for a new caller, the one goes that has been idle longest.
#[tokio::test]
async fn where_all_lanes_are_taken_the_one_idle_longest_goes() {
    let mut world = World::start_with(|config| takes(2, config)).await;
    let clients = [world.hub.client().await, world.hub.client().await, world.hub.client().await];
    let mut first = world.upstream.connection().await;
    served(&clients[0], &mut first).await;
    let (response, _sending) = clients[1].open(grpc(NAME, "/a.B/C"), true).await;
    let mut second = world.upstream.connection().await;
    second.call().await.answer();
    answer(response).await.expect("an answer");
    served(&clients[0], &mut first).await;
    // The second one has been idle for longer by now.
    let (response, _sending) = clients[2].open(grpc(NAME, "/a.B/C"), true).await;
    second.ended().await;
    let mut third = world.upstream.connection().await;
    third.call().await.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
    served(&clients[0], &mut first).await;
}

/// What has calls stays, and there is none for who comes then, after a while.
#[tokio::test]
async fn where_all_lanes_have_calls_there_is_none_for_others() {
    let mut world = World::start_with(|config| takes(1, config)).await;
    let (busy, other) = (world.hub.client().await, world.hub.client().await);
    let mut first = world.upstream.connection().await;
    let (running, _running) = busy.open(grpc(NAME, "/a.B/C"), true).await;
    let held = first.call().await;
    let start = Instant::now();
    let told = other.call(grpc(NAME, "/a.B/C"), b"").await.expect("an answer");
    assert_eq!((told.grpc_status(), told.hub_reason()), (Some("8"), Some("limit")));
    assert!(start.elapsed() > LANE_EVICTED_AFTER, "{:?}", start.elapsed());
    held.answer();
    assert_eq!(answer(running).await.expect("an answer").grpc_status(), Some("0"));
    served(&busy, &mut first).await;
}

/// As hypercorn 0.18 does: it says that it leaves, calls what was on its way to it an error, and hangs up. That is
/// nobody's fault, unless it is a guard that has had enough.
#[tokio::test]
async fn a_server_that_leaves_and_then_finds_fault() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    for (name, reason) in [("fault", Reason::PROTOCOL_ERROR), ("guard", Reason::ENHANCE_YOUR_CALM)]
    {
        let mut agent = RawAgent::shown(&hub, name, "instance-1").await;
        let (first, _first) = client.open(grpc(name, "/a.B/First"), true).await;
        agent.request(PROBE).await;
        let leaves = |reason: Reason| {
            frame(GOAWAY, 0, 0, &[1, u32::from(reason)].map(u32::to_be_bytes).concat())
        };
        let said = [leaves(Reason::NO_ERROR), leaves(reason)].concat();
        agent.send(PROBE, &said).await;
        agent.lane_frame(fin(PROBE, Some(agent.heard(PROBE)))).await;
        let lost = answer(first).await.expect("an answer");
        assert_eq!(lost.hub_reason(), Some("session-lost"), "{name}");

        let (second, _second) = client.open(grpc(name, "/a.B/Second"), true).await;
        if reason == Reason::ENHANCE_YOUR_CALM {
            let told = answer(second).await.expect("an answer");
            assert_eq!(told.hub_reason(), Some("upstream-closed"));
            continue;
        }
        let lane = within("another lane", agent.accept()).await;
        agent.request(lane).await;
        agent.answer(lane).await;
        assert_eq!(answer(second).await.expect("an answer").grpc_status(), Some("0"));
    }
}

/// What the agent had not written to its server's socket before that hung up, the server has never seen.
#[tokio::test]
async fn a_call_that_was_never_delivered_may_be_made_again() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let finish: fn(u64) -> _ = |delivered| fin(PROBE, Some(delivered));
    let end: fn(u64) -> _ = |delivered| reset(PROBE, ResetCode::Closed, delivered, "gone");
    for (name, ends) in [("finished", finish), ("reset", end)] {
        let mut agent = RawAgent::shown(&hub, name, "instance-1").await;
        let (first, _first) = client.open(grpc(name, "/a.B/First"), true).await;
        agent.request(PROBE).await;
        let delivered = agent.heard(PROBE);
        let (second, _second) = client.open(grpc(name, "/a.B/Second"), true).await;
        agent.more_than(PROBE, delivered).await;
        agent.lane_frame(ends(delivered)).await;
        let lost = answer(first).await.expect("an answer");
        assert_eq!(lost.hub_reason(), Some("session-lost"), "{name}");
        // The agent itself is there, and goes on to say so; only its server says nothing on another lane.
        let refused = tokio::select! {
            answered = answer(second) => answered.expect_err("a reset"),
            () = agent.goes_on() => unreachable!("it ends with the test"),
        };
        assert_eq!(refused.reason(), Some(Reason::REFUSED_STREAM), "{name}");
    }
}

/// Trailers are no head: a call whose head was delivered may have been acted on, whatever followed it.
#[tokio::test]
async fn a_call_whose_trailers_were_not_delivered_is_not_made_again() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let mut agent = RawAgent::shown(&hub, NAME, "instance-1").await;
    let (first, mut sending) = client.open(grpc(NAME, "/a.B/First"), false).await;
    agent.request(PROBE).await;
    let before = agent.heard(PROBE);
    let (second, _sending) = client.open(grpc(NAME, "/a.B/Second"), false).await;
    agent.more_than(PROBE, before).await;
    let delivered = agent.heard(PROBE);
    sending.send_trailers(headers([("x-checksum", "1")])).unwrap();
    agent.more_than(PROBE, delivered).await;
    agent.lane_frame(fin(PROBE, Some(delivered))).await;
    for response in [first, second] {
        let lost = answer(response).await.expect("an answer");
        assert_eq!(lost.hub_reason(), Some("session-lost"));
    }
}

/// Of a session that is lost, nobody knows what was delivered.
#[tokio::test]
async fn a_call_on_a_session_that_is_lost_is_not_made_again() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let mut agent = RawAgent::shown(&hub, NAME, "instance-1").await;
    let (response, _sending) = client.open(grpc(NAME, "/a.B/C"), true).await;
    agent.request(PROBE).await;
    drop(agent);
    let lost = answer(response).await.expect("an answer");
    assert_eq!((lost.grpc_status(), lost.hub_reason()), (Some("14"), Some("session-lost")));
}
