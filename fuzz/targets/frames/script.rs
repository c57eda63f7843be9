//! Frames, and what should be some, as an input chooses them.

use fuzz::Draw;

/// Lengths of payloads, about what a kind may have and what any frame may.
const LENGTHS: [usize; 21] = [
    0, 1, 4, 5, 6, 8, 9, 12, 255, 256, 5000, 16_375, 16_383, 16_384, 16_385, 70_000, 3, 7, 11, 13,
    18,
];
/// What a peer says at most, or about that.
const SAID_MAX: usize = 300_000;
const STREAMS: [u32; 6] = [0, 1, 3, 2, u32::MAX >> 1, u32::MAX];

/// Bytes that a peer says.
pub fn said(mut draw: Draw<'_>) -> Vec<u8> {
    let mut said = Vec::new();
    while !draw.is_empty() && said.len() < SAID_MAX {
        match draw.byte() {
            raw @ 224.. => said.extend(draw.take(usize::from(raw - 224))),
            kind => said.extend(frame(kind, &mut draw)),
        }
    }
    said
}

/// A frame of a drawn size, whose beginning is drawn, too.
fn frame(kind: u8, draw: &mut Draw<'_>) -> Vec<u8> {
    // Kinds up to 9 have a meaning.
    let kind = if kind < 200 { kind % 10 } else { kind };
    let (flags, stream, length) = (draw.byte(), draw.one(&STREAMS), draw.one(&LENGTHS));
    let mut payload = draw.take(length.min(18)).to_vec();
    payload.resize(length, 7);
    raw(kind, flags, stream, &payload)
}

/// A frame (RFC 9113 4.1).
pub fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
