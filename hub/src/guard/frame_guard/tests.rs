//! What is a flood, what is slowed, and what is neither.

use std::future::poll_fn;

use tokio::time::{Duration, Instant, advance};

use super::*;

const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

fn head(kind: u8, len: usize) -> Head {
    Head { len, kind, flags: 0, stream: 1 }
}

/// How many PINGs are let through, up to a number.
fn pings(guard: &mut FrameGuard, most: u32) -> u32 {
    (0..most).take_while(|_| !guard.incoming(head(PING, 8)).flood).count() as u32
}

#[tokio::test(start_paused = true)]
async fn calls_explain_some_time_forgives_the_rest() {
    let mut guard = FrameGuard::new(&CLIENT);
    assert_eq!(pings(&mut guard, 2 * OVERHEAD.burst), OVERHEAD.burst);
    guard.outgoing(head(HEADERS, 1));
    assert_eq!(guard.incoming(head(DATA, 1)), Verdict::default());
    assert_eq!(pings(&mut guard, OVERHEAD.burst), 2 * EXPLAINED_BY_FRAME);
    assert!(guard.incoming(head(DATA, 0)).flood, "empty DATA explains nothing");
    advance(OVERHEAD.per).await;
    assert_eq!(pings(&mut guard, 2 * OVERHEAD.burst), OVERHEAD.burst);
}

