//! What stands in Connect's protocol for a gRPC status ("Error Codes"), and the frame that ends a stream.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::StatusCode;
use serde_json::Value;
use tonic::Code;

/// The flag of the frame that ends a stream ("Streaming-Response").
const END: u8 = 2;

/// The word for a code.
pub(crate) fn code_word(code: Code) -> &'static str {
    words_of(code).0
}

/// And the HTTP status that stands for it, by which callers go before they have read the body.
pub(crate) fn http_status(code: Code) -> StatusCode {
    StatusCode::from_u16(words_of(code).1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn words_of(code: Code) -> (&'static str, u16) {
    match code {
        Code::Ok => ("ok", 200),
        Code::Cancelled => ("canceled", 499),
        Code::Unknown => ("unknown", 500),
        Code::InvalidArgument => ("invalid_argument", 400),
        Code::DeadlineExceeded => ("deadline_exceeded", 504),
        Code::NotFound => ("not_found", 404),
        Code::AlreadyExists => ("already_exists", 409),
        Code::PermissionDenied => ("permission_denied", 403),
        Code::ResourceExhausted => ("resource_exhausted", 429),
        Code::FailedPrecondition => ("failed_precondition", 400),
        Code::Aborted => ("aborted", 409),
        Code::OutOfRange => ("out_of_range", 400),
        Code::Unimplemented => ("unimplemented", 501),
        Code::Internal => ("internal", 500),
        Code::Unavailable => ("unavailable", 503),
        Code::DataLoss => ("data_loss", 500),
        Code::Unauthenticated => ("unauthenticated", 401),
    }
}

/// The frame that ends a stream, with what it says.
pub(crate) fn end_frame(said: &Value) -> Bytes {
    let said = said.to_string();
    let mut frame = BytesMut::with_capacity(5 + said.len());
    frame.put_u8(END);
    // Trailers are bounded where they are read, and sentences are short.
    frame.put_u32(said.len() as u32);
    frame.put_slice(said.as_bytes());
    frame.freeze()
}
