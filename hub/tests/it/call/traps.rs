//! What HTTP/2 allows and `h2` makes hard for whoever stands between two connections. Each trap by name, by
//! frames written by hand.

mod floods;

use h2::Reason;
use hub::limits::STREAM_QUEUE_MAX;

use crate::support::frames::END_STREAM;
use crate::support::hub::Hub;
use crate::support::pair::Pair;
use crate::support::peer::{Peer, Settings};
use crate::support::{NAME, until};

const NO_ERROR: Option<u32> = Some(0);

fn code(reason: Reason) -> u32 {
    reason.into()
}

struct Trap {
    hub: Hub,
    pair: Pair,
}

impl Trap {
    async fn start() -> Self {
        Self::start_with(Settings::default(), Settings::default()).await
    }

    async fn start_with(client: Settings, upstream: Settings) -> Self {
        let hub = Hub::start().await;
        let pair = Pair::start(&hub, NAME, client, upstream).await;
        Self { hub, pair }
    }

    /// Opens a call whose request goes on, and returns the upstream's stream.
    async fn open(&mut self, stream: u32, path: &str) -> u32 {
        self.pair.client.call(stream, NAME, path, 0);
        self.pair.client.flush().await;
        self.pair.upstream.request(path).await
    }

    /// Both connections serve another call.
    async fn assert_unharmed(&mut self, stream: u32) {
        self.pair.call(stream, NAME).await;
        assert_eq!(
            self.hub.metric("hub_registrations_total").await,
            1.0,
            "the session is the first"
        );
    }
}

/// As much of a request as a hub takes before its upstream takes any.
fn fill(client: &mut Peer, stream: u32) -> usize {
    let mut bytes = 0;
    while client.allows(stream, 16_384) {
        client.data(stream, &[7; 16_384], 0);
        bytes += 16_384;
    }
    bytes
}

// --- ends ---

/// The upstream reads nothing of the upload, answers in full, and asks for the rest not to be sent.
#[tokio::test]
async fn an_early_response_while_the_client_uploads() {
    let closed = Settings { stream_window: 0, ..Settings::default() };
    let mut trap = Trap::start_with(Settings::default(), closed).await;
    let stream = trap.open(1, "/a.B/Upload").await;
    let Pair { client, upstream } = &mut trap.pair;
    assert!(fill(client, 1) > 0);
    client.ping().await.unwrap();
    upstream.head(stream, &[(":status", "200"), ("content-type", "application/grpc")], 0);
    upstream.data(stream, b"enough", 0);
    upstream.head(stream, &[("grpc-status", "11")], END_STREAM);
    upstream.reset(stream, code(Reason::NO_ERROR));
    upstream.flush().await;
    client.until("all of the answer", |client| client.heard(1).reset.is_some()).await;
    let heard = client.heard(1);
    assert_eq!((&*heard.body, heard.ended, heard.reset), (&b"enough"[..], true, NO_ERROR));
    assert!(heard.trailers.is_some(), "{heard:?}");
    // The client has not heard of it yet.
    client.data(1, b"late", END_STREAM);
    trap.assert_unharmed(3).await;
}

/// "Stop sending, all is well" after an answer that is one head: neither an error, nor two frames.
#[tokio::test]
async fn trailers_only_then_a_reset_with_no_error() {
    let mut trap = Trap::start().await;
    let stream = trap.open(1, "/a.B/Upload").await;
    let Pair { client, upstream } = &mut trap.pair;
    client.data(1, b"part", 0);
    client.ping().await.unwrap();
    upstream.answer(stream);
    upstream.reset(stream, code(Reason::NO_ERROR));
    upstream.flush().await;
    client.until("a reset", |client| client.heard(1).reset.is_some()).await;
    let heard = client.heard(1);
    assert_eq!((heard.head_only, heard.ended, heard.reset), (true, true, NO_ERROR));
    trap.assert_unharmed(3).await;
}

