//! Whatever a peer sends, only its own connection suffers.

use h2::Reason;
use h2::server::Builder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tunnel::limits::{IDLE_FRAMES, OFFENDER_PAUSE, WS_MAX_MESSAGE};

use crate::support::agent::{Agent, config};
use crate::support::client::{Client, answer};
use crate::support::frames::{
    DATA, END_HEADERS, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, STATUS_200, WINDOW_UPDATE,
    frame, request_head,
};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{grpc, grpc_head, headers};
use crate::support::raw_agent::RawAgent;
use crate::support::service::Test;
use crate::support::world::World;
use crate::support::{NAME, until, within};

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
    agent.send(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let closed = agent.closed().await.expect("a close frame");
    assert_eq!(closed.0, 4001, "{closed:?}");
    assert!(closed.1.contains("HTTP/2"), "{closed:?}");
    assert_eq!(hub.metric("hub_registrations_total").await, 0.0);
}

/// A session counts from the upstream's first frame on, not before.
#[tokio::test]
async fn an_upstream_that_says_nothing_is_not_shown() {
    let hub = Hub::start().await;
    let mut agent = RawAgent::register(&hub, NAME, "instance-1", "0").await;
    let client = hub.client().await;
    let silent = client.call(grpc(NAME, "/a.B/C"), b"").await.expect("an answer");
    assert_eq!(silent.hub_reason(), Some("unknown-name"));
    let settings = frame(SETTINGS, 0, 0, &[]);
    agent.send(&settings[..4]).await;
    agent.send(&settings[4..]).await;
    hub.until_serving(NAME).await;
}

/// An agent that breaks HTTP/2 under running calls loses its session; its callers are told.
#[tokio::test]
async fn an_upstream_that_breaks_http2() {
    let mut world = World::start().await;
    for broken in [
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        frame(SETTINGS, 0, 0, b"12345"),
        frame(HEADERS, END_HEADERS, 2, STATUS_200),
        frame(DATA, 0, 0, b"on no stream"),
    ] {
        let mut agent = RawAgent::register(&world.hub, "broken", "instance-1", "0").await;
        agent.settings().await;
        world.hub.until_serving("broken").await;
        let client = Client::connect(world.hub.address).await;
        let (response, _sending) = client.open(grpc("broken", "/a.B/C"), true).await;
        agent.request().await;
        agent.send(&broken).await;
        let answer = answer(response).await.expect("an answer");
        assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("14"), Some("session-lost")));
        agent.closed().await;
        world.hub.until_offline("broken").await;
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

/// An agent that talks and talks loses its session, and nobody else notices.
#[tokio::test]
async fn a_flood_of_messages_without_data() {
    let mut world = World::start().await;
    for (count, message) in (1..).zip([
        Message::text("{}"),
        Message::Ping(Bytes::new()),
        Message::Pong(Bytes::new()),
        Message::Binary(Bytes::new()),
    ]) {
        let mut flooder = RawAgent::register(&world.hub, "flooder", "instance-1", "0").await;
        flooder.settings().await;
        world.hub.until_serving("flooder").await;
        let floods = async {
            while let Ok(()) = futures_util::SinkExt::send(&mut flooder.ws, message.clone()).await {
            }
        };
        within("the hub to hang up", floods).await;
        world.hub.until_offline("flooder").await;
        let counted = world.hub.metric("hub_limits_reached_total{limit=\"agent-messages\"}").await;
        assert_eq!(counted, f64::from(count), "{message:?}");
        world.assert_unharmed().await;
    }
}

/// A message that never ends, in fragments without a byte, of which nothing is seen above the WebSocket.
#[tokio::test]
async fn a_flood_of_fragments_without_data() {
    let mut world = World::start().await;
    let mut flooder = RawAgent::register(&world.hub, "flooder", "instance-1", "0").await;
    flooder.settings().await;
    world.hub.until_serving("flooder").await;
    let fragment = |kind| Message::Frame(Frame::message(Bytes::new(), OpCode::Data(kind), false));
    flooder.message(fragment(Data::Binary)).await;
    let floods = async {
        while futures_util::SinkExt::send(&mut flooder.ws, fragment(Data::Continue)).await.is_ok() {
        }
    };
    within("the hub to hang up", floods).await;
    world.hub.until_offline("flooder").await;
    assert_eq!(world.hub.metric("hub_limits_reached_total{limit=\"agent-messages\"}").await, 1.0);
    world.assert_unharmed().await;
}

