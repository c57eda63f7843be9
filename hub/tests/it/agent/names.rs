//! Several names of one agent, with an upstream each, on the same sessions.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::Exposed;
use http::{HeaderValue, StatusCode};
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tunnel::lanes::Lanes;
use tunnel::setting::Setting;
use tunnel::wire::Control;

use crate::services::clients::list;
use crate::support::agent::{Agent, exposing, server};
use crate::support::auth_file::{AuthFile, Entry, agent, caller, guarded_hub};
use crate::support::client::{Answer, Client, answer};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::until;
use crate::support::upstream::{Connections, Upstream};

/// What an agent is told of a server that has this name.
fn named(name: &str, address: SocketAddr) -> Exposed {
    Exposed::new(name.parse().unwrap(), server(address))
}

/// An agent of the names `a` and `b`.
fn config(hub: &Hub, a: SocketAddr, b: SocketAddr) -> agent::Config {
    agent::Config { others: vec![named("b", b)], ..exposing(hub, named("a", a)) }
}

async fn call(client: &Client, name: &str) -> Answer {
    client.request(grpc(name, "/a.B/C")).await.expect("an answer")
}

#[tokio::test]
async fn each_has_its_own_upstream() {
    let hub = Hub::start().await;
    let (a, b) = (Upstream::listen().await, Upstream::listen().await);
    let mut agent = Agent::start(config(&hub, a.address, b.address));
    hub.until_serving("a").await;
    hub.until_serving("b").await;
    let (mut a, mut b) = (a.all(), b.all());
    let client = hub.client().await;
    let (of_a, _sending) = client.open(grpc("a", "/a.B/C"), true).await;
    let (of_b, _sending) = client.open(grpc("b", "/a.B/C"), true).await;
    let (at_a, at_b) = (a.call().await, b.call().await);
    assert_eq!((at_a.header("name"), at_b.header("name")), (Some("a"), Some("b")));
    let listed: Vec<_> = list(&hub).await.into_iter().map(|one| (one.name, one.lanes)).collect();
    assert_eq!(listed, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    let count = async |what: &str| hub.metric(what).await;
    assert_eq!((count("hub_sessions").await, count("hub_agents").await), (1.0, 2.0));
    // Both finish what runs, when the agent takes leave.
    agent.drain();
    hub.until_offline("a").await;
    hub.until_offline("b").await;
    assert_eq!(call(&client, "b").await.hub_reason(), Some("offline"));
    at_a.answer();
    at_b.answer();
    for response in [of_a, of_b] {
        assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
    }
    until("its end", async || count("hub_agents").await == 0.0).await;
}

#[tokio::test]
async fn one_may_be_away_while_another_serves() {
    let hub = Hub::start().await;
    let (a, b) = (Upstream::listen().await, Upstream::listen().await);
    let at_b = b.address;
    b.close().await;
    let _agent = Agent::start(config(&hub, a.address, at_b));
    hub.until_serving("a").await;
    hub.until("b", ServingStatus::NotServing, None).await;
    let (client, mut a) = (hub.client().await, a.all());
    let (of_a, _sending) = client.open(grpc("a", "/a.B/C"), true).await;
    let running = a.call().await;
    assert_eq!(call(&client, "b").await.hub_reason(), Some("upstream-unreachable"));
    let b = Upstream::listen_at(at_b, h2::server::Builder::new(), None).await;
    b.all().answer_all(Arc::new(AtomicUsize::new(0)));
    hub.until_serving("b").await;
    assert_eq!(call(&client, "b").await.grpc_status(), Some("0"));
    running.answer();
    assert_eq!(answer(of_a).await.expect("an answer").grpc_status(), Some("0"));
    assert_eq!(hub.metric("hub_registrations_total").await, 1.0, "one session all the while");
}

/// With one name alone the session would end: nobody could call on it.
#[tokio::test]
async fn one_that_speaks_no_http2_takes_no_other_along() {
    let hub = Hub::start().await;
    let (a, other) = (Upstream::listen().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let at_b = other.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = other.accept().await {
            let _ = tcp.write_all(b"220 mail.test ESMTP\r\n").await;
        }
    });
    let _agent = Agent::start(config(&hub, a.address, at_b));
    a.all().answer_all(Arc::new(AtomicUsize::new(0)));
    hub.until("b", ServingStatus::NotServing, None).await;
    let client = hub.client().await;
    assert_eq!(call(&client, "b").await.hub_reason(), Some("upstream-unreachable"));
    assert_eq!(call(&client, "a").await.grpc_status(), Some("0"));
    let probed = async || hub.metric("hub_lanes_opened_total{outcome=\"not-http2\"}").await;
    assert!(probed().await >= 1.0);
    assert_eq!(hub.metric("hub_registrations_total").await, 1.0, "one session all the while");
}