/// A client that has asked in full gets what the upstream says long after, and no reset.
#[tokio::test]
async fn a_bidi_call_that_its_client_half_closed() {
    let mut trap = Trap::start().await;
    let stream = trap.open(1, "/a.B/Bidi").await;
    let Pair { client, upstream } = &mut trap.pair;
    client.data(1, b"all", END_STREAM);
    client.flush().await;
    upstream.until("the end of the request", |upstream| upstream.heard(stream).ended).await;
    upstream.head(stream, &[(":status", "200")], 0);
    for i in 1..=100 {
        upstream.data(stream, b"x", if i == 100 { END_STREAM } else { 0 });
        upstream.flush().await;
        client.until("a byte", |client| client.heard(1).body.len() == i).await;
    }
    client.until("the end", |client| client.heard(1).ended).await;
    client.ping().await.unwrap();
    assert_eq!(client.heard(1).reset, None);
}

/// And the other way round: who has answered in full still gets the rest of the request, and its trailers.
#[tokio::test]
async fn a_bidi_call_that_its_upstream_half_closed() {
    let mut trap = Trap::start().await;
    let stream = trap.open(1, "/a.B/Bidi").await;
    let Pair { client, upstream } = &mut trap.pair;
    upstream.answer(stream);
    upstream.flush().await;
    client.until("the answer", |client| client.heard(1).ended).await;
    for i in 1..=100 {
        client.data(1, b"x", 0);
        client.flush().await;
        upstream.until("a byte", |upstream| upstream.heard(stream).body.len() == i).await;
    }
    client.head(1, &[("x-checksum", "1")], END_STREAM);
    client.flush().await;
    upstream.until("the end", |upstream| upstream.heard(stream).ended).await;
    assert!(upstream.heard(stream).trailers.is_some());
    assert_eq!((upstream.heard(stream).reset, client.heard(1).reset), (None, None));
}

// --- resets ---

/// What is blocked on one side must see what the other side says.
#[tokio::test]
async fn a_clients_reset_while_the_upstreams_window_is_closed() {
    let closed = Settings { stream_window: 0, ..Settings::default() };
    let mut trap = Trap::start_with(Settings::default(), closed).await;
    let stream = trap.open(1, "/a.B/Upload").await;
    let Pair { client, upstream } = &mut trap.pair;
    fill(client, 1);
    client.reset(1, code(Reason::INTERNAL_ERROR));
    client.flush().await;
    upstream.until("a reset", |upstream| upstream.heard(stream).reset.is_some()).await;
    assert_eq!(upstream.heard(stream).reset, Some(code(Reason::CANCEL)));
    trap.assert_unharmed(3).await;
}

#[tokio::test]
async fn a_clients_reset_while_its_own_window_is_closed() {
    let closed = Settings { stream_window: 0, ..Settings::default() };
    let mut trap = Trap::start_with(closed, Settings::default()).await;
    let stream = trap.open(1, "/a.B/Download").await;
    let Pair { client, upstream } = &mut trap.pair;
    // Of a request that goes on, the hub would learn of it by that.
    client.data(1, b"", END_STREAM);
    client.flush().await;
    upstream.until("the end of the request", |upstream| upstream.heard(stream).ended).await;
    upstream.head(stream, &[(":status", "200")], 0);
    fill(upstream, stream);
    upstream.ping().await.unwrap();
    client.until("a head", |client| client.heard(1).head.is_some()).await;
    client.reset(1, code(Reason::CANCEL));
    client.flush().await;
    upstream.until("a reset", |upstream| upstream.heard(stream).reset.is_some()).await;
    assert_eq!(upstream.heard(stream).reset, Some(code(Reason::CANCEL)));
    trap.assert_unharmed(3).await;
}

#[tokio::test]
async fn an_upstreams_reset_while_its_own_window_is_closed() {
    let closed = Settings { stream_window: 0, ..Settings::default() };
    let mut trap = Trap::start_with(Settings::default(), closed).await;
    let stream = trap.open(1, "/a.B/Upload").await;
    let Pair { client, upstream } = &mut trap.pair;
    fill(client, 1);
    client.ping().await.unwrap();
    upstream.reset(stream, code(Reason::ENHANCE_YOUR_CALM));
    upstream.flush().await;
    client.until("a reset", |client| client.heard(1).reset.is_some()).await;
    assert_eq!(client.heard(1).reset, Some(code(Reason::ENHANCE_YOUR_CALM)));
    trap.assert_unharmed(3).await;
}

