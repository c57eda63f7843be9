//! What is written, read again.

use std::io::IoSlice;

use bytes::Bytes;
use fuzz::Draw;
use http2::error::Reason;
use http2::frame::{self, MAX_FRAME, kind};
use http2::output::Output;
use http2::settings::Settings;

use crate::script::raw;

/// Lengths, about those at which bytes are kept and not copied, and frames are full.
const LENGTHS: [usize; 10] = [0, 1, 100, 2047, 2048, 4096, 16_384, 16_385, 32_768, 50_000];
/// What is written at most, or about that.
const WRITTEN_MAX: usize = 500_000;
/// How much is taken of what is written at a time.
const STEPS: [usize; 8] = [usize::MAX, 1, 9, 100, 2048, 5000, 16_393, 40_000];

/// Writes what the script says, and takes it, by turns.
pub fn run(mut draw: Draw<'_>) {
    let (mut out, mut expected, mut came) = (Output::new(), Vec::new(), Vec::new());
    while !draw.is_empty() && expected.len() < WRITTEN_MAX {
        let op = draw.byte();
        if op % 16 == 15 {
            came.extend(written(&mut out, draw.one(&STEPS)));
        } else {
            let before = out.len();
            let frames = write(op % 16, &mut draw, &mut out);
            assert_eq!(out.len() - before, frames.len());
            expected.extend(frames);
        }
        if op & 128 != 0 {
            out.shrink();
        }
    }
    came.extend(written(&mut out, usize::MAX));
    assert!(out.is_empty() && came == expected, "it comes out otherwise than it was written");
}

/// Takes up to so many bytes, in slices.
pub fn written(out: &mut Output, most: usize) -> Vec<u8> {
    let (mut all, mut left) = (Vec::new(), most.min(out.len()));
    while left > 0 {
        let mut slices = [IoSlice::new(&[]); 3];
        let count = out.slices(&mut slices);
        assert!(count > 0 && slices[..count].iter().all(|slice| !slice.is_empty()));
        let before = all.len();
        for slice in &slices[..count] {
            let room = left - (all.len() - before);
            all.extend(&slice[..slice.len().min(room)]);
        }
        let taken = all.len() - before;
        out.advance(taken);
        left -= taken;
    }
    all
}

/// Writes one thing; returns the bytes that it should be (RFC 9113 6).
fn write(op: u8, draw: &mut Draw<'_>, out: &mut Output) -> Vec<u8> {
    let (stream, number) = (u32::from(draw.byte()), u32::from(draw.byte()) << draw.below(24));
    match op {
        0 => {
            frame::write_reset(out, stream, Reason(number));
            raw(kind::RST_STREAM, 0, stream, &number.to_be_bytes())
        }
        1 => {
            frame::write_window_update(out, stream, number);
            raw(kind::WINDOW_UPDATE, 0, stream, &number.to_be_bytes())
        }
        2 => {
            frame::write_ping(out, *b"abcdefgh");
            raw(kind::PING, 0, 0, b"abcdefgh")
        }
        3 => {
            frame::write_ping_ack(out, *b"01234567");
            raw(kind::PING, 1, 0, b"01234567")
        }
        4 => {
            frame::write_settings_ack(out);
            raw(kind::SETTINGS, 1, 0, b"")
        }
        5 => settings(number, draw, out),
        6 => {
            let words = vec![b'w'; draw.one(&LENGTHS)];
            frame::write_goaway(out, stream, Reason(number), &words);
            let words = &words[..words.len().min(MAX_FRAME - 8)];
            raw(kind::GOAWAY, 0, 0, &[&stream.to_be_bytes(), &number.to_be_bytes(), words].concat())
        }
        7..=9 => {
            let (block, end) = (vec![b'h'; draw.one(&LENGTHS)], op % 2);
            frame::write_headers(out, stream, &block, end == 1);
            in_frames(&block, |nth, last, part| {
                let flags = if last { 4 } else { 0 };
                match nth {
                    0 => raw(kind::HEADERS, flags | end, stream, part),
                    _ => raw(kind::CONTINUATION, flags, stream, part),
                }
            })
        }
        _ => {
            let (data, end) = (vec![op; draw.one(&LENGTHS)], op % 2);
            frame::write_data(out, stream, Bytes::from(data.clone()), end == 1);
            in_frames(&data, |_, last, part| {
                raw(kind::DATA, if last { end } else { 0 }, stream, part)
            })
        }
    }
}

/// Bytes as frames, none of them too long: the first is there also without any.
fn in_frames(bytes: &[u8], each: impl Fn(usize, bool, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let count = bytes.len().div_ceil(MAX_FRAME).max(1);
    let part = |nth: usize| &bytes[nth * MAX_FRAME..bytes.len().min((nth + 1) * MAX_FRAME)];
    (0..count).flat_map(|nth| each(nth, nth + 1 == count, part(nth))).collect()
}

/// SETTINGS with some of all.
fn settings(value: u32, draw: &mut Draw<'_>, out: &mut Output) -> Vec<u8> {
    let named = draw.byte();
    let value_of = |bit: u8| (named & 1 << bit != 0).then_some(value);
    let settings = Settings {
        header_table_size: value_of(0),
        least_header_table_size: None,
        enable_push: value_of(1),
        max_concurrent_streams: value_of(2),
        initial_window_size: value_of(3),
        max_frame_size: value_of(4),
        max_header_list_size: value_of(5),
        enable_connect_protocol: value_of(6),
    };
    settings.write(out);
    let ids = [(0, 1_u16), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 8)];
    let there = ids.into_iter().filter(|(bit, _)| value_of(*bit).is_some());
    let payload = there.flat_map(|(_, id)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    raw(kind::SETTINGS, 0, 0, &payload.collect::<Vec<u8>>())
}
