//! What callers share, none of them takes whole: an upstream's streams and windows, its patience, and the hub's
//! own services.

use h2::server::Builder;
use hub::limits::{LANES_OF_AGENT, LANES_OPENING, OWN_CALLS};
use tunnel::wire::Control;

use crate::support::client::{Client, answer};
use crate::support::frames::END_STREAM;
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{grpc, message};
use crate::support::pair::Pair;
use crate::support::peer::{Peer, Settings};
use crate::support::raw_agent::{Delivered, RawAgent};
use crate::support::upstream::{Connection, Connections};
use crate::support::world::World;
use crate::support::{NAME, until, within};

/// A call of this client is answered, whatever else waits at the upstream.
async fn assert_served(client: &Client, session: &mut Connection, payload: &'static [u8]) {
    let (called, ()) = tokio::join!(client.call(grpc(NAME, "/a.B/Served"), payload), async {
        // Others that come before are held: to drop one would be an answer, and make room.
        let mut others = Vec::new();
        loop {
            let mut call = session.call().await;
            if call.request.uri().path() == "/a.B/Served" {
                assert_eq!(call.body().await.0, message(payload));
                return call.answer();
            }
            others.push(call);
        }
    });
    assert_eq!(called.expect("an answer").grpc_status(), Some("0"));
}

/// Calls that nobody has seen yet, cancelled by the thousand, at a server whose guard ends a connection after
/// twenty: that is the storm's own.
#[tokio::test]
async fn cancels_of_unseen_calls_trip_the_upstreams_guard_for_nobody_else() {
    const CALLS: usize = 1000;
    let mut world = World::start().await;
    let storm = world.hub.client().await;
    for _ in 0..CALLS {
        drop(storm.open(grpc(NAME, "/a.B/Storm"), false).await);
    }
    assert_served(&world.client, &mut world.session, b"unharmed").await;
    assert_eq!(world.hub.metric("hub_registrations_total").await, 1.0);
}

/// A server that has stopped still takes connections, and says nothing on them.
#[tokio::test]
async fn lanes_to_a_server_that_hangs_delay_nobody_elses() {
    let mut world = World::start().await;
    // Takes the lane that stands ready.
    assert_served(&world.client, &mut world.session, b"first").await;
    let mut hung = RawAgent::shown(&world.hub, "hung", "instance-1").await;
    let mut waiting = Vec::new();
    // The first of them takes the lane that has spoken.
    for _ in 0..=LANES_OPENING {
        let client = world.hub.client().await;
        let call = client.open(grpc("hung", "/a.B/C"), true).await;
        waiting.push((client, call));
    }
    for _ in 0..LANES_OPENING {
        hung.opened().await;
    }
    let client = world.hub.client().await;
    assert_served(&client, &mut world.session, b"unharmed").await;
    for outcome in ["silent", "full"] {
        let failed = format!("hub_lanes_opened_total{{outcome=\"{outcome}\"}}");
        assert_eq!(world.hub.metric(&failed).await, 0.0, "one has been given up before");
    }
}

