//! The agent's admin listener: whether it runs, whether calls get through to its servers and why not, and what it counts.

use std::net::SocketAddr;

use rustix::process::Signal;
use tunnel::wire::Control;

use crate::support::auth;
use crate::support::certs::Certs;
use crate::support::fake_hub::FakeHub;
use crate::support::grpc::Caller;
use crate::support::port::Port;
use crate::support::programs::{ANY_PORT, Agent, Hub};
use crate::support::raw::{Answer, Request};
use crate::support::server::{HELD, Upstream};
use crate::support::soon;

const ADMIN: [&str; 2] = ["--admin-listen", ANY_PORT];
const READY: &str = "GET /readyz HTTP/1.1";

/// Its admin listener.
struct Admin(SocketAddr);

impl Admin {
    async fn of(agent: &Agent) -> Self {
        let line = agent.process.log.said("admin listening", &[]).await;
        Self(line.field("address").parse().unwrap())
    }

    async fn ask(&self, line: &'static str) -> Answer {
        Request::plain(line).with("Connection", "close").send(self.0).await
    }

    async fn assert_ready(&self, line: &'static str) {
        let answer = self.ask(line).await;
        assert_eq!((answer.status, &*answer.body), (200, "ready\n"), "{line}");
    }

    /// It is not, and says so in one line that begins and goes on so.
    async fn assert_not_ready(&self, line: &'static str, begins: &str, goes_on: &str) {
        let Answer { status, body, .. } = self.ask(line).await;
        assert_eq!((status, body.lines().count()), (503, 1), "{line}: {body}");
        assert!(body.starts_with(begins) && body.contains(goes_on), "{line}: {body}");
    }
}

fn with_admin<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&ADMIN, args].concat()
}

#[tokio::test]
async fn it_is_ready_once_it_is_registered() {
    let hub = FakeHub::start().await;
    let agent = Agent::start("testserver", &hub.uri(), &with_admin(&["--sessions", "1"]));
    let admin = Admin::of(&agent).await;
    let mut session = hub.session().await;
    // It has heard the hub's answer once it pings.
    session.pinged(1).await;
    let waits = format!("hub {}: connected, and not registered yet", hub.uri());
    admin.assert_not_ready(READY, "testserver: not registered: ", &waits).await;
    session.say(Control::Registered).await;
    agent.process.log.said("registered", &[]).await;
    admin.assert_ready(READY).await;
    assert_eq!(admin.ask("HEAD /readyz HTTP/1.1").await.status, 200);
    session.say(Control::Drain).await;
    agent.process.log.said("draining: the hub opens no new lanes on this session", &[]).await;
    admin.assert_not_ready(READY, "testserver: not registered: hub ws://", "").await;
    assert_eq!(admin.ask("GET /healthz HTTP/1.1").await.body, "ok\n");
}

#[tokio::test]
async fn who_is_refused_is_not_ready_and_says_why() {
    let certs = Certs::new();
    let hub = auth::hub(&certs, &[]).await;
    let agent = Agent::start("berlin-1", &hub.uri(), &ADMIN);
    let admin = Admin::of(&agent).await;
    agent.process.log.said("not registered; this needs a change of configuration", &[]).await;
    let begins = format!("berlin-1: not registered: hub {}: refused by the hub: ", hub.uri());
    admin.assert_not_ready(READY, &begins, "set --token-file (HTTP 401)").await;
    assert_eq!(admin.ask("GET /healthz HTTP/1.1").await.status, 200);
    let metrics = admin.ask("GET /metrics HTTP/1.1").await.body;
    assert_has(&metrics, "agent_registration_refusals_total{status=\"401\"} 1");
    assert_has(&metrics, "agent_dials_total{result=\"refused\"} 1");
    assert_has(&metrics, "agent_registered 0");
    assert_has(&metrics, "agent_sessions{state=\"connecting\"} 1");
}

#[tokio::test]
async fn who_reaches_no_hub_is_not_ready_and_says_why() {
    let port = Port::reserve();
    let uri = format!("ws://{}/ws", port.address);
    let agent = Agent::start("testserver", &uri, &ADMIN);
    let admin = Admin::of(&agent).await;
    agent.process.log.said("not registered", &[]).await;
    let begins = format!("testserver: not registered: hub {uri}: cannot connect");
    admin.assert_not_ready(READY, &begins, "refused").await;
}

