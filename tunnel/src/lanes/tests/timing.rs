//! What is said when, and how much of it.

use super::*;

#[tokio::test(start_paused = true)]
async fn frames_that_nothing_explains_are_a_flood_and_late_bytes_are_none() {
    let (hub, mut peer) = against(Role::Hub, 1 << 16).await;
    drop(hub.open(Open::default()).expect("a lane"));
    let mut lane = hub.open(Open::default()).expect("a lane");
    assert_eq!(heard(&mut peer).await.0, 2);
    for _ in 0..2 * LANE_IDLE_FRAMES.burst {
        peer.feed(data(1, b"late")).await.expect("sent");
    }
    peer.send(data(2, b"x")).await.expect("sent");
    assert_eq!(lane.read_u8().await.expect("still there"), b'x');
    for _ in 0..LANE_IDLE_FRAMES.burst + 8 {
        peer.feed(Message::Binary(frame::credit(2, 0))).await.expect("sent");
    }
    peer.flush().await.expect("sent");
    assert_eq!(close_code(&mut peer).await, CloseCode::Policy);
    assert_eq!(hub.ws().ended(), Some(&Ended::Flood));
    assert_eq!(lane.read_u8().await.expect_err("lost").kind(), ErrorKind::ConnectionAborted);
}

/// CREDIT for what is sent is no flood, however little is granted at a time.
#[tokio::test(start_paused = true)]
async fn honest_credit_is_no_flood() {
    let (hub, mut peer) = against(Role::Hub, 1 << 16).await;
    let mut lane = hub.open(Open::default()).expect("a lane");
    let bytes = LANE_FIRST_CREDIT as usize + 4 * LANE_IDLE_FRAMES.burst as usize;
    let says = async { lane.write_all(&vec![0; bytes]).await.expect("written") };
    let grants = async {
        for _ in 0..4 * LANE_IDLE_FRAMES.burst {
            peer.send(Message::Binary(frame::credit(1, 1))).await.expect("sent");
            while !matches!(heard(&mut peer).await, (1, Frame::Data(_))) {}
        }
    };
    tokio::join!(says, grants);
    assert_eq!(hub.ws().ended(), None);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_loses_its_lanes_and_one_that_takes_little_does_not() {
    let (hub, mut peer) = against(Role::Hub, 256).await;
    let mut lane = hub.open(Open::default()).expect("a lane");
    let start = Instant::now();
    let written = timeout(KEEPALIVE.timeout * 2, lane.write_all(&[0; 1 << 17])).await;
    assert_eq!(written.expect("an end").expect_err("dead").kind(), ErrorKind::ConnectionAborted);
    assert_eq!(start.elapsed(), KEEPALIVE.timeout);
    assert_eq!(hub.ws().ended(), Some(&Ended::Silent(KEEPALIVE.timeout)));
    drop(peer);

    (_, peer) = (hub, against(Role::Hub, 256).await.1);
    drop(peer);
    let (hub, mut peer) = against(Role::Hub, 256).await;
    let mut lane = hub.open(Open::default()).expect("a lane");
    let slow = async {
        for _ in 0..200 {
            sleep(Duration::from_secs(1)).await;
            peer.next().await.expect("open").expect("valid");
            peer.send(Message::Binary(frame::credit(1, 1000))).await.expect("sent");
        }
    };
    tokio::select! {
        () = slow => {}
        written = lane.write_all(&[0; 1 << 20]) => written.expect("alive"),
    }
    assert_eq!(hub.ws().ended(), None);
}

/// At most what is written to the socket in one go stands before a ping.
#[tokio::test(start_paused = true)]
async fn pings_do_not_wait_behind_lanes() {
    let (hub, mut peer) = against(Role::Hub, 1024).await;
    let lanes: Vec<_> = (0..20)
        .filter_map(|source| hub.open(Open { source: Source(source), ..Open::default() }))
        .collect();
    for mut lane in lanes {
        tokio::spawn(async move { lane.write_all(&vec![0; 1 << 20]).await });
    }
    let (mut behind, mut pings) = (0, 0);
    let mut reads = pin!(sleep(Duration::from_secs(100)));
    let mut due = Instant::now();
    loop {
        tokio::select! {
            () = &mut reads => break,
            message = peer.next() => match message.expect("open").expect("valid") {
                Message::Ping(_) => {
                    assert!(behind <= 2 * WS_WRITE_BUFFER, "{behind}");
                    (behind, pings, due) = (0, pings + 1, due + KEEPALIVE.interval);
                }
                Message::Binary(message) => {
                    // 32 KiB a second: all of it takes 40 s.
                    sleep(Duration::from_secs_f64(message.len() as f64 / 32_768.0)).await;
                    if Instant::now() > due {
                        behind += message.len();
                    }
                }
                _ => {}
            },
        }
    }
    assert!(pings >= 6, "{pings}");
}

#[tokio::test(start_paused = true)]
async fn idle_credit_is_returned_and_lanes_left_behind_are_reset() {
    let (hub, mut peer) = against(Role::Hub, 1 << 16).await;
    let mut lane = hub.open(Open::default()).expect("a lane");
    assert!(matches!(heard(&mut peer).await, (1, Frame::Open(_))));
    let start = Instant::now();
    peer.send(Message::Binary(frame::credit(1, LANE_FIRST_CREDIT))).await.expect("sent");
    assert_eq!(heard(&mut peer).await, (1, Frame::Return(LANE_FIRST_CREDIT)));
    let idle = LANE_SWEEP * u32::from(LANE_IDLE_SWEEPS);
    assert!((idle..=idle + LANE_SWEEP).contains(&start.elapsed()), "{:?}", start.elapsed());
    // For a minute nothing else is said, but pings.
    let said = async { while peer.next().await.expect("open").expect("valid").is_ping() {} };
    timeout(Duration::from_secs(60), said).await.expect_err("nothing to say");
    lane.shutdown().await.expect("finished");
    drop(lane);
    assert_eq!(heard(&mut peer).await, (1, Frame::Fin(None)));
    let start = Instant::now();
    assert!(matches!(heard(&mut peer).await, (1, Frame::Reset { code: ResetCode::Closed, .. })));
    let patience = LANE_SWEEP * u32::from(LANE_ABANDONED_SWEEPS);
    assert!((patience..=patience + LANE_SWEEP).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(hub.is_empty());
}

#[tokio::test(start_paused = true)]
async fn others_have_their_turn_while_lanes_send() {
    let (ours, mut peer) = duplex(4 << 20);
    let (driver, hub, _) = end(ours, Role::Hub);
    let mut driver = pin!(driver);
    let mut lanes: Vec<_> = (0..50).filter_map(|_| hub.open(Open::default())).collect();
    for lane in &mut lanes {
        assert!(poll!(pin!(lane.write_all(&[0; 30_000]))).is_ready());
    }
    assert!(poll!(&mut driver).is_pending());
    let mut space = vec![0; 4 << 20];
    let mut sent = ReadBuf::new(&mut space);
    assert!(
        poll!(std::future::poll_fn(|cx| Pin::new(&mut peer).poll_read(cx, &mut sent))).is_ready()
    );
    assert!(sent.filled().len() <= 2 * WORK_TURN, "{}", sent.filled().len());
    timeout(Duration::from_secs(1), driver).await.expect_err("it goes on");
    assert!(
        poll!(std::future::poll_fn(|cx| Pin::new(&mut peer).poll_read(cx, &mut sent))).is_ready()
    );
    assert!(sent.filled().len() > 50 * 30_000);
}
