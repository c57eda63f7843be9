//! Two ends in memory, with paused time.

mod frames;
mod held;

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message as WsMessage, Role};

use super::*;
use crate::limits::{
    CLOSE_TIMEOUT, CLOSING_PAUSE, OFFENDER_PAUSE, WORK_TURN, WS_IDLE_MESSAGES, WS_MAX_MESSAGE,
};

type Peer = (Ws<DuplexStream>, Handle, mpsc::Receiver<Control>);

const KEEPALIVE: KeepaliveConfig =
    KeepaliveConfig { interval: Duration::from_secs(15), timeout: Duration::from_secs(30) };

async fn raw(io: DuplexStream, role: Role) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(io, role, None).await
}

/// A hub's end and an agent's end, over a pipe that holds `bytes`.
fn pair(bytes: usize) -> (Peer, Peer) {
    let (hub, agent) = duplex(bytes);
    let hub = Ws::new(hub, Bytes::new(), Side::Server, KEEPALIVE);
    (hub, Ws::new(agent, Bytes::new(), Side::Client, KEEPALIVE))
}

/// A hub's end, and the bytes of what an agent's end would be.
fn hub_and_bytes(bytes: usize) -> (Peer, DuplexStream) {
    let (hub, agent) = duplex(bytes);
    (Ws::new(hub, Bytes::new(), Side::Server, KEEPALIVE), agent)
}

/// The next message, while everything else is looked after.
async fn next(ws: &mut Ws<DuplexStream>) -> Option<Bytes> {
    poll_fn(|cx| {
        ws.poll_upkeep(cx);
        let message = ws.poll_receive(cx);
        ws.poll_flush(cx);
        message
    })
    .await
}

async fn send(ws: &mut Ws<DuplexStream>, message: Bytes) {
    poll_fn(|cx| ws.poll_sendable(cx).map(|()| ws.send(message.clone(), cx))).await;
}

/// Sends until the socket takes no more.
async fn fill(ws: &mut Ws<DuplexStream>) {
    let message = Bytes::from_static(&[0; 1000]);
    while timeout(Duration::from_secs(1), send(ws, message.clone())).await.is_ok() {}
}

