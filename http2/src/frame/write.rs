//! How frames are written: each function adds one to the end of an [`Output`]. Lengths are bounded by [`MAX_FRAME`].

use bytes::Bytes;

use super::{HEAD_BYTES, Head, MAX_FRAME, flag, kind};
use crate::error::Reason;
use crate::output::Output;

/// Bytes of a GOAWAY before its words (RFC 9113 6.8).
const GOAWAY_BYTES: usize = 8;

/// Writes the head of a DATA frame, after which the caller adds a payload of `len` bytes, at most [`MAX_FRAME`]
/// (RFC 9113 6.1).
#[inline]
pub fn write_data_head(out: &mut Output, stream: u32, len: usize, end_stream: bool) {
    let flags = if end_stream { flag::END_STREAM } else { 0 };
    out.extend(&Head { len, kind: kind::DATA, flags, stream }.bytes());
}

/// Writes a payload as DATA: one frame, or several where it is longer than [`MAX_FRAME`] (RFC 9113 6.1).
pub fn write_data(out: &mut Output, stream: u32, mut payload: Bytes, end_stream: bool) {
    while payload.len() > MAX_FRAME {
        write_data_head(out, stream, MAX_FRAME, false);
        out.push(payload.split_to(MAX_FRAME));
    }
    write_data_head(out, stream, payload.len(), end_stream);
    out.push(payload);
}

/// Writes a header block: HEADERS, and where it is longer than [`MAX_FRAME`] as many CONTINUATIONs as it takes
/// (RFC 9113 6.2, 6.10).
pub fn write_headers(out: &mut Output, stream: u32, block: &[u8], end_stream: bool) {
    let (mut fragment, mut rest) = block.split_at(block.len().min(MAX_FRAME));
    let (mut kind, mut flags) = (kind::HEADERS, if end_stream { flag::END_STREAM } else { 0 });
    loop {
        if rest.is_empty() {
            flags |= flag::END_HEADERS;
        }
        write(out, Head { len: fragment.len(), kind, flags, stream }, fragment);
        if rest.is_empty() {
            return;
        }
        (fragment, rest) = rest.split_at(rest.len().min(MAX_FRAME));
        (kind, flags) = (kind::CONTINUATION, 0);
    }
}

/// Writes that a stream ends at once (RFC 9113 6.4).
pub fn write_reset(out: &mut Output, stream: u32, reason: Reason) {
    write_number(out, kind::RST_STREAM, stream, reason.0);
}

/// Writes that so many more bytes of DATA may come, on a stream or, where it is 0, on all together (RFC 9113 6.9). The
/// increment must be of 1 to 2^31-1.
#[inline]
pub fn write_window_update(out: &mut Output, stream: u32, increment: u32) {
    write_number(out, kind::WINDOW_UPDATE, stream, increment);
}

/// Writes the answer to a PING: what it carried (RFC 9113 6.7).
pub fn write_ping_ack(out: &mut Output, payload: [u8; 8]) {
    write(out, Head { len: 8, kind: kind::PING, flags: flag::ACK, stream: 0 }, &payload);
}

/// Writes a PING, which the peer answers with the same bytes (RFC 9113 6.7).
pub fn write_ping(out: &mut Output, payload: [u8; 8]) {
    write(out, Head { len: 8, kind: kind::PING, flags: 0, stream: 0 }, &payload);
}

/// Writes that the peer's SETTINGS are followed from here on (RFC 9113 6.5.3).
pub fn write_settings_ack(out: &mut Output) {
    write(out, Head { len: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 }, &[]);
}

/// Writes that no more streams are taken, of which `last_stream` was the last (RFC 9113 6.8). The words are cut where
/// they do not fit into a frame.
pub fn write_goaway(out: &mut Output, last_stream: u32, reason: Reason, debug: &[u8]) {
    let debug = &debug[..debug.len().min(MAX_FRAME - GOAWAY_BYTES)];
    let len = GOAWAY_BYTES + debug.len();
    write(out, Head { len, kind: kind::GOAWAY, flags: 0, stream: 0 }, &last_stream.to_be_bytes());
    out.extend(&reason.0.to_be_bytes());
    out.extend(debug);
}

#[inline]
fn write_number(out: &mut Output, kind: u8, stream: u32, number: u32) {
    const LEN: usize = size_of::<u32>();
    let mut frame = [0; HEAD_BYTES + LEN];
    frame[..HEAD_BYTES].copy_from_slice(&Head { len: LEN, kind, flags: 0, stream }.bytes());
    frame[HEAD_BYTES..].copy_from_slice(&number.to_be_bytes());
    out.extend(&frame);
}

#[inline]
fn write(out: &mut Output, head: Head, payload: &[u8]) {
    out.extend(&head.bytes());
    out.extend(payload);
}
