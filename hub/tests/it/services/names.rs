//! hub.v1.Names, and what of the names is among the metrics: who is there, what fails, and how long it takes.

use hub_proto::hub::v1::names_client::NamesClient;
use hub_proto::hub::v1::{
    GetHubRequest, GetNameRequest, GetNameResponse, ListNamesRequest, ListNamesResponse, Name,
    NameOrder, NameState,
};
use tonic::{Code, Status};

use crate::support::admin::exchange;
use crate::support::client::answer;
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{grpc, message};
use crate::support::raw_agent::RawAgent;
use crate::support::world::World;
use crate::support::{NAME, until, within};

async fn asked(hub: &Hub, request: ListNamesRequest) -> Result<ListNamesResponse, Status> {
    let mut names = NamesClient::new(hub.channel().await);
    Ok(within("a list", names.list_names(request)).await?.into_inner())
}

async fn get(hub: &Hub, name: &str) -> Result<GetNameResponse, Status> {
    let mut names = NamesClient::new(hub.channel().await);
    let request = GetNameRequest { name: name.to_owned() };
    Ok(within("a name", names.get_name(request)).await?.into_inner())
}

async fn of(hub: &Hub, name: &str) -> Name {
    get(hub, name).await.expect("a name").name.expect("what is told of it")
}

/// Waits until what is told of a name is so. The list may be a second old.
async fn until_listed(hub: &Hub, what: &str, is: impl Fn(&[Name]) -> bool) {
    let listed = async || is(&asked(hub, ListNamesRequest::default()).await.expect("a list").names);
    until(what, listed).await;
}

#[tokio::test]
async fn a_name_is_told_of_with_its_calls() {
    let mut world = World::start().await;
    let before = of(&world.hub, NAME).await;
    assert_eq!((before.state(), before.agents, before.calls), (NameState::Online, 1, 0));
    assert!(before.recent.is_empty() && before.p50.is_none());
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/Answered"), true).await;
    world.session.call().await.answer();
    answer(response).await.expect("an answer");
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/Reset"), true).await;
    world.session.call().await.respond.send_reset(h2::Reason::INTERNAL_ERROR);
    answer(response).await.expect_err("a reset");
    let hub = &world.hub;
    until("both calls", async || of(hub, NAME).await.calls == 2).await;
    let told = get(hub, NAME).await.expect("a name");
    let name = told.name.expect("what is told of it");
    assert_eq!((name.errors, name.refusals, name.calls_in_flight), (1, 0, 0));
    assert!(name.calls_rate > 0.0 && name.errors_rate > 0.0, "{name:?}");
    let recent = |of: fn(&hub_proto::hub::v1::Recent) -> u32| name.recent.iter().map(of).sum();
    let recent: (u32, u32) = (recent(|step| step.calls), recent(|step| step.errors));
    assert_eq!(recent, (2, 1));
    assert!(name.p50.is_some() && name.p99.is_some(), "{name:?}");
    assert_eq!(told.agents.len(), 1);
    let methods: Vec<_> = told
        .methods
        .iter()
        .map(|method| (&*method.method, &*method.statuses[0].status, method.statuses[0].calls))
        .collect();
    let mut sorted = methods.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [("/a.B/Answered", "OK", 1), ("/a.B/Reset", "RESET", 1)]);
}

