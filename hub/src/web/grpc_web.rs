//! gRPC-Web, binary and text: gRPC whose trailers are the last frame of the body (PROTOCOL-WEB.md).

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Frame, Incoming};
use tonic::Code;

use super::answer::{Answer, Form};
use super::body::{Body, BodyError, boxed, empty, watched};
use super::calls::Calls;
use super::outcome::{Deadline, GRPC_STATUS, Outcome, mend_message, told_by_head};
use super::pending::Pending;
use super::plain::{make_http2, of_http2, refused, set};
use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;

/// The flag of the frame that has trailers in it.
const TRAILERS: u8 = 0x80;

/// Makes a call of content type `kind`.
pub(super) async fn call(
    calls: &Calls,
    request: Request<Incoming>,
    kind: &'static str,
    mut pending: Pending,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let is_text = kind.contains("-text");
    if let Err(refusal) = make_grpc(&mut head, kind, is_text) {
        return refused(&refusal, AnswerForm::GrpcWeb(kind), pending);
    }
    let deadline = Deadline::of(&head.headers);
    let body = of_http2(body);
    let (body, is_broken) = if is_text { watched(Decoded::new(body)) } else { watched(body) };
    match calls.call(Request::from_parts(head, body), &mut pending).await {
        Ok(response) => answer(response, kind, is_text, deadline),
        Err(_) if is_broken.load(Ordering::Relaxed) => {
            ended(&Outcome::new(Code::InvalidArgument, "the request's body is broken"), kind)
        }
        Err(error) => ended(&Outcome::of_error(&error, deadline), kind),
    }
}

fn make_grpc(head: &mut Parts, kind: &str, is_text: bool) -> Result<(), Refusal> {
    make_http2(head)?;
    let codec = kind.split_once('+').map(|(_, codec)| format!("+{codec}")).unwrap_or_default();
    set(&mut head.headers, CONTENT_TYPE, format!("application/grpc{codec}"));
    head.headers.insert(TE, HeaderValue::from_static("trailers"));
    head.headers.remove("x-grpc-web");
    if is_text {
        head.headers.remove(CONTENT_LENGTH);
    }
    Ok(())
}

fn answer(
    response: Response<Incoming>,
    kind: &'static str,
    is_text: bool,
    deadline: Deadline,
) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let told = told_by_head(head.status, &head.headers);
    if let Some(outcome) = &told
        && !head.headers.contains_key(GRPC_STATUS)
    {
        return ended(outcome, kind);
    }
    // Callers go by the HTTP status before they look at gRPC's.
    head.status = StatusCode::OK;
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    head.headers.remove(CONTENT_LENGTH);
    mend_message(&mut head.headers);
    let form = if is_text { TEXT } else { BINARY };
    let is_all = told.is_some();
    let body = if is_all { empty() } else { boxed(Answer::new(body, deadline, form)) };
    Response::from_parts(head, body)
}

/// An answer that is nothing but a status: it stands in the head.
fn ended(outcome: &Outcome, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.headers_mut() = outcome.trailers();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Each piece of text ends with its own padding: a caller is not kept waiting for a byte or two.
const TEXT: Form = Form { piece: |bytes| STANDARD.encode(&bytes).into(), ..BINARY };
const BINARY: Form = Form { piece: |bytes| bytes, last: trailers_frame };

/// A flag, a length, and lines as HTTP/1.1 has them.
fn trailers_frame(mut trailers: HeaderMap) -> Bytes {
    mend_message(&mut trailers);
    let mut lines = BytesMut::new();
    for (name, value) in &trailers {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.put_slice(piece);
        }
    }
    let mut frame = BytesMut::with_capacity(5 + lines.len());
    frame.put_u8(TRAILERS);
    // Trailers are bounded where they are read.
    frame.put_u32(lines.len() as u32);
    frame.put(lines);
    frame.freeze()
}

/// A request in Base64, in pieces of which each may end with padding.
struct Decoded<B> {
    body: B,
    /// What is left of a group of four.
    rest: Vec<u8>,
}

impl<B> Decoded<B> {
    fn new(body: B) -> Self {
        Self { body, rest: Vec::with_capacity(4) }
    }
}

impl<B> HttpBody for Decoded<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BodyError>> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None if self.rest.is_empty() => return Poll::Ready(None),
            None => {
                let why = "the text ends in the middle of a group of four";
                return Poll::Ready(Some(Err(why.into())));
            }
        };
        Poll::Ready(Some(match frame.into_data() {
            Ok(data) => decoded(&mut self.rest, &data).map(Frame::data),
            Err(frame) => Ok(frame),
        }))
    }
}

/// Groups of four, of which only the last may be padded; the next piece begins behind it.
fn decoded(rest: &mut Vec<u8>, text: &[u8]) -> Result<Bytes, BodyError> {
    rest.extend(text.iter().filter(|byte| !byte.is_ascii_whitespace()));
    let whole = rest.len() / 4 * 4;
    let mut bytes = Vec::with_capacity(whole / 4 * 3);
    let mut from = 0;
    while from < whole {
        let padded = rest[from..whole].iter().position(|byte| *byte == b'=');
        let to = padded.map_or(whole, |at| (from + at) / 4 * 4 + 4);
        STANDARD.decode_vec(&rest[from..to], &mut bytes)?;
        from = to;
    }
    rest.drain(..whole);
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_lines_in_a_frame() {
        let frame = trailers_frame(Outcome::missing().trailers());
        assert_eq!(frame[..5], [0x80, 0, 0, 0, frame.len() as u8 - 5]);
        let lines = std::str::from_utf8(&frame[5..]).expect("text");
        assert!(lines.starts_with("grpc-status: 13\r\ngrpc-message: the server"), "{lines}");
        assert!(lines.ends_with("\r\n"));
    }

    #[test]
    fn text_comes_in_pieces_of_any_length_each_padded_or_not() {
        let mut rest = Vec::new();
        let text = [STANDARD.encode("a"), STANDARD.encode("bcd"), STANDARD.encode("ef")].concat();
        let mut bytes = Vec::new();
        for piece in text.as_bytes().chunks(3) {
            bytes.extend(decoded(&mut rest, piece).expect("Base64"));
        }
        assert_eq!((&bytes[..], rest.len()), (&b"abcdef"[..], 0));
        decoded(&mut rest, b"a*==").expect_err("no Base64");
    }
}