/// Of bytes that wait in the hub, all connections together may have so many.
#[tokio::test]
async fn whoever_leaves_too_much_in_the_hub_gets_no_new_calls() {
    const PIECES: usize = 6;
    const PIECE: [u8; 16 << 10] = [7; 16 << 10];
    let hub = Hub::start_with(hub::Config { max_held: PIECE.len(), ..hub_config() }).await;
    let narrow = Settings { stream_window: 1 << 20, connection_grant: 0, ..Settings::default() };
    let mut pair = Pair::start(&hub, NAME, narrow, Settings::default()).await;
    let Pair { client, upstream } = &mut pair;
    client.call(1, NAME, "/a.B/Download", END_STREAM);
    client.flush().await;
    let download = upstream.request("/a.B/Download").await;
    upstream.head(download, &[(":status", "200")], 0);
    // The client has a window for four of them, and so has the lane.
    for _ in 0..PIECES / 3 {
        (0..3).for_each(|_| upstream.data(download, &PIECE, 0));
        upstream.ping().await.expect("frames by the rules");
    }
    // Of agents', and of the hub itself; but it tells how it is, where that is short.
    let calls = [
        (3, NAME, "/a.B/Refused", true),
        (5, "", "/hub.v1.Hub/ListClients", true),
        (7, "", "/grpc.health.v1.Health/List", true),
        (9, "", "/grpc.health.v1.Health/Check", false),
    ];
    for (stream, name, path, is_refused) in calls {
        client.call(stream, name, path, END_STREAM);
        client.flush().await;
        client.until("an answer", |client| client.heard(stream).head.is_some()).await;
        let head = client.heard(stream).head.clone().expect("a head");
        let is_limit = head.contains(&("hub-reason".to_owned(), "limit".to_owned()));
        assert_eq!(is_limit, is_refused, "{path}: {head:?}");
    }
    assert_eq!(hub.metric("hub_limits_reached_total{limit=\"held\"}").await, 3.0);
    // Once it has taken what is its own, it may call again.
    client.grant(0, 1 << 20);
    client.flush().await;
    let whole = PIECES * PIECE.len();
    client.until("the download", |client| client.heard(1).body.len() == whole).await;
    pair.call(11, NAME).await;
    assert_eq!(pair.upstream.stream_of("/a.B/Refused"), None);
}

/// Answers a call with so many pieces, which are in the hub then.
async fn give(upstream: &mut Peer, path: &str, piece: &[u8], pieces: usize) {
    let stream = upstream.request(path).await;
    upstream.head(stream, &[(":status", "200")], 0);
    (1..pieces).for_each(|_| upstream.data(stream, piece, 0));
    upstream.data(stream, piece, END_STREAM);
    upstream.ping().await.expect("frames by the rules");
}

/// Answers whose lanes are gone wait in the hub for a client that takes nothing: each of up to a lane's window. With 2 MiB of
/// them, no upstream is asked for more.
#[tokio::test]
async fn whoever_leaves_answers_of_lanes_that_are_gone_waits_with_its_calls() {
    const ANSWER: [u8; 15 << 10] = [7; 15 << 10];
    const OF_A_LANE: usize = 4 * ANSWER.len();
    const LANES: usize = (2 << 20) / OF_A_LANE + 2;
    let hub = Hub::start().await;
    let agent = RawAgent::register(&hub, NAME, "by-hand", "0").await;
    let (lanes, mut control) = agent.into_lanes();
    let next_lane = async || {
        let (lane, _) = within("a lane", lanes.accept()).await.expect("a session");
        Peer::server(Delivered(lane), Settings::default()).await
    };
    // The probe's becomes the first caller's.
    let mut probed = Some(next_lane().await);
    assert_eq!(within("the agent shown", control.recv()).await, Some(Control::Registered));
    let narrow = Settings { stream_window: 1 << 20, connection_grant: 0, ..Settings::default() };
    let mut client = Peer::client(hub.address, narrow).await;
    let stream = |at: usize| 1 + 2 * at as u32;
    for at in 0..LANES {
        let path = format!("/a.B/Download{at}");
        client.call(stream(at), NAME, &path, END_STREAM);
        client.flush().await;
        let mut upstream = match probed.take() {
            Some(probed) => probed,
            None => next_lane().await,
        };
        give(&mut upstream, &path, &ANSWER, 4).await;
        upstream.cut().await;
    }
    client.call(stream(LANES), NAME, "/a.B/Waits", END_STREAM);
    client.ping().await.expect("frames by the rules");
    let mut other = Peer::client(hub.address, Settings::default()).await;
    other.call(1, NAME, "/a.B/Others", END_STREAM);
    other.flush().await;
    let mut session = Connections::on_lanes(lanes).all();
    let others = within("the other's call", session.call()).await;
    assert_eq!(others.request.uri().path(), "/a.B/Others", "the first is not asked for");
    others.answer();
    other.until("an answer", |client| client.heard(1).ended).await;
    client.grant(0, 4 << 20);
    client.flush().await;
    let waited = tokio::select! {
        waited = session.call() => waited,
        () = client.until("the call asked for", |_| false) => unreachable!(),
    };
    assert_eq!(waited.request.uri().path(), "/a.B/Waits");
    waited.answer();
    client.until("an answer", |client| client.heard(stream(LANES)).ended).await;
    let whole = |at| client.heard(stream(at)).body.len() == OF_A_LANE;
    assert!((0..LANES).all(whole));
}

