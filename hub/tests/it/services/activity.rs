//! hub.v1.Activity/Connect: what happens, as it happens.

use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use hub_proto::hub::v1::activity_client::ActivityClient;
use hub_proto::hub::v1::{ActivityEvent, ConnectRequest, EventType};
use tonic::transport::Endpoint;
use tonic::{Code, Streaming};
use tunnel::wire::Control;
use tunnel::ws::KeepaliveConfig;

use crate::support::agent::{Agent, config, server};
use crate::support::frames::{GOAWAY, frame};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{grpc, message};
use crate::support::raw_agent::{PROBE, RawAgent};
use crate::support::service::Test;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until, within};

/// Watches a hub that is open to everybody.
async fn watch(hub: &Hub, window: u32) -> Streaming<ActivityEvent> {
    let endpoint = Endpoint::from_shared(format!("http://{}", hub.address)).unwrap();
    let endpoint = endpoint.initial_stream_window_size(window);
    let channel = within("a connection", endpoint.connect()).await.expect("connected");
    let watch = ActivityClient::new(channel).connect(ConnectRequest::default()).await;
    watch.expect("a watch").into_inner()
}

/// The next event, of lanes or of anything else.
async fn any(events: &mut Streaming<ActivityEvent>) -> ActivityEvent {
    within("an event", events.message()).await.expect("an event").expect("a watch without an end")
}

/// The next event that is not of lanes or sessions.
async fn next(events: &mut Streaming<ActivityEvent>) -> ActivityEvent {
    loop {
        let event = any(events).await;
        if event.lane.is_none() && event.session.is_none() {
            return event;
        }
    }
}

