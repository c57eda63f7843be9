//! The hub's own services, and fluentd: known without reflection, which these servers do not have.

use hub_proto::fluentd::v1::fluentd_server::FluentdServer;
use hub_proto::hub::v1::activity_server::ActivityServer;
use hub_proto::hub::v1::hub_server::HubServer;
use hub_proto::hub::v1::names_server::NamesServer;
use hub_proto::hub::v1::{ActivityEvent, Call, EventType, Lane, ReachedLimit, RegistrationRefusal};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Status};

use crate::support::program::{run, start};
use crate::support::server::serve;
use crate::support::services::{ThreeNames, Told, TwoAgents, asked_events, events};

async fn hub() -> String {
    serve(Server::builder().add_service(HubServer::new(TwoAgents))).await
}

async fn fluentd() -> String {
    serve(Server::builder().add_service(FluentdServer::new(Told))).await
}

#[tokio::test]
async fn nodes_are_a_table_for_people() {
    let ended = run(&hub().await, &["hub", "nodes"], "{}").await;
    let lines: Vec<&str> = ended.succeeded().lines().collect();
    let row = |n: usize| {
        let cells = lines[n].split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.collect::<Vec<_>>()
    };
    assert_eq!(row(0), ["NODE", "REMOTE", "CONNECTIONS", "NAMES", "SINCE", "RTT"]);
    assert_eq!(row(1), ["00000000000000aa", "this hub", "-", "2", "-", "-"]);
    assert_eq!(row(2), ["00000000000000bb", "192.0.2.1:8082", "2 (silent)", "3", "-", "-"]);
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn names_are_a_table_for_people_of_all_pages_or_the_one_that_is_asked_for() {
    let hub = serve(Server::builder().add_service(NamesServer::new(ThreeNames))).await;
    let ended = run(&hub, &["hub", "names"], "").await;
    let rows: Vec<Vec<&str>> = ended
        .succeeded()
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(rows[0][..6], ["NAME", "STATE", "AGENTS", "RUNNING", "CALLS/S", "ERRORS/S"]);
    assert_eq!(rows[1][..7], ["gone", "offline", "1", "2", "12", "0.2", "1.50ms"]);
    assert_eq!(rows[2][..2], ["deaf", "server unreachable"]);
    assert_eq!((rows[3][0], rows.len()), ("fine", 4));
    let ended = run(&hub, &["hub", "names"], "{\"filter\": \"fin\"}").await;
    assert_eq!(ended.succeeded().lines().count(), 2);
    let ended = run(&hub, &["hub", "names"], "{\"offset\": 2}").await;
    assert_eq!(ended.succeeded().lines().count(), 2);
}

#[tokio::test]
async fn clients_are_a_table_for_people() {
    let ended = run(&hub().await, &["hub", "list-clients"], "{}").await;
    let lines: Vec<&str> = ended.succeeded().lines().collect();
    let row = |n: usize| lines[n].split("   ").map(str::trim).filter(|cell| !cell.is_empty());
    assert_eq!(
        row(0).collect::<Vec<_>>(),
        [
            "NAME",
            "INSTANCE",
            "SESSIONS",
            "REMOTE",
            "LABELS",
            "VERSION",
            "CONNECTED",
            "CALLS",
            "LANES",
            "RTT"
        ]
    );
    assert_eq!(
        row(1).collect::<Vec<_>>(),
        [
            "alpha",
            "i1",
            "2",
            "192.0.2.7:4711",
            "env=prod,zone=b",
            "0.1.0",
            "-",
            "3",
            "5",
            "12.34ms"
        ]
    );
    assert_eq!(
        row(2).collect::<Vec<_>>(),
        ["testserver", "-", "0 (draining)", "-", "-", "-", "-", "0", "0", "-"]
    );
    assert_eq!(lines[1].find("192"), lines[0].find("REMOTE"));
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn clients_are_a_line_of_json_for_programs() {
    let ended = run(&hub().await, &["hub", "list-clients", "-o", "json"], "").await;
    let line = ended.succeeded();
    assert_eq!(line.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(json["clients"][0]["name"], "alpha");
    assert_eq!(json["clients"][0]["rtt"], "0.012340s");
    assert_eq!(json["clients"][1]["draining"], true);
}

/// As a hub with an auth file does.
fn wants_a_token(_: Request<()>) -> Result<Request<()>, Status> {
    let mut status = Status::unauthenticated("this hub wants a token");
    status.metadata_mut().insert("hub-reason", "unauthenticated".parse().unwrap());
    Err(status)
}

#[tokio::test]
async fn who_has_no_token_is_told_the_flag() {
    let service = InterceptedService::new(HubServer::new(TwoAgents), wants_a_token);
    let hub = serve(Server::builder().add_service(service)).await;
    run(&hub, &["hub", "list-clients"], "").await.failed(
        16,
        "UNAUTHENTICATED: this hub wants a token; name the file that holds it with --token-file, \
         or in HUB_TOKEN_FILE (hub-reason: unauthenticated)",
    );
    let with_token = ["hub", "list-clients", "-H", "hub-token:unknown"];
    let ended = run(&hub, &with_token, "").await;
    ended.failed(16, "UNAUTHENTICATED: this hub wants a token (hub-reason: unauthenticated)");
}

#[tokio::test]
async fn all_pages_are_one_list() {
    let hub = hub().await;
    for format in ["table", "json"] {
        let list = |request| {
            let hub = &hub;
            async move { run(hub, &["hub", "list-clients", "-o", format], request).await }
        };
        let (pages, whole) = (list("{\"pageSize\": 1}").await, list("{}").await);
        // JSON has no order of the labels.
        let chars = |text: &str| {
            let mut chars: Vec<char> = text.chars().collect();
            chars.sort_unstable();
            chars
        };
        assert_eq!(chars(pages.succeeded()), chars(whole.succeeded()));
    }
    let last = run(&hub, &["hub", "list-clients"], "{\"pageSize\": 1, \"pageToken\": \"second\"}");
    assert_eq!(last.await.succeeded().lines().count(), 2);
}

#[tokio::test]
async fn the_request_is_read_also_where_it_is_empty() {
    let ended = run(&hub().await, &["hub", "list-clients"], "{\"nmae\": 1}").await;
    ended.failed(
        64,
        "error: request JSON for hub.v1.ListClientsRequest: unrecognized field name 'nmae' \
         at line 1 column 8",
    );
}

#[tokio::test]
async fn an_event_is_a_line_and_is_printed_at_once() {
    let (service, sender) = events();
    let hub = serve(Server::builder().add_service(ActivityServer::new(service))).await;
    let mut client = start(&hub, &["hub", "activity"]);
    client.close();

    let registered = ActivityEvent {
        r#type: EventType::ClientRegistered.into(),
        name: "alpha".into(),
        instance: "i1".into(),
        time: Some(prost_types::Timestamp::default()),
        ..Default::default()
    };
    sender.send(Ok(registered)).await.unwrap();
    assert_eq!(client.line().await, "1970-01-01T00:00:00Z CLIENT_REGISTERED alpha i1");

    let call = Call {
        method: "/test.v1.Echo/Unary".into(),
        status: "UNAVAILABLE".into(),
        hub_reason: "offline".into(),
        request_bytes: 5,
        response_bytes: 0,
        ..Default::default()
    };
    let proxied = ActivityEvent {
        r#type: EventType::RequestProxied.into(),
        name: "alpha".into(),
        call: Some(call),
        missed: 7,
        ..Default::default()
    };
    sender.send(Ok(proxied)).await.unwrap();
    assert_eq!(client.line().await, "(7 events missed)");
    assert_eq!(
        client.line().await,
        "REQUEST_PROXIED alpha /test.v1.Echo/Unary UNAVAILABLE (offline) 5B/0B"
    );

    drop(sender);
    client.end().await.succeeded();
}

#[tokio::test]
async fn the_end_of_a_lane_says_why() {
    let (service, sender) = events();
    let hub = serve(Server::builder().add_service(ActivityServer::new(service))).await;
    let mut client = start(&hub, &["hub", "activity"]);
    client.close();
    let ended = ActivityEvent {
        r#type: EventType::LaneEnded.into(),
        name: "alpha".into(),
        instance: "i1".into(),
        lane: Some(Lane { session: "s1".into(), open: 3, error: "too_many_resets".into() }),
        ..Default::default()
    };
    sender.send(Ok(ended)).await.unwrap();
    assert_eq!(client.line().await, "LANE_ENDED alpha i1 3 open too_many_resets");
    drop(sender);
    client.end().await.succeeded();
}

#[tokio::test]
async fn which_events_are_followed() {
    let (service, sender, mut asked) = asked_events();
    let hub = serve(Server::builder().add_service(ActivityServer::new(service))).await;
    let line = "hub activity --name berlin-* --name a --type client-registered --type LANE_ENDED --after id.1.2";
    let mut client = start(&hub, &line.split(' ').collect::<Vec<_>>());
    let request = asked.recv().await.expect("a request");
    assert_eq!(request.names, ["berlin-*", "a"]);
    assert_eq!(request.types, [EventType::ClientRegistered as i32, EventType::LaneEnded as i32]);
    assert_eq!((&*request.after, request.this_hub_only), ("id.1.2", false));
    let limit = ReachedLimit { limit: "held".into(), address: "192.0.2.1:5".into(), untold: 7 };
    let kind = EventType::LimitReached.into();
    let reached = ActivityEvent { r#type: kind, limit: Some(limit), ..Default::default() };
    sender.send(Ok(reached)).await.unwrap();
    assert_eq!(client.line().await, "LIMIT_REACHED held 192.0.2.1:5 and 7 times more");
    let refusal = RegistrationRefusal { reason: "denied".into(), address: "192.0.2.1:6".into() };
    let refused = ActivityEvent {
        r#type: EventType::RegistrationRefused.into(),
        name: "a".into(),
        refusal: Some(refusal),
        ..Default::default()
    };
    sender.send(Ok(refused)).await.unwrap();
    assert_eq!(client.line().await, "REGISTRATION_REFUSED a (denied) 192.0.2.1:6");
    drop(sender);
    client.end().await.succeeded();

    let nothing = run(&hub, &["hub", "activity", "--type", "unspecified"], "").await;
    assert_eq!(nothing.code, Some(64));
}

#[tokio::test]
async fn fluentd_is_asked_by_name() {
    let ended = run(&fluentd().await, &["fluentd", "start", "testserver"], "{}").await;
    assert_eq!(
        ended.succeeded(),
        "NAME         STATE     PID    UPTIME   STARTS   LAST EXIT   COMMAND\n\
         testserver   RUNNING   4242   5m10s    1        -           for testserver"
    );
}

#[tokio::test]
async fn fluentd_takes_its_request_from_stdin_or_data() {
    let hub = fluentd().await;
    let grace = "{\"grace\": \"30s\"}";
    let stopped = "NAME         STATE     PID   UPTIME   STARTS   LAST EXIT              COMMAND\n\
                   testserver   STOPPED   -     -        1        signal 9 (requested)   \
                   for testserver grace=30";
    let ended = run(&hub, &["fluentd", "stop", "testserver"], grace).await;
    assert_eq!(ended.succeeded(), stopped);
    let ended = run(&hub, &["fluentd", "stop", "testserver", "-d", grace], "not read").await;
    assert_eq!(ended.succeeded(), stopped);

    for command in ["restart", "status"] {
        let ended = run(&hub, &["fluentd", command, "x", "-o", "json"], "").await;
        let json: serde_json::Value = serde_json::from_str(ended.succeeded()).unwrap();
        assert_eq!(json["status"]["state"], "RUNNING");
        assert_eq!(json["status"]["command"], "for x");
    }
}
