//! Frames come out of bytes however they are cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::block::Block;
use crate::error::Reason;
use crate::frame::{self, MAX_FRAME, flag, kind};
use crate::output::Output;
use crate::output::tests::written;

/// How a payload is taken.
#[derive(Clone, Copy, Debug)]
enum Take {
    Payload,
    Pieces,
    Move,
    Peek,
}

const BLOCK_MAX: usize = 48 << 10;
const TAKES: [Take; 4] = [Take::Payload, Take::Pieces, Take::Move, Take::Peek];

fn take(input: &mut Input, len: usize, how: Take) -> Vec<u8> {
    match how {
        Take::Payload => input.payload(len).into(),
        Take::Pieces => {
            let mut payload = Vec::new();
            input.pieces(len, |piece| {
                assert!(!piece.is_empty());
                payload.extend(piece);
            });
            payload
        }
        Take::Move => {
            let mut out = Output::new();
            input.move_to(len, &mut out);
            written(&out)
        }
        Take::Peek => {
            let mut payload = vec![0; len];
            assert_eq!(input.copy_to(&mut payload), len);
            input.skip(len);
            payload
        }
    }
}

/// Reads all frames, of bytes that come in pieces of `size`.
fn frames(bytes: &[u8], size: usize, how: Take) -> Vec<(Head, Vec<u8>)> {
    let (mut input, mut frames) = (Input::new(), Vec::new());
    for piece in bytes.chunks(size) {
        input.push(Bytes::copy_from_slice(piece));
        while let Some(head) = input.next_frame().expect("frames") {
            frames.push((head, take(&mut input, head.len, how)));
        }
        assert!(input.rest.len() <= CHUNKS_MAX + 1);
    }
    assert!(input.is_empty() && input.front.is_empty());
    assert_eq!(input.rest.capacity(), 0);
    frames
}

fn head(len: usize, kind: u8, flags: u8, stream: u32) -> Head {
    Head { len, kind, flags, stream }
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    let mut out = Output::new();
    frame::write_settings_ack(&mut out);
    frame::write_headers(&mut out, 1, b"block", false);
    frame::write_data(&mut out, 1, Bytes::from_static(&[7; 50]), true);
    frame::write_ping_ack(&mut out, *b"12345678");
    frame::write_window_update(&mut out, 1, 65_536);
    frame::write_reset(&mut out, 1, Reason::CANCEL);
    frame::write_goaway(&mut out, 1, Reason::NO_ERROR, b"bye");
    frame::write_ping(&mut out, [0; 8]);
    let bytes = written(&out);
    let goaway = [&b"\0\0\0\x01\0\0\0\0"[..], b"bye"].concat();
    let expected = [
        (head(0, kind::SETTINGS, flag::ACK, 0), vec![]),
        (head(5, kind::HEADERS, flag::END_HEADERS, 1), b"block".to_vec()),
        (head(50, kind::DATA, flag::END_STREAM, 1), vec![7; 50]),
        (head(8, kind::PING, flag::ACK, 0), b"12345678".to_vec()),
        (head(4, kind::WINDOW_UPDATE, 0, 1), vec![0, 1, 0, 0]),
        (head(4, kind::RST_STREAM, 0, 1), vec![0, 0, 0, 8]),
        (head(11, kind::GOAWAY, 0, 0), goaway),
        (head(8, kind::PING, 0, 0), vec![0; 8]),
    ];
    for size in (1..40).chain([bytes.len()]) {
        for how in TAKES {
            assert_eq!(frames(&bytes, size, how), expected, "in pieces of {size}, {how:?}");
        }
    }
    for (head, _) in expected {
        assert_eq!(head.check(), Ok(()));
    }
}

#[test]
fn payloads_are_not_copied_where_they_lie_together() {
    let mut bytes = head(8, kind::DATA, 0, 1).bytes().to_vec();
    bytes.extend(b"12345678");
    let whole = Bytes::from(bytes);
    let mut input = Input::new();
    input.push(whole.clone());
    assert_eq!(input.next_frame(), Ok(Some(head(8, kind::DATA, 0, 1))));
    assert_eq!(input.payload(8).as_ptr(), whole[9..].as_ptr());

    input.push(whole.slice(..12));
    input.push(whole.slice(12..));
    assert_eq!(input.next_frame(), Ok(Some(head(8, kind::DATA, 0, 1))));
    let mut pieces = Vec::new();
    input.pieces(8, |piece| pieces.push(piece));
    let at: Vec<_> = pieces.iter().map(|piece| piece.as_ptr()).collect();
    assert_eq!(at, [whole[9..].as_ptr(), whole[12..].as_ptr()]);
}