/// A server that says much more than its calls explain loses its session, after a while and with a reason; until
/// then it is not read as fast as it can talk, and nobody else notices.
#[tokio::test]
async fn a_flood_of_frames_that_belong_to_no_call() {
    let mut world = World::start().await;
    for (count, flood) in (1..).zip([
        frame(PING, 0, 0, b"12345678"),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(0x20, 0, 0, b""),
    ]) {
        let mut flooder = RawAgent::register(&world.hub, "flooder", "instance-1", "0").await;
        flooder.settings().await;
        world.hub.until_serving("flooder").await;
        let start = Instant::now();
        flooder.send(&flood.repeat(2 * IDLE_FRAMES as usize)).await;
        let mut closed = std::pin::pin!(flooder.closed());
        tokio::select! {
            biased;
            () = world.hub.until_offline("flooder") => {}
            _ = &mut closed => panic!("offered to callers until its end"),
        }
        world.assert_unharmed().await;
        let closed = closed.await.expect("a reason");
        assert_eq!(closed, (1008, "too many HTTP/2 frames that belong to no call".to_owned()));
        assert!(start.elapsed() >= OFFENDER_PAUSE, "it would be back at once");
        let counted = world.hub.metric("hub_limits_reached_total{limit=\"agent-frames\"}").await;
        assert_eq!(counted, f64::from(count));
        world.assert_unharmed().await;
    }
}

/// A message has to be whole before it can be used, so its size is limited.
#[tokio::test]
async fn a_websocket_message_that_is_too_large() {
    let mut world = World::start().await;
    let mut agent = RawAgent::register(&world.hub, "large", "instance-1", "0").await;
    agent.settings().await;
    world.hub.until_serving("large").await;
    // HTTP/2 has nothing against it.
    let ignored = frame(0x20, 0, 0, &[0; 16 << 10]);
    let message = Message::binary(ignored.repeat(2 * WS_MAX_MESSAGE / ignored.len()));
    // The hub may hang up before all is written.
    _ = within("sent", futures_util::SinkExt::send(&mut agent.ws, message)).await;
    world.hub.until_offline("large").await;
    world.assert_unharmed().await;
}

/// Calls that are opened and reset in one breath: what a client does on its own connection must not trip the
/// flood guards of an upstream, which would end the session that it shares with others.
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
    let line = "hub_calls_total{target=\"agent\",outcome=\"RESET\",hub_reason=\"none\"}";
    let hub = &world.hub;
    until("all of them", async || hub.metric(line).await == f64::from(CALLS)).await;

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

/// hyper takes header lists of 16 KiB, and ends the connection beyond four times that; others end it at
/// once. So what an upstream does not take does not reach it.
#[tokio::test]
async fn header_lists_that_an_upstream_does_not_take_stop_at_the_hub() {
    let mut upstream = Builder::new();
    upstream.max_header_list_size(16 << 10);
    let mut world = World::start_with(hub_config(), upstream).await;
    for bytes in [17 << 10, 47 << 10, 50 << 10, 63 << 10, 100 << 10] {
        let mut request = grpc(NAME, "/a.B/C");
        let large = "x".repeat(bytes).parse().unwrap();
        request.headers_mut().insert("large", large);
        let refused = world.client.request(request).await.expect("an answer");
        if bytes < 64 << 10 {
            let told = (refused.grpc_status(), refused.hub_reason());
            assert_eq!(told, (Some("8"), Some("limit")), "{bytes}: {refused:?}");
        } else {
            assert_eq!(refused.http_status(), 431, "{bytes}: {refused:?}");
        }
        world.assert_unharmed().await;
    }
    let (response, mut sending) = world.client.open(grpc(NAME, "/a.B/C"), false).await;
    let mut call = world.session.call().await;
    sending.send_trailers(headers([("large", &"x".repeat(17 << 10))])).unwrap();
    assert_eq!(call.reset().await, Reason::CANCEL);
    let told = answer(response).await.expect_err("a reset");
    assert_eq!(told.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    world.assert_unharmed().await;
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
