//! Header lists at, over and far over the limits, both ways: what is too large costs its call, never a
//! connection that others share.

use h2::Reason;
use hub::limits::MAX_HEADER_LIST;
use switch::ANSWER_BLOCK_MAX;
use tunnel::limits::MAX_RESPONSE_HEADER_LIST;

use crate::support::frames::END_STREAM;
use crate::support::hpack::Headers;
use crate::support::hub::Hub;
use crate::support::pair::Pair;
use crate::support::peer::{Heard, Peer, Settings};
use crate::support::{NAME, within};

const INTERNAL_ERROR: Option<u32> = Some(2);
/// What `h2` needs to be below a limit.
const BELOW: usize = 1;

struct Lists {
    hub: Hub,
    pair: Pair,
}

impl Lists {
    async fn start() -> Self {
        let hub = Hub::start().await;
        let pair = Pair::start(&hub, NAME, Settings::default(), Settings::default()).await;
        Self { hub, pair }
    }

    async fn open(&mut self, stream: u32) -> u32 {
        let path = format!("/a.B/{stream}");
        self.pair.client.call(stream, NAME, &path, 0);
        self.pair.client.flush().await;
        self.pair.upstream.request(&path).await
    }

    /// Both connections are the first ones, and serve another call.
    async fn assert_unharmed(&mut self, stream: u32) {
        self.pair.call(stream, NAME).await;
        assert_eq!(self.hub.metric("hub_registrations_total").await, 1.0);
    }
}

/// A list of this size: each entry counts 32 bytes more than it has (RFC 9113 6.5.2).
fn list(headers: &[(&str, &str)], size: usize) -> Headers {
    let entry = |name: &str, value: &str| name.len() + value.len() + 32;
    let before: usize = headers.iter().map(|(name, value)| entry(name, value)).sum();
    let mut list = owned(headers);
    list.push(("large".to_owned(), "x".repeat(size - before - entry("large", ""))));
    list
}

fn owned(headers: &[(&str, &str)]) -> Headers {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn request(size: usize) -> Headers {
    let head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/a.B/Large"),
        (":authority", "hub.test"),
        ("content-type", "application/grpc"),
        ("name", NAME),
    ];
    list(&head, size)
}

fn response(size: usize) -> Headers {
    list(&[(":status", "200"), ("content-type", "application/grpc")], size)
}

fn large(headers: Option<&Headers>) -> usize {
    let large = headers.into_iter().flatten().find(|(name, _)| name == "large");
    large.map_or(0, |(_, value)| value.len())
}

// --- requests ---

#[tokio::test]
async fn of_a_request_at_the_limit() {
    let mut lists = Lists::start().await;
    let request = request(MAX_HEADER_LIST as usize - BELOW);
    let Pair { client, upstream } = &mut lists.pair;
    client.head(1, &request, END_STREAM);
    client.flush().await;
    let stream = upstream.request("/a.B/Large").await;
    assert_eq!(large(upstream.heard(stream).head.as_ref()), large(Some(&request)));
    upstream.answer(stream);
    upstream.flush().await;
    lists.assert_unharmed(3).await;
}

/// It is told why, and its connection goes on.
#[tokio::test]
async fn of_a_request_over_the_limit() {
    let limit = MAX_HEADER_LIST as usize;
    let mut lists = Lists::start().await;
    for (stream, size) in [(1, limit + 1), (3, 2 * limit - 1000)] {
        let client = &mut lists.pair.client;
        client.head(stream, &request(size), END_STREAM);
        client.flush().await;
        client.until("an answer", |client| client.heard(stream).ended).await;
        let head = client.heard(stream).head.clone().expect("a head");
        assert!(head.contains(&("grpc-status".to_owned(), "8".to_owned())), "{size}: {head:?}");
    }
    // The hub itself takes no more than an upstream.
    let client = &mut lists.pair.client;
    let mut own = request(limit + 1);
    own.retain(|(name, _)| name != "name");
    own.push(("named".to_owned(), NAME.to_owned()));
    client.head(5, &own, END_STREAM);
    client.flush().await;
    client.until("an answer", |client| client.heard(5).ended).await;
    let head = client.heard(5).head.clone().expect("a head");
    assert!(head.contains(&("hub-reason".to_owned(), "limit".to_owned())), "{head:?}");
    lists.assert_unharmed(7).await;
    assert_eq!(lists.pair.upstream.stream_of("/a.B/Large"), None);
}

/// Nobody else's connection suffers.
#[tokio::test]
async fn of_a_request_far_over_the_limit() {
    let mut lists = Lists::start().await;
    lists.pair.call(1, NAME).await;
    let mut flooder =
        Pair::start(&lists.hub, "other", Settings::default(), Settings::default()).await;
    flooder.client.head(1, &request(20 * MAX_HEADER_LIST as usize), END_STREAM);
    flooder.client.flush().await;
    let ended = async {
        while !flooder.client.ended {
            flooder.client.hear().await.expect("frames by the rules");
        }
    };
    within("the flooder's end", ended).await;
    lists.pair.call(3, NAME).await;
    assert_eq!(lists.pair.upstream.stream_of("/a.B/Large"), None);
}

