//! Agents that misbehave, under another name than the bystander's.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::frames::{END_STREAM, frame};
use super::hold::keep;
use super::tally::Tally;
use super::websocket::{BINARY, CONTINUATION, PING, TEXT, WebSocket, message, on_lane};
use super::wire::Wire;
use super::{Abuse, Target};

pub(super) const ABUSES: &[(&str, Abuse)] = &[
    ("agent-garbage", garbage),
    ("agent-texts", |target, tally| flood(target, tally, &message(TEXT, b"{\"type\":\"x\"}"))),
    ("agent-pings", |target, tally| flood(target, tally, &message(PING, b"ping"))),
    ("agent-frames", frames),
    ("agent-lane-frames", lane_frames),
    ("agent-fragments", fragments),
    ("agent-unmasked", |target, tally| once(target, tally, &[0x82, 4, 0, 0, 0, 0])),
    ("agent-oversized", oversized),
    ("agent-no-settings", no_settings),
    ("agent-no-answers", no_answers),
    ("registrations", registrations),
];

const OTHER: &str = "other";

/// Bytes that are no HTTP/2, after the first frame; other ones in each session.
fn garbage(target: &Target, tally: &'static Tally) -> io::Result<()> {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let mut random = SEED.fetch_add(1, Ordering::Relaxed);
    let mut byte = || {
        // Knuth's MMIX generator, whose upper bits are the random ones.
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 56) as u8
    };
    let junk: Vec<u8> = (0..16 << 10).map(|_| byte()).collect();
    let mut ws = WebSocket::serve(target, tally, OTHER)?;
    ws.drain()?;
    loop {
        ws.write(&on_lane(&junk))?;
        tally.did(1);
    }
}

fn flood(target: &Target, tally: &'static Tally, message: &[u8]) -> io::Result<()> {
    const BATCH: usize = 500;
    let mut ws = WebSocket::serve(target, tally, OTHER)?;
    ws.drain()?;
    let batch = message.repeat(BATCH);
    loop {
        ws.write(&batch)?;
        tally.did(BATCH as u64);
    }
}

/// HTTP/2 frames of a type that nobody knows, which mean nothing (RFC 9113 4.1).
fn frames(target: &Target, tally: &'static Tally) -> io::Result<()> {
    const UNKNOWN: u8 = 0xee;
    // As many as the lane has credit for; then the hub ends it, and the next session begins.
    const FRAMES: usize = 7000;
    const RESET_OF_LANE_1: [u8; 5] = [4, 0, 0, 0, 1];
    let mut ws = WebSocket::serve(target, tally, &another_name())?;
    ws.write(&on_lane(&frame(UNKNOWN, 0, 0, &[]).repeat(FRAMES)))?;
    tally.did(FRAMES as u64);
    ws.until(&RESET_OF_LANE_1)
}

/// Frames of lanes that mean nothing: of a kind that nobody knows, and for a lane that is over.
fn lane_frames(target: &Target, tally: &'static Tally) -> io::Result<()> {
    const UNKNOWN: [u8; 5] = [0xee, 0, 0, 0, 1];
    const RESET_OF_LANE_1: [u8; 14] = [4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const FRAMES: usize = 1000;
    let mut ws = another(target, tally)?;
    ws.write(&message(BINARY, &RESET_OF_LANE_1))?;
    let batch = [message(BINARY, &UNKNOWN), on_lane(b"late")].concat().repeat(FRAMES / 2);
    loop {
        ws.write(&batch)?;
        tally.did(FRAMES as u64);
    }
}

/// One message that never ends, in fragments without a byte.
fn fragments(target: &Target, tally: &'static Tally) -> io::Result<()> {
    const FRAGMENTS: usize = 10_000;
    let fragment = |kind| {
        let mut fragment = message(kind, &[]);
        fragment[0] = kind;
        fragment
    };
    let batch = fragment(CONTINUATION).repeat(FRAGMENTS);
    let mut ws = another(target, tally)?;
    ws.write(&fragment(BINARY))?;
    loop {
        ws.write(&batch)?;
        tally.did(FRAGMENTS as u64);
    }
}

/// A session of a name of its own.
fn another(target: &Target, tally: &Tally) -> io::Result<WebSocket> {
    let mut ws = WebSocket::serve(target, tally, &another_name())?;
    ws.drain()?;
    Ok(ws)
}

fn another_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{OTHER}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One message after which the hub hangs up, and the next session.
fn once(target: &Target, tally: &'static Tally, bytes: &[u8]) -> io::Result<()> {
    let mut ws = WebSocket::serve(target, tally, OTHER)?;
    ws.write(bytes)?;
    while ws.read()? > 0 {}
    tally.did(1);
    Ok(())
}

/// A message said to be of 2^62 bytes, of which as many come as the hub takes.
fn oversized(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let mut head = message(BINARY, &vec![0; 65_536]);
    head[2..10].copy_from_slice(&(1_u64 << 62).to_be_bytes());
    let mut ws = WebSocket::serve(target, tally, OTHER)?;
    ws.drain()?;
    tally.did(1);
    loop {
        ws.write(&head)?;
    }
}

/// 500 agents that never say what every HTTP/2 server says first.
fn no_settings(target: &Target, tally: &'static Tally) -> io::Result<()> {
    const AGENTS: u64 = 500;
    let agent = |at| WebSocket::register(target, tally, &format!("{OTHER}-{at}"));
    let agents = (0..AGENTS).map(agent).collect::<io::Result<Vec<_>>>()?;
    keep(agents, AGENTS, tally)
}

/// An agent that takes calls and never answers, and 100 callers of it.
fn no_answers(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let mut ws = WebSocket::serve(target, tally, OTHER)?;
    // The hub's "registered", or a part of what it says before.
    ws.read()?;
    ws.drain()?;
    let other = Target { name: OTHER.to_owned(), ..target.clone() };
    let call = |_| {
        let mut wire = Wire::deaf(&other, tally)?;
        wire.call(&other, "/bench.Bench/Hold", END_STREAM)?;
        Ok(wire)
    };
    let callers = (0..100).map(call).collect::<io::Result<Vec<_>>>()?;
    keep((ws, callers), 100, tally)
}

/// New names, one after the other, each gone as soon as it is there.
fn registrations(target: &Target, tally: &'static Tally) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("{OTHER}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut ws = WebSocket::serve(target, tally, &name)?;
    // The hub's "registered", or a part of what it says before.
    ws.read()?;
    tally.did(1);
    Ok(())
}
