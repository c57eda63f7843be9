//! HTTP/2 frames (RFC 9113 6) and header blocks (RFC 7541 6) by hand.

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// With this a client begins.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const CANCEL: u32 = 8;

pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
/// The largest window that there is (RFC 9113 6.9.1).
pub(super) const MAX_WINDOW: u32 = (1 << 31) - 1;
/// What one is without a word (RFC 9113 6.9.2).
pub(super) const DEFAULT_WINDOW: u32 = 65_535;

/// One frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The same many times over, for one write.
pub(super) fn repeated(frame: &[u8], times: usize) -> Vec<u8> {
    frame.repeat(times)
}

/// SETTINGS with an initial window for streams.
pub(super) fn settings(window: u32) -> Vec<u8> {
    let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &setting)
}

/// WINDOW_UPDATE.
pub(super) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// RST_STREAM.
pub(super) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// HEADERS of a whole block.
pub(super) fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, block)
}

/// HEADERS and as many CONTINUATIONs as a block of any size needs.
pub(super) fn long_headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    const PIECE: usize = 16 << 10;
    let last = block.len().div_ceil(PIECE) - 1;
    let pieces = block.chunks(PIECE).enumerate().map(|(at, piece)| {
        let end = if at == last { END_HEADERS } else { 0 };
        if at == 0 {
            frame(HEADERS, flags | end, stream, piece)
        } else {
            frame(CONTINUATION, end, stream, piece)
        }
    });
    pieces.collect::<Vec<_>>().concat()
}

/// The head of a gRPC call, without compression.
pub(super) fn request(name: Option<&str>, path: &str) -> Vec<u8> {
    const POST_AND_HTTP: [u8; 2] = [0x83, 0x86];
    let mut block = POST_AND_HTTP.to_vec();
    block.extend(literal(":path", path.as_bytes()));
    block.extend(literal(":authority", b"hub.test"));
    block.extend(literal("content-type", b"application/grpc"));
    block.extend(literal("te", b"trailers"));
    if let Some(name) = name {
        block.extend(literal("name", name.as_bytes()));
    }
    block
}

/// A header that no table remembers (RFC 7541 6.2.2).
pub(super) fn literal(name: &str, value: &[u8]) -> Vec<u8> {
    [vec![0], string(name.as_bytes()), string(value)].concat()
}

/// A header that becomes the first of the dynamic table (RFC 7541 6.2.1).
pub(super) fn indexed_literal(name: &str, value: &[u8]) -> Vec<u8> {
    [vec![0x40], string(name.as_bytes()), string(value)].concat()
}

/// The first of the dynamic table (RFC 7541 6.1 and 2.3.3).
pub(super) const FIRST_DYNAMIC: u8 = 0x80 | 62;

fn string(bytes: &[u8]) -> Vec<u8> {
    const SEVEN_BITS: usize = 0x7f;
    let mut out = Vec::new();
    if bytes.len() < SEVEN_BITS {
        out.push(bytes.len() as u8);
    } else {
        out.push(SEVEN_BITS as u8);
        let mut rest = bytes.len() - SEVEN_BITS;
        while rest >= 128 {
            out.push((rest % 128 + 128) as u8);
            rest /= 128;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_length_takes_more_bytes() {
        // RFC 7541 C.1.2 has 1337 with a prefix of 5 bits; with 7 it is 127 + 1210 = 127 + 9 * 128 + 58.
        assert_eq!(string(&[b'x'; 1337])[..3], [0x7f, 0xba, 9]);
        assert_eq!(string(b"ab"), [2, b'a', b'b']);
    }

    #[test]
    fn a_long_block_ends_with_its_last_frame() {
        let frames = long_headers(1, END_STREAM, &[0; 40_000]);
        let (second, third) = (9 + (16 << 10), 2 * (9 + (16 << 10)));
        let kinds = [0, second, third].map(|at| (frames[at + 3], frames[at + 4]));
        assert_eq!(kinds, [(HEADERS, END_STREAM), (CONTINUATION, 0), (CONTINUATION, END_HEADERS)]);
    }
}
