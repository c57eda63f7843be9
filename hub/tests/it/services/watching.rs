//! hub.v1.Activity/Connect: which events a watcher asks for, where it goes on, and what is about no agent.

use hub_proto::hub::v1::activity_client::ActivityClient;
use hub_proto::hub::v1::{ActivityEvent, ConnectRequest, EventType};
use tokio::net::TcpStream;
use tonic::{Code, Streaming};

use crate::support::auth_file::{agent, caller, guarded_hub};
use crate::support::grpc::with_token;
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::within;

type Events = Streaming<ActivityEvent>;

async fn connect(hub: &Hub, request: ConnectRequest, token: Option<&str>) -> Result<Events, Code> {
    let mut client = ActivityClient::new(hub.channel().await);
    let watched = within("a watch", client.connect(with_token(request, token))).await;
    watched.map(tonic::Response::into_inner).map_err(|status| status.code())
}

async fn watch(hub: &Hub, names: &[&str], types: &[EventType], after: &str) -> Events {
    connect(hub, asked(names, types, after), None).await.expect("a watch")
}

fn asked(names: &[&str], types: &[EventType], after: &str) -> ConnectRequest {
    ConnectRequest {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        types: types.iter().map(|&kind| kind as i32).collect(),
        after: after.to_owned(),
        ..ConnectRequest::default()
    }
}

async fn next(events: &mut Events) -> ActivityEvent {
    within("an event", events.message()).await.expect("an event").expect("a watch without an end")
}