/// Never a part of them: `h2` leaves out silently what does not fit.
#[tokio::test]
async fn of_request_trailers_over_the_limit() {
    let mut lists = Lists::start().await;
    let stream = lists.open(1).await;
    let Pair { client, upstream } = &mut lists.pair;
    client.head(1, &list(&[], MAX_HEADER_LIST as usize + 1), END_STREAM);
    client.flush().await;
    let over = |heard: &Heard| heard.ended || heard.reset.is_some();
    upstream.until("an end", |upstream| over(upstream.heard(stream))).await;
    assert_eq!(upstream.heard(stream).reset, Some(Reason::CANCEL.into()));
    lists.assert_unharmed(3).await;
}

// --- responses ---

#[tokio::test]
async fn of_a_response_at_the_limit() {
    let mut lists = Lists::start().await;
    let stream = lists.open(1).await;
    let Pair { client, upstream } = &mut lists.pair;
    let head = response(MAX_RESPONSE_HEADER_LIST as usize - BELOW);
    let trailers = list(&[("grpc-status", "0")], MAX_RESPONSE_HEADER_LIST as usize - BELOW);
    upstream.head(stream, &head, 0);
    upstream.head(stream, &trailers, END_STREAM);
    upstream.flush().await;
    client.until("the answer", |client| client.heard(1).ended).await;
    let Heard { head: heard_head, trailers: heard_trailers, .. } = client.heard(1);
    assert_eq!(large(heard_head.as_ref()), large(Some(&head)));
    assert_eq!(large(heard_trailers.as_ref()), large(Some(&trailers)));
}

/// The call is broken, the lane serves the others.
#[tokio::test]
async fn of_a_response_over_the_limit() {
    let mut lists = Lists::start().await;
    let stream = lists.open(1).await;
    let Pair { client, upstream } = &mut lists.pair;
    upstream.head(stream, &response(MAX_RESPONSE_HEADER_LIST as usize + 1), END_STREAM);
    upstream.flush().await;
    client.until("a reset", |client| client.heard(1).reset.is_some()).await;
    assert_eq!((client.heard(1).reset, client.heard(1).head.is_none()), (INTERNAL_ERROR, true));
    lists.assert_unharmed(3).await;
}

/// A `grpc-status` that follows something large must not get lost silently.
#[tokio::test]
async fn of_response_trailers_over_the_limit() {
    let mut lists = Lists::start().await;
    let stream = lists.open(1).await;
    let Pair { client, upstream } = &mut lists.pair;
    upstream.head(stream, &[(":status", "200")], 0);
    upstream.data(stream, b"part", 0);
    upstream.head(stream, &list(&[], MAX_RESPONSE_HEADER_LIST as usize + 1), END_STREAM);
    upstream.flush().await;
    client.until("an end", |client| client.heard(1).ended || client.heard(1).reset.is_some()).await;
    assert_eq!((client.heard(1).reset, &*client.heard(1).body), (INTERNAL_ERROR, &b"part"[..]));
    lists.assert_unharmed(3).await;
}

/// As long as HTTP/2 itself can tell the lists apart, the lane serves other calls. What is larger still ends the
/// lane, but no session and no client's connection.
#[tokio::test]
async fn of_a_response_far_over_the_limit() {
    let mut lists = of_a_response_of(2 * MAX_RESPONSE_HEADER_LIST as usize).await;
    lists.pair.call(7, NAME).await;
    let mut lists = of_a_response_of(2 * ANSWER_BLOCK_MAX).await;
    let ended = async {
        while !lists.pair.upstream.ended {
            lists.pair.upstream.hear().await.expect("frames by the rules");
        }
    };
    within("the end of the lane", ended).await;
    lists.hub.until_serving(NAME).await;
}

async fn of_a_response_of(size: usize) -> Lists {
    let mut lists = Lists::start().await;
    let stream = lists.open(1).await;
    let mut other =
        Pair::start(&lists.hub, "other", Settings::default(), Settings::default()).await;
    // Before what is paced: a lane that nobody calls on for long goes back to its agent.
    call_another_name(&mut lists.pair.client, 3, &mut other.upstream).await;
    let Pair { client, upstream } = &mut lists.pair;
    upstream.head(stream, &response(size), END_STREAM);
    upstream.flush().await;
    client.until("an end", |client| client.heard(1).ended || client.heard(1).reset.is_some()).await;
    assert_eq!(large(client.heard(1).head.as_ref()), 0);
    call_another_name(client, 5, &mut other.upstream).await;
    lists
}

async fn call_another_name(client: &mut Peer, stream: u32, other: &mut Peer) {
    let path = format!("/a.B/Call{stream}");
    client.call(stream, "other", &path, END_STREAM);
    client.flush().await;
    let call = other.request(&path).await;
    other.answer(call);
    other.flush().await;
    client.until("an answer", |client| client.heard(stream).ended).await;
}
