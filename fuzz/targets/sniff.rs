//! What a connection speaks, by its first bytes: told alike however they arrive, and none is lost.
//!
//! Input: four sizes of chunks, then what the peer sends.
#![no_main]

use fuzz::Chunked;
use hub::fuzzing::sniff;
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncReadExt as _;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// With these PROXY headers begin.
const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fuzz_target!(|data: &[u8]| {
    let (sizes, sent) = data.split_at(data.len().min(4));
    let verdict = fuzz::run(tell(Chunked::new(sent, sizes), sent));
    assert_eq!(verdict, fuzz::run(tell(Chunked::new(sent, &[]), sent)), "chunks change it");
    let is_part = |first: &&[u8]| sent.len() < first.len() && first.starts_with(sent);
    let is_undecided = [PREFACE, V1, V2].iter().any(is_part);
    assert_eq!(verdict.is_none(), is_undecided, "{verdict:?}");
    let is_http2 = sent.starts_with(PREFACE);
    assert_eq!(verdict.as_deref() == Some("Http2"), is_http2, "{verdict:?}");
    let is_proxied = sent.starts_with(V1) || sent.starts_with(V2);
    assert_eq!(verdict.as_deref() == Some("Proxied"), is_proxied, "{verdict:?}");
});

/// The protocol, or `None` where the stream ends before it can be told.
async fn tell(io: Chunked<'_>, sent: &[u8]) -> Option<String> {
    let (protocol, mut stream) = sniff(io).await.ok()?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.expect("a stream that does not fail");
    assert_eq!(all, sent, "bytes are lost or made up");
    Some(format!("{protocol:?}"))
}