#[tokio::test]
async fn a_name_whose_agent_is_gone_is_named_by_list_and_metric() {
    let hub = Hub::start().await;
    let here = RawAgent::shown(&hub, "here", "instance-1").await;
    let gone = RawAgent::shown(&hub, "gone", "instance-2").await;
    until_listed(&hub, "two names", |names| names.len() == 2).await;
    assert_eq!(hub.metric("hub_name_up{name=\"gone\"}").await, 1.0);
    drop(gone);
    until_listed(&hub, "one that is gone", |names| {
        // Those in question come first.
        let told: Vec<_> = names.iter().map(|name| (&*name.name, name.state())).collect();
        told == [("gone", NameState::Offline), ("here", NameState::Online)]
    })
    .await;
    let (_, text) = crate::support::admin::get(hub.admin, "/metrics").await;
    for line in [
        "hub_name_up{name=\"gone\"} 0",
        "hub_name_up{name=\"here\"} 1",
        "hub_name_agents{name=\"gone\"} 0",
        "hub_name_sessions{name=\"here\"} 1",
        "hub_names_untold 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    // Whoever calls it is refused, and that is counted apart.
    let client = hub.client().await;
    client.request(grpc("gone", "/a.B/C")).await.expect("an answer");
    let line = "hub_name_refusals_total{name=\"gone\",hub_reason=\"offline\"}";
    assert_eq!(hub.metric(line).await, 1.0);
    drop(here);
}

/// One histogram for all would have the stream's answer time, or its hours, move what is said of unary calls.
#[tokio::test]
async fn streams_and_refusals_do_not_move_what_is_told_of_unary_calls() {
    let mut world = World::start().await;
    let (response, mut sending) = world.client.open(grpc(NAME, "/a.B/Chat"), false).await;
    sending.send_data(message(b"one"), false).unwrap();
    sending.send_data(message(b"two"), false).unwrap();
    let stream = world.session.call().await;
    let (second, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    world.session.call().await.answer();
    answer(second).await.expect("an answer");
    world.client.request(grpc("nobody", "/a.B/C")).await.expect("an answer");
    let hub = &world.hub;
    let count = async |metric: &str, kind: &str| {
        hub.metric(&format!("{metric}_count{{kind=\"{kind}\"}}")).await
    };
    until("the unary call", async || count("hub_call_duration_seconds", "unary").await == 1.0)
        .await;
    assert_eq!(count("hub_call_duration_seconds", "refused").await, 1.0);
    assert_eq!(count("hub_call_duration_seconds", "stream").await, 0.0, "it goes on");
    assert_eq!(count("hub_call_head_seconds", "unary").await, 1.0);
    stream.answer();
    sending.send_data(message(b"three"), true).unwrap();
    answer(response).await.expect("an answer");
    until("the stream", async || count("hub_call_duration_seconds", "stream").await == 1.0).await;
    assert_eq!(count("hub_call_duration_seconds", "unary").await, 1.0);
    let of_name = "hub_name_head_seconds_count{name=\"testserver\",kind=\"stream\"}";
    assert_eq!(hub.metric(of_name).await, 1.0);
}

/// What runs for days is counted as it goes on, and so is whom it waits for.
#[tokio::test]
async fn a_call_that_runs_is_counted_and_whom_it_waits_for() {
    let mut world = World::start().await;
    let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let mut body = world.session.call().await.begin();
    // More than the client takes, which does not read.
    let payload = [0; 200_000];
    body.send_data(message(&payload), false).unwrap();
    let hub = &world.hub;
    let bytes = "hub_name_bytes_total{name=\"testserver\",direction=\"response\"}";
    let stalled = "hub_name_stall_seconds_total{name=\"testserver\",cause=\"client\"}";
    until("bytes of a call that runs", async || hub.metric(bytes).await > 0.0).await;
    until("a client that is waited for", async || hub.metric(stalled).await > 0.0).await;
    assert_eq!(hub.metric("hub_name_calls_in_flight{name=\"testserver\"}").await, 1.0);
    drop(response);
}

#[tokio::test]
async fn a_list_is_searched_ordered_and_cut() {
    let hub = Hub::start().await;
    let mut agents = Vec::new();
    for name in ["east-1", "east-2", "west-1", "west-2"] {
        agents.push(RawAgent::shown(&hub, name, name).await);
    }
    drop(agents.remove(1));
    hub.until_offline("east-2").await;
    until_listed(&hub, "four names", |names| {
        names.len() == 4 && names.iter().any(|name| name.state() == NameState::Offline)
    })
    .await;
    let order = NameOrder::Name.into();
    let all = ListNamesRequest { order, ..ListNamesRequest::default() };
    let list = async |request: ListNamesRequest| {
        let list = asked(&hub, request).await.expect("a list");
        let names: Vec<_> = list.names.into_iter().map(|name| name.name).collect();
        (names, list.total)
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let filter = "west".to_owned();
    assert_eq!(
        list(ListNamesRequest { filter, descending: true, ..all.clone() }).await,
        (owned(&["west-2", "west-1"]), 2)
    );
    assert_eq!(
        list(ListNamesRequest { offset: 1, limit: 2, ..all.clone() }).await,
        (owned(&["east-2", "west-1"]), 4)
    );
    let states = vec![NameState::Offline.into()];
    assert_eq!(list(ListNamesRequest { states, ..all.clone() }).await, (owned(&["east-2"]), 1));
    let list = asked(&hub, all.clone()).await.expect("a list");
    let states: Vec<_> = list.states.iter().map(|count| (count.state(), count.names)).collect();
    assert_eq!(states, [(NameState::Offline, 1), (NameState::Online, 3)]);
    for bad in [
        ListNamesRequest { order: 99, ..all.clone() },
        ListNamesRequest { states: vec![99], ..all.clone() },
    ] {
        assert_eq!(asked(&hub, bad).await.expect_err("a refusal").code(), Code::InvalidArgument);
    }
    assert_eq!(get(&hub, "nobody").await.expect_err("a refusal").code(), Code::NotFound);
    assert_eq!(get(&hub, "Bad Name").await.expect_err("a refusal").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_hub_tells_of_itself() {
    let world = World::start().await;
    let names = NamesClient::new(world.hub.channel().await);
    let ask = async || {
        let mut names = names.clone();
        within("the hub", names.get_hub(GetHubRequest {})).await.expect("an answer").into_inner()
    };
    // The hub may take up the other client's later.
    until("both clients are there", async || ask().await.client_connections >= 2).await;
    let told = ask().await;
    assert_eq!((told.nodes.len(), &*told.version), (1, env!("CARGO_PKG_VERSION")));
    assert_eq!((told.agents, told.sessions, told.draining), (1, 1, false));
    // This call.
    assert!(told.calls_in_flight >= 1, "{told:?}");
    assert!(told.held_bytes_max > 0 && told.limits.is_empty() && told.certificate_ends.is_none());
}

#[tokio::test]
async fn an_access_log_has_a_line_for_each_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let to = hub::LogPlace::File(path.clone());
    let access_log = Some(hub::AccessLogConfig { to, sample: 1.0 });
    let mut world =
        World::start_with(hub::Config { access_log, ..hub_config() }, h2::server::Builder::new())
            .await;
    let mut request = grpc(NAME, "/a.B/Chat");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    request.headers_mut().insert("traceparent", trace.parse().unwrap());
    let (response, mut sending) = world.client.open(request, false).await;
    sending.send_data(message(b"one"), false).unwrap();
    sending.send_data(message(b"two"), true).unwrap();
    let mut call = world.session.call().await;
    call.body().await.1.expect("a clean end");
    call.answer();
    answer(response).await.expect("an answer");
    world.client.request(grpc("nobody", "/a.B/C")).await.expect("an answer");
    world.hub.drain();
    drop(world.client);
    drop(world.session);
    world.hub.ended().await;
    let text = std::fs::read_to_string(&path).expect("a log");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |method: &str, name: &str| {
        let is_it = |line: &&serde_json::Value| line["method"] == method && line["name"] == name;
        let found: Vec<_> = lines.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{text}");
        found[0].clone()
    };
    let chat = of("/a.B/Chat", NAME);
    assert_eq!((&chat["status"], &chat["kind"]), (&"OK".into(), &"stream".into()), "{chat}");
    assert_eq!((&chat["request_messages"], &chat["request_bytes"]), (&2.into(), &16.into()));
    assert_eq!(chat["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    let time = |field: &str| chat[field].as_u64().expect("a time");
    assert!(time("queue_us") <= time("head_us") && time("head_us") <= time("total_us"), "{chat}");
    let refused = of("/a.B/C", "nobody");
    assert_eq!((&refused["hub_reason"], &refused["error"]), (&"unknown-name".into(), &true.into()));
}

/// The page, and what it asks for: as a browser does, and as a stranger's page would.
#[tokio::test]
async fn the_page_is_served_with_what_it_is_fed_by() {
    let world = World::start().await;
    let admin = world.hub.admin;
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let html = exchange(admin, get).await;
    assert!(html.starts_with("HTTP/1.1 200 ") && html.contains("<!doctype html>"), "{html}");
    let file =
        exchange(admin, "GET /page.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await;
    let head = file.split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
    for line in ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff"] {
        assert!(head.contains(line), "{head}");
    }
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    let known = format!(
        "GET /page.js HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\nConnection: close\r\n\r\n"
    );
    assert!(exchange(admin, &known).await.starts_with("HTTP/1.1 304 "));
    let asked = |host: &str, kind: &str| {
        format!(
            "POST /hub.v1.Names/ListNames HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n\
             Content-Length: 5\r\nConnection: close\r\n\r\n\0\0\0\0\0"
        )
    };
    let answer = exchange(admin, &asked("127.0.0.1", "application/grpc-web+proto")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(NAME), "{answer}");
    assert!(answer.contains("grpc-status:0") && !answer.contains("access-control"), "{answer}");
    let answer = exchange(admin, &asked("stranger.test", "application/grpc-web+proto")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let reload = "POST /reload HTTP/1.1\r\nHost: localhost\r\nOrigin: http://stranger.test\r\n\
                  Content-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(exchange(admin, reload).await.starts_with("HTTP/1.1 403 "));
    // What a page may send without asking.
    let answer = exchange(admin, &asked("127.0.0.1", "text/plain")).await;
    assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
}
