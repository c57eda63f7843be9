//! Files that are read anew: who may come in, and the certificate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Request};
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::hub::v1::ConnectRequest;
use hub_proto::hub::v1::activity_client::ActivityClient;
use tonic::Code;

use crate::support::agent::{Agent, config, server};
use crate::support::auth_file::{AuthFile, Entry, agent, caller, token_file};
use crate::support::client::{Client, answer, builder};
use crate::support::grpc::with_token;
use crate::support::hub::Hub;
use crate::support::message::{grpc, message, ok, receive, receive_exactly};
use crate::support::raw_agent::RawAgent;
use crate::support::secure::Certificate;
use crate::support::upstream::{Connection, Upstream};
use crate::support::{NAME, until, within};

/// A hub with an agent, and a client of it.
struct World {
    file: AuthFile,
    hub: Hub,
    client: Client,
    session: Connection,
    _agent: Agent,
}

const AGENT: Entry = agent("agent-token", "*");

impl World {
    async fn start(callers: &[Entry]) -> Self {
        let file = AuthFile::new(&[&[AGENT], callers].concat());
        let hub = Hub::start_with(file.config()).await;
        let (_folder, token_file) = token_file("agent-token");
        let upstream = Upstream::listen().await;
        let config = config(&hub, server(upstream.address));
        let agent = Agent::start(agent::Config { token_file: Some(token_file), ..config });
        let session = upstream.all();
        hub.until(NAME, ServingStatus::Serving, Some("ops")).await;
        let client = hub.client().await;
        Self { file, hub, client, session, _agent: agent }
    }

    async fn reload(&self, entries: &[Entry]) {
        self.file.write(entries);
        assert_eq!(self.hub.reload().await, (200, "reloaded\n".to_owned()));
    }
}

async fn registered(hub: &Hub) -> RawAgent {
    registered_by(hub, "agent-token").await
}

async fn registered_by(hub: &Hub, token: &str) -> RawAgent {
    let headers = [("hub-name", NAME), ("hub-instance", "i"), ("hub-token", token)];
    let mut agent = RawAgent::connect(hub, &headers).await.expect("registered");
    agent.settings().await;
    hub.until(NAME, ServingStatus::Serving, Some("ops")).await;
    agent
}

fn by(token: &'static str) -> Request<()> {
    to(NAME, token)
}

fn to(name: &str, token: &'static str) -> Request<()> {
    let mut request = grpc(name, "/a.B/C");
    request.headers_mut().insert("hub-token", HeaderValue::from_static(token));
    request
}

#[tokio::test]
async fn calls_of_those_who_are_gone_end_and_all_others_go_on() {
    let (ops, guest, temp) = (caller("ops", "*"), caller("guest", "*"), caller("temp", "*"));
    let mut world = World::start(&[ops, guest, temp]).await;
    // One that is answered already, one that is not, and one of somebody else.
    let (gone, _sending) = world.client.open(by("guest"), false).await;
    let mut gone_call = world.session.call().await;
    let mut gone_body = gone_call.begin();
    let mut gone = within("a head", gone).await.expect("a head").into_body();
    let (waits, _sending_too) = world.client.open(by("temp"), false).await;
    let waits_call = world.session.call().await;
    let (stays, mut sending) = world.client.open(by("ops"), false).await;
    let mut call = world.session.call().await;
    let mut body = call.begin();
    let mut stays = within("a head", stays).await.expect("a head").into_body();
    gone_body.send_data(message(b"before"), false).expect("sent");
    assert_eq!(receive_exactly(&mut gone, 11).await, message(b"before"));

    world.reload(&[AGENT, ops]).await;
    let (rest, end) = receive(&mut gone).await;
    let trailers = end.expect("trailers");
    assert_eq!(
        (rest.len(), trailers.get("grpc-status").expect("a status").as_bytes()),
        (0, &b"16"[..])
    );
    assert_eq!(trailers["hub-reason"], "unauthenticated");
    let refused = answer(waits).await.expect("an answer");
    assert_eq!(
        (refused.grpc_status(), refused.hub_reason()),
        (Some("16"), Some("unauthenticated"))
    );
    drop(waits_call);
    let again = world.client.call(by("guest"), b"").await.expect("an answer");
    assert_eq!(again.grpc_status(), Some("16"));

    sending.send_data(message(b"ping"), true).expect("sent");
    assert_eq!(call.body().await.0, message(b"ping"));
    body.send_data(message(b"pong"), false).expect("sent");
    body.send_trailers(ok()).expect("sent");
    let (rest, end) = receive(&mut stays).await;
    assert_eq!(
        (rest, end.expect("trailers")["grpc-status"].as_bytes()),
        (message(b"pong").to_vec(), &b"0"[..])
    );
    assert_eq!(world.hub.metric("hub_reloads_total{result=\"ok\"}").await, 1.0);
}

