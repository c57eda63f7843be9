//! Frames that come and go, by hand and by another implementation.

use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;

use super::*;
use crate::limits::{WS_MESSAGE_BYTES, WS_READ_BULK};

/// A masked frame, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[tokio::test(start_paused = true)]
async fn others_have_their_turn_amid_fragments() {
    let ((mut hub, ..), mut agent) = hub_and_bytes(1 << 16);
    let turn = WORK_TURN / WORK_PER_FRAME;
    let fragments = frame(0x00, b"x").repeat(turn);
    let said = [frame(0x02, b"x"), fragments, frame(0x80, b"x")].concat();
    agent.write_all(&said).await.expect("written");
    assert!(poll!(pin!(next(&mut hub))).is_pending());
    assert_eq!(next(&mut hub).await.map(|message| message.len()), Some(turn + 2));
}

#[tokio::test(start_paused = true)]
async fn empty_fragments_are_a_flood_but_where_others_bring_data() {
    let streamed = [frame(0x02, b""), frame(0x00, b"x"), frame(0x80, b"")].concat();
    let empty = [frame(0x02, b"x"), frame(0x00, b"").repeat(2 * WS_IDLE_MESSAGES.burst as usize)];
    for (said, messages) in [(streamed.repeat(1000), 1000), (empty.concat(), 0)] {
        let ((mut hub, handle, _control), mut agent) = hub_and_bytes(1 << 16);
        agent.write_all(&said).await.expect("written");
        for _ in 0..messages {
            assert_eq!(next(&mut hub).await, Some(Bytes::from_static(b"x")));
        }
        if messages == 0 {
            assert_eq!(next(&mut hub).await, None);
        }
        assert_eq!(handle.ended().cloned(), (messages == 0).then_some(Ended::Flood));
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_ping_is_answered_and_amid_fragments() {
    let ((mut hub, ..), mut agent) = hub_and_bytes(1 << 16);
    let said = [frame(0x02, b"a"), frame(0x89, b"1"), frame(0x89, b"2"), frame(0x80, b"b")];
    agent.write_all(&said.concat()).await.expect("written");
    assert_eq!(next(&mut hub).await, Some(Bytes::from_static(b"ab")));
    let mut heard = [0; 64];
    let heard_bytes = agent.read(&mut heard).await.expect("an answer");
    let heard = &heard[..heard_bytes];
    assert!(heard.ends_with(&[0x8a, 1, b'2']), "{heard:x?}");
}

/// Whoever closes first, both say so, and the server hangs up.
#[tokio::test(start_paused = true)]
async fn another_implementation_closes_in_order() {
    let ((mut hub, handle, _control), agent) = hub_and_bytes(1 << 16);
    let mut agent = raw(agent, Role::Client).await;
    let start = Instant::now();
    let close = CloseFrame { code: 4000.into(), reason: "enough".into() };
    let closes = async {
        agent.send(WsMessage::Close(Some(close))).await.expect("sent");
        while let Some(Ok(_)) = agent.next().await {}
    };
    let ended = async {
        assert_eq!(next(&mut hub).await, None);
        drop(hub);
    };
    tokio::join!(ended, closes);
    let by_peer = Ended::ByPeer { code: CloseCode::Replaced, reason: "enough".into() };
    assert_eq!(handle.ended(), Some(&by_peer));
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody waits for a deadline");
}

/// tungstenite, which checks what it reads.
#[tokio::test(start_paused = true)]
async fn another_implementation_understands_and_is_understood() {
    let sizes = [0, 1, 125, 126, 2047, 2048, 16_389, 65_535, WS_MAX_MESSAGE];
    let messages: Vec<Bytes> =
        sizes.iter().map(|size| (0..*size).map(|at| at as u8).collect()).collect();
    for (side, role) in [(Side::Server, Role::Client), (Side::Client, Role::Server)] {
        for pipe in [7, 5000, 1 << 20] {
            let (ours, theirs) = duplex(pipe);
            let (mut ours, _handle, _control) = Ws::new(ours, Bytes::new(), side, KEEPALIVE);
            let (mut says, hears) = raw(theirs, role).await.split();
            let theirs = async {
                for message in &messages {
                    says.send(WsMessage::Binary(message.clone())).await.expect("open");
                }
            };
            let heard = async {
                let heard = hears.map(|message| message.expect("valid"));
                let heard = heard.filter(|message| std::future::ready(message.is_binary()));
                heard.take(messages.len()).map(WsMessage::into_data).collect::<Vec<_>>().await
            };
            let got = async {
                let (mut sent, mut got) = (0, Vec::new());
                poll_fn(|cx| {
                    while sent < messages.len() && ours.poll_sendable(cx).is_ready() {
                        ours.send(messages[sent].clone(), cx);
                        sent += 1;
                    }
                    while got.len() < messages.len()
                        && let Poll::Ready(message) = ours.poll_receive(cx)
                    {
                        got.push(message.expect("open"));
                    }
                    ours.poll_flush(cx);
                    let is_done = sent == got.len() && ours.writer.is_flushed();
                    if is_done { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                got
            };
            let ((), heard, got) = tokio::join!(theirs, heard, got);
            assert!(heard == messages && got == messages, "{side:?} {pipe}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_websocket_holds_no_buffers() {
    let ((mut hub, ..), (mut agent, ..)) = pair(1 << 20);
    for size in [WS_MAX_MESSAGE, WS_MESSAGE_BYTES, WS_READ_BULK, WS_MESSAGE_BYTES, 10] {
        send(&mut agent, vec![0; size].into()).await;
        poll_fn(|cx| {
            agent.poll_flush(cx);
            Poll::Ready(())
        })
        .await;
        assert!(next(&mut hub).await.is_some());
    }
    let more = timeout(Duration::from_secs(1), next(&mut hub)).await;
    more.expect_err("there is no more");
    assert_eq!(hub.reader.memory(), 0);
    assert!(agent.writer.memory() <= 1024, "{}", agent.writer.memory());
}

#[tokio::test(start_paused = true)]
async fn fragments_out_of_order_are_a_violation() {
    for said in
        [frame(0x80, b"x"), [frame(0x02, b"x"), frame(0x82, b"x")].concat(), frame(0x81, &[0xff])]
    {
        let ((mut hub, handle, _control), mut agent) = hub_and_bytes(1 << 16);
        agent.write_all(&said).await.expect("written");
        assert_eq!(next(&mut hub).await, None);
        assert!(matches!(handle.ended(), Some(Ended::Violation(_))), "{said:x?}");
    }
}

/// What was read behind the handshake is the beginning, wherever it ends.
#[tokio::test(start_paused = true)]
async fn what_came_with_the_handshake_is_read_first() {
    let said = [frame(0x82, b"one"), frame(0x82, b"two")].concat();
    for cut in 0..=said.len() {
        let (hub, mut agent) = duplex(1024);
        let read = Bytes::copy_from_slice(&said[..cut]);
        let (mut hub, _handle, _control) = Ws::new(hub, read, Side::Server, KEEPALIVE);
        agent.write_all(&said[cut..]).await.expect("written");
        assert_eq!(next(&mut hub).await, Some(Bytes::from_static(b"one")), "{cut}");
        assert_eq!(next(&mut hub).await, Some(Bytes::from_static(b"two")), "{cut}");
    }
}

/// Who always has more to send than the socket takes answers pings all the same.
#[tokio::test(start_paused = true)]
async fn pings_are_answered_amid_bulk() {
    let ((mut hub, ..), mut agent) = hub_and_bytes(16 << 10);
    let message = Bytes::from_static(&[0; 16 << 10]);
    let bulk = poll_fn(|cx| {
        assert!(hub.poll_receive(cx).is_pending());
        while hub.poll_sendable(cx).is_ready() {
            hub.send(message.clone(), cx);
        }
        hub.poll_flush(cx);
        Poll::<()>::Pending
    });
    let answered = async {
        agent.write_all(&frame(0x89, b"are you there?")).await.expect("written");
        let mut heard = Vec::new();
        while !heard.ends_with(b"are you there?") && heard.len() < 1 << 20 {
            let mut some = [0; 1 << 10];
            let read = agent.read(&mut some).await.expect("open");
            heard.extend_from_slice(&some[..read]);
            let at = heard.windows(14).position(|bytes| bytes == b"are you there?");
            heard.truncate(at.map_or(heard.len(), |at| at + 14));
        }
        heard.len()
    };
    tokio::select! {
        () = bulk => {}
        heard = answered => assert!(heard < 100 << 10, "after {heard} bytes"),
    }
}
