//! A request as HTTP/2 has it, whichever version it came in: its host said once, and nothing in it that is about one connection.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderName, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Incoming};

use super::body::{Body, boxed, full, watched};
use super::calls::{Calls, reset};
use super::pending::Pending;
use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;

/// What is about the connection it stands on, beside what `Connection` names (RFC 9110 7.6.1).
const OF_CONNECTION: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
];

/// Passes a request on as it is, and its answer back.
pub(super) async fn call(
    calls: &Calls,
    request: Request<Incoming>,
    form: AnswerForm,
    mut pending: Pending,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    if let Err(refusal) = make_http2(&mut head) {
        return refused(&refusal, form, pending);
    }
    let (body, is_broken) = watched(of_http2(body));
    match calls.call(Request::from_parts(head, body), &mut pending).await {
        Ok(response) => response.map(boxed),
        Err(_) if is_broken.load(Ordering::Relaxed) => {
            let refusal = Refusal::BadRequest("its body is broken".to_owned());
            refusal.response(form).map(|()| full(refusal.body(form)))
        }
        Err(error) => broken(&error),
    }
}

/// In what form the hub's own answer to a request would be.
pub(super) fn form(method: &Method, uri: &Uri, headers: &HeaderMap) -> AnswerForm {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let names_connect = headers.contains_key("connect-protocol-version");
    AnswerForm::of(method.as_str().as_bytes(), target.as_bytes(), kind, names_connect)
}

/// The hub's own answer.
pub(super) fn refused(refusal: &Refusal, form: AnswerForm, pending: Pending) -> Response<Body> {
    pending.refused(refusal, form);
    refusal.response(form).map(|()| full(refusal.body(form)))
}

/// There is no answer: its stream was reset, or the hub takes leave.
fn broken(error: &hyper::Error) -> Response<Body> {
    let sentence = match reset(error) {
        Some(reason) => format!("the server reset the request: {reason}\n"),
        None => "the connection to the server was lost\n".to_owned(),
    };
    let mut response = Response::new(full(sentence));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    set(response.headers_mut(), CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

/// A body whose trailers have nothing in them that HTTP/2 has no place for.
pub(super) fn of_http2<B>(body: B) -> impl HttpBody<Data = Bytes, Error = B::Error>
where
    B: HttpBody<Data = Bytes>,
{
    body.map_frame(|mut frame| {
        if let Some(trailers) = frame.trailers_mut() {
            for name in OF_CONNECTION.iter().chain([&TE, &HOST, &CONTENT_LENGTH]) {
                trailers.remove(name);
            }
        }
        frame
    })
}

/// Makes an HTTP/2 request of it.
///
/// # Errors
/// It says no host, or none that can be.
pub(super) fn make_http2(head: &mut Parts) -> Result<(), Refusal> {
    let bad = |why: &str| Refusal::BadRequest(why.to_owned());
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !head.headers.get_all(TRANSFER_ENCODING).iter().all(is_chunked) {
        return Err(bad("of `transfer-encoding`, only chunked is taken"));
    }
    if head.headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(bad("`host` is given more than once"));
    }
    let host = head.headers.remove(HOST);
    let authority = match (head.uri.authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => {
            Authority::try_from(host.as_bytes()).map_err(|_| bad("`host` is none"))?
        }
        (None, None) => return Err(bad("no `host`")),
    };
    let path = head.uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path);
    head.uri = uri.build().map_err(|_| bad("its target is none"))?;
    head.version = Version::HTTP_2;
    take_off_connection(&mut head.headers);
    Ok(())
}

/// Sets a field in place of what there is of it; what cannot stand in one is left out.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        headers.insert(name, value);
    }
}

fn take_off_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let wants_trailers = headers.get_all(TE).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|one| one.trim() == "trailers"))
    });
    for name in named.iter().chain(&OF_CONNECTION).chain([&TE]) {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(request: http::request::Builder) -> Result<Parts, Refusal> {
        let mut head = request.body(()).expect("a request").into_parts().0;
        make_http2(&mut head).map(|()| head)
    }

    #[test]
    fn what_is_about_the_connection_stays_there() {
        let request = Request::post("/a.B/C?x=1")
            .header("host", "hub.test:8080")
            .header("connection", "keep-alive, x-hop")
            .header("keep-alive", "timeout=5")
            .header("transfer-encoding", "chunked")
            .header("x-hop", "1")
            .header("te", "gzip, trailers")
            .header("name", "testserver");
        let head = made(request).expect("a request");
        assert_eq!(head.uri, "http://hub.test:8080/a.B/C?x=1");
        let mut left: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["name", "te"]);
        assert_eq!(head.headers["te"], "trailers");
    }

    #[test]
    fn a_request_has_a_host() {
        let twice = Request::get("/").header("host", "a.test").header("host", "b.test");
        for request in [Request::get("/"), Request::get("/").header("host", "a b"), twice] {
            assert!(matches!(made(request), Err(Refusal::BadRequest(_))));
        }
        let gzip =
            Request::post("/").header("host", "a").header("transfer-encoding", "gzip, chunked");
        assert!(matches!(made(gzip), Err(Refusal::BadRequest(_))));
        let absolute = Request::get("http://a.test/x").header("host", "b.test");
        assert_eq!(made(absolute).expect("a request").uri, "http://a.test/x");
    }
}