/// Its type and name, where nothing was missed before it.
fn told(event: &ActivityEvent) -> (EventType, &str) {
    assert_eq!(event.missed, 0, "{event:?}");
    (event.r#type(), &event.name)
}

async fn call(hub: &Hub, name: &str) {
    hub.client().await.call(grpc(name, "/a.B/C"), b"").await.expect("an answer");
}

const REGISTERED: EventType = EventType::ClientRegistered;
const PROXIED: EventType = EventType::RequestProxied;

#[tokio::test]
async fn only_what_is_asked_for_is_told() {
    let hub = Hub::start().await;
    let mut berlin = watch(&hub, &["berlin-*", "paris"], &[], "").await;
    let mut comes = watch(&hub, &[], &[REGISTERED], "").await;
    let mut both = watch(&hub, &["berlin-*"], &[REGISTERED, PROXIED], "").await;
    for name in ["rome", "berlin", "berlin-1", "paris"] {
        call(&hub, name).await;
    }
    let _rome = RawAgent::shown(&hub, "rome", "i").await;
    let _berlin = RawAgent::shown(&hub, "berlin-1", "i").await;
    assert_eq!(told(&next(&mut berlin).await), (PROXIED, "berlin-1"));
    assert_eq!(told(&next(&mut berlin).await), (PROXIED, "paris"));
    assert_eq!(told(&next(&mut berlin).await), (EventType::LaneOpened, "berlin-1"));
    assert_eq!(told(&next(&mut comes).await), (REGISTERED, "rome"));
    assert_eq!(told(&next(&mut comes).await), (REGISTERED, "berlin-1"));
    assert_eq!(told(&next(&mut both).await), (PROXIED, "berlin-1"));
    assert_eq!(told(&next(&mut both).await), (REGISTERED, "berlin-1"));
}

#[tokio::test]
async fn whoever_comes_back_hears_what_it_has_missed() {
    let hub = Hub::start().await;
    let types = [REGISTERED, PROXIED];
    let mut events = watch(&hub, &[], &types, "").await;
    let _one = RawAgent::shown(&hub, "one", "i").await;
    let first = next(&mut events).await;
    assert_eq!(told(&first), (REGISTERED, "one"));
    drop(events);
    call(&hub, "nobody").await;
    let _two = RawAgent::shown(&hub, "two", "i").await;
    let mut again = watch(&hub, &[], &types, &first.cursor).await;
    assert_eq!(told(&next(&mut again).await), (PROXIED, "nobody"));
    let last = next(&mut again).await;
    assert_eq!(told(&last), (REGISTERED, "two"));
    // And then whatever happens.
    let mut after_all = watch(&hub, &[], &types, &last.cursor).await;
    call(&hub, "somebody").await;
    for events in [&mut again, &mut after_all] {
        assert_eq!(told(&next(events).await), (PROXIED, "somebody"));
    }
}

/// What nobody watched is kept but for calls and lanes, which are counted.
#[tokio::test]
async fn a_cursor_of_another_hub_is_the_beginning() {
    let hub = Hub::start().await;
    call(&hub, "nobody").await;
    let _one = RawAgent::shown(&hub, "one", "i").await;
    let mut comes = watch(&hub, &[], &[REGISTERED], "another.1000.1000").await;
    assert_eq!(told(&next(&mut comes).await), (REGISTERED, "one"));
    let mut all = watch(&hub, &[], &[], "another.1000.1000").await;
    let first = next(&mut all).await;
    // The call, and the lane by which the server was found.
    assert_eq!((first.r#type(), &*first.name, first.missed), (REGISTERED, "one", 2));
}

#[tokio::test]
async fn what_is_no_filter_and_no_cursor_is_refused() {
    let hub = Hub::start().await;
    for request in [asked(&["Berlin"], &[], ""), asked(&["a"; 65], &[], ""), asked(&[], &[], "x")] {
        assert_eq!(connect(&hub, request, None).await.err(), Some(Code::InvalidArgument));
    }
}

async fn refused(hub: &Hub, name: &'static str, token: &'static str) {
    let headers = [("hub-name", name), ("hub-instance", "i"), ("hub-token", token)];
    RawAgent::connect(hub, &headers).await.err().expect("a refusal");
}

#[tokio::test]
async fn registrations_that_are_refused_are_told_of() {
    let entries = [agent("agent", "*"), caller("ops", "*"), caller("guest", "guest-*")];
    let hub = guarded_hub(&entries).await;
    let kinds = asked(&[], &[EventType::RegistrationRefused], "");
    let mut ops = connect(&hub, kinds.clone(), Some("ops")).await.expect("a watch");
    let mut guest = connect(&hub, kinds, Some("guest")).await.expect("a watch");
    refused(&hub, "berlin", "wrong").await;
    refused(&hub, "Bad Name", "agent").await;
    refused(&hub, "guest-1;berlin", "wrong").await;
    for (name, reason) in
        [("berlin", "unauthenticated"), ("", "bad-request"), ("guest-1", "unauthenticated")]
    {
        let event = next(&mut ops).await;
        assert_eq!(told(&event), (EventType::RegistrationRefused, name));
        let refusal = event.refusal.expect("a refusal");
        assert_eq!(refusal.reason, reason);
        assert!(refusal.address.starts_with("127.0.0.1:"), "{refusal:?}");
    }
    assert_eq!(next(&mut guest).await.name, "guest-1");
}

#[tokio::test]
async fn limits_that_are_reached_are_told_of() {
    let hub = Hub::start_with(hub::Config { max_connections: 1, ..hub_config() }).await;
    let mut events = watch(&hub, &[], &[EventType::LimitReached], "").await;
    let one_more = TcpStream::connect(hub.address).await.expect("connected");
    let event = next(&mut events).await;
    assert_eq!(told(&event), (EventType::LimitReached, ""));
    let limit = event.limit.expect("a limit");
    let peer = one_more.local_addr().expect("an address").to_string();
    assert_eq!((&*limit.limit, limit.address, limit.untold), ("connections", peer, 0));
}

#[tokio::test]
async fn a_hub_tells_that_it_ends_before_its_watchers_go() {
    let entries = [caller("guest", "guest-*")];
    let mut hub = guarded_hub(&entries).await;
    let request = asked(&[], &[], "");
    let mut events = connect(&hub, request, Some("guest")).await.expect("a watch");
    hub.drain();
    assert_eq!(told(&next(&mut events).await), (EventType::HubDraining, ""));
    let end = within("the end", events.message()).await.expect_err("an end with a reason");
    assert_eq!(end.metadata().get("hub-reason").expect("a reason"), "going-away");
    hub.ended().await;
}
