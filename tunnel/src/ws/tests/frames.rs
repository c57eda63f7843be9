//! Frames that come and go, by hand and by another implementation.

use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;

use super::*;

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
async fn pings_are_answered_amid_fragments_the_newest_first() {
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
            let (mut ours, _handle, _control) = Ws::new(ours, &[], side, KEEPALIVE);
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
    for _ in 0..10 {
        send(&mut agent, vec![0; WS_MAX_MESSAGE].into()).await;
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