#[tokio::test]
async fn it_is_as_ready_as_its_servers() {
    let (hub, port) = (Hub::start(&[]).await, Port::reserve());
    let (there, away) = (Upstream::start().await, port.address.to_string());
    let second = ["--upstream", &there.address, "--name", "away", "--upstream", &away];
    let agent = Agent::start("testserver", &hub.uri(), &with_admin(&second));
    let admin = Admin::of(&agent).await;
    agent.process.log.said("registered", &[]).await;
    // The hub has it dialled; nobody has said so before.
    agent.process.log.said("the upstream is not reachable; dialling it until it is", &[]).await;
    let why = format!("away: the upstream http://{away} is not reachable: cannot connect");
    admin.assert_not_ready(READY, &why, "").await;
    admin.assert_not_ready("GET /readyz?name=away HTTP/1.1", &why, "").await;
    admin.assert_ready("GET /readyz?name=testserver HTTP/1.1").await;
    let unknown = admin.ask("GET /readyz?name=other HTTP/1.1").await;
    let says = "no such name; there is testserver, away\n";
    assert_eq!((unknown.status, &*unknown.body), (404, says));
    let metrics = admin.ask("GET /metrics HTTP/1.1").await.body;
    assert_has(&metrics, "agent_upstream_up{name=\"testserver\"} 1");
    assert_has(&metrics, "agent_upstream_up{name=\"away\"} 0");
    let _back = Upstream::serve(port.listen().await);
    agent.process.log.said("the upstream is reachable again", &[]).await;
    admin.assert_ready(READY).await;
}

#[tokio::test]
async fn who_drains_is_not_ready() {
    let (hub, mut upstream) = (Hub::start(&[]).await, Upstream::start().await);
    let agent = hub.agent("testserver", &with_admin(&["--upstream", &upstream.address])).await;
    let admin = Admin::of(&agent).await;
    let caller = Caller::connect(hub.address).await;
    let held = tokio::spawn(async move { caller.check("testserver", HELD).await });
    upstream.arrival().await;
    agent.process.signal(Signal::TERM);
    agent.process.log.said("draining", &[]).await;
    admin.assert_not_ready(READY, "draining\n", "").await;
    upstream.release();
    soon(held).await.unwrap().unwrap();
    assert_eq!(agent.process.end().await.code(), 0);
}

#[track_caller]
fn assert_has(metrics: &str, line: &str) {
    assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
}

/// The value of a series.
#[track_caller]
fn value(metrics: &str, series: &str) -> f64 {
    let mut lines = metrics.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = lines.next().unwrap_or_else(|| panic!("{series} is not in\n{metrics}"));
    value.parse().unwrap()
}

#[tokio::test]
async fn it_counts_what_passes() {
    let (hub, upstream) = (Hub::start(&[]).await, Upstream::start().await);
    let more = ["--upstream", &upstream.address, "--sessions", "1"];
    let agent = hub.agent("testserver", &with_admin(&more)).await;
    let admin = Admin::of(&agent).await;
    agent.process.log.said("registered", &[]).await;
    let caller = Caller::connect(hub.address).await;
    caller.check("testserver", "").await.unwrap();
    let answer = admin.ask("GET /metrics HTTP/1.1").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    let metrics = answer.body;
    for line in [
        "agent_registered 1",
        "agent_upstream_up{name=\"testserver\"} 1",
        "agent_sessions{state=\"connected\"} 1",
        "agent_sessions{state=\"connecting\"} 0",
        "agent_hubs 1",
        "agent_dials_total{result=\"ok\"} 1",
        "agent_lanes{name=\"testserver\"} 1",
    ] {
        assert_has(&metrics, line);
    }
    // Beside the call's lane there may have been the one by which the hub has seen that the server is there.
    let opened = "agent_lanes_opened_total{name=\"testserver\",outcome=\"opened\"}";
    assert!(value(&metrics, opened) >= 1.0, "{metrics}");
    for direction in ["request", "response"] {
        let bytes =
            format!("agent_relayed_bytes_total{{name=\"testserver\",direction=\"{direction}\"}}");
        assert!(value(&metrics, &bytes) > 50.0, "{metrics}");
    }
}

#[tokio::test]
async fn it_answers_no_other_questions() {
    let agent = Agent::start("testserver", "ws://127.0.0.1:1/ws", &ADMIN);
    let admin = Admin::of(&agent).await;
    let answer = admin.ask("POST /readyz HTTP/1.1").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("get, head")));
    let answer = admin.ask("GET / HTTP/1.1").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("/healthz, /readyz, /metrics"), "{answer:?}");
}

#[tokio::test]
async fn it_listens_only_where_it_is_told_to() {
    let hub = Hub::start(&[]).await;
    for args in [&[][..], &["--admin-listen", "none"]] {
        let agent = Agent::start("testserver", &hub.uri(), args);
        agent.process.log.said("registered", &[]).await;
        assert_eq!(agent.process.log.with("admin listening").len(), 0);
    }
}