#[tokio::test]
async fn all_are_registered_or_none() {
    let exclusive = Entry { ownership: "exclusive", ..agent("alone", "*") };
    let hub = guarded_hub(&[agent("some", "a*"), exclusive, caller("ops", "*")]).await;
    let refused = async |token: &str, names: &str| {
        let headers = [("hub-name", names), ("hub-instance", names), ("hub-token", token)];
        RawAgent::connect(&hub, &headers).await.err().expect("a refusal")
    };
    let (status, sentence) = refused("some", "a1;b1;a2").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(sentence.trim(), "the token is not good for the name \"b1\"");
    let headers = [("hub-name", "b;c"), ("hub-instance", "first"), ("hub-token", "alone")];
    let mut first = RawAgent::connect(&hub, &headers).await.expect("an upgrade");
    first.accept().await;
    first.accept().await;
    assert_eq!(first.control().await, Control::Registered);
    let (status, sentence) = refused("alone", "d;c").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(sentence.trim(), "the name \"c\" has another agent, which is alive");
    // Nothing of those that were refused is there.
    let client = hub.client().await;
    for name in ["a1", "a2", "d"] {
        let mut request = grpc(name, "/a.B/C");
        request.headers_mut().insert("hub-token", HeaderValue::from_static("ops"));
        let answer = client.request(request).await.expect("an answer");
        assert_eq!(answer.hub_reason(), Some("unknown-name"), "{name}");
    }
}

/// The agent is told once, when each has been tried.
#[tokio::test]
async fn a_lane_says_which_it_is_for() {
    let hub = Hub::start().await;
    let mut agent = RawAgent::register(&hub, "a;b;c", "i", "0").await;
    let mut opened = Vec::new();
    for _ in 0..3 {
        opened.push(agent.accept_for().await.1);
    }
    opened.sort_unstable();
    assert_eq!(opened, [0, 1, 2]);
    assert_eq!(agent.control().await, Control::Registered);
    agent.say(Control::Upstream { up: false, nth: 1 }).await;
    hub.until("b", ServingStatus::NotServing, None).await;
    hub.until_serving("a").await;
    hub.until_serving("c").await;
    // Of a name that it has not, nobody knows.
    agent.say(Control::Upstream { up: false, nth: 3 }).await;
    agent.say(Control::Upstream { up: true, nth: 1 }).await;
    assert_eq!(agent.accept_for().await.1, 1);
    hub.until_serving("b").await;
}

/// Of two lanes each has one, and callers of one name take no other's.
#[tokio::test]
async fn they_share_the_lanes_alike() {
    let hub = Hub::start().await;
    let (a, b) = (Upstream::listen().await, Upstream::listen().await);
    let max_lanes = Setting::Value(NonZeroU32::new(2).expect("some"));
    let _agent = Agent::start(agent::Config { max_lanes, ..config(&hub, a.address, b.address) });
    hub.until_serving("a").await;
    hub.until_serving("b").await;
    b.all().answer_all(Arc::new(AtomicUsize::new(0)));
    let (mut a, client) = (a.all(), hub.client().await);
    let (_response, _sending) = client.open(grpc("a", "/a.B/C"), true).await;
    let _running = a.call().await;
    let another = hub.client().await;
    let full = async { call(&another, "a").await };
    let served = async {
        for _ in 0..3 {
            assert_eq!(call(&hub.client().await, "b").await.grpc_status(), Some("0"));
        }
    };
    let (full, ()) = tokio::join!(full, served);
    assert_eq!(full.hub_reason(), Some("limit"));
}

/// As many as there are names, each has one: nobody is left out for good.
#[tokio::test]
async fn there_are_no_fewer_lanes_than_names() {
    let hub = Hub::start().await;
    let (a, b) = (Upstream::listen().await, Upstream::listen().await);
    let max_lanes = Setting::Value(NonZeroU32::MIN);
    let _agent = Agent::start(agent::Config { max_lanes, ..config(&hub, a.address, b.address) });
    for (name, upstream) in [("a", a), ("b", b)] {
        upstream.all().answer_all(Arc::new(AtomicUsize::new(0)));
        hub.until_serving(name).await;
        assert_eq!(call(&hub.client().await, name).await.grpc_status(), Some("0"));
    }
}

