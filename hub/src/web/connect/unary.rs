//! Unary calls: bodies are messages without a frame, and an error is an HTTP status with a JSON object.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use tonic::Code;

use super::error::error;
use super::query::{self, Query};
use super::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING, make_grpc};
use crate::message::connect::http_status;
use crate::message::form::AnswerForm;
use crate::web::body::{Body, full};
use crate::web::grpc_web::is_grpc;
use crate::web::outcome::{Deadline, Outcome, is_status};
use crate::web::plain::{make_http2, refused, set};
use crate::web::requests::Requests;
use crate::web::whole::{Whole, WholeError};

/// A frame's flag: its message is compressed.
const COMPRESSED: u8 = 1;
/// What stands in front of a message: a flag and its length.
const PREFIX: usize = 5;

/// Makes a call.
pub(in crate::web) async fn unary(
    requests: &Requests,
    request: Request<Incoming>,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    if let Err(refusal) = make_http2(&mut head) {
        return refused(&refusal, AnswerForm::ConnectUnary);
    }
    let codec = codec(&head);
    let is_get = head.method == Method::GET;
    let framed =
        if is_get { from_query(&mut head) } else { from_body(&mut head, body, requests).await };
    let (codec, message) = match framed {
        Ok((from_query, message)) => (from_query.unwrap_or(codec), message),
        Err(outcome) => return failed(&outcome, &HeaderMap::new()),
    };
    make_grpc(&mut head.headers, &codec);
    let deadline = Deadline::of(&head.headers);
    let response = match requests.calls.call(Request::from_parts(head, full(message))).await {
        Ok(response) => response,
        Err(error) => return failed(&Outcome::of_error(&error, deadline), &HeaderMap::new()),
    };
    let (head, body) = response.into_parts();
    if let Some(outcome) = Outcome::told(&head.headers) {
        return done(head.headers, &HeaderMap::new(), &outcome, b"", &codec);
    }
    if !(head.headers.get(CONTENT_TYPE).is_some_and(is_grpc) && head.status.is_success()) {
        return failed(&Outcome::of_http(head.status), &HeaderMap::new());
    }
    match Whole::read(body, &requests.room).await {
        Ok(whole) => {
            let trailers = whole.trailers.clone().unwrap_or_default();
            let outcome = Outcome::told(&trailers).unwrap_or_else(Outcome::missing);
            done(head.headers, &trailers, &outcome, &whole.bytes, &codec)
        }
        Err(error) => failed(&not_whole(error, deadline), &HeaderMap::new()),
    }
}

// --- the request ---

/// What the message is, as its content type says.
fn codec(head: &Parts) -> String {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.strip_prefix("application/").unwrap_or(kind).to_ascii_lowercase()
}

type Framed = Result<(Option<String>, Bytes), Outcome>;

fn from_query(head: &mut Parts) -> Framed {
    let query = head.uri.query().and_then(query::read);
    let bad =
        || Outcome::new(Code::InvalidArgument, "the query is no message of Connect's protocol");
    let Query { message, codec, compression } = query.ok_or_else(bad)?;
    head.method = Method::POST;
    let mut uri = std::mem::take(&mut head.uri).into_parts();
    let path = uri.path_and_query.as_ref().map_or("/", |whole| whole.path());
    uri.path_and_query = path.parse().ok();
    head.uri = Uri::from_parts(uri).map_err(|_| bad())?;
    let compression = compression.and_then(|name| HeaderValue::try_from(name).ok());
    say_encodings(&mut head.headers, compression.clone());
    Ok((Some(codec), framed(&message, compression.is_some())))
}

async fn from_body(head: &mut Parts, body: Incoming, requests: &Requests) -> Framed {
    let encoding = head.headers.remove(CONTENT_ENCODING).filter(|name| name != "identity");
    say_encodings(&mut head.headers, encoding.clone());
    let whole = Whole::read(body, &requests.room).await;
    let whole = whole.map_err(|error| not_whole(error, Deadline::of(&HeaderMap::new())))?;
    Ok((None, framed(&whole.bytes, encoding.is_some())))
}

