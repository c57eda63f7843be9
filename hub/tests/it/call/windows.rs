//! Windows of streams grow as they are used; nothing of a connection's window is lost, however calls end that
//! hold some of it.

use h2::Reason;
use hub::limits::FIRST_WINDOW;

use crate::support::NAME;
use crate::support::frames::DATA;
use crate::support::hub::Hub;
use crate::support::pair::Pair;
use crate::support::peer::{Peer, Settings};
use crate::support::within;

/// One stream's window: what a hub takes of a call of which the other side reads nothing.
const STREAM: i64 = 512 << 10;
/// The hub's window of a connection, 2 GiB. `h2` gives back what it owes when that is half of the rest: a third.
const WINDOW: i64 = (1 << 31) - 1;

/// A call of which nobody reads anything holds the first window; one that is read has the whole.
#[tokio::test]
async fn of_streams_grow_as_they_are_used() {
    let hub = Hub::start().await;
    let closed = Settings { stream_window: 0, ..Settings::default() };
    let mut pair = Pair::start(&hub, NAME, Settings::default(), closed).await;
    pair.client.call(1, NAME, "/a.B/Upload", 0);
    pair.client.flush().await;
    let upload = pair.upstream.request("/a.B/Upload").await;
    assert_eq!(pair.client.heard(1).allowance, i64::from(FIRST_WINDOW));
    pair.client.data(1, &[7; FIRST_WINDOW as usize], 0);
    pair.client.ping().await.unwrap();
    assert_eq!(pair.client.heard(1).allowance, 0);
    // Now everything is read, and as much follows as may.
    pair.upstream.grant(upload, 1 << 30);
    pair.upstream.flush().await;
    let mut left = 4 * STREAM;
    within("the upload", async {
        while left > 0 {
            pair.hear().await.expect("frames by the rules");
            let may = pair.client.heard(1).allowance.min(left).min(16_384);
            if may > 0 {
                pair.client.data(1, &vec![7; may as usize], 0);
                pair.client.flush().await;
                left -= may;
            }
        }
        // `h2` gives back what it owes when that is half of the rest: a third.
        while pair.client.heard(1).allowance < STREAM * 2 / 3 {
            pair.hear().await.expect("frames by the rules");
            assert!(pair.client.heard(1).allowance <= STREAM);
        }
    })
    .await;
}

/// Padding takes up a window, too (RFC 9113 6.1), though nobody reads it.
#[tokio::test]
async fn of_streams_whose_data_is_mostly_padding() {
    const PADDED: u8 = 0x8;
    const PADDING: usize = 200;
    const MESSAGES: usize = 2000;
    let hub = Hub::start().await;
    let mut pair = Pair::start(&hub, NAME, Settings::default(), Settings::default()).await;
    pair.client.call(1, NAME, "/a.B/Padded", 0);
    pair.client.flush().await;
    let upload = pair.upstream.request("/a.B/Padded").await;
    let padded = [&[PADDING as u8][..], b"data", &[0; PADDING]].concat();
    within("the upload", async {
        for _ in 0..MESSAGES {
            while !pair.client.allows(1, padded.len()) {
                pair.hear().await.expect("frames by the rules");
            }
            pair.client.spend(1, padded.len());
            pair.client.send(DATA, PADDED, 1, &padded);
            pair.client.flush().await;
        }
        while pair.upstream.heard(upload).body.len() < MESSAGES * b"data".len() {
            pair.hear().await.expect("frames by the rules");
        }
    })
    .await;
}

/// What was taken in must have been given back by the time that this much has been, but for what two calls
/// can hold.
struct Owed {
    before: i64,
}

impl Owed {
    fn of(peer: &Peer) -> Self {
        Self { before: peer.allowance }
    }

    /// Whether the hub has given back. Fails if it has not given back everything, or gives nothing back.
    fn is_paid(&mut self, peer: &Peer) -> bool {
        let spent = WINDOW - peer.allowance;
        assert!(spent < WINDOW / 3 + 4 * STREAM, "{spent} bytes are not given back");
        let paid = peer.allowance > self.before;
        assert!(!paid || spent <= 2 * STREAM, "{spent} bytes are not given back");
        self.before = peer.allowance;
        paid
    }
}

/// Says as much as the window of one stream allows.
fn fill(peer: &mut Peer, stream: u32, chunk: &[u8]) {
    while peer.allows(stream, chunk.len()) {
        peer.data(stream, chunk, 0);
    }
}

/// Uploads that the upstream ends without having read them: with an answer, or with a reset.
#[tokio::test]
async fn of_uploads_that_nobody_reads() {
    let hub = Hub::start().await;
    let closed = Settings { stream_window: 0, ..Settings::default() };
    let mut pair = Pair::start(&hub, NAME, Settings::default(), closed).await;
    let Pair { client, upstream } = &mut pair;
    let chunk = vec![7; 65_536];
    let mut owed = Owed::of(client);
    for stream in (1..).step_by(2) {
        client.call(stream, NAME, "/a.B/Upload", 0);
        client.flush().await;
        let at_upstream = upstream.request("/a.B/Upload").await;
        fill(client, stream, &chunk);
        client.ping().await.unwrap();
        let code = if stream % 4 == 1 { Reason::CANCEL } else { Reason::NO_ERROR };
        if code == Reason::NO_ERROR {
            upstream.answer(at_upstream);
        }
        upstream.reset(at_upstream, code.into());
        upstream.flush().await;
        client.until("the end", |client| client.heard(stream).reset.is_some()).await;
        upstream.streams.clear();
        client.streams.clear();
        if owed.is_paid(client) {
            return;
        }
    }
}

/// Answers of which the client reads no more than a part, and gives up. (A client may reset so many calls only,
/// so each takes much.)
#[tokio::test]
async fn of_answers_that_nobody_reads() {
    const READ: u32 = STREAM as u32;
    const CHUNK: usize = 16_384;
    let hub = Hub::start().await;
    let narrow = Settings { stream_window: READ, ..Settings::default() };
    let mut pair = Pair::start(&hub, NAME, narrow, Settings::default()).await;
    let mut owed = Owed::of(&pair.upstream);
    for stream in (1..).step_by(2) {
        pair.client.call(stream, NAME, "/a.B/Download", 0);
        pair.client.flush().await;
        let at_upstream = pair.upstream.request("/a.B/Download").await;
        pair.upstream.head(at_upstream, &[(":status", "200")], 0);
        let mut left = (READ + FIRST_WINDOW) as usize;
        within("the answer", async {
            while left > 0 {
                if pair.upstream.allows(at_upstream, CHUNK) {
                    pair.upstream.data(at_upstream, &[7; CHUNK], 0);
                    left -= CHUNK;
                    continue;
                }
                pair.upstream.flush().await;
                pair.hear().await.expect("frames by the rules");
            }
        })
        .await;
        let Pair { client, upstream } = &mut pair;
        upstream.ping().await.unwrap();
        let read = |client: &Peer| client.heard(stream).body.len() == READ as usize;
        client.until("what it reads", read).await;
        client.grant(0, READ);
        client.reset(stream, Reason::CANCEL.into());
        client.flush().await;
        let given_up = |upstream: &Peer| upstream.heard(at_upstream).reset.is_some();
        upstream.until("a reset", given_up).await;
        upstream.streams.clear();
        client.streams.clear();
        if owed.is_paid(upstream) {
            return;
        }
    }
}