#[tokio::test]
async fn an_agent_comes_is_called_and_leaves() {
    let hub = Hub::start().await;
    let mut events = watch(&hub, 65_535).await;
    let upstream = server(Test::new().serve_tcp().await);
    let config = agent::Config { instance: "instance-1".into(), ..config(&hub, upstream) };
    let mut agent = Agent::start(config);
    let registered = next(&mut events).await;
    assert_eq!(registered.r#type(), EventType::ClientRegistered);
    assert_eq!((&*registered.name, &*registered.instance), (NAME, "instance-1"));
    assert_eq!((registered.call, registered.missed), (None, 0));
    assert!(registered.time.is_some());

    let client = hub.client().await;
    client.call(grpc(NAME, "/test.v1.Test/Echo"), b"hello").await.expect("an answer");
    let proxied = next(&mut events).await;
    assert_eq!(proxied.r#type(), EventType::RequestProxied);
    assert_eq!((&*proxied.name, &*proxied.instance), (NAME, "instance-1"));
    let call = proxied.call.expect("a call");
    assert_eq!((&*call.method, &*call.status, &*call.hub_reason), ("/test.v1.Test/Echo", "OK", ""));
    let bytes = message(b"hello").len() as u64;
    assert_eq!((call.request_bytes, call.response_bytes), (bytes, bytes));
    assert!(call.duration.is_some_and(|duration| duration.nanos > 0));

    agent.drain();
    let unregistered = next(&mut events).await;
    assert_eq!(unregistered.r#type(), EventType::ClientUnregistered);
    assert_eq!((&*unregistered.name, &*unregistered.instance), (NAME, "instance-1"));
    let numbers = [registered.sequence, proxied.sequence, unregistered.sequence];
    assert!(numbers.is_sorted_by(|earlier, later| earlier < later), "{numbers:?}");
}

/// A caller's connection to the agent's server, from its beginning to its end.
#[tokio::test]
async fn lanes_are_told_of() {
    let hub = Hub::start().await;
    let mut events = watch(&hub, 65_535).await;
    let mut agent = RawAgent::shown(&hub, NAME, "instance-1").await;
    let session = agent.headers["hub-session-id"].clone();
    let opened = any(&mut events).await;
    assert_eq!(opened.r#type(), EventType::LaneOpened);
    let lane = opened.lane.expect("a lane");
    assert_eq!((&*opened.name, &*opened.instance), (NAME, "instance-1"));
    assert_eq!((&*lane.session, lane.open, &*lane.error), (session.to_str().unwrap(), 1, ""));
    assert_eq!(any(&mut events).await.r#type(), EventType::ClientRegistered);
    let why = u32::from(Reason::ENHANCE_YOUR_CALM).to_be_bytes();
    agent.send(PROBE, &frame(GOAWAY, 0, 0, &[&[0; 4], &why[..]].concat())).await;
    let ended = any(&mut events).await;
    assert_eq!(ended.r#type(), EventType::LaneEnded);
    let lane = ended.lane.expect("a lane");
    assert_eq!((&*lane.session, lane.open), (session.to_str().unwrap(), 0));
    assert!(lane.error.contains("ENHANCE_YOUR_CALM"), "{lane:?}");
}

#[tokio::test]
async fn calls_that_fail_are_told_with_how_they_ended() {
    let hub = Hub::start().await;
    let _agent = Agent::start(config(&hub, server(Test::new().serve_tcp().await)));
    hub.until_serving(NAME).await;
    let mut events = watch(&hub, 65_535).await;
    let client = hub.client().await;
    client.call(grpc("nobody", "/a.B/C"), b"").await.expect("an answer");
    client.call(grpc(NAME, "/test.v1.Test/Fail"), b"").await.expect("an answer");
    client.call(grpc(NAME, "/no.Service/Method"), b"").await.expect("an answer");
    let (response, _sending) = client.open(grpc(NAME, "/test.v1.Test/Join"), false).await;
    drop((response, _sending));
    for (method, status, reason) in [
        ("/a.B/C", "UNAVAILABLE", "unknown-name"),
        ("/test.v1.Test/Fail", "FAILED_PRECONDITION", ""),
        ("/no.Service/Method", "UNIMPLEMENTED", ""),
        ("/test.v1.Test/Join", "RESET CANCEL", ""),
    ] {
        let call = next(&mut events).await.call.expect("a call");
        assert_eq!((&*call.method, &*call.status, &*call.hub_reason), (method, status, reason));
    }
}

/// The next event of a session, and which one it is about.
async fn of_session(events: &mut Streaming<ActivityEvent>) -> (EventType, String) {
    loop {
        let event = any(events).await;
        if let Some(session) = &event.session {
            return (event.r#type(), session.id.clone());
        }
    }
}

#[tokio::test]
async fn sessions_are_told_of_that_are_silent_drain_or_lose_their_place() {
    let keepalive =
        KeepaliveConfig { interval: Duration::from_millis(100), timeout: Duration::from_secs(600) };
    let hub = Hub::start_with(hub::Config { keepalive, ..hub_config() }).await;
    let mut events = watch(&hub, 65_535).await;
    let id = |agent: &RawAgent| agent.headers["hub-session-id"].to_str().unwrap().to_owned();
    // Nothing more is read of it for a while.
    let mut agent = RawAgent::shown(&hub, NAME, "instance-1").await;
    let session = id(&agent);
    assert_eq!(of_session(&mut events).await, (EventType::SessionSuspect, session.clone()));
    let hears = async {
        loop {
            agent.opened().await;
        }
    };
    tokio::select! {
        () = hears => {}
        told = of_session(&mut events) => assert_eq!(told, (EventType::SessionHealthy, session.clone())),
    }
    let mut new = RawAgent::register(&hub, NAME, "instance-1", "0").await;
    let session = (EventType::SessionReplaced, session);
    while of_session(&mut events).await != session {}
    new.say(Control::Drain).await;
    let session = (EventType::SessionDraining, id(&new));
    while of_session(&mut events).await != session {}
}

/// How long a call has waited, and how often it was sent.
#[tokio::test]
async fn calls_are_told_with_what_became_of_them_on_the_way() {
    let park_timeout = Duration::from_secs(600);
    let hub = Hub::start_with(hub::Config { park_timeout, ..hub_config() }).await;
    let mut events = watch(&hub, 65_535).await;
    let client = hub.client().await;
    let calls = tokio::spawn(async move { client.call(grpc(NAME, "/a.B/C"), b"").await });
    until("a call that waits", async || hub.metric("hub_calls_parked").await == 1.0).await;
    let mut upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&hub, server(upstream.address)));
    let mut first = upstream.connection().await;
    first.call().await.respond.send_reset(Reason::REFUSED_STREAM);
    upstream.all().answer_all(Arc::default());
    first.answer_all(Arc::default());
    calls.await.unwrap().expect("an answer");
    let told = loop {
        if let Some(call) = next(&mut events).await.call {
            break call;
        }
    };
    assert!(told.parked.is_some_and(|parked| parked.nanos > 0 || parked.seconds > 0), "{told:?}");
    assert_eq!((&*told.status, told.replays), ("OK", 1));
    assert_eq!(hub.metric("hub_call_replays_total").await, 1.0);
}

/// A watcher that does not read loses events, and is told how many; calls do not wait for it.
#[tokio::test]
async fn a_slow_watcher_misses_events_and_slows_nobody() {
    const CALLS: usize = 3000;
    let hub = Hub::start().await;
    let mut events = watch(&hub, 1024).await;
    let client = hub.client().await;
    for i in 0..CALLS {
        let answer = client.request(grpc("nobody", &format!("/call/{i}"))).await;
        assert_eq!(answer.expect("an answer").hub_reason(), Some("unknown-name"));
    }
    let (mut sequence, mut missed, mut seen) = (0, 0, 0);
    while seen + missed < CALLS as u64 {
        let event = next(&mut events).await;
        assert_eq!(event.sequence, sequence + event.missed + 1, "not all that is missing is told");
        sequence = event.sequence;
        missed += event.missed;
        seen += 1;
    }
    assert!(missed > 0, "nothing was lost, so nothing was tested");
}

#[tokio::test]
async fn a_watch_ends_with_the_hub() {
    let mut hub = Hub::start().await;
    let mut events = watch(&hub, 65_535).await;
    hub.drain();
    assert_eq!(any(&mut events).await.r#type(), EventType::HubDraining);
    let status = within("the end", events.message()).await.expect_err("an end with a reason");
    assert_eq!(status.code(), Code::Unavailable);
    hub.ended().await;
}
