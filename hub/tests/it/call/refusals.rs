//! What the hub answers in an agent's stead: statuses, `hub-reason`, and a sentence.

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::{HeaderValue, Method, Request};
use hub::limits::{LANES_OF_AGENT, STREAM_QUEUE_MAX};

use crate::support::client::{Answer, Client, answer};
use crate::support::frames::{
    DATA, END_HEADERS, FrameConnection, HEADERS, PING, frame, request_head,
};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{grpc, message, plain, receive_exactly};
use crate::support::upstream::Call;
use crate::support::world::World;
use crate::support::{NAME, until, within};

/// What a refusal must look like, for gRPC and for other HTTP.
struct Refusal {
    grpc: &'static str,
    http: u16,
    reason: &'static str,
}

const SESSION_LOST: Refusal = Refusal { grpc: "14", http: 502, reason: "session-lost" };

impl Refusal {
    /// Makes the request `edit` makes of a head, as gRPC and as plain HTTP.
    async fn expect(&self, client: &Client, edit: impl Fn(&mut Request<()>)) {
        let mut call = grpc("", "/a.B/C");
        edit(&mut call);
        self.is_grpc(&client.call(call, b"ping").await.expect("an answer"));
        let mut get = plain(Method::GET, "", "/any");
        edit(&mut get);
        self.is_plain(&client.request(get).await.expect("an answer"));
        let mut head = plain(Method::HEAD, "", "/any");
        edit(&mut head);
        let answer = client.request(head).await.expect("an answer");
        assert_eq!((answer.http_status(), answer.hub_reason()), (self.http, Some(self.reason)));
        assert!(answer.head_only);
    }

    fn is_grpc(&self, answer: &Answer) {
        assert_eq!(answer.hub_reason(), Some(self.reason), "{answer:?}");
        assert_eq!(answer.grpc_status(), Some(self.grpc), "{answer:?}");
        assert_eq!((answer.http_status(), answer.head_only), (200, true), "{answer:?}");
        assert_eq!(answer.metadata("content-type"), Some("application/grpc"));
        assert!(answer.metadata("grpc-message").is_some_and(|text| text.len() > 10), "{answer:?}");
    }

    fn is_plain(&self, answer: &Answer) {
        assert_eq!(answer.hub_reason(), Some(self.reason), "{answer:?}");
        assert_eq!((answer.http_status(), answer.grpc_status()), (self.http, None), "{answer:?}");
        assert!(answer.end.is_ok(), "{answer:?}");
        let body = str::from_utf8(&answer.body).expect("text");
        assert!(body.len() > 10 && body.ends_with('\n'), "{body:?}");
    }
}

fn name(value: &'static [u8]) -> impl Fn(&mut Request<()>) {
    move |request| {
        request.headers_mut().append("name", HeaderValue::from_bytes(value).unwrap());
    }
}

#[tokio::test]
async fn without_a_name() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let refusal = Refusal { grpc: "12", http: 404, reason: "no-name" };
    refusal.expect(&client, |_| ()).await;
}

#[tokio::test]
async fn with_a_bad_name() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let refusal = Refusal { grpc: "3", http: 400, reason: "bad-name" };
    for bad in [&b""[..], b"Upper", b"-edge", b"sp ace", b"a/b", "tür".as_bytes(), &[b'x'; 129]] {
        refusal.expect(&client, name(bad)).await;
    }
    let twice = |request: &mut Request<()>| {
        name(NAME.as_bytes())(request);
        name(NAME.as_bytes())(request);
    };
    refusal.expect(&client, twice).await;
}

#[tokio::test]
async fn with_a_name_that_nobody_has_registered() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let refusal = Refusal { grpc: "14", http: 503, reason: "unknown-name" };
    refusal.expect(&client, name(b"nobody")).await;
    refusal.expect(&client, name(&[b'x'; 128])).await;
}