/// A server that allows 100 streams a connection, as most do: for more of them, more connections are made.
#[tokio::test]
async fn calls_beyond_the_streams_of_a_connection_have_another() {
    const CALLS: usize = 200;
    let upstream = Builder::new().max_concurrent_streams(100).clone();
    let mut world = World::start_with(hub_config(), upstream).await;
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        calls.push(world.client.open(grpc(NAME, "/a.B/Long"), true).await);
    }
    let mut held = Vec::new();
    while held.len() < CALLS {
        held.push(world.session.call().await);
    }
    assert_eq!(world.session.begun(), CALLS / 100);
    for call in held {
        call.answer();
    }
    for (response, _sending) in calls {
        assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
    }
}

/// Who has all streams that one client can have leaves all to the next one.
#[tokio::test]
async fn nobody_takes_the_streams_of_an_upstream_from_others() {
    const STREAMS: usize = 4;
    let upstream = Builder::new().max_concurrent_streams(STREAMS as u32).clone();
    let mut world = World::start_with(hub_config(), upstream).await;
    let hog = world.hub.client().await;
    let (mut calls, mut held) = (Vec::new(), Vec::new());
    for _ in 0..2 * STREAMS * LANES_OF_AGENT {
        calls.push(hog.open(grpc(NAME, "/a.B/Hog"), true).await);
    }
    while held.len() < STREAMS * LANES_OF_AGENT {
        held.push(world.session.call().await);
    }
    for _ in 0..STREAMS {
        calls.push(world.client.open(grpc(NAME, "/a.B/Other"), true).await);
    }
    for _ in 0..STREAMS {
        let call = world.session.call().await;
        assert_eq!(call.request.uri().path(), "/a.B/Other");
        held.push(call);
    }
}

/// An upstream's connection takes 64 KiB in all. A caller whose uploads are not read fills its own.
#[tokio::test]
async fn nobody_fills_the_window_of_somebody_elses_connection() {
    let mut world = World::start().await;
    let hog = world.hub.client().await;
    let mut uploads = Vec::new();
    for _ in 0..8 {
        let (response, mut sending) = hog.open(grpc(NAME, "/a.B/Hog"), false).await;
        sending.send_data(vec![0; 64 << 10].into(), false).unwrap();
        uploads.push((response, sending, world.session.call().await));
    }
    for _ in 0..20 {
        assert_served(&world.client, &mut world.session, b"there is room for this").await;
    }
}

#[tokio::test]
async fn a_client_has_so_many_calls_to_the_hub_itself() {
    let hub = Hub::start().await;
    let client = hub.client().await;
    let mut watches = Vec::new();
    for _ in 0..OWN_CALLS {
        let (response, mut sending) =
            client.open(grpc("", "/grpc.health.v1.Health/Watch"), false).await;
        sending.send_data(message(b""), true).unwrap();
        let watch = within("a watch", response).await.expect("a head");
        watches.push(watch);
    }
    let check = || grpc("", "/grpc.health.v1.Health/Check");
    let refused = client.call(check(), b"").await.expect("an answer");
    assert_eq!((refused.hub_reason(), refused.grpc_status()), (Some("limit"), Some("8")));
    let other = hub.client().await;
    assert_eq!(other.call(check(), b"").await.expect("an answer").grpc_status(), Some("0"));
    assert_eq!(hub.metric("hub_limits_reached_total{limit=\"own-calls\"}").await, 1.0);
    drop(watches);
    let served =
        async || client.call(check(), b"").await.expect("an answer").hub_reason().is_none();
    until("a place", served).await;
}
