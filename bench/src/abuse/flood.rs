//! Frames that cost the sender little, as fast as they go.

use std::io;

use super::frames::{
    CONTINUATION, DATA, DEFAULT_WINDOW, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    frame, headers, repeated, request, reset, window_update,
};
use super::tally::Tally;
use super::wire::Wire;
use super::{Abuse, Target};

pub(super) const ABUSES: &[(&str, Abuse)] = &[
    ("one-byte-data", |target, tally| small_data(target, tally, "/bench.Bench/Drain", b"x")),
    ("one-byte-data-unread", |target, tally| small_data(target, tally, "/bench.Bench/Sink", b"x")),
    ("one-byte-data-singly", small_data_singly),
    ("empty-data", |target, tally| small_data(target, tally, "/bench.Bench/Drain", b"")),
    ("pings", |target, tally| flood(target, tally, &frame(PING, 0, 0, &[0; 8]))),
    ("pings-unread", pings_unread),
    ("settings", |target, tally| flood(target, tally, &frame(SETTINGS, 0, 0, &[]))),
    ("priorities", |target, tally| flood(target, tally, &frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7]))),
    ("window-updates", |target, tally| flood(target, tally, &window_update(0, 1))),
    ("continuations", continuations),
    ("unknown-names", |target, tally| refused(target, tally, Some("nobody"))),
    ("no-names", |target, tally| refused(target, tally, None)),
    ("list-clients", list_clients),
];

/// Frames in one write.
const BATCH: usize = 500;

/// The same frame over and over.
fn flood(target: &Target, tally: &'static Tally, frame: &[u8]) -> io::Result<()> {
    let mut wire = Wire::deaf(target, tally)?;
    let mut batch = repeated(frame, BATCH);
    // Connection windows have a largest size.
    if frame == window_update(0, 1) {
        batch = repeated(&window_update(1, 1), BATCH);
        wire.call(target, "/bench.Bench/Hold", 0)?;
    }
    loop {
        wire.write(&batch)?;
        tally.did(BATCH as u64);
    }
}

/// PINGs whose answers nobody reads.
fn pings_unread(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let mut wire = Wire::open(target, tally)?;
    let batch = repeated(&frame(PING, 0, 0, &[0; 8]), BATCH);
    loop {
        wire.write(&batch)?;
        tally.did(BATCH as u64);
    }
}

/// DATA frames of next to nothing, as many as a stream's first window holds at least, and then another stream.
fn small_data(
    target: &Target,
    tally: &'static Tally,
    path: &str,
    payload: &[u8],
) -> io::Result<()> {
    let mut wire = Wire::deaf(target, tally)?;
    let window = wire.window.min(DEFAULT_WINDOW);
    loop {
        let stream = wire.call(target, path, 0)?;
        let batch = repeated(&frame(DATA, 0, stream, payload), BATCH);
        for _ in 0..window as usize / BATCH {
            wire.write(&batch)?;
            tally.did(BATCH as u64);
        }
        wire.write(&reset(stream))?;
    }
}

/// The same to a handler that never reads, one frame after the other: nothing is there to put it together with.
fn small_data_singly(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let mut wire = Wire::open(target, tally)?;
    let window = wire.window.min(DEFAULT_WINDOW);
    loop {
        let stream = wire.call(target, "/bench.Bench/Sink", 0)?;
        for _ in 0..window {
            wire.write(&[frame(DATA, 0, stream, b"x"), frame(PING, 0, 0, &[0; 8])].concat())?;
            wire.wait(&[0], tally, |frame| frame.kind == PING)?;
            tally.did(1);
        }
        wire.write(&reset(stream))?;
    }
}

/// A header block that never ends.
fn continuations(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let mut wire = Wire::deaf(target, tally)?;
    wire.write(&frame(HEADERS, END_STREAM, 1, &target.request("/x")))?;
    let batch = repeated(&frame(CONTINUATION, 0, 1, &[]), BATCH);
    loop {
        wire.write(&batch)?;
        tally.did(BATCH as u64);
    }
}

/// Calls that the hub refuses.
fn refused(target: &Target, tally: &'static Tally, name: Option<&str>) -> io::Result<()> {
    answered(target, tally, &request(name, "/bench.Bench/Echo"))
}

/// Calls of the hub's own list.
fn list_clients(target: &Target, tally: &'static Tally) -> io::Result<()> {
    answered(target, tally, &request(None, "/hub.v1.Hub/ListClients"))
}

/// Calls of an empty message, 50 at a time.
fn answered(target: &Target, tally: &'static Tally, block: &[u8]) -> io::Result<()> {
    const CALLS: u64 = 50;
    let mut wire = Wire::open(target, tally)?;
    loop {
        let streams: Vec<_> = (0..CALLS).map(|_| wire.stream()).collect();
        let call = |stream: &u32| {
            [headers(*stream, 0, block), frame(DATA, END_STREAM, *stream, &[0; 5])].concat()
        };
        wire.write(&streams.iter().flat_map(call).collect::<Vec<_>>())?;
        wire.wait(&streams, tally, |frame| match frame.kind {
            HEADERS | DATA => frame.flags & END_STREAM != 0,
            kind => kind == RST_STREAM,
        })?;
        tally.did(CALLS);
    }
}