#[tokio::test]
async fn for_an_agent_that_has_left() {
    let mut world = World::start().await;
    world.agent.drain();
    world.agent.ended().await;
    world.hub.until_offline(NAME).await;
    let refusal = Refusal { grpc: "14", http: 503, reason: "offline" };
    refusal.expect(&world.client, name(NAME.as_bytes())).await;
}

#[tokio::test]
async fn connect_is_not_supported() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let mut request = Request::builder().method(Method::CONNECT).uri("host.test:443");
    request = request.header("name", NAME);
    let (response, _tunnel) = client.open(request.body(()).unwrap(), false).await;
    let answer = answer(response).await.expect("an answer");
    assert_eq!((answer.http_status(), answer.hub_reason()), (405, Some("no-connect")));
}

// --- limit ---

const LIMIT: Refusal = Refusal { grpc: "8", http: 429, reason: "limit" };

/// A world whose upstream takes one call at once on each connection.
async fn one_call_at_once(hub: hub::Config) -> World {
    let upstream = h2::server::Builder::new().max_concurrent_streams(1).clone();
    World::start_with(hub, upstream).await
}

type Held = Vec<(Call, ResponseFuture, SendStream<Bytes>)>;

/// Calls on all connections that a client may have.
async fn hold_all(world: &mut World, client: &Client) -> Held {
    let mut held = Vec::new();
    for _ in 0..LANES_OF_AGENT {
        let (response, sending) = client.open(grpc(NAME, "/a.B/Held"), true).await;
        held.push((world.session.call().await, response, sending));
    }
    held
}

async fn let_go(held: Held) {
    for (call, response, _sending) in held {
        call.answer();
        answer(response).await.expect("an answer");
    }
}

#[tokio::test]
async fn a_call_waits_for_a_free_stream_for_a_while() {
    let mut world = one_call_at_once(hub_config()).await;
    let client = world.hub.client().await;
    let mut held = hold_all(&mut world, &client).await;
    let (refused, refused_plain) = tokio::join!(
        client.call(grpc(NAME, "/a.B/Refused"), b"ping"),
        client.request(plain(Method::GET, NAME, "/refused")),
    );
    LIMIT.is_grpc(&refused.expect("an answer"));
    LIMIT.is_plain(&refused_plain.expect("an answer"));

    let (second, _second) = client.open(grpc(NAME, "/a.B/Second"), true).await;
    let (hub, all) = (&world.hub, held.len() as f64 + 1.0);
    until("all at the hub", async || hub.metric("hub_streams_in_flight").await == all).await;
    let (third, _third) = client.open(grpc(NAME, "/a.B/Third"), true).await;
    let_go(vec![held.pop().expect("a call")]).await;
    for (path, response) in [("/a.B/Second", second), ("/a.B/Third", third)] {
        let call = world.session.call().await;
        assert_eq!(call.request.uri().path(), path, "who waits is not overtaken");
        call.answer();
        assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
    }
    let_go(held).await;
}

/// Where calls wait there is an end, and each client has a queue of its own.
#[tokio::test]
async fn the_queue_for_streams_has_an_end_and_is_nobody_elses() {
    let more = hub::Config { max_calls: 2 * STREAM_QUEUE_MAX as u32, ..hub_config() };
    let mut world = one_call_at_once(more).await;
    let many = world.hub.client().await;
    let held = hold_all(&mut world, &many).await;
    let mut waiting = Vec::new();
    for _ in 0..STREAM_QUEUE_MAX {
        waiting.push(many.open(grpc(NAME, "/a.B/Waiting"), true).await);
    }
    let hub = &world.hub;
    let all = (held.len() + STREAM_QUEUE_MAX) as f64;
    until("all at the hub", async || hub.metric("hub_streams_in_flight").await == all).await;
    LIMIT.expect(&many, name(NAME.as_bytes())).await;
    assert_eq!(hub.metric("hub_limits_reached_total{limit=\"streams\"}").await, 3.0);
    world.assert_unharmed().await;
    let_go(held).await;
}

// --- session lost ---

