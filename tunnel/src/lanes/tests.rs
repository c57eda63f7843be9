//! Sessions in memory, with paused time.

mod endings;
mod timing;

use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, poll};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, duplex,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role as WsRole;

use super::frame::Frame;
use super::*;
use crate::limits::{
    LANE_ABANDONED_SWEEPS, LANE_FIRST_CREDIT, LANE_IDLE_FRAMES, LANE_IDLE_SWEEPS, LANE_SWEEP,
    OFFENDER_PAUSE, WORK_TURN, WS_WRITE_BUFFER,
};
use crate::wire::{CloseCode, Control};
use crate::ws::{Ended, KeepaliveConfig};

const KEEPALIVE: KeepaliveConfig =
    KeepaliveConfig { interval: Duration::from_secs(15), timeout: Duration::from_secs(30) };
const AGENT: Role = Role::Agent { max_lanes: 64 };

/// More than anything takes; pings come more often.
const PATIENCE: Duration = Duration::from_secs(14);

type RawPeer = WebSocketStream<DuplexStream>;

fn end<S>(io: S, role: Role) -> (Driver<S>, Lanes, mpsc::Receiver<Control>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    start(io, Bytes::new(), KEEPALIVE, role, LaneMemory::ample())
}

/// A session under way, over a pipe that holds `bytes`.
async fn session(bytes: usize) -> (Lanes, Lanes) {
    let (hub, agent) = duplex(bytes);
    let (hub_driver, hub, _) = end(hub, Role::Hub);
    let (agent_driver, agent, _) = end(agent, AGENT);
    tokio::spawn(hub_driver);
    tokio::spawn(agent_driver);
    (hub, agent)
}

/// One end under way, and a peer that says what it wants.
async fn against(role: Role, bytes: usize) -> (Lanes, RawPeer) {
    let (ours, peer) = duplex(bytes);
    let (driver, lanes, _) = end(ours, role);
    tokio::spawn(driver);
    let ws_role = if role == Role::Hub { WsRole::Client } else { WsRole::Server };
    (lanes, WebSocketStream::from_raw_socket(peer, ws_role, None).await)
}

fn data(id: u32, payload: &[u8]) -> Message {
    let mut message = frame::data(id, payload.len());
    message.extend_from_slice(payload);
    Message::Binary(message.freeze())
}

/// The next lane frame of a peer; not pings.
async fn heard(peer: &mut RawPeer) -> (u32, Frame) {
    loop {
        let message = timeout(PATIENCE, peer.next()).await.expect("something to hear");
        if let Message::Binary(message) = message.expect("open").expect("valid") {
            return Frame::read(message).expect("a frame");
        }
    }
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}

/// Sends all of it one way, and reads as much from the other, which must be the same.
async fn exchange(lane: Lane, bytes: Vec<u8>) {
    let (mut read, mut write) = tokio::io::split(lane);
    let says = async {
        write.write_all(&bytes).await.expect("written");
        write.shutdown().await.expect("finished");
    };
    let mut got = Vec::new();
    let (_, heard) = tokio::join!(says, read.read_to_end(&mut got));
    heard.expect("read");
    assert!(got == bytes, "{} of {} bytes", got.len(), bytes.len());
}

#[tokio::test(start_paused = true)]
async fn lanes_carry_much_both_ways_at_once() {
    let (hub, agent) = session(1000).await;
    let start = Instant::now();
    let callers = (0..5).map(|source| {
        let lane = hub.open(Open { source: Source(source), ..Open::default() }).expect("a lane");
        tokio::spawn(exchange(lane, pattern(2 << 20, source as usize)))
    });
    let callers: Vec<_> = callers.collect();
    let mut upstreams = Vec::new();
    for _ in 0..callers.len() {
        let (lane, open) = agent.accept().await.expect("a lane");
        upstreams.push(tokio::spawn(exchange(lane, pattern(2 << 20, open.source.0 as usize))));
    }
    for end in callers.into_iter().chain(upstreams) {
        end.await.expect("no panic");
    }
    assert!(hub.is_empty() && agent.is_empty());
    assert!(start.elapsed() < LANE_SWEEP, "nobody waits for a timer");
}

#[tokio::test(start_paused = true)]
async fn what_is_written_can_be_read_however_small_the_pieces() {
    let (hub, agent) = session(7).await;
    let mut lane = hub.open(Open::default()).expect("a lane");
    let (mut accepted, _) = agent.accept().await.expect("a lane");
    let bytes = pattern(5000, 1);
    let says = async {
        for piece in bytes.chunks(3) {
            lane.write_all(piece).await.expect("written");
        }
    };
    let hears = async {
        let mut got = vec![0; bytes.len()];
        for piece in got.chunks_mut(11) {
            accepted.read_exact(piece).await.expect("read");
        }
        got
    };
    assert!(tokio::join!(says, hears).1 == bytes);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_nobody_reads_stops_no_other() {
    let (hub, agent) = session(4096).await;
    let mut stalled = hub.open(Open::default()).expect("a lane");
    let mut busy = hub.open(Open::default()).expect("a lane");
    let written = timeout(Duration::from_secs(1), stalled.write_all(&vec![0; 2 << 20])).await;
    written.expect_err("nobody reads");
    let (_unread, _) = agent.accept().await.expect("the stalled lane");
    let (mut read, _) = agent.accept().await.expect("the other");
    let bytes = pattern(1 << 20, 3);
    let mut got = vec![0; bytes.len()];
    let (written, heard) = tokio::join!(busy.write_all(&bytes), read.read_exact(&mut got));
    written.expect("written");
    heard.expect("read");
    assert!(got == bytes);
}

async fn close_code(peer: &mut RawPeer) -> CloseCode {
    loop {
        let message = timeout(PATIENCE, peer.next()).await.expect("a close");
        if let Message::Close(Some(close)) = message.expect("open").expect("valid") {
            return u16::from(close.code).into();
        }
    }
}

/// One direction, whose ends are woken by nothing but each other.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_room_or_credit_is_woken() {
    let (hub, agent) = session(1000).await;
    let mut lane = hub.open(Open::default()).expect("a lane");
    let start = Instant::now();
    let says = tokio::spawn(async move {
        lane.write_all(&pattern(2 << 20, 0)).await.expect("written");
        lane
    });
    let (mut accepted, _) = agent.accept().await.expect("a lane");
    // All that it has credit for has come.
    sleep(LANE_SWEEP / 10).await;
    let hears = tokio::spawn(async move {
        accepted.read_exact(&mut vec![0; 2 << 20]).await.expect("read");
        accepted
    });
    let _lanes = tokio::join!(says, hears);
    assert!(start.elapsed() < LANE_SWEEP, "nobody waits for a timer");
}
