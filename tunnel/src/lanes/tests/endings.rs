//! How lanes and sessions end.

use super::*;
use crate::limits::{LANE_FIRST_CREDIT, LANE_QUEUE};

#[tokio::test(start_paused = true)]
async fn a_finished_lane_says_what_was_delivered() {
    let (hub, agent) = session(1024).await;
    let mut lane = hub.open(Open::default()).expect("a lane");
    let status = lane.status();
    lane.write_all(b"request").await.expect("written");
    let (mut accepted, _) = agent.accept().await.expect("a lane");
    accepted.read_exact(&mut [0; 7]).await.expect("read");
    accepted.delivered(7);
    accepted.write_all(b"answer").await.expect("written");
    accepted.shutdown().await.expect("finished");
    let error = accepted.write_all(b"more").await.expect_err("finished");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let mut answer = Vec::new();
    lane.read_to_end(&mut answer).await.expect("read");
    assert_eq!(answer, b"answer");
    assert_eq!(status.end(), Some(&LaneEnd::Finished { delivered: 7 }));
    // The other direction is still open.
    lane.write_all(b"more").await.expect("written");
    accepted.read_exact(&mut [0; 4]).await.expect("read");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_lane_is_reset_and_a_reset_says_why() {
    let (hub, agent) = session(1024).await;
    let lane = hub.open(Open::default()).expect("a lane");
    let (mut accepted, _) = agent.accept().await.expect("a lane");
    drop(lane);
    let error = accepted.read_u8().await.expect_err("the caller has gone");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(
        accepted.write_all(b"x").await.expect_err("gone").kind(),
        ErrorKind::ConnectionReset
    );

    let mut lane = hub.open(Open::default()).expect("a lane");
    let (mut accepted, _) = agent.accept().await.expect("a lane");
    accepted.write_all(b"last words").await.expect("written");
    accepted.delivered(3);
    accepted.reset(ResetCode::Unreachable, "connection refused");
    // The driver drops what the agent wrote and resets; what had left is read first.
    let error = lane.read_to_end(&mut Vec::new()).await.expect_err("a reset");
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::ConnectionReset, "connection refused".into())
    );
    let reason = "connection refused".into();
    let reset = LaneEnd::Reset { code: ResetCode::Unreachable, delivered: 3, reason };
    assert_eq!(lane.status().end(), Some(&reset));
    assert!(hub.is_empty() && agent.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_reset_is_read() {
    let (hub, mut peer) = against(Role::Hub, 1024).await;
    let mut lane = hub.open(Open::default()).expect("a lane");
    peer.feed(data(1, b"GOAWAY")).await.expect("sent");
    let reset = frame::reset(1, ResetCode::Closed, 0, "connection reset by the upstream");
    peer.send(Message::Binary(reset)).await.expect("sent");
    sleep(Duration::from_millis(1)).await;
    assert!(lane.status().end().is_some());
    let mut got = Vec::new();
    lane.read_to_end(&mut got).await.expect_err("a reset");
    assert_eq!(got, b"GOAWAY");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_was_reset_before_it_was_accepted_is_offered_to_nobody() {
    let (agent, mut peer) = against(AGENT, 1024).await;
    for id in 1..=100 {
        peer.feed(Message::Binary(frame::open(id, Open::default()))).await.expect("sent");
        if id != 50 {
            let reset = frame::reset(id, ResetCode::Closed, 0, "");
            peer.feed(Message::Binary(reset)).await.expect("sent");
        }
    }
    peer.flush().await.expect("sent");
    sleep(Duration::from_millis(1)).await;
    let (lane, _) = agent.accept().await.expect("the one that is left");
    assert_eq!(lane.id(), 50);
    assert!(poll!(pin!(agent.accept())).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_ends_whatever_waits() {
    let (hub, mut peer) = against(Role::Hub, 1024).await;
    let lane = hub.open(Open::default()).expect("a lane");
    let status = lane.status();
    let (mut reads, mut writes) = tokio::io::split(lane);
    let mut half = hub.open(Open::default()).expect("a lane");
    peer.send(Message::Binary(frame::fin(2, Some(0)))).await.expect("sent");
    let lose = async {
        sleep(Duration::from_secs(1)).await;
        drop(peer);
    };
    let much = vec![0; 1 << 20];
    let (read, written, half_written, ()) =
        tokio::join!(reads.read_u8(), writes.write_all(&much), half.write_all(&much), lose);
    for error in
        [read.expect_err("lost"), written.expect_err("lost"), half_written.expect_err("lost")]
    {
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    }
    assert_eq!(
        writes.write_all(b"x").await.expect_err("lost").kind(),
        ErrorKind::ConnectionAborted
    );
    // What waits in its queue was never sent.
    let sent = u64::from(LANE_FIRST_CREDIT) - LANE_QUEUE as u64;
    assert_eq!(status.end(), Some(&LaneEnd::Lost { sent }));
    assert_eq!(half.status().end(), Some(&LaneEnd::Finished { delivered: 0 }));
    assert_eq!(half.read(&mut [0; 1]).await.expect("an end that was said before"), 0);
    assert_eq!(hub.ws().ended(), Some(&Ended::Lost));
    assert!(hub.open(Open::default()).is_none());
    let (agent, mut peer) = against(AGENT, 1024).await;
    let open = frame::open(1, Open::default());
    peer.send(Message::Binary(open)).await.expect("sent");
    drop(peer);
    sleep(Duration::from_secs(1)).await;
    assert!(agent.accept().await.is_none(), "a lane that is lost is offered to nobody");
}

/// Nobody waits for a WebSocket to be closed whose lanes are lost already.
#[tokio::test(start_paused = true)]
async fn lanes_end_when_the_session_begins_to_close() {
    for breach in [frame::credit(9, 1), frame::fin(1, None)] {
        let (hub, mut peer) = against(Role::Hub, 1024).await;
        let mut lane = hub.open(Open::default()).expect("a lane");
        assert_eq!(heard(&mut peer).await.0, 1);
        let start = Instant::now();
        peer.send(Message::Binary(breach)).await.expect("sent");
        assert_eq!(lane.read_u8().await.expect_err("lost").kind(), ErrorKind::ConnectionAborted);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(hub.open(Open::default()).is_none());
        assert!(matches!(hub.ws().ended(), Some(Ended::Violation(_))));
        assert_eq!(close_code(&mut peer).await, CloseCode::Protocol);
        assert_eq!(start.elapsed(), OFFENDER_PAUSE);
    }
    let (hub, agent) = session(1024).await;
    let mut lane = hub.open(Open::default()).expect("a lane");
    hub.ws().close(CloseCode::GoingAway, "restart");
    lane.read_u8().await.expect_err("lost");
    assert!(agent.accept().await.is_none());
    let by_hub = Ended::ByPeer { code: CloseCode::GoingAway, reason: "restart".into() };
    assert_eq!(agent.ws().ended(), Some(&by_hub));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_ends_its_lanes() {
    let (ours, _peer) = duplex(1024);
    let (driver, hub, _) = end(ours, Role::Hub);
    let mut lane = hub.open(Open::default()).expect("a lane");
    drop(driver);
    assert_eq!(lane.read_u8().await.expect_err("lost").kind(), ErrorKind::ConnectionAborted);
    assert!(hub.open(Open::default()).is_none());
}

/// A socket that can be read, but takes nothing any longer.
struct Broken(ReadHalf<DuplexStream>);

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_breaks_ends_the_session_at_once() {
    let (ours, _peer) = duplex(1024);
    let (driver, hub, _) = end(Broken(tokio::io::split(ours).0), Role::Hub);
    let start = Instant::now();
    driver.await;
    assert_eq!((start.elapsed(), hub.ws().ended()), (Duration::ZERO, Some(&Ended::Lost)));
}
