//! Whatever a peer sends, only its own connection suffers.

use futures_util::SinkExt as _;
use h2::Reason;
use hub::limits::OVERHEAD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tunnel::lanes::frame as lanes;
use tunnel::lanes::{Open, ResetCode};
use tunnel::limits::{
    LANE_CREDIT_GROWN, LANE_CREDIT_MAX, LANE_DATA_MAX, LANE_IDLE_FRAMES, WS_MAX_MESSAGE,
};

use crate::support::agent::{Agent, config};
use crate::support::client::{Client, answer};
use crate::support::frames::{
    DATA, END_HEADERS, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, STATUS_200, WINDOW_UPDATE,
    frame, request_head,
};
use crate::support::hub::Hub;
use crate::support::message::{grpc, grpc_head};
use crate::support::raw_agent::{PROBE, RawAgent};
use crate::support::service::Test;
use crate::support::upstream::Connections;
use crate::support::world::World;
use crate::support::{NAME, until, within};

const UNKNOWN_KIND: u8 = 0xee;

#[tokio::test]
async fn garbage_instead_of_a_protocol() {
    let mut world = World::start().await;
    let settings_of_the_wrong_size = [PREFACE, &frame(SETTINGS, 0, 0, b"12345")].concat();
    let data_on_no_stream =
        [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(DATA, 0, 7, b"x")].concat();
    let endless_line = [b"GET /", &[b'x'; 1 << 20][..]].concat();
    for garbage in [
        &b"\0\0\0\0\0\0\0\0"[..],
        b"\xff\xfe\xfd",
        b"hello there\r\n",
        b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n",
        &endless_line,
        &settings_of_the_wrong_size,
        &data_on_no_stream,
    ] {
        let mut tcp = TcpStream::connect(world.hub.address).await.unwrap();
        // A hub that has seen enough may hang up before all is written, or reset the connection.
        _ = tcp.write_all(garbage).await;
        let mut answer = Vec::new();
        _ = within("the hub to hang up", tcp.read_to_end(&mut answer)).await;
        world.assert_unharmed().await;
    }
}

#[tokio::test]
async fn connections_that_end_early() {
    let mut world = World::start().await;
    for part in
        [&b""[..], b"P", &PREFACE[..12], &PREFACE[..23], PREFACE, b"GET /ws HTT", b"\x16\x03"]
    {
        let mut tcp = TcpStream::connect(world.hub.address).await.unwrap();
        tcp.write_all(part).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut answer = Vec::new();
        _ = within("the hub to hang up", tcp.read_to_end(&mut answer)).await;
    }
    world.assert_unharmed().await;
}

