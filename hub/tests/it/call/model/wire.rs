//! The same content as different frames (RFC 9113 6.1, 6.2, 6.10).

use super::step::Wire;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PRIORITY, frame,
};

/// A header block as HEADERS, and CONTINUATION if it is split.
pub(super) fn headers(stream: u32, block: &[u8], end: bool, wire: Wire) -> Vec<u8> {
    let mut flags = if end { END_STREAM } else { 0 };
    let mut payload = Vec::new();
    if wire.priority {
        flags |= PRIORITY;
        // Depends on no stream, has the default weight.
        payload.extend([0, 0, 0, 0, 15]);
    }
    let (first, rest) = if wire.split { block.split_at(block.len() / 3) } else { (block, &[][..]) };
    payload.extend(first);
    if !wire.split {
        return padded(HEADERS, flags | END_HEADERS, stream, &payload, wire.padding);
    }
    let (second, third) = rest.split_at(rest.len() / 2);
    [
        padded(HEADERS, flags, stream, &payload, wire.padding),
        frame(CONTINUATION, 0, stream, second),
        frame(CONTINUATION, END_HEADERS, stream, third),
    ]
    .concat()
}

/// DATA. Padding counts against the windows.
pub(super) fn data(stream: u32, data: &[u8], end: bool, padding: Option<u8>) -> Vec<u8> {
    padded(DATA, if end { END_STREAM } else { 0 }, stream, data, padding)
}

fn padded(kind: u8, flags: u8, stream: u32, payload: &[u8], padding: Option<u8>) -> Vec<u8> {
    let Some(padding) = padding else {
        return frame(kind, flags, stream, payload);
    };
    let payload = [&[padding], payload, &vec![0; padding.into()]].concat();
    frame(kind, flags | PADDED, stream, &payload)
}
