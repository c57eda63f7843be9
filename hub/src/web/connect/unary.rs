//! Unary calls: bodies are messages without a frame, and an error is an HTTP status with a JSON object.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Incoming};
use tokio::time::timeout_at;
use tonic::Code;
use tunnel::wire;

use super::error::error;
use super::query::{self, Query};
use super::{GRPC_ACCEPT_ENCODING, GRPC_ENCODING, VERSION, make_grpc};
use crate::limits::WEB_MESSAGE_MAX;
use crate::message::connect::http_status;
use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;
use crate::web::body::{Body, BodyError, boxed, empty, full};
use crate::web::calls::reset;
use crate::web::frames::PREFIX;
use crate::web::outcome::{Deadline, Outcome, is_status, take_status_off, told_by_head};
use crate::web::pending::Pending;
use crate::web::plain::{make_http2, refused, set};
use crate::web::requests::Requests;
use crate::web::whole::{Whole, WholeError};

/// A frame's flag: its message is compressed.
const COMPRESSED: u8 = 1;

/// Makes a call.
pub(in crate::web) async fn unary(
    requests: &Requests,
    request: Request<Incoming>,
    mut pending: Pending,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let asked = match ask(&mut head, body, requests).await {
        Ok(asked) => asked,
        Err(Some(refusal)) => return refused(&refusal, AnswerForm::ConnectUnary, pending),
        // Nobody hears it.
        Err(None) => return Response::new(empty()),
    };
    let Asked { codec, message, deadline } = asked;
    if let Some(left) = deadline.left() {
        head.headers.insert("grpc-timeout", left);
    }
    let request = Request::from_parts(head, boxed(message));
    let response = match requests.calls.call(request, &mut pending).await {
        Ok(response) => response,
        Err(error) => return failed(&Outcome::of_error(&error, deadline), HeaderMap::new()),
    };
    let (head, body) = response.into_parts();
    if let Some(outcome) = told_by_head(head.status, &head.headers) {
        return failed(&outcome, merged(head.headers, &HeaderMap::new()));
    }
    match Whole::read(body, b"", &requests.room).await {
        Ok(whole) => done(head.headers, whole, &codec),
        Err(WholeError::Broken(error)) => {
            failed(&Outcome::of_error(&*error, deadline), HeaderMap::new())
        }
        // The server has seen the call, but its caller gets nothing of that.
        Err(error) => {
            let (refusal, form) =
                (no_room(&error).unwrap_or(Refusal::Held), AnswerForm::ConnectUnary);
            refusal.response(form).map(|()| full(refusal.body(form)))
        }
    }
}

// --- the request ---

/// What is asked for.
struct Asked {
    /// What the messages are.
    codec: String,
    /// In its frame.
    message: Whole,
    deadline: Deadline,
}

/// Makes the head one of gRPC's, and the message a frame.
///
/// # Errors
/// Why it cannot be; none, if the caller has given up.
async fn ask(
    head: &mut Parts,
    body: Incoming,
    requests: &Requests,
) -> Result<Asked, Option<Refusal>> {
    make_http2(head)?;
    if head.method == Method::GET {
        check_is_asked_for(&head.headers)?;
        let Query { message, codec, compression } = from_query(head)?;
        let deadline = make_grpc(&mut head.headers, &codec)?;
        let compression = compression.and_then(|name| HeaderValue::try_from(name).ok());
        say_encodings(&mut head.headers, compression.clone());
        let message = Full::new(Bytes::from(message));
        let message = framed(message, compression.is_some(), requests).await;
        return Ok(Asked { codec, message: message.map_err(|error| no_room(&error))?, deadline });
    }
    let codec = codec(&head.headers)?;
    let deadline = make_grpc(&mut head.headers, &codec)?;
    let encoding = head.headers.remove(CONTENT_ENCODING).filter(|name| name != "identity");
    say_encodings(&mut head.headers, encoding.clone());
    let message = framed(body, encoding.is_some(), requests);
    let message = timeout_at(deadline.at(), message).await.map_err(|_| Refusal::TooLate)?;
    Ok(Asked { codec, message: message.map_err(|error| no_room(&error))?, deadline })
}

/// What the message is, as its content type says.
fn codec(headers: &HeaderMap) -> Result<String, Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let codec = kind.strip_prefix("application/").filter(|codec| is_codec(codec));
    codec.map(str::to_owned).ok_or_else(|| {
        Refusal::BadRequest(
            "a message of Connect's is application/proto or application/json".into(),
        )
    })
}

