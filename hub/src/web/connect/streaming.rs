//! Streams: messages in frames as gRPC has them, and a last one that says how it ended.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value};
use tonic::Code;

use super::error::error;
use super::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING, make_grpc, rename};
use crate::message::connect::end_frame;
use crate::message::form::AnswerForm;
use crate::web::answer::{Answer, Form};
use crate::web::body::{Body, boxed, full};
use crate::web::calls::Calls;
use crate::web::outcome::{Deadline, Outcome, is_status, take_status_off, told_by_head};
use crate::web::pending::Pending;
use crate::web::plain::{make_http2, of_http2, refused};

const ENCODING: &str = "connect-content-encoding";
const ACCEPT_ENCODING: &str = "connect-accept-encoding";

/// Makes a call of content type `kind`, `application/connect+proto` or the like.
pub(in crate::web) async fn stream(
    calls: &Calls,
    request: Request<Incoming>,
    kind: &'static str,
    mut pending: Pending,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let codec = kind.rsplit('+').next().unwrap_or_default();
    let deadline = match make_http2(&mut head).and_then(|()| make_grpc(&mut head.headers, codec)) {
        Ok(deadline) => deadline,
        Err(refusal) => return refused(&refusal, AnswerForm::ConnectStream(kind), pending),
    };
    rename(&mut head.headers, ENCODING, GRPC_ENCODING);
    rename(&mut head.headers, ACCEPT_ENCODING, GRPC_ACCEPT_ENCODING);
    match calls.call(Request::from_parts(head, boxed(of_http2(body))), &mut pending).await {
        Ok(response) => answer(response, kind, deadline),
        Err(error) => ended(&Outcome::of_error(&error, deadline), kind),
    }
}

fn answer(response: Response<Incoming>, kind: &'static str, deadline: Deadline) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let told = told_by_head(head.status, &head.headers);
    // The status is in the last frame.
    head.status = StatusCode::OK;
    let headers = &mut head.headers;
    take_status_off(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.remove(CONTENT_LENGTH);
    rename(headers, GRPC_ENCODING, ENCODING);
    rename(headers, GRPC_ACCEPT_ENCODING, ACCEPT_ENCODING);
    let body = match told {
        Some(outcome) => full(end(&outcome, &HeaderMap::new())),
        None => boxed(Answer::new(body, deadline, STREAM)),
    };
    Response::from_parts(head, body)
}

/// An answer that is nothing but an end.
fn ended(outcome: &Outcome, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(full(end(outcome, &HeaderMap::new())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

const STREAM: Form = Form {
    piece: |bytes| bytes,
    last: |trailers| end(&Outcome::told(&trailers).unwrap_or_else(Outcome::missing), &trailers),
};

/// The frame that ends a stream ("EndStreamResponse").
fn end(outcome: &Outcome, trailers: &HeaderMap) -> Bytes {
    let mut said = Map::new();
    if outcome.code != Code::Ok {
        said.insert("error".into(), error(outcome));
    }
    let mut metadata = Map::new();
    for name in trailers.keys().filter(|name| !is_status(name)) {
        let values = trailers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        metadata.insert(name.as_str().to_owned(), Value::Array(values.collect()));
    }
    if !metadata.is_empty() {
        said.insert("metadata".into(), metadata.into());
    }
    end_frame(&said.into())
}