// --- GOAWAY ---

/// Of what runs, the upstream finishes what it has named; the rest may be tried again.
#[tokio::test]
async fn goaway_mid_flight() {
    let mut trap = Trap::start().await;
    let first = trap.open(1, "/a.B/First").await;
    let second = trap.open(3, "/a.B/Second").await;
    trap.open(5, "/a.B/Third").await;
    let Pair { client, upstream } = &mut trap.pair;
    upstream.head(first, &[(":status", "200")], 0);
    upstream.go_away(second, code(Reason::NO_ERROR));
    upstream.ping().await.unwrap();
    client.until("a reset", |client| client.heard(5).reset.is_some()).await;
    assert_eq!(client.heard(5).reset, Some(code(Reason::REFUSED_STREAM)));
    for (stream, at_upstream) in [(1, first), (3, second)] {
        client.data(stream, b"the rest", END_STREAM);
        client.flush().await;
        upstream.until("the rest", |upstream| upstream.heard(at_upstream).ended).await;
        assert_eq!(upstream.heard(at_upstream).body, b"the rest");
    }
    upstream.head(first, &[("grpc-status", "0")], END_STREAM);
    upstream.answer(second);
    upstream.flush().await;
    client.until("both", |client| client.heard(1).ended && client.heard(3).ended).await;
    assert_eq!((client.heard(1).reset, client.heard(3).reset), (None, None));
}

/// A lane that takes no new calls ends after its last one, the rest of whose request has arrived by then.
#[tokio::test]
async fn goaway_before_the_rest_of_a_request() {
    let narrow = Settings { stream_window: 1, ..Settings::default() };
    let mut trap = Trap::start_with(Settings::default(), narrow).await;
    let stream = trap.open(1, "/a.B/Upload").await;
    let Pair { client, upstream } = &mut trap.pair;
    upstream.go_away(stream, code(Reason::NO_ERROR));
    upstream.answer(stream);
    upstream.ping().await.unwrap();
    client.data(1, b"the rest", END_STREAM);
    client.ping().await.unwrap();
    upstream.until("a byte", |upstream| upstream.heard(stream).body == b"t").await;
    upstream.grant(stream, 100);
    upstream.flush().await;
    upstream.until("the rest", |upstream| upstream.heard(stream).ended).await;
    assert_eq!(upstream.heard(stream).body, b"the rest");
}

// --- streams ---

/// Never more at once than the upstream takes, and all of them in the end.
#[tokio::test]
async fn a_peer_with_max_concurrent_streams_1() {
    const CALLS: usize = 20;
    let one = Settings { max_streams: 1, ..Settings::default() };
    let mut trap = Trap::start_with(Settings::default(), one).await;
    let Pair { client, upstream } = &mut trap.pair;
    let paths: Vec<_> = (0..CALLS).map(|i| format!("/a.B/{i}")).collect();
    for (stream, path) in (1..).step_by(2).zip(&paths) {
        client.call(stream, NAME, path, END_STREAM);
    }
    client.ping().await.unwrap();
    let hub = &trap.hub;
    let all = CALLS as f64;
    until("all at the hub", async || hub.metric("hub_streams_in_flight").await == all).await;
    for served in 0..CALLS {
        upstream.until("a call", |upstream| upstream.streams.len() > served).await;
        upstream.ping().await.unwrap();
        assert_eq!(upstream.streams.len(), served + 1, "one at once");
        let stream = *upstream.streams.keys().next_back().unwrap();
        upstream.answer(stream);
        upstream.flush().await;
    }
    client.until("all answers", |client| client.streams.values().all(|heard| heard.ended)).await;
}

/// What waits since the upstream took no more goes as soon as it takes more, all of it.
#[tokio::test]
async fn a_limit_of_streams_that_is_raised() {
    for before in [0, 1] {
        let few = Settings { max_streams: before, ..Settings::default() };
        let mut trap = Trap::start_with(Settings::default(), few).await;
        let Pair { client, upstream } = &mut trap.pair;
        for stream in [1, 3, 5, 7] {
            client.call(stream, NAME, "/a.B/Waiting", END_STREAM);
        }
        client.ping().await.unwrap();
        let hub = &trap.hub;
        until("all at the hub", async || hub.metric("hub_streams_in_flight").await == 4.0).await;
        upstream.limit_streams(10);
        upstream.flush().await;
        upstream.until("all calls", |upstream| upstream.streams.len() == 4).await;
    }
}