fn is_codec(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Nobody else makes calls by GET without knowing: any page may have a browser fetch an image, but not with headers of its own.
fn check_is_asked_for(headers: &HeaderMap) -> Result<(), Refusal> {
    let own = [wire::NAME, wire::HUB_TOKEN, VERSION].iter().any(|name| headers.contains_key(*name));
    let is_of_same_page = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    if own || is_of_same_page {
        return Ok(());
    }
    Err(Refusal::BadRequest(format!(
        "a call by GET wants one of the headers name, {VERSION}, hub-token"
    )))
}

fn from_query(head: &mut Parts) -> Result<Query, Refusal> {
    let bad = || Refusal::BadRequest("the query is no message of Connect's protocol".into());
    let query = head.uri.query().and_then(query::read).filter(|query| is_codec(&query.codec));
    let query = query.ok_or_else(bad)?;
    head.method = Method::POST;
    let mut uri = std::mem::take(&mut head.uri).into_parts();
    let path = uri.path_and_query.as_ref().map_or("/", |whole| whole.path());
    uri.path_and_query = path.parse().ok();
    head.uri = Uri::from_parts(uri).map_err(|_| bad())?;
    Ok(query)
}

/// A message in its frame: a flag, its length, itself.
async fn framed<B>(body: B, is_compressed: bool, requests: &Requests) -> Result<Whole, WholeError>
where
    B: HttpBody<Data = Bytes, Error: Into<BodyError>>,
{
    let flag = if is_compressed { COMPRESSED } else { 0 };
    let mut whole = Whole::read(body, &[flag, 0, 0, 0, 0], &requests.room).await?;
    // It is bounded: `WEB_MESSAGE_MAX`.
    let length = (whole.bytes().len() - PREFIX) as u32;
    whole.bytes()[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    Ok(whole)
}

/// Nothing, if the caller has given up.
fn no_room(error: &WholeError) -> Option<Refusal> {
    match error {
        WholeError::TooLarge => Some(Refusal::MessageTooLarge(WEB_MESSAGE_MAX)),
        WholeError::Full => Some(Refusal::Held),
        WholeError::Broken(error) if reset(&**error).is_some() => None,
        WholeError::Broken(error) => {
            Some(Refusal::BadRequest(format!("its body broke off: {error}")))
        }
    }
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

// --- the answer ---

fn done(headers: HeaderMap, mut whole: Whole, codec: &str) -> Response<Body> {
    let trailers = whole.trailers.take().unwrap_or_default();
    let outcome = Outcome::told(&trailers).unwrap_or_else(Outcome::missing);
    let mut headers = merged(headers, &trailers);
    if outcome.code != Code::Ok {
        return failed(&outcome, headers);
    }
    let Some(is_compressed) = is_one_message(whole.bytes()) else {
        let why = "the server's answer is not one message";
        return failed(&Outcome::new(Code::Unimplemented, why), headers);
    };
    whole.skip(PREFIX);
    let encoding = headers.remove(GRPC_ENCODING).filter(|_| is_compressed);
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, encoding);
    }
    set(&mut headers, CONTENT_TYPE, format!("application/{codec}"));
    let mut response = Response::new(boxed(whole));
    *response.headers_mut() = headers;
    response
}

/// Whether the only message of a body is compressed; `None`, if it is not one.
fn is_one_message(body: &[u8]) -> Option<bool> {
    let (prefix, message) = body.split_first_chunk::<PREFIX>()?;
    let [flags, length @ ..] = *prefix;
    let is_whole = u32::from_be_bytes(length) as usize == message.len();
    is_whole.then_some(flags & COMPRESSED != 0)
}

/// All that gRPC says at the beginning and at the end, which is one in an answer of Connect's.
fn merged(mut headers: HeaderMap, trailers: &HeaderMap) -> HeaderMap {
    take_status_off(&mut headers);
    headers.remove(GRPC_ACCEPT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    for (name, value) in trailers.iter().filter(|(name, _)| !is_status(name)) {
        if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// An error, with what else was said.
fn failed(outcome: &Outcome, headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(error(outcome).to_string()));
    *response.status_mut() = http_status(outcome.code);
    *response.headers_mut() = headers;
    response.headers_mut().remove(GRPC_ENCODING);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_message() {
        assert_eq!(is_one_message(b"\0\0\0\0\x03abc"), Some(false));
        assert_eq!(is_one_message(b"\x01\0\0\0\0"), Some(true));
        for body in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x02a", b"\0\0\0\0\x01a\0\0\0\0\0"] {
            assert_eq!(is_one_message(body), None, "{body:?}");
        }
    }

    #[test]
    fn a_codec_is_a_word() {
        let of = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            codec(&headers).ok()
        };
        assert_eq!(of("Application/JSON; charset=utf-8").as_deref(), Some("json"));
        for kind in ["text/html", "application/", "application/grpc+proto", ""] {
            assert_eq!(of(kind), None, "{kind}");
        }
    }

    #[test]
    fn an_image_is_no_call() {
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            check_is_asked_for(&headers).is_ok()
        };
        assert!(with("name", "testserver") && with(VERSION, "1") && with("hub-token", "x"));
        assert!(with("sec-fetch-site", "same-origin"));
        assert!(!with("sec-fetch-site", "cross-site") && !with("accept", "image/png"));
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
