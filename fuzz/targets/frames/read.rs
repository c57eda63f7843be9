//! Any bytes, in any chunks.

use bytes::Bytes;
use fuzz::Draw;
use http2::block::{Block, WholeBlock};
use http2::frame::{self, Goaway, HEAD_BYTES, Head, MAX_FRAME, PREFACE, kind};
use http2::input::Input;
use http2::output::Output;
use http2::settings::Settings;

use crate::rfc::{self, BLOCK_MAX};
use crate::{Seen, script};

/// Sizes of chunks.
const SIZES: [usize; 8] = [usize::MAX, 1, 2, 7, 9, 100, 3000, 20_000];

/// Reads what the script says, in chunks and in one piece.
pub fn run(mut draw: Draw<'_>) {
    let manners = draw.byte();
    let sizes = [draw.one(&SIZES), draw.one(&SIZES), draw.one(&SIZES)];
    let mut said = script::said(draw);
    preface(&said, &sizes);
    if manners & 128 != 0 {
        said.splice(..0, PREFACE.iter().copied());
    }
    let (seen, left) = Reader::read(&said, &sizes, manners);
    let bytes = if manners & 128 != 0 { &said[PREFACE.len()..] } else { &said };
    assert_eq!(seen, rfc::meaning(bytes));
    let taken: usize = seen.iter().map(taken).sum();
    let has_failed = matches!(seen.last(), Some(Seen::Failed(_)));
    assert!(has_failed || left == bytes.len() - taken, "bytes are lost or made up");
}

/// Bytes that the frame had.
fn taken(seen: &Seen) -> usize {
    match seen {
        Seen::Frame(.., payload) => HEAD_BYTES + payload.len(),
        _ => 0,
    }
}

/// A preface is one however it comes, and nothing else is.
fn preface(said: &[u8], sizes: &[usize; 3]) {
    let mut input = Input::new();
    let mut verdict = Ok(false);
    for chunk in chunks(said, sizes) {
        input.push(chunk);
        verdict = input.preface();
        if verdict != Ok(false) {
            break;
        }
    }
    let is_prefix = PREFACE.starts_with(&said[..said.len().min(PREFACE.len())]);
    let expected = if is_prefix { Some(said.len() >= PREFACE.len()) } else { None };
    assert_eq!(verdict.ok(), expected);
}

/// Cuts bytes up.
pub fn chunks(bytes: &[u8], sizes: &[usize; 3]) -> Vec<Bytes> {
    let (mut chunks, mut rest) = (Vec::new(), Bytes::copy_from_slice(bytes));
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        chunks.push(rest.split_to(rest.len().min(*size)));
    }
    chunks
}

struct Reader {
    input: Input,
    block: Block,
    seen: Vec<Seen>,
    /// How payloads are taken, in turn: two bits each.
    manners: u8,
    has_failed: bool,
}

impl Reader {
    /// What there is in the bytes, and how many of them are left.
    fn read(said: &[u8], sizes: &[usize; 3], manners: u8) -> (Vec<Seen>, usize) {
        let (input, block) = (Input::new(), Block::new(BLOCK_MAX));
        let mut reader = Self { input, block, seen: Vec::new(), manners, has_failed: false };
        let mut has_preface = manners & 128 == 0;
        for chunk in chunks(said, sizes) {
            reader.input.push(chunk);
            has_preface = has_preface || reader.input.preface().expect("a preface");
            while has_preface && !reader.has_failed && reader.next() {}
            if reader.has_failed {
                break;
            }
            assert!(reader.input.len() < HEAD_BYTES + MAX_FRAME, "a whole frame is left");
        }
        (reader.seen, reader.input.len())
    }

    /// Reads a frame, if there is one.
    fn next(&mut self) -> bool {
        match self.input.next_frame() {
            Ok(None) => return false,
            Ok(Some(head)) => {
                let payload = self.take(head.len);
                self.seen.push(Seen::Frame(head.kind, head.flags, head.stream, payload.to_vec()));
                match self.mean(head, payload) {
                    Ok(meant) => self.seen.extend(meant),
                    Err(fault) => self.fail(fault),
                }
            }
            Err(error) => self.fail(error.into()),
        }
        true
    }

    fn fail(&mut self, seen: Seen) {
        self.has_failed |= matches!(seen, Seen::Failed(_));
        self.seen.push(seen);
    }

    /// Takes a payload in one of all ways.
    fn take(&mut self, len: usize) -> Bytes {
        let way = self.manners & 3;
        self.manners = self.manners.rotate_right(2);
        let mut taken = Vec::new();
        match way {
            0 => return self.input.payload(len),
            1 => self.input.pieces(len, |piece| {
                assert!(!piece.is_empty(), "an empty piece");
                taken.extend(piece);
            }),
            2 => {
                let mut out = Output::new();
                self.input.move_to(len, &mut out);
                taken = crate::write::written(&mut out, usize::MAX);
            }
            _ => {
                taken.resize(len, 0);
                assert_eq!(self.input.copy_to(&mut taken), len);
                self.input.skip(len);
            }
        }
        taken.into()
    }

    fn mean(&mut self, head: Head, payload: Bytes) -> Result<Option<Seen>, Seen> {
        self.block.check(head)?;
        head.check()?;
        let inner = frame::unpad(head, &payload[..payload.len().min(6)])?;
        let inside = payload.slice(inner.from..inner.to);
        Ok(match head.kind {
            kind::DATA => Some(Seen::Data(inside.to_vec())),
            kind::HEADERS => self.block.begin(head, inside)?.map(whole),
            kind::CONTINUATION => self.block.go_on(head, inside)?.map(whole),
            kind::RST_STREAM => frame::reason(&payload).map(|reason| Seen::Number(reason.0)),
            kind::WINDOW_UPDATE => frame::increment(&payload).map(Seen::Number),
            kind::SETTINGS => Some(Seen::Settings(Settings::parse(&payload)?)),
            kind::GOAWAY => {
                let goaway = Goaway::parse(payload).expect("a GOAWAY that was checked");
                Some(Seen::Goaway(goaway.last_stream, goaway.reason.0, goaway.debug.to_vec()))
            }
            _ => None,
        })
    }
}

fn whole(block: WholeBlock) -> Seen {
    Seen::Block(block.stream, block.end_stream, block.fragment.to_vec())
}
