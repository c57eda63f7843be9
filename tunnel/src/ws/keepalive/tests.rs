//! What a clock says of a peer that is silent, speaks unasked, or answers.

use std::future::poll_fn;
use std::task::ready;

use super::*;

const CONFIG: KeepaliveConfig =
    KeepaliveConfig { interval: Duration::from_secs(15), timeout: Duration::from_secs(40) };

/// Waits as a reader does that hears nothing: when it pinged, when it had a suspicion, and when it gave up.
async fn silence(keepalive: &mut Keepalive) -> (Vec<u64>, Option<u64>, u64) {
    let start = Instant::now();
    let (mut pings, mut suspect) = (Vec::new(), None);
    poll_fn(|cx| {
        if keepalive.is_due(cx) {
            keepalive.pinged();
            pings.push(start.elapsed().as_secs());
        }
        match ready!(keepalive.poll_silence(cx)) {
            Silence::Over(_) => Poll::Ready(()),
            Silence::Suspect => {
                suspect.get_or_insert_with(|| start.elapsed().as_secs());
                Poll::Pending
            }
        }
    })
    .await;
    (pings, suspect, start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn pings_every_interval_and_gives_up_after_the_timeout() {
    let mut keepalive = Keepalive::new(CONFIG);
    assert_eq!(silence(&mut keepalive).await, (vec![0, 15, 30], Some(2), 40));
}

#[tokio::test(start_paused = true)]
async fn who_is_probed_is_heard_of_soon_or_gone() {
    let mut keepalive = Keepalive::new(CONFIG);
    assert!(poll_fn(|cx| Poll::Ready(keepalive.is_due(cx))).await);
    keepalive.pinged();
    keepalive.heard();
    tokio::time::advance(Duration::from_secs(3)).await;
    keepalive.probe();
    assert_eq!(silence(&mut keepalive).await, (vec![0], Some(2), 5));
    let mut keepalive = Keepalive::new(CONFIG);
    keepalive.probe();
    keepalive.heard();
    assert_eq!(silence(&mut keepalive).await.2, 40, "it has answered");
}

/// Whether a ping is due now.
fn due(keepalive: &mut Keepalive) -> bool {
    keepalive.is_due(&mut Context::from_waker(std::task::Waker::noop()))
}

/// A reader finds nothing.
#[track_caller]
fn waits(keepalive: &mut Keepalive) {
    let waits = keepalive.poll_silence(&mut Context::from_waker(std::task::Waker::noop()));
    assert!(waits.is_pending());
}

/// One that was pinged, has answered, and was silent since for a while.
async fn silent_one() -> Keepalive {
    let mut keepalive = Keepalive::new(CONFIG);
    assert!(due(&mut keepalive));
    keepalive.pinged();
    keepalive.heard();
    waits(&mut keepalive);
    tokio::time::advance(2 * PING_INTO_SILENCE).await;
    assert!(!due(&mut keepalive), "nothing is sent");
    keepalive
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_into_silence_is_followed_by_a_ping() {
    let mut keepalive = silent_one().await;
    keepalive.sent();
    assert!(due(&mut keepalive));
    keepalive.pinged();
    tokio::time::advance(PING_INTO_SILENCE).await;
    keepalive.sent();
    assert!(!due(&mut keepalive), "one is under way");
}

/// All calls come at once, and then nothing: somebody asks all the same. Whether the reader waits already or not.
#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_silence_is_followed_by_a_ping() {
    for waits_already in [true, false] {
        let mut keepalive = silent_one().await;
        keepalive.heard();
        if waits_already {
            waits(&mut keepalive);
        }
        keepalive.sent();
        waits(&mut keepalive);
        assert!(!due(&mut keepalive), "it was heard of just now");
        tokio::time::advance(PING_INTO_SILENCE).await;
        assert!(due(&mut keepalive));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peers_own_pings_are_no_answers() {
    let mut keepalive = silent_one().await;
    keepalive.heard();
    keepalive.sent();
    waits(&mut keepalive);
    keepalive.heard_unasked();
    tokio::time::advance(PING_INTO_SILENCE).await;
    assert!(due(&mut keepalive));
    keepalive.pinged();
    let (asked, mut is_suspect) = (Instant::now(), false);
    while !is_suspect {
        tokio::time::advance(SUSPECT_AFTER / 4).await;
        let silence = keepalive.poll_silence(&mut Context::from_waker(std::task::Waker::noop()));
        is_suspect = silence == Poll::Ready(Silence::Suspect);
        keepalive.heard_unasked();
    }
    assert_eq!(asked.elapsed(), SUSPECT_AFTER);
}

/// The socket is full: the ping stays due, and nobody asks again meanwhile, or the timer would fire for ever.
#[tokio::test(start_paused = true)]
async fn a_ping_that_cannot_be_sent_is_due_once() {
    let mut keepalive = silent_one().await;
    keepalive.heard();
    keepalive.sent();
    waits(&mut keepalive);
    tokio::time::advance(2 * PING_INTO_SILENCE).await;
    assert!(due(&mut keepalive));
    keepalive.sent();
    waits(&mut keepalive);
    assert!(due(&mut keepalive));
    assert!(keepalive.timer.deadline() > Instant::now());
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_is_not_asked() {
    let mut keepalive = silent_one().await;
    keepalive.heard();
    keepalive.sent();
    keepalive.heard();
    waits(&mut keepalive);
    tokio::time::advance(2 * PING_INTO_SILENCE).await;
    assert!(!due(&mut keepalive));
}

#[tokio::test(start_paused = true)]
async fn only_a_waiting_reader_hears_silence() {
    let mut keepalive = Keepalive::new(CONFIG);
    tokio::time::advance(Duration::from_secs(39)).await;
    keepalive.heard();
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(silence(&mut keepalive).await.2, 40);
}

#[tokio::test(start_paused = true)]
async fn while_much_moves_pings_come_often_and_one_at_a_time() {
    let mut keepalive = Keepalive::new(CONFIG);
    assert!(poll_fn(|cx| Poll::Ready(keepalive.is_due(cx))).await);
    keepalive.pinged();
    for (round_trip, pause) in [(20, 250), (20, 250), (400, 400)] {
        let start = Instant::now();
        keepalive.moved(BUSY_BYTES);
        tokio::time::advance(Duration::from_millis(round_trip)).await;
        assert!(!poll_fn(|cx| Poll::Ready(keepalive.is_due(cx))).await, "one is under way");
        keepalive.answered();
        keepalive.moved(BUSY_BYTES - 1);
        keepalive.moved(1);
        poll_fn(|cx| if keepalive.is_due(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        assert_eq!(start.elapsed(), Duration::from_millis(pause));
        keepalive.pinged();
    }
    keepalive.answered();
    keepalive.moved(BUSY_BYTES - 1);
    let start = Instant::now();
    poll_fn(|cx| if keepalive.is_due(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    assert_eq!(start.elapsed(), CONFIG.interval, "little moves");
}
