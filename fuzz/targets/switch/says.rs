//! What a peer says: frames as they should be, and others.

use bytes::Bytes;
use fuzz::Draw;
use http2::fields::{Field, Indexing};
use http2::frame::{flag, kind};

use crate::peer::Peer;

/// Names and values.
type Fields<'f> = Vec<(&'f str, &'f [u8])>;

/// Bytes of DATA, about a frame and what is kept to be sent once more.
const SIZES: [usize; 10] = [0, 1, 5, 255, 1000, 2048, 8000, 16_000, 16_384, 16_385];
/// Windows and what they grow by.
const WINDOWS: [u32; 10] =
    [0, 1, 2, 1000, 16_384, 65_535, 100_000, 1 << 20, (1 << 31) - 1, u32::MAX];
const CODES: [u32; 7] = [0, 1, 2, 7, 8, 11, 99];

/// The next thing that it says.
pub fn next(peer: &mut Peer, draw: &mut Draw<'_>) -> Bytes {
    match draw.below(20) {
        0..=3 if peer.is_client => call(peer, draw),
        0..=3 => head(peer, draw),
        4..=7 => data(peer, draw),
        8 => trailers(peer, draw),
        9 => {
            let (stream, code) = (stream(peer, draw), draw.one(&CODES));
            peer.frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
        }
        10..=12 => {
            let stream = if draw.byte() < 100 { 0 } else { stream(peer, draw) };
            peer.frame(kind::WINDOW_UPDATE, 0, stream, &draw.one(&WINDOWS).to_be_bytes())
        }
        13 => {
            let (id, value) = (draw.below(8) as u16, draw.one(&WINDOWS));
            let setting = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
            peer.frame(kind::SETTINGS, 0, 0, &setting)
        }
        14 => {
            // Windows that are no breach.
            let value = draw.one(&WINDOWS[..8]);
            peer.frame(kind::SETTINGS, 0, 0, &[&[0, 4][..], &value.to_be_bytes()].concat())
        }
        15 => peer.frame(kind::SETTINGS, flag::ACK, 0, &[]),
        16 => {
            let (last, code) = (stream(peer, draw), draw.one(&CODES));
            let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
            peer.frame(kind::GOAWAY, 0, 0, &payload)
        }
        17 => peer.frame(kind::PING, draw.byte() & 1, 0, b"hubdrain"),
        18 => any(peer, draw),
        _ if draw.byte() < 16 => peer.garble(draw.bytes()),
        _ => {
            let depends = stream(peer, draw).to_be_bytes();
            let on = stream(peer, draw);
            peer.frame(kind::PRIORITY, 0, on, &[&depends[..], &[1]].concat())
        }
    }
}

/// A frame of any kind, as long as it likes.
fn any(peer: &mut Peer, draw: &mut Draw<'_>) -> Bytes {
    let (kind, flags, stream) = (draw.byte() % 12, draw.byte(), stream(peer, draw));
    peer.frame(kind, flags, stream, draw.bytes())
}

/// One of the last streams, mostly.
fn stream(peer: &Peer, draw: &mut Draw<'_>) -> u32 {
    let back = draw.byte();
    match back {
        0..240 => peer.stream.saturating_sub(2 * u32::from(back % 6)) | 1,
        _ => [0, 2, 101, u32::MAX][usize::from(back % 4)],
    }
}

/// The client begins a call.
fn call(peer: &mut Peer, draw: &mut Draw<'_>) -> Bytes {
    if peer.stream < 2000 {
        peer.stream += 2;
    }
    let (id, kind) = (peer.stream, draw.byte());
    let mut fields: Fields<'_> =
        vec![(":method", b"POST"), (":scheme", b"http"), (":path", b"/a.B/C")];
    match kind % 16 {
        0 => fields[0].1 = b"HEAD",
        1 => fields.push(("content-length", b"1000")),
        2 => fields.push(("hub-token", b"x")),
        3 => fields.truncate(2),
        4 => fields.push(("connection", b"close")),
        5 => fields.push(("host", b"a.test")),
        7 => fields.push(("x", draw.bytes())),
        _ => fields.push((":authority", b"a.test")),
    }
    write(peer, id, &fields, kind & 64 != 0, kind & 128 != 0 && kind & 32 != 0)
}

/// An upstream begins an answer.
fn head(peer: &mut Peer, draw: &mut Draw<'_>) -> Bytes {
    let (id, kind) = (stream(peer, draw), draw.byte());
    let mut fields: Fields<'_> = vec![(":status", b"200"), ("content-type", b"application/grpc")];
    match kind % 16 {
        0 => fields[0].1 = b"103",
        1 => fields.push(("content-length", b"1000")),
        2 => fields.push(("grpc-status", b"5")),
        3 => fields[0].1 = b"204",
        4 => fields.push(("Upper", b"x")),
        5 => fields.push(("hub-reason", b"x")),
        7 => fields.push(("x", draw.bytes())),
        _ => {}
    }
    write(peer, id, &fields, kind & 64 != 0, kind & 128 != 0 && kind & 32 != 0)
}

fn trailers(peer: &mut Peer, draw: &mut Draw<'_>) -> Bytes {
    let (id, kind) = (stream(peer, draw), draw.byte());
    let fields: Fields<'_> =
        if kind % 8 == 0 { vec![(":path", b"/")] } else { vec![("grpc-status", b"0")] };
    write(peer, id, &fields, kind & 64 == 0, kind == 128)
}

/// A header block; in two frames where it is to be `cut`.
fn write(peer: &mut Peer, id: u32, fields: &Fields<'_>, end: bool, cut: bool) -> Bytes {
    let mut block = Vec::new();
    peer.encoder.begin(&mut block);
    for (name, value) in fields {
        let name = name.as_bytes();
        peer.encoder.field(Field { name, value, indexing: Indexing::Incremental }, &mut block);
    }
    let flags = if end { flag::END_STREAM } else { 0 };
    if !cut {
        return peer.frame(kind::HEADERS, flags | flag::END_HEADERS, id, &block);
    }
    let first = peer.frame(kind::HEADERS, flags, id, &block[..1]);
    let second = peer.frame(kind::CONTINUATION, flag::END_HEADERS, id, &block[1..]);
    [first, second].concat().into()
}

fn data(peer: &mut Peer, draw: &mut Draw<'_>) -> Bytes {
    let (id, kind) = (stream(peer, draw), draw.byte());
    let mut flags = if kind & 64 == 0 { 0 } else { flag::END_STREAM };
    let mut payload = vec![b'd'; draw.one(&SIZES)];
    if kind & 7 == 0 {
        flags |= flag::PADDED;
        payload.insert(0, kind);
    }
    peer.frame(kind::DATA, flags, id, &payload)
}