/// An agent whose upstream speaks HTTP/1 is told so, and its name is never shown.
#[tokio::test]
async fn an_upstream_that_speaks_http1() {
    let hub = Hub::start().await;
    let mut agent = RawAgent::register(&hub, NAME, "instance-1", "0").await;
    assert_eq!(agent.opened().await, PROBE);
    agent.send(PROBE, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let closed = agent.closed().await.expect("a close frame");
    assert_eq!(closed.0, 4001, "{closed:?}");
    assert!(closed.1.contains("HTTP/2"), "{closed:?}");
    assert_eq!(hub.metric("hub_registrations_total").await, 0.0);
}

/// An agent counts from its upstream's first frame on, not before.
#[tokio::test]
async fn an_upstream_that_says_nothing_is_not_shown() {
    let hub = Hub::start().await;
    let mut agent = RawAgent::register(&hub, NAME, "instance-1", "0").await;
    let client = hub.client().await;
    let silent = client.call(grpc(NAME, "/a.B/C"), b"").await.expect("an answer");
    assert_eq!(silent.hub_reason(), Some("unknown-name"));
    let settings = frame(SETTINGS, 0, 0, &[]);
    assert_eq!(agent.opened().await, PROBE);
    agent.send(PROBE, &settings[..4]).await;
    agent.send(PROBE, &settings[4..]).await;
    hub.until_serving(NAME).await;
}

/// An upstream that breaks HTTP/2 under running calls loses that lane and nothing else; its caller is told, and has
/// another one for the next call.
#[tokio::test]
async fn an_upstream_that_breaks_http2() {
    let mut world = World::start().await;
    for (count, broken) in (1..).zip([
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        frame(SETTINGS, 0, 0, b"12345"),
        frame(HEADERS, END_HEADERS, 2, STATUS_200),
        frame(DATA, 0, 0, b"on no stream"),
    ]) {
        let name = format!("broken-{count}");
        let mut agent = RawAgent::shown(&world.hub, &name, "instance-1").await;
        let client = Client::connect(world.hub.address).await;
        let (response, _sending) = client.open(grpc(&name, "/a.B/C"), true).await;
        agent.request(PROBE).await;
        agent.send(PROBE, &broken).await;
        let lost = answer(response).await.expect("an answer");
        assert_eq!((lost.grpc_status(), lost.hub_reason()), (Some("14"), Some("session-lost")));
        agent.ended(PROBE).await;
        let (response, _sending) = client.open(grpc(&name, "/a.B/Next"), true).await;
        let lane = agent.accept().await;
        agent.request(lane).await;
        agent.answer(lane).await;
        assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
        world.assert_unharmed().await;
    }
}

/// Control messages that mean nothing are ignored.
#[tokio::test]
async fn control_messages_that_mean_nothing() {
    let hub = Hub::start().await;
    let mut agent = RawAgent::register(&hub, "talker", "instance-1", "0").await;
    for text in ["", "{", "{\"type\":\"kick\"}", "[]"].iter().cycle().take(40) {
        agent.message(Message::text(*text)).await;
    }
    let mut session = agent.serve();
    hub.until_serving("talker").await;
    let client = hub.client().await;
    let (response, _sending) = client.open(grpc("talker", "/a.B/C"), true).await;
    session.call().await.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
}

/// Waits until so many sessions have ended as floods.
async fn until_counted(hub: &Hub, floods: u32) {
    let line = "hub_limits_reached_total{limit=\"agent-messages\"}";
    until("counted", async || hub.metric(line).await == f64::from(floods)).await;
}

/// An agent that talks and talks loses its session, and nobody else notices.
#[tokio::test]
async fn a_flood_of_messages_without_data() {
    let mut world = World::start().await;
    for (count, message) in
        (1..).zip([Message::text("{}"), Message::Ping(Bytes::new()), Message::Pong(Bytes::new())])
    {
        let mut flooder = RawAgent::shown(&world.hub, "flooder", "instance-1").await;
        let floods = async { while let Ok(()) = flooder.ws.send(message.clone()).await {} };
        within("the hub to hang up", floods).await;
        world.hub.until_offline("flooder").await;
        until_counted(&world.hub, count).await;
        world.assert_unharmed().await;
    }
}

/// A message that never ends, in fragments without a byte, of which nothing is seen above the WebSocket.
#[tokio::test]
async fn a_flood_of_fragments_without_data() {
    let mut world = World::start().await;
    let mut flooder = RawAgent::shown(&world.hub, "flooder", "instance-1").await;
    let fragment = |kind| Message::Frame(Frame::message(Bytes::new(), OpCode::Data(kind), false));
    flooder.message(fragment(Data::Binary)).await;
    let floods = async { while flooder.ws.send(fragment(Data::Continue)).await.is_ok() {} };
    within("the hub to hang up", floods).await;
    world.hub.until_offline("flooder").await;
    until_counted(&world.hub, 1).await;
    world.assert_unharmed().await;
}

/// Lane frames that are allowed, and mean nothing.
#[tokio::test]
async fn a_flood_of_lane_frames_that_mean_nothing() {
    let mut world = World::start().await;
    for (count, flood) in (1..).zip([
        Bytes::from_static(&[UNKNOWN_KIND, 0, 0, 0, 1]),
        lanes::credit(PROBE, 1),
        lanes::data(PROBE, 0).freeze(),
        lanes::give_back(PROBE, 0),
    ]) {
        let mut flooder = RawAgent::shown(&world.hub, "flooder", "instance-1").await;
        for _ in 0..2 * LANE_IDLE_FRAMES.burst {
            // The hub may hang up before all is written.
            let message = Message::Binary(flood.clone());
            if within("sent", flooder.ws.feed(message)).await.is_err() {
                break;
            }
        }
        _ = flooder.ws.flush().await;
        let closed = flooder.closed().await;
        assert_eq!(closed.map(|(code, _)| code), Some(1008), "{flood:?}");
        world.hub.until_offline("flooder").await;
        until_counted(&world.hub, count).await;
        world.assert_unharmed().await;
    }
}

/// Lane frames that break the protocol: the session is closed, which its callers are told; nobody else's call fails.
#[tokio::test]
async fn lane_frames_that_break_the_protocol() {
    let mut world = World::start().await;
    let (running, _running) = world.client.open(grpc(NAME, "/a.B/Running"), true).await;
    let held = world.session.call().await;
    let mut never_opened = lanes::data(PROBE + 1, 1);
    never_opened.extend_from_slice(b"x");
    let mut too_long = lanes::data(PROBE, LANE_DATA_MAX + 1);
    too_long.extend_from_slice(&[0; LANE_DATA_MAX + 1]);
    for broken in [
        never_opened.freeze(),
        lanes::fin(PROBE + 1, Some(0)),
        lanes::reset(0, ResetCode::Closed, 0, ""),
        lanes::open(PROBE + 1, Open::default()),
        lanes::open(PROBE, Open::default()),
        lanes::credit(PROBE, LANE_CREDIT_MAX),
        lanes::give_back(PROBE, LANE_CREDIT_GROWN + 1),
        too_long.freeze(),
        Bytes::from_static(b"\x02\0\0\0\x01\0"),
        Bytes::new(),
    ] {
        let mut agent = RawAgent::shown(&world.hub, "broken", "instance-1").await;
        let client = world.hub.client().await;
        let (response, _sending) = client.open(grpc("broken", "/a.B/C"), true).await;
        agent.request(PROBE).await;
        agent.lane_frame(broken.clone()).await;
        let lost = answer(response).await.expect("an answer");
        assert_eq!(lost.hub_reason(), Some("session-lost"), "{broken:?}");
        let closed = agent.closed().await;
        assert_eq!(closed.map(|(code, _)| code), Some(1002), "{broken:?}");
        world.hub.until_offline("broken").await;
        world.assert_unharmed().await;
    }
    held.answer();
    assert_eq!(answer(running).await.expect("an answer").grpc_status(), Some("0"));
}

/// A server that says much more than its calls explain loses the lane, and nobody else notices.
#[tokio::test]
async fn a_flood_of_frames_that_belong_to_no_call() {
    let mut world = World::start().await;
    for (count, flood) in (1..).zip([
        frame(PING, 0, 0, b"12345678"),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(0x20, 0, 0, b""),
    ]) {
        let name = format!("flooder-{count}");
        let flooder = RawAgent::register(&world.hub, &name, "instance-1", "0").await;
        let (lanes, _control) = flooder.into_lanes();
        let (lane, _) = within("a lane", lanes.accept()).await.expect("a session");
        let (mut reader, mut writer) = tokio::io::split(lane);
        writer.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        world.hub.until_serving(&name).await;
        let said = flood.repeat(2 * OVERHEAD.burst as usize);
        let said = tokio::spawn(async move { writer.write_all(&said).await.map(|()| writer) });
        let mut heard = Vec::new();
        _ = within("the end of the lane", reader.read_to_end(&mut heard)).await;
        said.abort();
        let counted = world.hub.metric("hub_limits_reached_total{limit=\"agent-frames\"}").await;
        assert_eq!(counted, f64::from(count));
        world.assert_unharmed().await;
        // The session goes on.
        let mut next = Connections::on_lanes(lanes).all();
        let client = world.hub.client().await;
        let (response, _sending) = client.open(grpc(&name, "/a.B/C"), true).await;
        next.call().await.answer();
        assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
    }
}

/// A message has to be whole before it can be used, so its size is limited.
#[tokio::test]
async fn a_websocket_message_that_is_too_large() {
    let mut world = World::start().await;
    let mut agent = RawAgent::shown(&world.hub, "large", "instance-1").await;
    // Of an unknown kind, of which any length is right.
    let message = Message::binary(vec![UNKNOWN_KIND; 2 * WS_MAX_MESSAGE]);
    // The hub may hang up before all is written.
    _ = within("sent", agent.ws.send(message)).await;
    world.hub.until_offline("large").await;
    world.assert_unharmed().await;
}

/// Calls that are opened and reset in one breath: what guard of an upstream they trip is for whoever does so.
#[tokio::test]
async fn calls_that_are_reset_in_one_breath() {
    const CALLS: u32 = 500;
    let mut world = World::start().await;
    let mut said = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for stream in (1..).step_by(2).take(CALLS as usize) {
        said.extend(frame(HEADERS, END_HEADERS, stream, &request_head(NAME, "/a.B/Storm")));
        said.extend(frame(RST_STREAM, 0, stream, &u32::from(Reason::CANCEL).to_be_bytes()));
    }
    let mut storm = TcpStream::connect(world.hub.address).await.unwrap();
    storm.write_all(&said).await.unwrap();
    let line = |outcome: &str, reason: &str| {
        format!(
            "hub_calls_total{{target=\"agent\",outcome=\"{outcome}\",hub_reason=\"{reason}\",via=\"local\"}}"
        )
    };
    // Once the upstream's guard has ended the lane, the next ones are refused before it is seen that they are reset.
    let (given_up, refused) =
        (line("RESET", "none"), line("RESOURCE_EXHAUSTED", "upstream-closed"));
    let hub = &world.hub;
    until("all of them", async || {
        hub.metric(&given_up).await + hub.metric(&refused).await == f64::from(CALLS)
    })
    .await;

    world.assert_unharmed().await;
}

/// An agent's own services stand more, for all that reaches them comes through the hub.
#[tokio::test]
async fn a_storm_of_resets_at_services() {
    let hub = Hub::start().await;
    let routes = Test::new().routes().await;
    let _agent = Agent::start(config(&hub, agent::Upstream::Services(routes)));
    hub.until_serving(NAME).await;
    let storm = hub.client().await;
    for _ in 0..2000 {
        let (_response, mut sending) = storm.open(grpc(NAME, "/test.v1.Test/Join"), false).await;
        sending.send_reset(Reason::CANCEL);
    }
    let client = hub.client().await;
    let call = client.call(grpc(NAME, "/test.v1.Test/Echo"), b"hello").await.expect("an answer");
    assert_eq!(call.grpc_status(), Some("0"), "{call:?}");
    assert_eq!(hub.metric("hub_registrations_total").await, 1.0);
}

#[tokio::test]
async fn a_request_to_the_hub_itself_is_not_held_in_memory_without_bounds() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let list = || grpc("", "/hub.v1.Hub/ListClients");
    let large = client.call(list(), &vec![0; 100_000]).await.expect("an answer");
    assert_eq!(large.grpc_status(), Some("11"), "OUT_OF_RANGE: {large:?}");
    let small = client.call(list(), &[]).await.expect("an answer");
    assert_eq!(small.grpc_status(), Some("0"), "{small:?}");
}

/// Servers send large heads in pieces of 16 KiB, of which h2 would take two before it ends the connection.
#[tokio::test]
async fn a_response_head_that_is_too_large_ends_its_own_call_only() {
    let mut world = World::start().await;
    for bytes in [100 << 10, 300 << 10] {
        let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
        let mut call = world.session.call().await;
        let mut head = grpc_head();
        head.headers_mut().insert("large", "x".repeat(bytes).parse().unwrap());
        call.respond.send_response(head, true).unwrap();
        let told = answer(response).await.expect_err("a reset");
        assert_eq!(told.reason(), Some(Reason::INTERNAL_ERROR), "{bytes}");
        world.assert_unharmed().await;
    }
}