#[tokio::test]
async fn a_call_for_a_name_that_is_not_its_callers_any_more_ends() {
    let mut world = World::start(&[caller("ops", "*"), caller("guest", "*")]).await;
    let (waits, _sending) = world.client.open(by("guest"), false).await;
    let call = world.session.call().await;
    let mut activity = ActivityClient::new(world.hub.channel().await);
    let watched = activity.connect(with_token(ConnectRequest::default(), Some("guest")));
    let mut events = within("a watch", watched).await.expect("a watch").into_inner();
    world.reload(&[AGENT, caller("ops", "*"), caller("guest", "other-*")]).await;
    let refused = answer(waits).await.expect("an answer");
    assert_eq!((refused.grpc_status(), refused.hub_reason()), (Some("7"), Some("denied")));
    drop(call);
    // The hub's own services have been told what it may see.
    let told = within("the end", async {
        loop {
            if let Err(status) = events.message().await {
                return status;
            }
        }
    });
    assert_eq!(told.await.code(), Code::Unavailable);
    // On the same connection, too.
    let watched = activity.connect(with_token(ConnectRequest::default(), Some("guest")));
    let mut events = within("a watch", watched).await.expect("a watch").into_inner();
    for name in [NAME, "other-1"] {
        world.hub.client().await.call(to(name, "guest"), b"").await.expect("an answer");
    }
    let event = within("an event", events.message()).await.unwrap().expect("an event");
    assert_eq!(event.name, "other-1");
}

#[tokio::test]
async fn a_session_whose_token_is_gone_ends() {
    let ops = caller("ops", "*");
    let file = AuthFile::new(&[AGENT, ops]);
    let hub = Hub::start_with(file.config()).await;
    for (entry, words) in [
        (agent("another-token", "*"), "does not know"),
        (agent("agent-token", "other"), "not good for the name"),
    ] {
        file.write(&[AGENT, ops]);
        assert_eq!(hub.reload().await.0, 200);
        let session = registered(&hub).await;
        file.write(&[entry, ops]);
        assert_eq!(hub.reload().await.0, 200);
        let (code, reason) = session.closed().await.expect("a close frame");
        assert_eq!(code, 1008, "{reason}");
        assert!(reason.contains(words), "{reason}");
        hub.until(NAME, ServingStatus::NotServing, Some("ops")).await;
        // Until then, another session would be one more of the same agent, whose server the hub knows.
        until("it is gone", async || hub.metric("hub_sessions").await == 0.0).await;
    }
}

/// A token is rotated by two entries of one holder. The sessions of an agent may have come with either.
#[tokio::test]
async fn each_session_is_asked_for_its_own_token() {
    let (old, new, ops) = (agent("a/1", "*"), agent("a/2", "*"), caller("ops", "*"));
    for (gone, stays) in [(old, new), (new, old)] {
        let file = AuthFile::new(&[old, new, ops]);
        let hub = Hub::start_with(file.config()).await;
        let mut sessions = vec![registered_by(&hub, old.token).await];
        let headers = [("hub-name", NAME), ("hub-instance", "i"), ("hub-slot", "1")];
        let headers = [&headers[..], &[("hub-token", new.token)]].concat();
        sessions.push(RawAgent::connect(&hub, &headers).await.expect("registered"));
        until("two sessions", async || hub.metric("hub_sessions").await == 2.0).await;
        file.write(&[stays, ops]);
        assert_eq!(hub.reload().await.0, 200);
        let closed = sessions.remove(usize::from(gone.token == new.token));
        assert_eq!(closed.closed().await.expect("a close frame").0, 1008);
        until("one session", async || hub.metric("hub_sessions").await == 1.0).await;
        hub.until(NAME, ServingStatus::Serving, Some("ops")).await;
    }
}

