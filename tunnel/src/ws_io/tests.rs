//! Two ends in memory, with paused time.

use std::pin::pin;

use futures_util::poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::limits::{CLOSE_TIMEOUT, OFFENDER_PAUSE, WORK_TURN};

type Peer = (WsIo<DuplexStream>, Handle, mpsc::Receiver<Control>);

const KEEPALIVE: KeepaliveConfig =
    KeepaliveConfig { interval: Duration::from_secs(15), timeout: Duration::from_secs(30) };

async fn raw(io: DuplexStream, role: Role) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(io, role, Some(config())).await
}

/// A hub's end and an agent's end, over a pipe that holds `bytes`.
async fn pair(bytes: usize) -> (Peer, Peer) {
    let (hub, agent) = duplex(bytes);
    let hub = WsIo::new(raw(hub, Role::Server).await, KEEPALIVE);
    let agent = WsIo::new(raw(agent, Role::Client).await, KEEPALIVE);
    (hub, agent)
}

#[tokio::test(start_paused = true)]
async fn bytes_cross_both_ways_whatever_the_message_boundaries() {
    let ((hub, ..), (agent, ..)) = pair(8).await;
    let sent: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    let cross = async |mut from: tokio::io::WriteHalf<_>, mut to: tokio::io::ReadHalf<_>| {
        let mut got = vec![0; sent.len()];
        let write = async {
            from.write_all(&sent).await?;
            from.flush().await
        };
        let (written, read) = tokio::join!(write, to.read_exact(&mut got));
        written.expect("written");
        read.expect("read");
        assert!(got == sent);
        (from, to)
    };
    let (hub_read, hub_write) = tokio::io::split(hub);
    let (agent_read, agent_write) = tokio::io::split(agent);
    let down = cross(hub_write, agent_read);
    let up = cross(agent_write, hub_read);
    // The halves live until both directions are through: a dropped half is a closed pipe.
    let _halves = tokio::join!(down, up);
}

