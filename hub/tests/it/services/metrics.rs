//! The admin listener: every call is counted once, however it ends, and what else there is to be seen.

use tunnel::lanes::ResetCode;
use tunnel::lanes::frame::reset;

use crate::services::clients::{list, until_sessions};
use crate::support::admin::{exchange, get};
use crate::support::agent::{Agent, config, server};
use crate::support::client::answer;
use crate::support::hub::Hub;
use crate::support::message::{grpc, grpc_head, message};
use crate::support::raw_agent::{PROBE, RawAgent};
use crate::support::upstream::Upstream;
use crate::support::world::World;
use crate::support::{NAME, until};

fn calls(target: &str, outcome: &str, reason: &str) -> String {
    format!(
        "hub_calls_total{{target=\"{target}\",outcome=\"{outcome}\",hub_reason=\"{reason}\",via=\"local\"}}"
    )
}

async fn until_idle(hub: &Hub) {
    until("none in flight", async || hub.metric("hub_streams_in_flight").await == 0.0).await;
}

#[tokio::test]
async fn calls_are_counted_once_however_they_end() {
    let mut world = World::start().await;
    world.one_of_each().await;
    let hub = &world.hub;
    until_idle(hub).await;
    for (line, count) in [
        (calls("agent", "OK", "none"), 1.0),
        (calls("agent", "NOT_FOUND", "none"), 1.0),
        (calls("agent", "RESET", "none"), 2.0),
        (calls("agent", "UNAVAILABLE", "unknown-name"), 1.0),
        (calls("agent", "UNAVAILABLE", "session-lost"), 1.0),
        (calls("hub", "UNIMPLEMENTED", "no-name"), 1.0),
        (calls("hub", "OK", "none"), 1.0),
        // The watch by which the test has waited for the agent.
        (calls("hub", "RESET", "none"), 1.0),
    ] {
        assert_eq!(hub.metric(&line).await, count, "{line}");
    }
    let (_, text) = get(hub.admin, "/metrics").await;
    let counts = text.lines().filter(|line| line.starts_with("hub_calls_total{"));
    let total: f64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    assert_eq!(total, 9.0, "{text}");
    let of_kind = |kind| format!("hub_call_duration_seconds_count{{kind=\"{kind}\"}}");
    assert_eq!(hub.metric(&of_kind("unary")).await, 4.0);
    assert_eq!(hub.metric(&of_kind("refused")).await, 3.0);
    assert_eq!(hub.metric(&of_kind("hub")).await, 2.0);
    // Of a whole answer, and of one that is nothing but its head.
    assert_eq!(hub.metric("hub_call_head_seconds_count{kind=\"unary\"}").await, 2.0);
}

impl World {
    /// A call for each way to end.
    async fn one_of_each(&mut self) {
        let (response, _sending) = self.client.open(grpc(NAME, "/a.B/Answered"), true).await;
        self.session.call().await.answer();
        answer(response).await.expect("an answer");

        let (response, _sending) = self.client.open(grpc(NAME, "/a.B/Failed"), true).await;
        let mut head = grpc_head();
        head.headers_mut().insert("grpc-status", 5.into());
        self.session.call().await.respond.send_response(head, true).unwrap();
        answer(response).await.expect("an answer");

        let (_response, mut sending) = self.client.open(grpc(NAME, "/a.B/GivenUp"), false).await;
        let mut call = self.session.call().await;
        sending.send_reset(h2::Reason::CANCEL);
        call.reset().await;

        let (response, _sending) = self.client.open(grpc(NAME, "/a.B/Reset"), true).await;
        self.session.call().await.respond.send_reset(h2::Reason::INTERNAL_ERROR);
        answer(response).await.expect_err("a reset");

        self.client.request(grpc("nobody", "/a.B/Refused")).await.expect("an answer");
        self.client.request(grpc("", "/a.B/NoName")).await.expect("an answer");
        let list = self.client.call(grpc("", "/hub.v1.Hub/ListClients"), b"").await;
        assert_eq!(list.expect("a list").grpc_status(), Some("0"));

        let (response, _sending) = self.client.open(grpc(NAME, "/a.B/Lost"), true).await;
        let _held = self.session.call().await;
        self.session.ends.kill();
        answer(response).await.expect("an answer");
    }
}

