//! The Connect protocol, unary and streaming: gRPC whose errors are JSON (<https://connectrpc.com/docs/protocol>).

mod error;
mod query;
mod streaming;
mod unary;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue};

pub(super) use self::streaming::stream;
pub(super) use self::unary::unary;
use super::plain::set;

const TIMEOUT: &str = "connect-timeout-ms";
const VERSION: &str = "connect-protocol-version";
const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// Says as gRPC does what both say of a call; `codec` is what its messages are.
fn make_grpc(headers: &mut HeaderMap, codec: &str) {
    set(headers, CONTENT_TYPE, format!("application/grpc+{codec}"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.remove(VERSION);
    headers.remove(CONTENT_LENGTH);
    if let Some(timeout) = headers.remove(TIMEOUT).and_then(|value| timeout(value.as_bytes())) {
        headers.insert("grpc-timeout", timeout);
    }
}

/// Milliseconds of at most ten digits, where gRPC has eight and a unit; `None`, if it is no such number.
fn timeout(digits: &[u8]) -> Option<HeaderValue> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() <= 10)?;
    let millis: u64 = digits.parse().ok()?;
    let text =
        if millis < 100_000_000 { format!("{millis}m") } else { format!("{}S", millis / 1000) };
    HeaderValue::try_from(text).ok()
}

/// Moves a field, if it is there.
fn rename(headers: &mut HeaderMap, from: &'static str, to: &'static str) {
    if let Some(value) = headers.remove(from) {
        headers.insert(to, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_keeps_its_length() {
        for (millis, grpc) in [
            ("1", Some("1m")),
            ("99999999", Some("99999999m")),
            ("100000000", Some("100000S")),
            ("9999999999", Some("9999999S")),
            ("12345678901", None),
            ("1s", None),
            ("", None),
        ] {
            let told = timeout(millis.as_bytes());
            assert_eq!(
                told.as_ref().map(HeaderValue::as_bytes),
                grpc.map(str::as_bytes),
                "{millis}"
            );
        }
    }
}