#[tokio::test(start_paused = true)]
async fn slices_become_one_message() {
    let (hub, agent) = duplex(64);
    let (mut hub, ..) = WsIo::new(raw(hub, Role::Server).await, KEEPALIVE);
    let mut agent = raw(agent, Role::Client).await;
    let n = hub.write_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"payload")]).await;
    hub.flush().await.expect("flushed");
    assert_eq!(n.expect("written"), 11);
    let mut next = async || {
        poll_fn(|cx| Pin::new(&mut agent).poll_next(cx)).await.expect("open").expect("valid")
    };
    assert!(next().await.is_ping(), "the first ping comes at once");
    assert_eq!(next().await, Message::binary(&b"headpayload"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_dead_after_the_timeout() {
    let ((mut hub, handle, _), (agent, ..)) = pair(1024).await;
    let error = hub.read_u8().await.expect_err("nobody answers");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(handle.ended(), Some(&Ended::Silent(KEEPALIVE.timeout)));
    drop(agent);
}

#[tokio::test(start_paused = true)]
async fn pings_measure_the_round_trip_and_keep_an_idle_session_alive() {
    let ((mut hub, handle, _), (mut agent, agent_handle, _)) = pair(1024).await;
    assert_eq!(handle.rtt(), None);
    let idle = tokio::time::timeout(Duration::from_secs(300), async {
        tokio::join!(hub.read_u8(), agent.read_u8())
    });
    idle.await.expect_err("both still wait");
    assert!(handle.rtt().is_some() && agent_handle.rtt().is_some());
}

#[tokio::test(start_paused = true)]
async fn control_messages_arrive_and_strangers_do_no_harm() {
    let (hub, agent) = duplex(1024);
    let (mut hub, _handle, mut control) = WsIo::new(raw(hub, Role::Server).await, KEEPALIVE);
    let mut agent = raw(agent, Role::Client).await;
    for message in
        [Message::text("{}"), Message::text(Control::Drain.as_text()), Message::binary("x")]
    {
        Pin::new(&mut agent).start_send(message).expect("sent");
    }
    poll_fn(|cx| Pin::new(&mut agent).poll_flush(cx)).await.expect("flushed");
    assert_eq!(hub.read_u8().await.expect("the binary message"), b'x');
    assert_eq!(control.try_recv(), Ok(Control::Unknown));
    assert_eq!(control.try_recv(), Ok(Control::Drain));
}

#[tokio::test(start_paused = true)]
async fn closing_says_why_and_ends_both_streams() {
    let ((mut hub, handle, _), (mut agent, agent_handle, _)) = pair(1024).await;
    handle.close(CloseCode::Replaced, "replaced by a newer session");
    let (mut hub_got, mut agent_got) = (Vec::new(), Vec::new());
    let ends = tokio::join!(hub.read_to_end(&mut hub_got), agent.read_to_end(&mut agent_got));
    assert_eq!((ends.0.expect("end"), ends.1.expect("end")), (0, 0));
    let reason = "replaced by a newer session";
    let by_us = Ended::ByUs { code: CloseCode::Replaced, reason };
    assert_eq!(handle.ended(), Some(&by_us));
    let by_peer = Ended::ByPeer { code: CloseCode::Replaced, reason: reason.into() };
    assert_eq!(agent_handle.ended(), Some(&by_peer));
    hub.write_all(b"late").await.expect_err("closed");
}

#[tokio::test(start_paused = true)]
async fn a_close_that_nobody_answers_ends_at_its_deadline() {
    let ((mut hub, handle, _), (agent, ..)) = pair(1024).await;
    handle.close(CloseCode::GoingAway, "");
    let start = tokio::time::Instant::now();
    assert_eq!(hub.read(&mut [0; 8]).await.expect("end of stream"), 0);
    assert_eq!(start.elapsed(), CLOSE_TIMEOUT);
    drop(agent);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_and_a_protocol_violation_are_told_apart() {
    let ((mut hub, handle, _), agent) = pair(1024).await;
    drop(agent);
    hub.read_u8().await.expect_err("gone");
    assert_eq!(handle.ended(), Some(&Ended::Lost));

    let (hub, mut agent) = duplex(1024);
    let (mut hub, handle, _control) = WsIo::new(raw(hub, Role::Server).await, KEEPALIVE);
    agent.write_all(&[0x82, 0x01, b'x']).await.expect("an unmasked frame");
    hub.read_u8().await.expect_err("clients must mask");
    assert!(matches!(handle.ended(), Some(Ended::Violation(_))), "{:?}", handle.ended());
}

/// Whoever breaks a rule is not let go at once, to come back and break it again.
#[tokio::test(start_paused = true)]
async fn an_offender_is_left_waiting() {
    for (offence, code) in [
        // A masked text of no length, many times.
        ([0x81, 0x80, 0, 0, 0, 0].repeat(2 * WS_IDLE_MESSAGES as usize), Some(CloseCode::Policy)),
        (vec![0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], None),
    ] {
        let start = tokio::time::Instant::now();
        let (hub, mut agent) = duplex(64);
        let (mut hub, ..) = WsIo::new(raw(hub, Role::Server).await, KEEPALIVE);
        let ended = async {
            let end = hub.read_u8().await;
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
        end.expect_err("the end");
        assert_eq!(start.elapsed(), OFFENDER_PAUSE);
        let close = said.windows(4).find(|said| said[0] == 0x88).map(|said| [said[2], said[3]]);
        assert_eq!(close.map(|code| u16::from_be_bytes(code).into()), code);
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_our_close_is_read_at_leisure() {
    let ((mut hub, handle, _), (mut agent, ..)) = pair(1024).await;
    handle.close(CloseCode::GoingAway, "");
    let turns = CLOSE_TIMEOUT.div_duration_f64(CLOSING_PAUSE) as usize;
    let most = turns * 2 * WORK_TURN;
    let mut written = 0;
    let says = async {
        // The agent reads nothing, so it goes on.
        while written <= most {
            written += agent.write(&[0; 4096]).await.expect("a hub that reads");
        }
    };
    tokio::select! {
        _ = hub.read_u8() => {}
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
        let (hub, mut agent) = duplex(1 << 16);
        let (mut hub, handle, _control) = WsIo::new(raw(hub, Role::Server).await, KEEPALIVE);
        let mut taken = vec![0; WS_MAX_MESSAGE];
        let (said, read) = tokio::join!(agent.write_all(&said), hub.read_exact(&mut taken));
        said.expect("written");
        assert_eq!(read.is_ok(), is_taken);
        let violated = matches!(handle.ended(), Some(Ended::Violation(_)));
        assert_eq!(violated, !is_taken, "{:?}", handle.ended());
    }
}

#[tokio::test(start_paused = true)]
async fn others_have_their_turn_after_some_messages() {
    let turn = WORK_TURN.div_ceil(WORK_PER_FRAME + 1);
    let (hub, mut agent) = duplex(1 << 16);
    let (mut hub, ..) = WsIo::new(raw(hub, Role::Server).await, KEEPALIVE);
    let message = [0x82, 0x81, 0, 0, 0, 0, b'x'];
    agent.write_all(&message.repeat(turn + 1)).await.expect("written");
    assert!(poll!(pin!(hub.read_exact(&mut vec![0; turn]))).is_ready());
    assert!(poll!(pin!(hub.read_u8())).is_pending());
    assert_eq!(hub.read_u8().await.expect("the last"), b'x');
}

/// Writes until the socket takes no more.
async fn fill(hub: &mut WsIo<DuplexStream>) {
    while tokio::time::timeout(Duration::from_secs(1), hub.write_all(&[0; 64])).await.is_ok() {}
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_dead_after_the_timeout() {
    let ((mut hub, handle, _), _agent) = pair(256).await;
    fill(&mut hub).await;
    let error = hub.write_all(&[0; 64]).await.expect_err("nobody reads");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(handle.ended(), Some(&Ended::Silent(KEEPALIVE.timeout)));
}

#[tokio::test(start_paused = true)]
async fn a_full_socket_holds_up_no_close() {
    let ((mut hub, handle, _), _agent) = pair(256).await;
    fill(&mut hub).await;
    let start = tokio::time::Instant::now();
    handle.close(CloseCode::Replaced, "");
    assert_eq!(hub.read(&mut [0; 8]).await.expect("end of stream"), 0);
    assert_eq!(start.elapsed(), CLOSE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_write_during_the_close_leaves_it_whole() {
    let ((mut hub, handle, _), (mut agent, agent_handle, _)) = pair(1024).await;
    handle.close(CloseCode::GoingAway, "bye");
    // Said too late, and closed once more: neither must disturb the handshake.
    handle.send(Control::Drain);
    handle.close(CloseCode::Normal, "again");
    let mut got = Vec::new();
    let (written, read) = tokio::join!(hub.write_all(b"late"), agent.read_to_end(&mut got));
    assert_eq!(written.expect_err("closing").kind(), io::ErrorKind::BrokenPipe);
    read.expect("end of stream");
    let bye = Ended::ByPeer { code: CloseCode::GoingAway, reason: "bye".into() };
    assert_eq!(agent_handle.ended(), Some(&bye));
}
