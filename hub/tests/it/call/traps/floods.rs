//! Much of something small, which is no flood: no guard of a whole connection may take it for one.

use h2::Reason;

use super::{Trap, code};
use crate::support::frames::END_STREAM;
use crate::support::pair::Pair;
use crate::support::peer::{Peer, Settings};

/// `h2` ends a connection that brings more than 100 empty DATA frames in all its life. HTTP libraries whose
/// bodies yield empty chunks send them, so a long connection sees any number. Thousands at once are a flood.
async fn empty_data_from_an_upstream(frames: usize) {
    let mut trap = Trap::start().await;
    let stream = trap.open(1, "/a.B/Chatty").await;
    let Pair { client, upstream } = &mut trap.pair;
    upstream.head(stream, &[(":status", "200")], 0);
    for _ in 0..frames {
        upstream.data(stream, b"", 0);
    }
    upstream.data(stream, b"at last", END_STREAM);
    upstream.flush().await;
    client.until("the answer", |client| client.heard(1).ended).await;
    let heard = client.heard(1);
    assert_eq!((&*heard.body, heard.trailers.as_ref()), (&b"at last"[..], None));
    trap.assert_unharmed(3).await;
}

#[tokio::test]
async fn empty_data_from_an_upstream_101_times() {
    empty_data_from_an_upstream(101).await;
}

#[tokio::test]
async fn empty_data_from_an_upstream_3000_times() {
    empty_data_from_an_upstream(3_000).await;
}

/// The same over many calls of one lane.
#[tokio::test]
async fn empty_data_in_every_answer_of_a_long_session() {
    let mut trap = Trap::start().await;
    for stream in (1..).step_by(2).take(200) {
        let path = format!("/a.B/{stream}");
        let at_upstream = trap.open(stream, &path).await;
        let Pair { client, upstream } = &mut trap.pair;
        upstream.head(at_upstream, &[(":status", "200")], 0);
        upstream.data(at_upstream, b"", 0);
        upstream.data(at_upstream, b"x", END_STREAM);
        upstream.flush().await;
        client.until("the answer", |client| client.heard(stream).ended).await;
        assert_eq!(client.heard(stream).body, b"x");
    }
    trap.assert_unharmed(1001).await;
}

async fn empty_data_from_a_client(frames: usize) {
    let mut trap = Trap::start().await;
    let stream = trap.open(1, "/a.B/Chatty").await;
    let Pair { client, upstream } = &mut trap.pair;
    for _ in 0..frames {
        client.data(1, b"", 0);
    }
    client.data(1, b"at last", END_STREAM);
    client.flush().await;
    upstream.until("the request", |upstream| upstream.heard(stream).ended).await;
    assert_eq!(upstream.heard(stream).body, b"at last");
    upstream.answer(stream);
    upstream.flush().await;
    client.until("the answer", |client| client.heard(1).ended).await;
    trap.assert_unharmed(3).await;
}

#[tokio::test]
async fn empty_data_from_a_client_101_times() {
    empty_data_from_a_client(101).await;
}

#[tokio::test]
async fn empty_data_from_a_client_3000_times() {
    empty_data_from_a_client(3_000).await;
}

/// A server learns of a reset late. What it has sent until then arrives for streams that the hub has
/// cancelled, of which `h2` by itself remembers 50, for a second, and forgives 1024 frames.
#[tokio::test]
async fn late_frames_for_cancelled_calls() {
    const CALLS: u32 = 100;
    let mut trap = Trap::start().await;
    let mut at_upstream = Vec::new();
    for stream in (1..).step_by(2).take(CALLS as usize) {
        let opened = trap.open(stream, &format!("/a.B/{stream}")).await;
        trap.pair.upstream.head(opened, &[(":status", "200")], 0);
        at_upstream.push(opened);
    }
    let Pair { client, upstream } = &mut trap.pair;
    upstream.ping().await.unwrap();
    for stream in (1..).step_by(2).take(CALLS as usize) {
        client.reset(stream, code(Reason::CANCEL));
    }
    client.flush().await;
    let cancelled =
        |upstream: &Peer| at_upstream.iter().all(|id| upstream.heard(*id).reset.is_some());
    upstream.until("all resets", cancelled).await;
    // As if it had not heard of it yet; small ones, which cost a share of the budget for small frames.
    for stream in &at_upstream {
        for _ in 0..30 {
            upstream.data(*stream, b"late", 0);
        }
        upstream.head(*stream, &[("grpc-status", "0")], END_STREAM);
    }
    upstream.ping().await.unwrap();
    assert_eq!(upstream.gone_away, None);
    trap.assert_unharmed(2 * CALLS + 1).await;
}

/// Answers that `h2` takes for malformed are counted for the life of a connection, too. Each costs its own
/// call, and the lane goes on.
#[tokio::test]
async fn malformed_answers_cost_their_calls_only() {
    const CALLS: usize = 1100;
    let mut trap = Trap::start().await;
    for stream in (1..).step_by(2).take(CALLS) {
        let at_upstream = trap.open(stream, "/a.B/Malformed").await;
        let Pair { client, upstream } = &mut trap.pair;
        upstream.head(at_upstream, &[(":status", "200"), ("content-length", "5")], 0);
        upstream.data(at_upstream, b"more than five", END_STREAM);
        upstream.flush().await;
        client.until("a reset", |client| client.heard(stream).reset.is_some()).await;
        // Their paths are all the same.
        upstream.streams.clear();
    }
    trap.assert_unharmed(2 * CALLS as u32 + 1).await;
}

/// Small messages wait in the hub for a reader that does not read, on the way up as on the way down.
#[tokio::test]
async fn small_messages_that_an_upstream_does_not_read() {
    /// On each stream: as many as its first window has room for.
    const MESSAGES: usize = 65_535 / 25;
    let closed = Settings { stream_window: 0, ..Settings::default() };
    let mut trap = Trap::start_with(Settings::default(), closed).await;
    let mut streams = Vec::new();
    // As much as may wait for one lane.
    for stream in [1, 3, 5] {
        let at_upstream = trap.open(stream, &format!("/a.B/Small{stream}")).await;
        streams.push((stream, at_upstream));
        let client = &mut trap.pair.client;
        for _ in 0..MESSAGES {
            client.data(stream, &[7; 25], 0);
        }
        client.data(stream, b"", END_STREAM);
        client.ping().await.unwrap();
    }
    let Pair { client, upstream } = &mut trap.pair;
    for (stream, at_upstream) in streams {
        upstream.grant(at_upstream, 25 * MESSAGES as u32);
        upstream.flush().await;
        upstream.until("all of it", |upstream| upstream.heard(at_upstream).ended).await;
        assert_eq!(upstream.heard(at_upstream).body.len(), 25 * MESSAGES);
        upstream.answer(at_upstream);
        upstream.flush().await;
        client.until("an answer", |client| client.heard(stream).ended).await;
    }
    trap.assert_unharmed(7).await;
}