#[tokio::test]
async fn bytes_are_counted_by_direction() {
    let mut world = World::start().await;
    let line = |direction| format!("hub_call_bytes_total{{direction=\"{direction}\"}}");
    let before = world.hub.metric(&line("response")).await;
    let (response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
    sending.send_data(message(&[0; 1000]), true).unwrap();
    let mut call = world.session.call().await;
    call.body().await.1.expect("a clean end");
    let mut body = call.begin();
    body.send_data(message(&[0; 2000]), true).unwrap();
    answer(response).await.expect("an answer");
    let hub = &world.hub;
    // They are told in lots, and once the connection is through with its calls.
    let all = async || {
        let counts = [hub.metric(&line("request")).await, hub.metric(&line("response")).await];
        counts == [1005.0, before + 2005.0]
    };
    until("all bytes", all).await;
}

#[tokio::test]
async fn agents_and_connections_are_counted() {
    let hub = Hub::start().await;
    let upstream = Upstream::listen().await;
    let config = agent::Config { sessions: Some(3), ..config(&hub, server(upstream.address)) };
    let mut agent = Agent::start(config);
    until_sessions(&hub, 3).await;
    for (line, count) in
        [("hub_agents", 1.0), ("hub_sessions", 3.0), ("hub_registrations_total", 3.0)]
    {
        // A session counts as registered once the server was seen.
        until(line, async || hub.metric(line).await == count).await;
    }
    let client = hub.client().await;
    client.request(grpc("", "/any")).await.expect("an answer");
    until("one client", async || hub.metric("hub_client_connections").await == 1.0).await;
    client.cut();
    until("no client", async || hub.metric("hub_client_connections").await == 0.0).await;
    agent.drain();
    agent.ended().await;
    until("no session", async || hub.metric("hub_sessions").await == 0.0).await;
    assert_eq!(hub.metric("hub_agents").await, 0.0);
    let version = format!("hub_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(hub.metric(&version).await, 1.0);
}

/// Each is a connection of a caller, but for the first: until somebody calls, it is nobody's.
#[tokio::test]
async fn lanes_are_counted_with_what_came_of_them() {
    let hub = Hub::start().await;
    let mut agent = RawAgent::shown(&hub, NAME, "instance-1").await;
    let opened = |outcome| format!("hub_lanes_opened_total{{outcome=\"{outcome}\"}}");
    let counts = async || {
        loop {
            let counts = [
                hub.metric("hub_lanes").await,
                hub.metric(&opened("opened")).await,
                hub.metric(&opened("unreachable")).await,
            ];
            let clients = list(&hub).await;
            // Between the two, a lane may have come or gone.
            if f64::from(clients[0].lanes) == counts[0] {
                return (counts, clients[0].upstream_unreachable);
            }
        }
    };
    assert_eq!(counts().await, ([1.0, 1.0, 0.0], false));
    let first = hub.client().await;
    let (response, _sending) = first.open(grpc(NAME, "/a.B/C"), true).await;
    agent.request(PROBE).await;
    agent.answer(PROBE).await;
    answer(response).await.expect("an answer");
    assert_eq!(counts().await, ([1.0, 1.0, 0.0], false));
    let second = hub.client().await;
    let (response, _sending) = second.open(grpc(NAME, "/a.B/C"), true).await;
    let lane = agent.accept().await;
    agent.request(lane).await;
    agent.answer(lane).await;
    answer(response).await.expect("an answer");
    assert_eq!(counts().await, ([2.0, 2.0, 0.0], false));
    let third = hub.client().await;
    let (response, _sending) = third.open(grpc(NAME, "/a.B/C"), true).await;
    let lane = agent.opened().await;
    agent.lane_frame(reset(lane, ResetCode::Unreachable, 0, "refused")).await;
    let told = answer(response).await.expect("an answer");
    assert_eq!(told.hub_reason(), Some("upstream-unreachable"));
    assert_eq!(counts().await, ([2.0, 2.0, 1.0], true));
    first.cut();
    agent.ended(PROBE).await;
    until("its end", async || counts().await == ([1.0, 2.0, 1.0], true)).await;
}

#[tokio::test]
async fn refused_registrations_are_counted_by_reason() {
    let hub = Hub::start().await;
    let refused = RawAgent::connect(&hub, &[("hub-name", "Bad Name"), ("hub-instance", "i")]).await;
    assert_eq!(refused.err().map(|(status, _)| status.as_u16()), Some(400));
    let line = "hub_registration_refusals_total{reason=\"bad-request\"}";
    assert_eq!(hub.metric(line).await, 1.0);
}

#[tokio::test]
async fn the_admin_listener_serves_what_probes_ask_for() {
    let hub = Hub::start().await;
    assert_eq!(get(hub.admin, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(hub.admin, "/readyz").await.0, 200);
    assert_eq!(get(hub.admin, "/nothing").await.0, 404);
    assert_eq!(get(hub.admin, "/ws").await.0, 404);
    let post =
        "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert!(exchange(hub.admin, post).await.starts_with("HTTP/1.1 405 "));
}