/// Go's net/http gives the windows of stream and connection back for every read of its application, if that is 4 KiB
/// (`inflowMinRefresh` in golang.org/x/net/http2), and until 2022 for any.
#[tokio::test(start_paused = true)]
async fn a_reader_may_give_windows_back_as_it_reads() {
    const FRAME: usize = 16 << 10;
    for (read, sent_ahead) in [(4 << 10, 1), (512, 1), (4 << 10, 4096)] {
        let mut guard = FrameGuard::new(&CLIENT);
        for _ in 0..10_000 / sent_ahead {
            (0..sent_ahead).for_each(|_| guard.outgoing(head(DATA, FRAME)));
            for _ in 0..2 * sent_ahead * (FRAME / read) {
                let verdict = guard.incoming(head(WINDOW_UPDATE, 4));
                assert_eq!(verdict, Verdict::default(), "reads of {read} bytes");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_data_that_is_received_explains_more_than_a_few() {
    for (outgoing, frame, explained) in [
        (false, head(DATA, 16 << 10), EXPLAINED_BY_FRAME),
        (false, head(HEADERS, 16 << 10), EXPLAINED_BY_FRAME),
        (true, head(HEADERS, 16 << 10), EXPLAINED_BY_FRAME),
        (true, head(DATA, 16 << 10), EXPLAINED_BY_FRAME + 64),
    ] {
        let mut guard = FrameGuard::new(&CLIENT);
        if outgoing {
            guard.outgoing(frame);
        } else {
            assert!(!guard.incoming(frame).flood);
        }
        assert_eq!(pings(&mut guard, 2 * OVERHEAD.burst), OVERHEAD.burst + explained, "{frame:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_explains_settings() {
    let mut guard = FrameGuard::new(&CLIENT);
    (0..EXPLAINED_MAX).for_each(|_| guard.outgoing(head(DATA, 16 << 10)));
    let settings = (0..).take_while(|_| !guard.incoming(head(SETTINGS, 6)).flood).count();
    assert_eq!(settings as u32, OVERHEAD.burst / SETTINGS_WEIGHT);
}

#[tokio::test(start_paused = true)]
async fn what_is_explained_has_an_end() {
    let mut guard = FrameGuard::new(&CLIENT);
    (0..EXPLAINED_MAX).for_each(|_| guard.outgoing(head(DATA, 16 << 10)));
    assert_eq!(pings(&mut guard, u32::MAX), EXPLAINED_MAX + OVERHEAD.burst);
}

#[tokio::test(start_paused = true)]
async fn resets_of_a_client_have_a_rate_of_their_own() {
    let call = [head(HEADERS, 10), head(RST_STREAM, 4)];
    let few = time_of(&CLIENT, CLIENT_RESETS.burst, &call).await;
    assert_eq!(few, (Duration::ZERO, None));
    let (time, slow) = time_of(&CLIENT, 3 * CLIENT_RESETS.burst, &call).await;
    assert!(time.abs_diff(2 * CLIENT_RESETS.per) < CLIENT_RESETS.per / 5, "{time:?}");
    assert_eq!(slow, Some(Slow::Resets));
}

/// Nothing that the callers of a front do slows all of them down; what means nothing is a flood all the same.
#[tokio::test(start_paused = true)]
async fn a_front_is_not_read_slowly() {
    let mut guard = FrameGuard::new(&CLIENT);
    let small_data = 2 * SMALL_DATA.burst;
    for _ in 0..small_data {
        guard.incoming(head(DATA, 1));
    }
    guard.follow(&FRONT);
    let start = Instant::now();
    for frame in [head(HEADERS, 40 << 10), head(RST_STREAM, 4), head(DATA, 1)] {
        for _ in 0..small_data {
            let verdict = guard.incoming(frame);
            assert_eq!(verdict, Verdict::default(), "{frame:?}");
            poll_fn(|cx| guard.poll_more(cx)).await;
        }
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(pings(&mut guard, u32::MAX) >= OVERHEAD.burst);
}

/// Trailers on a stream that is closed already cost HTTP/2 nothing but the work.
#[tokio::test(start_paused = true)]
async fn answers_to_no_call_are_a_flood() {
    for calls in [0, 1000] {
        let mut guard = FrameGuard::new(&UPSTREAM);
        (0..calls).for_each(|_| guard.outgoing(head(HEADERS, 10)));
        let answers = (0..).take_while(|_| !guard.incoming(head(HEADERS, 1)).flood).count();
        let explained = calls * (EXPLAINED_BY_CALL + EXPLAINED_BY_FRAME);
        assert_eq!(answers as u32, OVERHEAD.burst + explained, "{calls}");
    }
}

/// How long a peer takes to be read that sends so many times these frames.
async fn time_of(policy: &'static Policy, times: u32, frames: &[Head]) -> (Duration, Option<Slow>) {
    let (mut guard, start, mut slow) = (FrameGuard::new(policy), Instant::now(), None);
    for _ in 0..times {
        for frame in frames {
            let verdict = guard.incoming(*frame);
            slow = slow.or(verdict.slow);
            poll_fn(|cx| guard.poll_more(cx)).await;
        }
    }
    (start.elapsed(), slow)
}

#[tokio::test(start_paused = true)]
async fn long_heads_are_read_slowly() {
    for policy in [&CLIENT, &UPSTREAM] {
        let (free, rate) = (policy.head_free as usize, policy.head_bytes.expect("a rate"));
        let short = time_of(policy, 3000, &[head(HEADERS, free)]).await;
        assert_eq!(short, (Duration::ZERO, None));
        let parts = [head(HEADERS, free), head(CONTINUATION, free)];
        for frames in [&[head(HEADERS, 2 * free)][..], &parts] {
            let times = rate.burst / policy.head_free;
            assert_eq!(time_of(policy, times, frames).await, (Duration::ZERO, None));
            let (time, slow) = time_of(policy, 3 * times, frames).await;
            assert!(time.abs_diff(2 * rate.per) < rate.per / 5, "{time:?}");
            assert_eq!(slow, Some(Slow::Heads));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn small_data_of_a_client_is_read_slowly() {
    let few = time_of(&CLIENT, SMALL_DATA.burst, &[head(DATA, 1)]).await;
    assert_eq!(few, (Duration::ZERO, None));
    let (time, slow) = time_of(&CLIENT, 3 * SMALL_DATA.burst, &[head(DATA, 1)]).await;
    assert!(time.abs_diff(2 * SMALL_DATA.per) < SMALL_DATA.per / 5, "{time:?}");
    assert_eq!(slow, Some(Slow::SmallData));
    assert_eq!(time_of(&UPSTREAM, 3 * SMALL_DATA.burst, &[head(DATA, 1)]).await.1, None);
}