/// All that the socket has for its other end now.
async fn arrived(io: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(read) = timeout(Duration::from_secs(1), io.read_buf(&mut bytes)).await {
        assert_ne!(read.unwrap(), 0);
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn messages_go_together_but_for_those_on_a_slow_socket() {
    let ((mut ws, ..), mut peer) = hub_and_bytes(1 << 20);
    send(&mut ws, Bytes::from_static(b"first")).await;
    assert_eq!(arrived(&mut peer).await, b"");
    fill(&mut ws).await;
    arrived(&mut peer).await;
    // There is room now, and more than before may come at once; nobody knows yet.
    send(&mut ws, Bytes::from_static(b"last")).await;
    assert!(arrived(&mut peer).await.ends_with(b"last"));
}

#[tokio::test(start_paused = true)]
async fn messages_cross_both_ways_however_the_pipe_cuts_them() {
    let ((mut hub, ..), (mut agent, ..)) = pair(8);
    let messages: Vec<Bytes> = (0..200_usize).map(|i| vec![i as u8; 7 * i].into()).collect();
    let cross = async |ws: &mut Ws<_>| {
        let (mut sent, mut got) = (0, Vec::new());
        while sent < messages.len() || got.len() < messages.len() {
            let ready = poll_fn(|cx| {
                if sent < messages.len() && ws.poll_sendable(cx).is_ready() {
                    ws.send(messages[sent].clone(), cx);
                    sent += 1;
                }
                let received = ws.poll_receive(cx);
                ws.poll_flush(cx);
                if let Poll::Ready(message) = received {
                    got.push(message.expect("open"));
                    return Poll::Ready(());
                }
                if sent < messages.len() { Poll::Ready(()) } else { Poll::Pending }
            });
            ready.await;
            tokio::task::yield_now().await;
        }
        // What is sent last is flushed by reading on.
        let _ = timeout(Duration::from_secs(1), next(ws)).await;
        got
    };
    let (hub_got, agent_got) = tokio::join!(cross(&mut hub), cross(&mut agent));
    assert!(hub_got == messages && agent_got == messages);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_dead_after_the_timeout() {
    let ((mut hub, handle, _), _agent) = pair(1024);
    let start = Instant::now();
    assert_eq!(next(&mut hub).await, None);
    assert_eq!(start.elapsed(), KEEPALIVE.timeout);
    assert_eq!(handle.ended(), Some(&Ended::Silent(KEEPALIVE.timeout)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_dead_after_the_timeout() {
    let ((mut hub, handle, _), _agent) = pair(256);
    fill(&mut hub).await;
    let sent = timeout(KEEPALIVE.timeout, send(&mut hub, Bytes::from_static(b"x"))).await;
    sent.expect_err("nobody reads");
    assert_eq!(handle.ended(), Some(&Ended::Silent(KEEPALIVE.timeout)));
    assert_eq!(next(&mut hub).await, None);
}

#[tokio::test(start_paused = true)]
async fn pings_measure_the_round_trip_and_keep_an_idle_session_alive() {
    let ((mut hub, handle, _), (mut agent, agent_handle, _)) = pair(1024);
    assert_eq!(handle.rtt(), None);
    let idle =
        timeout(Duration::from_secs(300), async { tokio::join!(next(&mut hub), next(&mut agent)) });
    idle.await.expect_err("both still wait");
    assert!(handle.rtt().is_some() && agent_handle.rtt().is_some());
}

#[tokio::test(start_paused = true)]
async fn control_messages_arrive_and_strangers_do_no_harm() {
    let ((mut hub, _handle, mut control), agent) = hub_and_bytes(1024);
    let mut agent = raw(agent, Role::Client).await;
    for message in
        [WsMessage::text("{}"), WsMessage::text(Control::Drain.to_text()), WsMessage::binary("x")]
    {
        agent.send(message).await.expect("sent");
    }
    assert_eq!(next(&mut hub).await, Some(Bytes::from_static(b"x")));
    assert_eq!(control.try_recv(), Ok(Control::Unknown));
    assert_eq!(control.try_recv(), Ok(Control::Drain));
}

#[tokio::test(start_paused = true)]
async fn control_messages_go_out_while_nothing_comes() {
    let ((mut hub, handle, _), agent) = hub_and_bytes(1024);
    let mut agent = raw(agent, Role::Client).await;
    let said = async {
        assert!(
            agent.next().await.expect("open").expect("valid").is_ping(),
            "the first comes at once"
        );
        handle.send(Control::Registered);
        agent.next().await.expect("open").expect("valid")
    };
    tokio::select! {
        said = said => assert_eq!(said, WsMessage::text(Control::Registered.to_text())),
        _ = next(&mut hub) => panic!("it has ended"),
    }
}

#[tokio::test(start_paused = true)]
async fn closing_says_why_and_ends_both_ends() {
    let ((mut hub, handle, _), (agent, agent_handle, _)) = pair(1024);
    let reason = "replaced by a newer session";
    handle.close(CloseCode::Replaced, reason);
    assert_eq!(over(&mut hub, agent).await, Duration::ZERO);
    let by_us = Ended::ByUs { code: CloseCode::Replaced, reason };
    assert_eq!(handle.ended(), Some(&by_us));
    let by_peer = Ended::ByPeer { code: CloseCode::Replaced, reason: reason.into() };
    assert_eq!(agent_handle.ended(), Some(&by_peer));
    assert!(poll!(poll_fn(|cx| hub.poll_sendable(cx))).is_pending());
}

/// How long it takes until both ends are over, of which the agent's waits for the hub to hang up.
async fn over(hub: &mut Ws<DuplexStream>, mut agent: Ws<DuplexStream>) -> Duration {
    let start = Instant::now();
    let hub = async {
        assert_eq!(next(hub).await, None);
        hub.io.shutdown().await.expect("hung up");
    };
    tokio::join!(hub, async { assert_eq!(next(&mut agent).await, None) });
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_agent_may_close_first() {
    let ((mut hub, hub_handle, _), (agent, handle, _)) = pair(1024);
    handle.close(CloseCode::GoingAway, "bye");
    assert_eq!(over(&mut hub, agent).await, Duration::ZERO);
    let by_peer = Ended::ByPeer { code: CloseCode::GoingAway, reason: "bye".into() };
    assert_eq!(hub_handle.ended(), Some(&by_peer));
}

#[tokio::test(start_paused = true)]
async fn the_last_word_about_a_thing_is_the_one_that_is_heard() {
    let ((mut hub, _hub_handle, mut control), (mut agent, handle, _)) = pair(1024);
    let upstream = |up, nth| Control::Upstream { up, nth };
    for said in [upstream(false, 0), upstream(false, 1), Control::Drain, upstream(true, 0)] {
        handle.send(said);
    }
    let heard = async {
        let mut heard = Vec::new();
        while heard.len() < 3 {
            heard.extend(control.recv().await);
        }
        heard
    };
    let heard = tokio::select! {
        heard = heard => heard,
        _ = next(&mut hub) => panic!("it ends"),
        _ = next(&mut agent) => panic!("it ends"),
    };
    assert_eq!(heard, [upstream(false, 1), Control::Drain, upstream(true, 0)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_during_the_close_leaves_it_whole() {
    let ((mut hub, handle, _), (agent, agent_handle, _)) = pair(1024);
    handle.close(CloseCode::GoingAway, "bye");
    // Said too late, and closed once more: neither must disturb the handshake.
    handle.send(Control::Drain);
    handle.close(CloseCode::Normal, "again");
    assert_eq!(over(&mut hub, agent).await, Duration::ZERO);
    let bye = Ended::ByPeer { code: CloseCode::GoingAway, reason: "bye".into() };
    assert_eq!(agent_handle.ended(), Some(&bye));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_nobody_answers_ends_at_its_deadline() {
    for is_full in [false, true] {
        let ((mut hub, handle, _), _agent) = pair(256);
        if is_full {
            fill(&mut hub).await;
        }
        handle.close(CloseCode::GoingAway, "");
        let start = Instant::now();
        assert_eq!(next(&mut hub).await, None);
        assert_eq!(start.elapsed(), CLOSE_TIMEOUT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_and_a_protocol_violation_are_told_apart() {
    let ((mut hub, handle, _), agent) = pair(1024);
    drop(agent);
    assert_eq!(next(&mut hub).await, None);
    assert_eq!(handle.ended(), Some(&Ended::Lost));

    let ((mut hub, handle, _), mut agent) = hub_and_bytes(1024);
    agent.write_all(&[0x82, 0x01, b'x']).await.expect("an unmasked frame");
    assert_eq!(next(&mut hub).await, None);
    assert!(matches!(handle.ended(), Some(Ended::Violation(_))), "{:?}", handle.ended());
}

/// Whoever breaks a rule is not let go at once, to come back and break it again.
#[tokio::test(start_paused = true)]
async fn an_offender_is_left_waiting() {
    for (offence, code) in [
        // A masked text of no length, many times.
        ([0x81, 0x80, 0, 0, 0, 0].repeat(2 * WS_IDLE_MESSAGES.burst as usize), CloseCode::Policy),
        (vec![0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], CloseCode::Other(1009)),
    ] {
        let start = Instant::now();
        let ((mut hub, handle, _), mut agent) = hub_and_bytes(64);
        let ended = async {
            let end = next(&mut hub).await;
            drop(hub);
            end
        };
        let offend = async {
            let mut said = Vec::new();
            let (mut hears, mut says) = tokio::io::split(&mut agent);
            // Only so much is read of it.
            let says = async {
                for _ in 0..1000 {
                    if says.write_all(&offence).await.is_err() {
                        break;
                    }
                }
            };
            let _ = tokio::join!(says, hears.read_to_end(&mut said));
            said
        };
        let (end, said) = tokio::join!(ended, offend);
        assert_eq!(end, None);
        assert_eq!(start.elapsed(), OFFENDER_PAUSE);
        let close = said.windows(4).find(|said| said[0] == 0x88).map(|said| [said[2], said[3]]);
        assert_eq!(close.map(|code| u16::from_be_bytes(code).into()), Some(code));
        assert_eq!(matches!(handle.ended(), Some(Ended::Flood)), code == CloseCode::Policy);
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_our_close_is_read_at_leisure() {
    let ((mut hub, handle, _), agent) = hub_and_bytes(1024);
    let mut agent = raw(agent, Role::Client).await;
    handle.close(CloseCode::GoingAway, "");
    let turns = CLOSE_TIMEOUT.div_duration_f64(CLOSING_PAUSE) as usize;
    let most = turns * 2 * WORK_TURN;
    let mut written = 0;
    let says = async {
        // The agent reads nothing, so it goes on.
        while written <= most {
            agent.send(WsMessage::binary(&[0; 4096][..])).await.expect("a hub that reads");
            written += 4096;
        }
    };
    tokio::select! {
        _ = next(&mut hub) => {}
        () = says => {}
    }
    assert!(written <= most, "{written}");
}

/// It is held until it is whole, in however many frames it comes.
#[tokio::test(start_paused = true)]
async fn a_message_has_a_largest_size() {
    let frame = |first: u8, len: usize| {
        [&[first, 0xff][..], &(len as u64).to_be_bytes(), &[0; 4], &vec![0; len]].concat()
    };
    let half = WS_MAX_MESSAGE / 2;
    let fits = [frame(0x02, half), frame(0x80, half)].concat();
    let in_all = [frame(0x02, half), frame(0x00, half), frame(0x80, 1)].concat();
    let by_its_head = frame(0x82, WS_MAX_MESSAGE + 1)[..14].to_vec();
    for (said, is_taken) in [(fits, true), (in_all, false), (by_its_head, false)] {
        let ((mut hub, handle, _control), mut agent) = hub_and_bytes(1 << 16);
        let (said, taken) = tokio::join!(agent.write_all(&said), next(&mut hub));
        said.expect("written");
        assert_eq!(taken.map(|message| message.len()), is_taken.then_some(WS_MAX_MESSAGE));
        let violated = matches!(handle.ended(), Some(Ended::Violation(_)));
        assert_eq!(violated, !is_taken, "{:?}", handle.ended());
    }
}

#[tokio::test(start_paused = true)]
async fn others_have_their_turn_after_some_messages() {
    let turn = WORK_TURN.div_ceil(WORK_PER_FRAME + 1);
    let ((mut hub, ..), mut agent) = hub_and_bytes(1 << 16);
    let message = [0x82, 0x81, 0, 0, 0, 0, b'x'];
    agent.write_all(&message.repeat(turn + 1)).await.expect("written");
    for _ in 0..turn {
        assert!(poll!(pin!(next(&mut hub))).is_ready());
    }
    assert!(poll!(pin!(next(&mut hub))).is_pending());
    assert_eq!(next(&mut hub).await, Some(Bytes::from_static(b"x")));
}
