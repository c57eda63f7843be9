//! Callers who take room and keep it: stalled readers, open streams, uploads that nobody reads.

use std::io;
use std::thread;
use std::time::Duration;

use super::frames::{DATA, DEFAULT_WINDOW, END_STREAM, MAX_WINDOW, frame, headers, request};
use super::tally::Tally;
use super::wire::Wire;
use super::{Abuse, Target};

pub(super) const ABUSES: &[(&str, Abuse)] = &[
    ("stall-bulk", |target, tally| stalled_callers(target, tally, "/bench.Bench/Bulk")),
    ("stall-drip", |target, tally| stalled_callers(target, tally, "/bench.Bench/Drip")),
    ("stall-bulk-streams", |target, tally| stalled_streams(target, tally, "/bench.Bench/Bulk")),
    ("stall-drip-streams", |target, tally| stalled_streams(target, tally, "/bench.Bench/Drip")),
    ("uploads", uploads),
    ("streams-100", |target, tally| streams(target, tally, 1, 100)),
    ("streams-10000", |target, tally| streams(target, tally, 1, 10_000)),
    ("streams-10-connections", |target, tally| streams(target, tally, 10, 1000)),
    ("connections", connections),
    ("health-watches", |target, tally| {
        watches(target, tally, "/grpc.health.v1.Health/Watch", 1000)
    }),
    ("activity-watches", |target, tally| watches(target, tally, "/hub.v1.Activity/Connect", 256)),
];

/// Before "ready" is said: requests are written, and the hub has had this long to see them.
const SETTLE: Duration = Duration::from_millis(500);
/// How often a holder looks whether it still holds.
const LOOK: Duration = Duration::from_millis(100);

/// 100 connections with one call each. Every other one does not read its socket; the rest read it, and
/// give their stream no window beyond the first.
fn stalled_callers(target: &Target, tally: &'static Tally, path: &str) -> io::Result<()> {
    let mut callers = Vec::new();
    for at in 0..100 {
        let unread = at % 2 == 0;
        let window = if unread { MAX_WINDOW } else { DEFAULT_WINDOW };
        let mut wire = Wire::connect(target, tally, window)?;
        wire.call(target, path, END_STREAM)?;
        if !unread {
            wire.drain(tally)?;
        }
        callers.push(wire);
    }
    keep(callers, 100, tally)
}

/// 100 calls on one connection, whose streams get no window beyond the first.
fn stalled_streams(target: &Target, tally: &'static Tally, path: &str) -> io::Result<()> {
    let mut wire = Wire::connect(target, tally, DEFAULT_WINDOW)?;
    for _ in 0..100 {
        wire.call(target, path, END_STREAM)?;
    }
    wire.drain(tally)?;
    keep(wire, 100, tally)
}

/// 32 callers who send as much as they may to somebody who does not read.
fn uploads(target: &Target, tally: &'static Tally) -> io::Result<()> {
    const CALLERS: usize = 32;
    const CHUNK: usize = 16 << 10;
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let mut wire = Wire::deaf(target, tally)?;
        let stream = wire.call(target, "/bench.Bench/Sink", 0)?;
        let chunk = frame(DATA, 0, stream, &[0; CHUNK]);
        // All of its first window, which moves on only if somebody reads.
        for _ in 0..wire.window as usize / CHUNK {
            wire.write(&chunk)?;
        }
        callers.push(wire);
    }
    keep(callers, CALLERS as u64, tally)
}

/// Calls that are never answered.
fn streams(target: &Target, tally: &'static Tally, wires: u64, each: u64) -> io::Result<()> {
    let mut all = Vec::new();
    for _ in 0..wires {
        let mut wire = Wire::deaf(target, tally)?;
        let block = target.request("/bench.Bench/Hold");
        for _ in 0..each {
            let stream = wire.stream();
            wire.write(&headers(stream, 0, &block))?;
        }
        all.push(wire);
    }
    keep(all, wires * each, tally)
}

/// 2,000 connections on which nothing more happens.
fn connections(target: &Target, tally: &'static Tally) -> io::Result<()> {
    const CONNECTIONS: u64 = 2000;
    let all =
        (0..CONNECTIONS).map(|_| Wire::open(target, tally)).collect::<io::Result<Vec<_>>>()?;
    keep(all, CONNECTIONS, tally)
}

/// So many watches of the hub's own on each of ten connections, which read what they are told.
fn watches(target: &Target, tally: &'static Tally, path: &str, each: u64) -> io::Result<()> {
    const CONNECTIONS: u64 = 10;
    let block = request(None, path);
    let mut all = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut wire = Wire::deaf(target, tally)?;
        for _ in 0..each {
            let stream = wire.stream();
            let empty = frame(DATA, END_STREAM, stream, &[0; 5]);
            wire.write(&[headers(stream, 0, &block), empty].concat())?;
        }
        all.push(wire);
    }
    keep(all, CONNECTIONS * each, tally)
}

/// Holds what it is given until the process ends.
pub(super) fn keep<T>(held: T, count: u64, tally: &Tally) -> io::Result<()> {
    thread::sleep(SETTLE);
    tally.did(count);
    loop {
        thread::sleep(LOOK);
        std::hint::black_box(&held);
    }
}