/// What runs goes on, and what comes then waits until the upstream has room by its new limit.
#[tokio::test]
async fn a_limit_of_streams_that_is_lowered() {
    let mut trap = Trap::start().await;
    let mut running = Vec::new();
    for stream in [1, 3, 5] {
        running.push((stream, trap.open(stream, &format!("/a.B/{stream}")).await));
    }
    let Pair { client, upstream } = &mut trap.pair;
    upstream.limit_streams(1);
    upstream.ping().await.unwrap();
    client.call(7, NAME, "/a.B/Next", END_STREAM);
    client.ping().await.unwrap();
    let hub = &trap.hub;
    until("all at the hub", async || hub.metric("hub_streams_in_flight").await == 4.0).await;
    for (stream, at_upstream) in running {
        client.data(stream, b"more", END_STREAM);
        client.flush().await;
        upstream.until("the rest", |upstream| upstream.heard(at_upstream).ended).await;
        assert_eq!(upstream.stream_of("/a.B/Next"), None);
        upstream.answer(at_upstream);
        upstream.flush().await;
        client.until("an answer", |client| client.heard(stream).ended).await;
    }
    let next = upstream.request("/a.B/Next").await;
    upstream.answer(next);
    upstream.flush().await;
    client.until("the last", |client| client.heard(7).ended).await;
    let resets: Vec<_> = client.streams.values().filter_map(|heard| heard.reset).collect();
    assert!(resets.iter().all(|code| Some(*code) == NO_ERROR), "{resets:?}");
}

/// Nor do calls that were given up take up the queue of those that wait.
#[tokio::test]
async fn a_call_behind_many_that_were_given_up_waits_for_a_stream() {
    /// Some more than the queue has room for.
    const GIVEN_UP: usize = STREAM_QUEUE_MAX + 64;
    let one = Settings { max_streams: 1, ..Settings::default() };
    let mut trap = Trap::start_with(Settings::default(), one).await;
    let held = trap.open(1, "/a.B/Held").await;
    let Pair { client, upstream } = &mut trap.pair;
    for stream in (3..).step_by(2).take(GIVEN_UP) {
        client.call(stream, NAME, "/a.B/GivenUp", END_STREAM);
        client.reset(stream, code(Reason::CANCEL));
    }
    let next = 3 + 2 * GIVEN_UP as u32;
    client.call(next, NAME, "/a.B/Next", END_STREAM);
    client.data(1, b"", END_STREAM);
    client.ping().await.unwrap();
    upstream.answer(held);
    upstream.flush().await;
    let at_upstream = upstream.request("/a.B/Next").await;
    upstream.answer(at_upstream);
    upstream.flush().await;
    client.until("an answer", |client| client.heard(next).ended).await;
    assert_eq!(upstream.stream_of("/a.B/GivenUp"), None);
}

/// A call that was given up while it waited never reaches an upstream.
#[tokio::test]
async fn a_call_that_is_given_up_while_it_waits_for_a_stream() {
    let one = Settings { max_streams: 1, ..Settings::default() };
    let mut trap = Trap::start_with(Settings::default(), one).await;
    let held = trap.open(1, "/a.B/Held").await;
    let Pair { client, upstream } = &mut trap.pair;
    client.call(3, NAME, "/a.B/GivenUp", END_STREAM);
    client.ping().await.unwrap();
    let hub = &trap.hub;
    until("both at the hub", async || hub.metric("hub_streams_in_flight").await == 2.0).await;
    client.reset(3, code(Reason::CANCEL));
    client.data(1, b"", END_STREAM);
    client.ping().await.unwrap();
    upstream.answer(held);
    upstream.flush().await;
    trap.assert_unharmed(5).await;
    assert_eq!(trap.pair.upstream.stream_of("/a.B/GivenUp"), None);
}
