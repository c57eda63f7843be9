//! The Connect protocol, unary and streaming: gRPC whose errors are JSON (<https://connectrpc.com/docs/protocol>).

mod error;
mod query;
mod streaming;
mod unary;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue};

pub(super) use self::streaming::stream;
pub(super) use self::unary::unary;
use super::outcome::Deadline;
use super::plain::set;
use crate::message::refusal::Refusal;
use crate::message::timeout;

const TIMEOUT: &str = "connect-timeout-ms";
const VERSION: &str = "connect-protocol-version";
const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// Says as gRPC does what both say of a call; `codec` is what its messages are. Returns when the caller waits no longer.
///
/// # Errors
/// Its timeout is none.
fn make_grpc(headers: &mut HeaderMap, codec: &str) -> Result<Deadline, Refusal> {
    set(headers, CONTENT_TYPE, format!("application/grpc+{codec}"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.remove(VERSION);
    headers.remove(CONTENT_LENGTH);
    let deadline = match headers.remove(TIMEOUT) {
        Some(value) => {
            Deadline::after(Some(timeout::connect(value.as_bytes()).ok_or_else(|| {
                Refusal::BadRequest(format!("`{TIMEOUT}` is no number of at most ten digits"))
            })?))
        }
        None => Deadline::after(None),
    };
    if let Some(left) = deadline.left() {
        headers.insert("grpc-timeout", left);
    }
    Ok(deadline)
}

/// Moves a field, if it is there.
fn rename(headers: &mut HeaderMap, from: &'static str, to: &'static str) {
    if let Some(value) = headers.remove(from) {
        headers.insert(to, value);
    }
}