#[tokio::test]
async fn when_the_upstream_is_lost_before_the_response_head() {
    let mut world = World::start().await;
    let (call, _call) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let (get, _get) = world.client.open(plain(Method::GET, NAME, "/any"), true).await;
    let _held = (world.session.call().await, world.session.call().await);
    world.session.ends.kill();
    SESSION_LOST.is_grpc(&answer(call).await.expect("an answer"));
    SESSION_LOST.is_plain(&answer(get).await.expect("an answer"));
}

#[tokio::test]
async fn when_the_upstream_is_lost_after_the_response_head() {
    let mut world = World::start().await;
    after_the_head(&mut world, async |world| world.session.ends.kill()).await;
}

#[tokio::test]
async fn when_the_agent_is_killed_before_the_response_head() {
    let mut world = World::start().await;
    let (call, _call) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let (get, _get) = world.client.open(plain(Method::GET, NAME, "/any"), true).await;
    let _held = (world.session.call().await, world.session.call().await);
    world.agent.kill();
    SESSION_LOST.is_grpc(&answer(call).await.expect("an answer"));
    SESSION_LOST.is_plain(&answer(get).await.expect("an answer"));
}

#[tokio::test]
async fn when_the_agent_is_killed_after_the_response_head() {
    let mut world = World::start().await;
    after_the_head(&mut world, async |world| world.agent.kill()).await;
}

/// What the client was still sending must not count against its connection, which has other calls.
#[tokio::test]
async fn a_session_that_is_lost_under_many_uploads_costs_no_client_its_connection() {
    const CALLS: u32 = 100;
    let mut world = World::start().await;
    let mut client = FrameConnection::connect(world.hub.address).await;
    let streams = || (1..).step_by(2).take(CALLS as usize);
    let head = request_head(NAME, "/a.B/Upload");
    let heads: Vec<_> = streams().map(|id| frame(HEADERS, END_HEADERS, id, &head)).collect();
    client.write(&heads).await;
    let mut held = Vec::new();
    for _ in 0..CALLS {
        held.push(world.session.call().await);
    }
    world.session.ends.kill();
    for _ in 0..CALLS {
        client.next(HEADERS).await;
    }
    // As if it had not heard of it yet: more than the 1024 late frames that h2 forgives a connection.
    let mut late: Vec<_> = streams().map(|id| frame(DATA, 0, id, b"late")).collect();
    late.push(frame(PING, 0, 0, &[0; 8]));
    for _ in 0..50 {
        client.write(&late).await;
        client.next(PING).await;
    }
    let last = 2 * CALLS + 1;
    client.write(&[frame(HEADERS, END_HEADERS, last, &request_head("nobody", "/a.B/C"))]).await;
    assert_eq!(client.next(HEADERS).await, last);
}

/// gRPC gets trailers, other HTTP a reset, both after what had arrived.
async fn after_the_head(world: &mut World, lose: impl AsyncFnOnce(&mut World)) {
    let (call, _call) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut call_body = world.session.call().await.begin();
    let (get, _get) = world.client.open(plain(Method::GET, NAME, "/any"), true).await;
    let mut get_call = world.session.call().await;
    let mut get_body = get_call.respond.send_response(http::Response::new(()), false).unwrap();
    call_body.send_data(message(b"part"), false).unwrap();
    get_body.send_data("part".into(), false).unwrap();
    let mut call = within("a head", call).await.expect("a head").into_body();
    let mut get = within("a head", get).await.expect("a head").into_body();
    assert_eq!(receive_exactly(&mut call, 9).await, message(b"part"));
    assert_eq!(receive_exactly(&mut get, 4).await, b"part");

    lose(world).await;
    assert!(within("the end", call.data()).await.is_none());
    let trailers = call.trailers().await.expect("trailers").expect("trailers");
    assert_eq!(
        (&trailers["grpc-status"], &trailers["hub-reason"]),
        (&"14".parse().unwrap(), &"session-lost".parse().unwrap())
    );
    let broken = within("a reset", get.data()).await.expect("a reset").expect_err("a reset");
    assert_eq!(broken.reason(), Some(h2::Reason::INTERNAL_ERROR));
}
