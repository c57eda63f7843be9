//! HTTP/2 and WebSocket frames, written by hand: right, and wrong in every way that somebody thought of.

use tunnel::limits::LANE_DATA_MAX;

use crate::world::{HONEST, HOSTILE};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING_MESSAGE: u8 = 9;

/// With this an HTTP/2 client begins.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// With this a WebSocket begins that registers `name`.
pub fn upgrade(name: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: hub-tunnel.v2\r\nHub-Name: {name}\r\nHub-Instance: i\r\n\r\n"
    )
}

/// One frame (RFC 9113 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// One WebSocket message of a client (RFC 6455 5.2), masked with zeros.
pub fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        short @ 0..126 => vec![0x80 | short as u8],
        long => [&[0x80 | 127][..], &(long as u64).to_be_bytes()].concat(),
    };
    [&[0x80 | opcode][..], &length, &[0; 4], payload].concat()
}

/// So many bytes of the first lane, the hub's probe, as messages.
pub fn on_lane(bytes: &[u8]) -> Vec<u8> {
    const DATA_OF_LANE_1: [u8; 5] = [0, 0, 0, 0, 1];
    let data = bytes.chunks(LANE_DATA_MAX);
    data.flat_map(|data| message(BINARY, &[&DATA_OF_LANE_1, data].concat())).collect()
}

/// A request, of 16 kinds.
pub fn request(kind: u8) -> Vec<u8> {
    let call = |name: &str| [base("/a.B/C"), field("name", name)].concat();
    match kind & 15 {
        0 | 1 => call(HOSTILE),
        2 | 3 => call(HONEST),
        4 => base("/grpc.health.v1.Health/Check"),
        5 => call("nobody"),
        6 => [call(HONEST), field("name", HOSTILE)].concat(),
        7 => [field(":method", "CONNECT"), field(":authority", "hub"), field("name", HONEST)]
            .concat(),
        8 => [call(HONEST), field("content-length", "5")].concat(),
        9 => [field("name", HONEST), base("/a.B/C")].concat(),
        10 => [GET.to_vec(), HTTP.to_vec(), field(":path", "/"), field("name", HOSTILE)].concat(),
        11 => [call(HONEST), field("connection", "close"), field("hub-token", "x")].concat(),
        12 => [call(HOSTILE), field("expect", "100-continue"), field("Upper", "case")].concat(),
        13 => [base("*"), field("name", HOSTILE)].concat(),
        14 => base("/grpc.health.v1.Health/Watch"),
        _ => [call(HOSTILE), field("large", &"x".repeat(60_000))].concat(),
    }
}

/// A response, of 16 kinds.
pub fn response(kind: u8) -> Vec<u8> {
    let ok = || [STATUS_200.to_vec(), field("content-type", "application/grpc")].concat();
    match kind & 15 {
        0 => ok(),
        1 => [ok(), field("grpc-status", "5")].concat(),
        2 => field(":status", "100"),
        3 => field(":status", "103"),
        4 => field(":status", "204"),
        5 => [ok(), field("content-length", "5")].concat(),
        6 => field("grpc-status", "0"),
        7 => [ok(), field("hub-reason", "limit"), field("connection", "close")].concat(),
        8 => field(":status", "101"),
        9 => field(":status", "999"),
        10 => [ok(), ok()].concat(),
        11 => field(":path", "/"),
        12 => [ok(), field("grpc-status", "seventeen")].concat(),
        13 => [ok(), field("large", &"x".repeat(100_000))].concat(),
        14 => vec![0xff; 5],
        _ => vec![0x20, 0x3f, 0xff, 0xff, 0xff],
    }
}

/// Trailers of a call that went well.
pub fn trailers() -> Vec<u8> {
    field("grpc-status", "0")
}

// From HPACK's static table (RFC 7541 A).
const GET: [u8; 1] = [0x82];
const POST: [u8; 1] = [0x83];
const HTTP: [u8; 1] = [0x86];
const STATUS_200: [u8; 1] = [0x88];

fn base(path: &str) -> Vec<u8> {
    let authority = field(":authority", "hub");
    let grpc = field("content-type", "application/grpc");
    [POST.to_vec(), HTTP.to_vec(), field(":path", path), authority, grpc].concat()
}

/// A field without compression (RFC 7541 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

fn text(text: &str) -> Vec<u8> {
    let mut length = vec![];
    match text.len() {
        short @ 0..127 => length.push(short as u8),
        long => {
            length.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                length.push(rest as u8 | 128);
                rest >>= 7;
            }
            length.push(rest as u8);
        }
    }
    [&length, text.as_bytes()].concat()
}