#[test]
fn too_long_a_frame_is_told_by_its_head() {
    let mut input = Input::new();
    input.push(Bytes::copy_from_slice(&head(MAX_FRAME, kind::DATA, 0, 1).bytes()));
    assert_eq!(input.next_frame(), Ok(None));
    let mut input = Input::new();
    let long = head(MAX_FRAME + 1, 0xee, 0, 0).bytes();
    input.push(Bytes::copy_from_slice(&long[..8]));
    assert_eq!(input.next_frame(), Ok(None));
    input.push(Bytes::copy_from_slice(&long[8..]));
    let refused = input.next_frame().map_err(|error| error.reason);
    assert_eq!(refused, Err(Reason::FRAME_SIZE_ERROR));
}

#[test]
fn the_preface_is_told_however_it_is_cut() {
    for size in 1..30 {
        let mut input = Input::new();
        let (mut bytes, mut come) = ([PREFACE, b"more"].concat(), 0);
        for piece in bytes.chunks(size) {
            input.push(Bytes::copy_from_slice(piece));
            come += piece.len();
            let whole = come >= PREFACE.len();
            assert_eq!(input.preface(), Ok(whole), "{come} in pieces of {size}");
            if whole {
                break;
            }
        }
        assert_eq!(input.len(), come - PREFACE.len());

        let wrong = size.min(PREFACE.len() - 1);
        bytes[wrong] ^= 1;
        let mut input = Input::new();
        input.push(Bytes::copy_from_slice(&bytes[..wrong]));
        assert_eq!(input.preface(), Ok(false));
        input.push(Bytes::copy_from_slice(&bytes[wrong..=wrong]));
        let refused = input.preface().map_err(|error| error.reason);
        assert_eq!(refused, Err(Reason::PROTOCOL_ERROR));
    }
}

#[test]
fn more_than_there_is_is_what_there_is() {
    let mut input = Input::new();
    assert_eq!((input.payload(1), input.copy_to(&mut [0; 3])), (Bytes::new(), 0));
    input.push(Bytes::new());
    input.push(Bytes::from_static(b"ab"));
    input.push(Bytes::from_static(b"c"));
    assert_eq!(input.copy_to(&mut [0; 9]), 3);
    assert_eq!(input.payload(usize::MAX), b"abc"[..]);
    input.pieces(1, |_| unreachable!("nothing is left"));
    input.push(Bytes::from_static(b"d"));
    input.skip(usize::MAX);
    assert!(input.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn headers_survive_the_wire(len in 0..=BLOCK_MAX, size in 1..40_000_usize, end: bool) {
        let block: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let mut out = Output::new();
        frame::write_headers(&mut out, 5, &block, end);
        let mut blocks = Block::new(BLOCK_MAX);
        let mut whole = None;
        for (head, payload) in frames(&written(&out), size, Take::Payload) {
            prop_assert_eq!((whole.is_none(), head.check()), (true, Ok(())));
            whole = match head.kind {
                kind::HEADERS => blocks.begin(head, payload.into()),
                _ => blocks.go_on(head, payload.into()),
            }.map_err(|error| TestCaseError::fail(error.to_string()))?;
        }
        let whole = whole.expect("a whole block");
        prop_assert_eq!((whole.stream, whole.end_stream), (5, end));
        prop_assert_eq!(whole.fragment, block);
    }

    #[test]
    fn data_survives_the_wire(
        len in 0..50_000_usize, size in 1..40_000_usize, end: bool, how in 0..4_usize
    ) {
        let body: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let mut out = Output::new();
        frame::write_data(&mut out, 5, body.clone().into(), end);
        let frames = frames(&written(&out), size, TAKES[how]);
        let ends: Vec<_> = frames.iter().map(|(head, _)| head.has(flag::END_STREAM)).collect();
        prop_assert!(frames.iter().all(|(head, _)| head.check().is_ok() && head.stream == 5));
        prop_assert_eq!(ends.iter().filter(|end| **end).count(), usize::from(end));
        prop_assert_eq!(ends.last(), Some(&end));
        let read: Vec<u8> = frames.into_iter().flat_map(|(_, payload)| payload).collect();
        prop_assert_eq!(read, body);
    }

    #[test]
    fn any_bytes_are_borne(
        chunks in vec(prop_oneof![vec(any::<u8>(), 0..30), vec(0..2_u8, 0..30)], 0..60),
        takes in vec(0..5_usize, 1..20),
    ) {
        let (mut input, mut model, mut takes) = (Input::new(), 0, takes.iter().cycle());
        for chunk in chunks {
            model += chunk.len();
            input.push(chunk.into());
            while let Ok(Some(head)) = input.next_frame() {
                model -= HEAD_BYTES + head.len;
                match takes.next().and_then(|how| TAKES.get(*how)) {
                    Some(how) => prop_assert_eq!(take(&mut input, head.len, *how).len(), head.len),
                    None => input.skip(head.len),
                }
            }
            prop_assert_eq!(input.len(), model);
            prop_assert_eq!(input.is_empty(), input.front.is_empty());
        }
    }
}