/// Through a proxy, callers share a connection, and what its calls to the hub itself may be.
#[tokio::test]
async fn calls_that_were_ended_leave_their_places_to_others() {
    let world = World::start(&[caller("ops", "*"), caller("guest", "*")]).await;
    let mut activity = ActivityClient::new(world.hub.channel().await);
    let mut watches = Vec::new();
    for _ in 0..hub::limits::OWN_CALLS {
        let watched = activity.connect(with_token(ConnectRequest::default(), Some("guest")));
        watches.push(within("a watch", watched).await.expect("a watch").into_inner());
    }
    let one_more = activity.connect(with_token(ConnectRequest::default(), Some("ops")));
    let refused = within("an answer", one_more).await.expect_err("a refusal");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    world.reload(&[AGENT, caller("ops", "*")]).await;
    for mut watch in watches {
        let ended = within("the end", async {
            while watch.message().await?.is_some() {}
            Ok::<_, tonic::Status>(())
        });
        assert_eq!(ended.await.expect_err("a status").code(), Code::Unauthenticated);
    }
    let again = activity.connect(with_token(ConnectRequest::default(), Some("ops")));
    within("a watch", again).await.expect("a watch");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_changes_nothing() {
    let mut world = World::start(&[caller("ops", "*")]).await;
    for (broken, told) in [
        ("[[agents]]\nid = 1\n", "line 2"),
        ("callers = [\n", "line "),
        ("", "no agents and no callers any more"),
    ] {
        std::fs::write(&world.file.path, broken).unwrap();
        let (status, words) = world.hub.reload().await;
        assert_eq!(status, 500);
        assert!(words.contains("auth.toml") && words.contains(told), "{words}");
    }
    std::fs::remove_file(&world.file.path).unwrap();
    assert_eq!(world.hub.reload().await.0, 500);
    assert_eq!(world.hub.metric("hub_reloads_total{result=\"failed\"}").await, 4.0);
    let (waits, mut sending) = world.client.open(by("ops"), false).await;
    sending.send_data(message(b"ping"), true).expect("sent");
    world.session.call().await.answer();
    assert_eq!(answer(waits).await.expect("an answer").grpc_status(), Some("0"));
}

#[tokio::test]
async fn the_certificate_is_shown_anew() {
    let certificate = Certificate::new();
    let hub = Hub::start_with(certificate.config()).await;
    let h2: &[&[u8]] = &[b"h2"];
    let before = certificate.connect(hub.address, h2).await.expect("TLS");
    let ends =
        UNIX_EPOCH + Duration::from_secs_f64(hub.metric("hub_tls_cert_not_after_seconds").await);
    assert!(ends > SystemTime::now(), "{ends:?}");
    let before = Client::handshake(before, &builder()).await;
    // Key and certificate are two files: in between they do not fit.
    let old = std::fs::read(&certificate.cert).unwrap();
    certificate.renew();
    let new = std::fs::read(&certificate.cert).unwrap();
    std::fs::write(&certificate.cert, old).unwrap();
    assert_eq!(hub.reload().await.0, 500);
    certificate.connect(hub.address, h2).await.expect("the old one");
    std::fs::write(&certificate.cert, new).unwrap();
    assert!(certificate.connect(hub.address, h2).await.is_err(), "the old one is shown still");
    assert_eq!(hub.reload().await.0, 200);
    certificate.connect(hub.address, h2).await.expect("the new one");
    // What was open goes on.
    let answer = before.call(grpc("nobody", "/a.B/C"), b"").await.expect("an answer");
    assert_eq!(answer.hub_reason(), Some("unknown-name"));
}

#[tokio::test]
async fn an_agent_reads_anew_whom_to_trust() {
    let (shown, trusted) = (Certificate::new(), Certificate::new());
    let hub = Hub::start_with(shown.config()).await;
    let upstream = Upstream::listen().await;
    let config = agent::Config {
        hubs: format!("wss://localhost:{}/ws", hub.address.port())
            .parse::<agent::HubUri>()
            .unwrap()
            .into(),
        trust: trusted.trust(),
        ..config(&hub, server(upstream.address))
    };
    let reload = config.reload.clone();
    let _agent = Agent::start(config);
    let refused = "hub_handshake_failures_total{stage=\"tls\"}";
    until("a refusal", async || hub.metric(refused).await >= 1.0).await;
    std::fs::copy(&shown.cert, &trusted.cert).unwrap();
    reload.notify_one();
    until("one session", async || hub.metric("hub_sessions").await == 1.0).await;
}

#[tokio::test]
async fn whoever_asks_in_a_loop_is_told_to_wait() {
    let hub = Hub::start().await;
    until("a refusal", async || hub.reload().await.0 == 429).await;
    let done = hub.metric("hub_reloads_total{result=\"ok\"}").await;
    assert!(done >= f64::from(hub::limits::RELOADS.burst), "{done}");
}
