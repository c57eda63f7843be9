//! Callers who open calls and give them up.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::frames::{
    DATA, END_STREAM, HEADERS, MAX_WINDOW, PRIORITY, RST_STREAM, frame, headers, literal, reset,
    window_update,
};
use super::tally::Tally;
use super::wire::Wire;
use super::{Abuse, Target};

pub(super) const ABUSES: &[(&str, Abuse)] = &[
    ("cancel-at-once", at_once),
    ("cancel-before-head", before_head),
    ("cancel-after-head", after_head),
    ("made-you-reset", made_you_reset),
];

/// Calls in one go.
const BATCH: u64 = 50;
/// So many, and then again from the start on a new connection.
const CALLS: u64 = 20_000;
/// In which the hub opens a call at the upstream.
const ON_ITS_WAY: Duration = Duration::from_millis(1);

/// HEADERS and RST_STREAM in one write: rapid reset.
fn at_once(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let block = target.request("/bench.Bench/Hold");
    let mut wire = Wire::deaf(target, tally)?;
    for _ in 0..CALLS / BATCH {
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            let stream = wire.stream();
            batch.extend(headers(stream, 0, &block));
            batch.extend(reset(stream));
        }
        wire.write(&batch)?;
        tally.did(BATCH);
    }
    wire.until_ended();
    Ok(())
}

/// The calls are at the upstream, which has not answered.
fn before_head(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let block = target.request("/bench.Bench/Hold");
    let mut wire = Wire::deaf(target, tally)?;
    for _ in 0..CALLS / BATCH {
        let streams: Vec<_> = (0..BATCH).map(|_| wire.stream()).collect();
        wire.write(&all(&streams, |stream| headers(stream, END_STREAM, &block)))?;
        thread::sleep(ON_ITS_WAY);
        wire.write(&all(&streams, reset))?;
        tally.did(BATCH);
    }
    wire.until_ended();
    Ok(())
}

/// The upstream has answered with a head.
fn after_head(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let block = target.request("/bench.Bench/Head");
    let mut wire = Wire::open(target, tally)?;
    for _ in 0..CALLS / BATCH {
        let streams: Vec<_> = (0..BATCH).map(|_| wire.stream()).collect();
        wire.write(&all(&streams, |stream| headers(stream, END_STREAM, &block)))?;
        wire.wait(&streams, tally, |frame| matches!(frame.kind, HEADERS | RST_STREAM))?;
        wire.write(&all(&streams, reset))?;
        tally.did(BATCH);
    }
    Ok(())
}

/// What makes a server reset a stream, so that no reset of the client's is counted (CVE-2025-8671); each way
/// on a connection of its own, in turn. Some servers end the connection on some of them.
fn made_you_reset(target: &Target, tally: &'static Tally) -> io::Result<()> {
    const CALLS: u64 = 2000;
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let block = target.request("/bench.Bench/Hold");
    let way = WAYS[TURN.fetch_add(1, Ordering::Relaxed) % WAYS.len()];
    let mut wire = Wire::deaf(target, tally)?;
    for _ in 0..CALLS / BATCH {
        let streams: Vec<_> = (0..BATCH).map(|_| wire.stream()).collect();
        wire.write(&all(&streams, |stream| way(stream, &block)))?;
        tally.did(BATCH);
        thread::sleep(ON_ITS_WAY);
    }
    Ok(())
}

/// What follows the head of a call, and the head: by stream and header block.
type Way = fn(u32, &[u8]) -> Vec<u8>;

const WAYS: [Way; 6] = [
    // An increment of zero.
    |stream, block| [headers(stream, 0, block), window_update(stream, 0)].concat(),
    // A window larger than there is.
    |stream, block| [headers(stream, 0, block), window_update(stream, MAX_WINDOW)].concat(),
    // DATA after END_STREAM.
    |stream, block| [headers(stream, END_STREAM, block), frame(DATA, 0, stream, b"x")].concat(),
    // More than was announced.
    |stream, block| {
        let lying = [block, &literal("content-length", b"1")].concat();
        [headers(stream, 0, &lying), frame(DATA, 0, stream, b"xx")].concat()
    },
    // Trailers that do not end the stream.
    |stream, block| [headers(stream, 0, block), headers(stream, 0, block)].concat(),
    // A stream that depends on itself.
    |stream, block| {
        let dependency = [&stream.to_be_bytes()[..], &[0]].concat();
        [headers(stream, 0, block), frame(PRIORITY, 0, stream, &dependency)].concat()
    },
];

fn all(streams: &[u32], frame: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    streams.iter().flat_map(|stream| frame(*stream)).collect()
}