/// Who takes one name over takes no other along; and not before it serves that one.
#[tokio::test]
async fn they_are_taken_over_one_by_one() {
    let owner = Entry { ownership: "takeover", ..agent("owner", "*") };
    let hub = guarded_hub(&[owner, caller("ops", "*")]).await;
    let register = async |names: &str, instance: &str| {
        let headers = [("hub-name", names), ("hub-instance", instance), ("hub-token", "owner")];
        RawAgent::connect(&hub, &headers).await.expect("an upgrade")
    };
    let first = Served::of(register("a;b", "first").await, [true, true]);
    for name in ["a", "b"] {
        hub.until(name, ServingStatus::Serving, Some("ops")).await;
    }
    // Of its two, only one is there.
    let second = Served::of(register("a;b", "second").await, [true, false]);
    let client = hub.client().await;
    let calls = async |name: &'static str| {
        let mut request = grpc(name, "/a.B/C");
        request.headers_mut().insert("hub-token", HeaderValue::from_static("ops"));
        let answer = client.request(request).await.expect("an answer");
        assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("0"), None), "{name}");
    };
    let count = |served: &Served, nth: usize| served.calls[nth].load(Ordering::Relaxed);
    until("a taken over", async || {
        calls("a").await;
        count(&second, 0) > 0
    })
    .await;
    let before = count(&first, 1);
    calls("b").await;
    assert_eq!((count(&first, 1), count(&second, 1)), (before + 1, 0));
    assert!(first.lanes.ws().ended().is_none());
    second.serves[1].cancel();
    let ended = async || first.lanes.ws().ended().is_some();
    until("the end of who has no name left", ended).await;
    calls("b").await;
    assert_eq!((count(&first, 1), count(&second, 1)), (before + 1, 1));
    assert_eq!(hub.metric("hub_sessions_replaced_total").await, 1.0);
}

/// An agent of two names, whose calls are counted.
struct Served {
    lanes: Lanes,
    calls: [Arc<AtomicUsize>; 2],
    serves: [CancellationToken; 2],
}

impl Served {
    /// With these upstreams; the others say nothing until they are to.
    fn of(agent: RawAgent, is_there: [bool; 2]) -> Self {
        let (lanes, _control) = agent.into_lanes();
        let (calls, serves): ([Arc<AtomicUsize>; 2], [CancellationToken; 2]) = Default::default();
        for (serves, _) in serves.iter().zip(is_there).filter(|(_, is_there)| *is_there) {
            serves.cancel();
        }
        let (accepted, counts, gates) = (lanes.clone(), calls.clone(), serves.clone());
        tokio::spawn(async move {
            while let Some((lane, open)) = accepted.accept().await {
                let nth = usize::from(open.nth);
                let (count, gate) = (counts[nth].clone(), gates[nth].clone());
                tokio::spawn(async move {
                    gate.cancelled().await;
                    Connections::on_lane(lane).all().answer_all(count);
                });
            }
        });
        Self { lanes, calls, serves }
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_for_one_any_more_ends_the_session_of_all() {
    let file = AuthFile::new(&[agent("some", "*"), caller("ops", "*")]);
    let hub = Hub::start_with(file.config()).await;
    let headers = [("hub-name", "a;b"), ("hub-instance", "i"), ("hub-token", "some")];
    let mut session = RawAgent::connect(&hub, &headers).await.expect("an upgrade");
    for _ in 0..2 {
        session.accept().await;
    }
    assert_eq!(session.control().await, Control::Registered);
    file.write(&[agent("some", "b"), caller("ops", "*")]);
    hub.reload().await;
    let (code, reason) = session.closed().await.expect("a close frame");
    assert_eq!((code, &*reason), (1008, "the token is not good for the name any more"));
}

/// Calls that last while the session is replaced, and short ones all the while.
#[tokio::test]
async fn a_session_is_replaced_under_all_of_them_and_no_call_is_lost() {
    let young = Some(Duration::from_millis(500));
    let hub = hub::Config { max_connection_age: young, ..hub_config() };
    let hub = Hub::start_with(hub).await;
    let (a, b) = (Upstream::listen().await, Upstream::listen().await);
    let _agent = Agent::start(config(&hub, a.address, b.address));
    hub.until_serving("a").await;
    hub.until_serving("b").await;
    let client = hub.client().await;
    let (mut running, mut answered) = (Vec::new(), Vec::new());
    for (name, upstream) in [("a", a), ("b", b)] {
        let mut connections = upstream.all();
        running.push(client.open(grpc(name, "/a.B/C"), true).await);
        answered.push(connections.call().await);
        connections.answer_all(Arc::new(AtomicUsize::new(0)));
    }
    until("sessions that were replaced", async || {
        let client = hub.client().await;
        for name in ["a", "b"] {
            assert_eq!(call(&client, name).await.grpc_status(), Some("0"), "{name}");
        }
        hub.metric("hub_registrations_total").await >= 4.0
    })
    .await;
    for (call, (response, _sending)) in answered.into_iter().zip(running) {
        call.answer();
        assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
    }
}
