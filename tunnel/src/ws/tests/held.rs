//! A sender that is held because what it sends takes long to arrive.

use std::cell::Cell;

use tokio::time::sleep;

use super::*;
use crate::limits::{WS_IDLE_MESSAGES, WS_MESSAGE_BYTES};

/// A link that carries a message in six milliseconds, before which 64 of them could stand.
#[tokio::test(start_paused = true)]
async fn the_queue_before_a_thin_link_is_not_filled() {
    const SETTLES: Duration = Duration::from_secs(3);
    let ((mut ws, ..), io) = hub_and_bytes(64 * WS_MESSAGE_BYTES);
    let mut peer = raw(io, Role::Client).await;
    let (sent, read) = (Cell::new(0), Cell::new(0));
    let sends = poll_fn::<(), _>(|cx| {
        ws.poll_upkeep(cx);
        assert!(ws.poll_receive(cx).is_pending());
        while ws.poll_sendable(cx).is_ready() {
            ws.send(Bytes::from_static(&[0; WS_MESSAGE_BYTES]), cx);
            sent.set(sent.get() + 1);
        }
        ws.poll_flush(cx);
        Poll::Pending
    });
    let reads = async {
        let (mut most, start) = (0, Instant::now());
        while start.elapsed() < 2 * SETTLES {
            sleep(Duration::from_millis(6)).await;
            while !peer.next().await.expect("a message").expect("well formed").is_binary() {
                peer.flush().await.expect("an answer to a ping");
            }
            read.set(read.get() + 1);
            if start.elapsed() > SETTLES {
                most = most.max(sent.get() - read.get());
            }
        }
        most
    };
    let most = tokio::select! { () = sends => 0, most = reads => most };
    assert!((1..=4).contains(&most), "{most}");
    assert!(read.get() > 900, "and it is never idle: {}", read.get());
}

/// Whoever is held must hear of what has arrived.
#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_answering_pings_is_as_dead_as_a_silent_one() {
    const ANSWERS: Duration = Duration::from_secs(3);
    let ((mut ws, handle, _), io) = hub_and_bytes(64 * WS_MESSAGE_BYTES);
    let mut peer = raw(io, Role::Client).await;
    let sends = poll_fn(|cx| {
        ws.poll_upkeep(cx);
        if ws.poll_receive(cx).is_ready() {
            return Poll::Ready(());
        }
        while ws.poll_sendable(cx).is_ready() {
            ws.send(Bytes::from_static(&[0; WS_MESSAGE_BYTES]), cx);
        }
        ws.poll_flush(cx);
        if ws.is_open() { Poll::Pending } else { Poll::Ready(()) }
    });
    let peer = async {
        let start = Instant::now();
        while start.elapsed() < ANSWERS {
            sleep(Duration::from_millis(6)).await;
            while !peer.next().await.expect("a message").expect("well formed").is_binary() {
                peer.flush().await.expect("an answer to a ping");
            }
        }
        // From now on it reads, and says only what nobody asked for.
        let (mut hears, mut says) = tokio::io::split(peer.into_inner());
        let hears = async { while hears.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} };
        let says = async {
            while says.write_all(b"\x8a\x80\0\0\0\0").await.is_ok() {
                sleep(KEEPALIVE.timeout / 4).await;
            }
        };
        tokio::join!(hears, says);
    };
    let start = Instant::now();
    let _ = timeout(ANSWERS + 3 * KEEPALIVE.timeout, async {
        tokio::select! { () = sends => {} () = peer => {} }
    })
    .await;
    assert_eq!(handle.ended(), Some(&Ended::Silent(KEEPALIVE.timeout)));
    let took = start.elapsed() - ANSWERS;
    assert!(took >= KEEPALIVE.timeout && took < 2 * KEEPALIVE.timeout, "{took:?}");
}

/// What a ping behind data may cost, nothing else may.
#[tokio::test(start_paused = true)]
async fn data_explains_a_ping_and_no_word_beside() {
    for (text, is_flood) in [(false, false), (true, true)] {
        let ((mut ws, handle, _control), io) = hub_and_bytes(1 << 20);
        let mut peer = raw(io, Role::Client).await;
        for _ in 0..2 * WS_IDLE_MESSAGES.burst {
            peer.feed(WsMessage::binary(vec![0])).await.expect("room");
            let word = if text { WsMessage::text("{}") } else { WsMessage::Ping(Bytes::new()) };
            peer.feed(word).await.expect("room");
        }
        peer.flush().await.expect("room");
        let hears = async { while next(&mut ws).await.is_some() {} };
        let _ = timeout(KEEPALIVE.interval, hears).await;
        assert_eq!(handle.ended().is_some_and(|ended| *ended == Ended::Flood), is_flood, "{text}");
    }
}
