//! What a client may say first and second, to a switch and to `h2`.
//!
//! Input: how many fields the first request has, the fields; then kind, flags, stream and payload of a frame.

use bytes::Bytes;
use fuzz::{AtEnd, Chunked, Draw, Writes};
use h2::server;
use http2::fields::{Field, Indexing};
use http2::frame::{PREFACE, flag, kind};
use http2::hpack::Encoder;
use http2::message::Malformed;
use switch::{Event, Limits, Switch, Unfit, Unguarded};
use tokio::time::{Duration, timeout};

use crate::script::raw;

/// Longer than h2 needs to understand what it was told.
const PATIENCE: Duration = Duration::from_secs(1);
const NAMES: [&[u8]; 16] = [
    b":method",
    b":scheme",
    b":path",
    b":authority",
    b"host",
    b"te",
    b"content-length",
    b"name",
    b":protocol",
    b"connection",
    b"x",
    b"x-bin",
    b"cookie",
    b"Upper",
    b":status",
    b"hub-x",
];
const VALUES: [&[u8]; 16] = [
    b"POST",
    b"http",
    b"/a.B/C",
    b"a.test:80",
    b"trailers",
    b"0",
    b"GET",
    b"CONNECT",
    b"*",
    b"https",
    b"5",
    b"a b",
    b"",
    b"/?q#f",
    b"u@h",
    b"OPTIONS",
];
/// A head that is as it should be, of which some fields are left out.
const BASE: [(&[u8], &[u8]); 4] =
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"), (b":authority", b"a")];

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    /// The request was taken.
    has_request: bool,
    /// Or why not, as ours says it.
    unfit: Option<Unfit>,
    /// The connection ended with this code.
    error: Option<u32>,
}

/// Says it to both.
pub fn run(mut draw: Draw<'_>) {
    let block = head(&mut draw);
    let flags = flag::END_HEADERS | (draw.byte() & flag::END_STREAM);
    let greeting = raw(kind::SETTINGS, 0, 0, b"");
    let mut said = [PREFACE, &greeting, &raw(kind::HEADERS, flags, 1, &block)].concat();
    let (ours_first, h2s_first) = (ours(&said), fuzz::run(h2s(&said)));
    assert_eq!(ours_first.error, None);
    if !ours_first.has_request && h2s_first.has_request {
        let is_known = ours_first.unfit.as_ref().is_some_and(is_left_to_others);
        assert!(is_known, "only h2 takes it: {ours_first:?}");
    }
    let ends_a_lane = ours_first.has_request && h2s_first.error.is_some();
    assert!(!ends_a_lane, "{ours_first:?}: {h2s_first:?}");
    if !ours_first.has_request || !h2s_first.has_request {
        return;
    }
    let kinds = [kind::RST_STREAM, kind::SETTINGS, kind::PING, kind::GOAWAY, kind::WINDOW_UPDATE];
    let (kind, flags, stream) = (draw.one(&kinds), draw.byte(), u32::from(draw.byte() & 1));
    let payload = draw.take(24);
    said.extend(raw(kind, flags, stream, payload));
    let (ours, h2s) = (ours(&said), fuzz::run(h2s(&said)));
    if !is_known(kind, stream, payload) {
        let are_alike = ours.error.is_some() == h2s.error.is_some();
        assert!(are_alike, "{ours:?}, but {h2s:?}");
    }
}

/// What h2 leaves to who uses it, and RFC 9113 8 does not allow.
fn is_left_to_others(unfit: &Unfit) -> bool {
    let Unfit::Malformed(malformed) = unfit else { return false };
    match malformed {
        Malformed::Missing(name) => *name != ":method",
        Malformed::Repeated(name) => matches!(*name, "host" | "content-length"),
        // The http crate's `from_lowercase` (1.5) takes a double quote, which is in no token (RFC 9110 5.6.2).
        Malformed::Name(name) => name.contains('"'),
        // A space at either end.
        Malformed::Value(_)
        | Malformed::ContentLength
        | Malformed::Scheme
        | Malformed::Path
        | Malformed::PathCharacter
        | Malformed::Empty(_)
        | Malformed::Authority(_)
        | Malformed::HostDiffers => true,
        _ => false,
    }
}

/// Where the two differ, and ours does as RFC 9113 has it.
fn is_known(kind: u8, stream: u32, payload: &[u8]) -> bool {
    // To widen a stream by nothing is the fault of that stream (6.9), to h2 of the connection.
    kind == kind::WINDOW_UPDATE && stream != 0 && matches!(payload, [0 | 128, 0, 0, 0])
}

/// A header block.
fn head(draw: &mut Draw<'_>) -> Vec<u8> {
    let (mut encoder, mut block) = (Encoder::new(), Vec::new());
    let mut add = |name: &[u8], value: &[u8]| {
        encoder.field(Field { name, value, indexing: Indexing::Incremental }, &mut block);
    };
    let left_out = draw.byte();
    for (nth, (name, value)) in BASE.iter().enumerate() {
        if left_out & 1 << nth == 0 {
            add(name, value);
        }
    }
    for _ in 0..draw.below(6) {
        let name = match draw.byte() {
            drawn @ 240.. => draw.take(usize::from(drawn - 240)),
            nth => NAMES[usize::from(nth) % NAMES.len()],
        };
        match draw.byte() {
            drawn @ 240.. => add(name, draw.take(usize::from(drawn - 240))),
            nth => add(name, VALUES[usize::from(nth) % VALUES.len()]),
        }
    }
    block
}

fn ours(said: &[u8]) -> Outcome {
    let mut switch = Switch::<(), _>::new(Limits { max_calls: 8 }, Unguarded);
    switch.client_came(Bytes::copy_from_slice(said));
    let mut outcome = Outcome::default();
    loop {
        match switch.next_of_client() {
            Ok(Some(Event::Call(call))) => {
                outcome.unfit = switch.unfit(call).cloned();
                outcome.has_request = outcome.unfit.is_none();
            }
            Ok(Some(_)) => {}
            Ok(None) => return outcome,
            Err(error) => return Outcome { error: Some(error.reason.0), ..outcome },
        }
    }
}

async fn h2s(said: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    // At the end of the stream it would forget what it has heard last.
    let io = Chunked::new(said, &[]).with(AtEnd::Silence, Writes::Taken);
    let handshake = timeout(PATIENCE, server::handshake(io)).await;
    let mut connection: server::Connection<_, Bytes> =
        handshake.expect("a handshake in time").expect("HTTP/2");
    let mut held = Vec::new();
    while let Ok(Some(heard)) = timeout(PATIENCE, connection.accept()).await {
        match heard {
            Ok(request) => {
                outcome.has_request = true;
                held.push(request);
            }
            Err(error) => {
                outcome.error = Some(error.reason().map_or(u32::MAX, u32::from));
                break;
            }
        }
    }
    outcome
}
