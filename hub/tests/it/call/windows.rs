//! Windows of streams are the receiver's, told lazily; nothing of a connection's window is lost, however calls end
//! that hold some of it.

use h2::Reason;

use crate::support::NAME;
use crate::support::frames::DATA;
use crate::support::hub::Hub;
use crate::support::pair::Pair;
use crate::support::peer::{Peer, Settings};
use crate::support::within;

/// What a stream begins with of which nobody has said anything.
const FIRST_WINDOW: i64 = 65_535;
const CHUNK: usize = 16_384;

/// A call of which nobody reads anything holds the first window; one that is read has as much as its reader takes.
#[tokio::test]
async fn of_streams_are_their_readers() {
    let hub = Hub::start().await;
    let closed = Settings { stream_window: 0, ..Settings::default() };
    let mut pair = Pair::start(&hub, NAME, Settings::default(), closed).await;
    pair.client.call(1, NAME, "/a.B/Upload", 0);
    pair.client.flush().await;
    let upload = pair.upstream.request("/a.B/Upload").await;
    assert_eq!(pair.client.heard(1).allowance, FIRST_WINDOW);
    fill(&mut pair.client, 1);
    let rest = pair.client.heard(1).allowance as usize;
    pair.client.data(1, &vec![7; rest], 0);
    pair.client.ping().await.unwrap();
    assert_eq!(pair.client.heard(1).allowance, 0);
    // Now everything is read, and as much follows as may.
    const MORE: i64 = 2 << 20;
    pair.upstream.grant(upload, FIRST_WINDOW as u32 + MORE as u32);
    pair.upstream.flush().await;
    let mut left = MORE;
    within("the upload", async {
        while left > 0 {
            let may = pair.client.heard(1).allowance.min(pair.client.allowance);
            let may = may.min(left).min(CHUNK as i64);
            if may == 0 {
                pair.hear().await.expect("frames by the rules");
                continue;
            }
            pair.client.data(1, &vec![7; may as usize], 0);
            pair.client.flush().await;
            left -= may;
        }
        while (pair.upstream.heard(upload).body.len() as i64) < FIRST_WINDOW + MORE {
            pair.hear().await.expect("frames by the rules");
        }
    })
    .await;
    assert_eq!(pair.client.heard(1).allowance, 0, "no more than its reader takes");
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

/// Says as much as the windows allow.
fn fill(peer: &mut Peer, stream: u32) {
    while peer.allows(stream, CHUNK) {
        peer.data(stream, &[7; CHUNK], 0);
    }
}

/// So many calls need the connection's window several times over.
const CALLS: u32 = 64;

/// Uploads that the upstream ends without having read them: with an answer, or with a reset.
#[tokio::test]
async fn of_uploads_that_nobody_reads() {
    let hub = Hub::start().await;
    let closed = Settings { stream_window: 0, ..Settings::default() };
    let mut pair = Pair::start(&hub, NAME, Settings::default(), closed).await;
    let Pair { client, upstream } = &mut pair;
    let before = client.allowance;
    for stream in (1..2 * CALLS).step_by(2) {
        client.call(stream, NAME, "/a.B/Upload", 0);
        client.flush().await;
        let at_upstream = upstream.request("/a.B/Upload").await;
        fill(client, stream);
        assert!(client.heard(stream).allowance < CHUNK as i64, "the connection's window is shut");
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
    }
    client.ping().await.unwrap();
    assert!(client.allowance >= before / 2 - FIRST_WINDOW, "{} of {before}", client.allowance);
}

/// Answers of which the client takes no more than its connection has room for, and gives up.
#[tokio::test]
async fn of_answers_that_nobody_reads() {
    let hub = Hub::start().await;
    let narrow = Settings { connection_grant: 0, ..Settings::default() };
    let mut pair = Pair::start(&hub, NAME, narrow, Settings::default()).await;
    let before = pair.upstream.allowance;
    for stream in (1..2 * CALLS).step_by(2) {
        let Pair { client, upstream } = &mut pair;
        client.call(stream, NAME, "/a.B/Download", 0);
        client.flush().await;
        let at_upstream = upstream.request("/a.B/Download").await;
        upstream.head(at_upstream, &[(":status", "200")], 0);
        fill(upstream, at_upstream);
        // Or the lane's, where threads waited for each other for so long that the link seems to be a long one.
        let shut = upstream.heard(at_upstream).allowance.min(upstream.allowance);
        assert!(shut < CHUNK as i64, "the stream's window is shut");
        upstream.ping().await.unwrap();
        client.reset(stream, Reason::CANCEL.into());
        client.flush().await;
        let given_up = |upstream: &Peer| upstream.heard(at_upstream).reset.is_some();
        upstream.until("a reset", given_up).await;
        upstream.streams.clear();
    }
    pair.upstream.ping().await.unwrap();
    let left = pair.upstream.allowance;
    assert!(left >= before / 2 - FIRST_WINDOW, "{left} of {before}");
}
