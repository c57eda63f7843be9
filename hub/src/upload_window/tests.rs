//! Sharing out a mebibyte.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::poll;

use super::*;

const HOG: Party = Party { connection: 1, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
const OTHER: Party = Party { connection: 2, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
const MIB: u32 = 1 << 20;
const CHUNK: usize = 16 << 10;

/// A connection whose window is 1 MiB.
fn mebibyte() -> Arc<UploadWindow> {
    let window = UploadWindow::new();
    window.given_back(0, MIB - INITIAL_WINDOW as u32);
    window
}

fn wanted(bytes: usize) -> Wanted {
    Wanted { bytes, last: false }
}

/// Sends as much as is allowed; returns how much that was.
async fn fill(gate: &mut UploadGate) -> usize {
    let mut sent = 0;
    while let Poll::Ready(room) = poll!(poll_fn(|cx| gate.poll_room(cx, wanted(CHUNK)))) {
        let bytes = room.min(CHUNK);
        gate.sent(wanted(bytes));
        gate.window.taken(gate.stream, bytes, false);
        sent += bytes;
    }
    sent
}

#[tokio::test]
async fn nobody_fills_the_window_alone() {
    let window = mebibyte();
    let (mut hog, mut other) = (window.gate(1, HOG), window.gate(3, OTHER));
    let sent = fill(&mut hog).await;
    let seven_eighths = MIB as usize / 8 * 7;
    assert!((seven_eighths - UPLOAD_STEP..=seven_eighths).contains(&sent), "{sent}");
    // The other's bytes are read, and the hog's still are not.
    other.sent(wanted(1000));
    window.taken(3, 1000, false);
    window.given_back(0, 1000);
    window.given_back(3, 1000);
    assert!(poll!(poll_fn(|cx| other.poll_room(cx, wanted(CHUNK)))).is_ready());
    assert!(poll!(poll_fn(|cx| hog.poll_room(cx, wanted(CHUNK)))).is_pending());
    window.given_back(0, MIB / 2);
    window.given_back(1, MIB / 2);
    assert!(poll!(poll_fn(|cx| hog.poll_room(cx, wanted(CHUNK)))).is_ready());
}

#[tokio::test]
async fn nor_do_hundreds_together() {
    let window = mebibyte();
    let mut gates: Vec<_> =
        (0..500).map(|i| window.gate(i + 1, Party { connection: i.into(), ..HOG })).collect();
    for gate in &mut gates {
        assert!(fill(gate).await > 0);
    }
    let mut last = window.gate(1001, Party { connection: 1001, ..HOG });
    assert!(fill(&mut last).await >= UPLOAD_FIRST, "a small message still passes");
}

#[tokio::test]
async fn a_server_that_gives_the_connections_window_back_at_once_holds_nobody_up() {
    let window = mebibyte();
    let mut hog = window.gate(1, HOG);
    for _ in 0..1000 {
        assert!(poll!(poll_fn(|cx| hog.poll_room(cx, wanted(CHUNK)))).is_ready());
        hog.sent(wanted(CHUNK));
        window.taken(1, CHUNK, false);
        window.given_back(0, CHUNK as u32);
    }
}

#[tokio::test]
async fn a_stream_that_ends_gives_back_what_it_had() {
    let window = mebibyte();
    let (mut first, mut second) = (window.gate(1, HOG), window.gate(3, HOG));
    fill(&mut first).await;
    assert!(poll!(poll_fn(|cx| second.poll_room(cx, wanted(CHUNK)))).is_pending());
    drop(first);
    assert!(poll!(poll_fn(|cx| second.poll_room(cx, wanted(CHUNK)))).is_ready());
    assert!(window.0.lock().parties.is_empty());
}

#[tokio::test]
async fn what_a_reset_stream_never_sent_takes_no_room() {
    let window = mebibyte();
    for stream in 0..100 {
        let mut gate = window.gate(stream, HOG);
        gate.sent(wanted(CHUNK));
        window.taken(stream, CHUNK / 2, false);
        drop(gate);
        window.given_back(0, CHUNK as u32 / 2);
    }
    let state = window.0.lock();
    assert_eq!((state.queued, state.unread, state.left), (0, 0, i64::from(MIB)));
    assert_eq!((state.streams.len(), state.parties.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn small_frames_wait_until_they_are_answered_or_read() {
    const BYTE: Wanted = Wanted { bytes: 1, last: false };
    let window = mebibyte();
    window.counts_frames();
    let mut gate = window.gate(1, HOG);
    let fill = async |gate: &mut UploadGate| {
        while poll!(poll_fn(|cx| gate.poll_room(cx, BYTE))).is_ready() {
            gate.sent(BYTE);
            window.taken(1, 1, false);
        }
    };
    fill(&mut gate).await;
    assert!(gate.was_held_back() && !gate.was_held_back());
    assert!(window.is_worn());
    for free in [Wanted { bytes: 256, last: false }, Wanted { bytes: 1, last: true }] {
        assert!(poll!(poll_fn(|cx| gate.poll_room(cx, free))).is_ready(), "{free:?}");
    }
    let mut other = window.gate(3, OTHER);
    assert!(poll!(poll_fn(|cx| other.poll_room(cx, BYTE))).is_ready(), "something is left");
    // By an answer.
    gate.answered();
    assert!(!window.is_worn());
    fill(&mut gate).await;
    // By what is left of the window.
    window.given_back(1, MIB);
    assert!(!window.is_worn());
    fill(&mut gate).await;
    // By its end.
    drop(gate);
    assert!(!window.is_worn());
    // By time.
    let mut gate = window.gate(1, HOG);
    fill(&mut gate).await;
    poll_fn(|cx| gate.poll_room(cx, BYTE)).await;
}