/// How the message is compressed, and how an answer may be.
fn say_encodings(headers: &mut HeaderMap, encoding: Option<HeaderValue>) {
    if let Some(encoding) = encoding {
        headers.insert(GRPC_ENCODING, encoding);
    }
    let accepted: Vec<String> = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        // How much each is liked, gRPC does not say.
        .filter_map(|one| Some(one.split(';').next()?.trim().to_owned()))
        .filter(|name| !name.is_empty() && name != "*")
        .collect();
    headers.remove(ACCEPT_ENCODING);
    if let Ok(accepted) = HeaderValue::try_from(accepted.join(","))
        && !accepted.is_empty()
    {
        headers.insert(GRPC_ACCEPT_ENCODING, accepted);
    }
}

fn framed(message: &[u8], is_compressed: bool) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(if is_compressed { COMPRESSED } else { 0 });
    // It is bounded: `WEB_MESSAGE_MAX`, or a query.
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    frame.freeze()
}

fn not_whole(error: WholeError, deadline: Deadline) -> Outcome {
    match error {
        WholeError::Broken(error) => Outcome::of_error(&*error, deadline),
        error => Outcome::new(Code::ResourceExhausted, error.to_string()),
    }
}

// --- the answer ---

fn done(
    headers: HeaderMap,
    trailers: &HeaderMap,
    outcome: &Outcome,
    body: &[u8],
    codec: &str,
) -> Response<Body> {
    let headers = merged(headers, trailers);
    if outcome.code != Code::Ok {
        return failed(outcome, &headers);
    }
    let Some((is_compressed, message)) = the_message(body) else {
        let why = "the server's answer is not one message";
        return failed(&Outcome::new(Code::Unimplemented, why), &headers);
    };
    let encoding = headers.get(GRPC_ENCODING).filter(|_| is_compressed).cloned();
    let mut response = Response::new(full(message.to_vec()));
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.remove(GRPC_ENCODING);
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, encoding);
    }
    set(headers, CONTENT_TYPE, format!("application/{codec}"));
    response
}

/// The only message of a body, and whether it is compressed.
fn the_message(body: &[u8]) -> Option<(bool, &[u8])> {
    let (prefix, message) = body.split_first_chunk::<PREFIX>()?;
    let [flags, length @ ..] = *prefix;
    let is_whole = u32::from_be_bytes(length) as usize == message.len();
    is_whole.then_some((flags & COMPRESSED != 0, message))
}

/// All that gRPC says at the beginning and at the end, which is one in an answer of Connect's.
fn merged(mut headers: HeaderMap, trailers: &HeaderMap) -> HeaderMap {
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", GRPC_ACCEPT_ENCODING] {
        headers.remove(name);
    }
    headers.remove(CONTENT_LENGTH);
    for (name, value) in trailers.iter().filter(|(name, _)| !is_status(name)) {
        if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// An error, with what else was said.
fn failed(outcome: &Outcome, headers: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(error(outcome).to_string()));
    *response.status_mut() = http_status(outcome.code);
    *response.headers_mut() = headers.clone();
    response.headers_mut().remove(GRPC_ENCODING);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_message() {
        assert_eq!(the_message(&framed(b"abc", false)), Some((false, &b"abc"[..])));
        assert_eq!(the_message(&framed(b"", true)), Some((true, &b""[..])));
        let two = [framed(b"a", false), framed(b"b", false)].concat();
        for body in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x02a", &two] {
            assert_eq!(the_message(body), None, "{body:?}");
        }
    }

    #[test]
    fn encodings_are_said_without_their_weights() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br;q=0.5, *;q=0"));
        say_encodings(&mut headers, Some(HeaderValue::from_static("gzip")));
        assert_eq!(headers[GRPC_ENCODING], "gzip");
        assert_eq!(headers[GRPC_ACCEPT_ENCODING], "gzip,br");
        assert!(!headers.contains_key(ACCEPT_ENCODING));
    }

    #[test]
    fn what_is_said_at_the_end_is_told_apart() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.append("x-cost", HeaderValue::from_static("1"));
        trailers.append("x-cost", HeaderValue::from_static("2"));
        let headers = merged(HeaderMap::new(), &trailers);
        let values: Vec<_> = headers.get_all("trailer-x-cost").iter().cloned().collect();
        assert_eq!(values, ["1", "2"]);
        assert!(!headers.contains_key("trailer-grpc-status"));
    }
}
