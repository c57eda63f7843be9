//! Pages from elsewhere: what a browser asks before it lets one call, and what it lets the page see (Fetch standard, "CORS
//! protocol").

use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::body::{self, Body};
use crate::config::cors::CorsOrigins;

/// For how long a browser need not ask again: the longest that Chromium heeds.
const MAX_AGE: Duration = Duration::from_secs(7200);
/// Whether a request asks only what a page may do.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to it, if the page is of one of the origins: the headers that it asks for, with the methods that gRPC-Web and
/// Connect have.
pub(super) fn preflight(asked: &HeaderMap, origins: &CorsOrigins) -> Option<Response<Body>> {
    let origin = allowed(asked, origins)?;
    let mut answer = Response::new(body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    show(headers, Some(origin), origins);
    headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE.as_secs()));
    if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    Some(answer)
}

/// What an answer must say of the origin that a request comes from, if it may see it.
pub(super) fn allowed(asked: &HeaderMap, origins: &CorsOrigins) -> Option<HeaderValue> {
    let origin = asked.get(ORIGIN)?;
    match origins {
        CorsOrigins::Any => Some(HeaderValue::from_static("*")),
        CorsOrigins::These(these) => {
            these.iter().any(|one| one.as_bytes() == origin.as_bytes()).then(|| origin.clone())
        }
    }
}

/// Lets the page of an allowed origin see all of an answer. Requests of pages carry no credentials of the browser's, so that
/// `*` is every header (Fetch standard).
pub(super) fn show(headers: &mut HeaderMap, allowed: Option<HeaderValue>, origins: &CorsOrigins) {
    if *origins != CorsOrigins::Any {
        // Also of who may not see it: a cache would show it to whoever may.
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://app.test";

    fn asks(origin: &'static str) -> HeaderMap {
        let asked = Request::options("/")
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(ACCESS_CONTROL_REQUEST_HEADERS, "content-type,name,x-grpc-web")
            .body(())
            .expect("a request");
        assert!(is_preflight(&asked));
        asked.into_parts().0.headers
    }

    #[test]
    fn a_listed_origin_may_do_what_it_asks() {
        let these = CorsOrigins::These(vec![PAGE.into()]);
        let answer = preflight(&asks(PAGE), &these).expect("an answer");
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], PAGE);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
        assert_eq!(answer.headers()[VARY], "origin");
        let headers = &answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS];
        assert_eq!(headers, "content-type,name,x-grpc-web");
        assert!(preflight(&asks("https://other.test"), &these).is_none());
        let answer = preflight(&asks("https://other.test"), &CorsOrigins::Any);
        assert_eq!(answer.expect("an answer").headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }

    #[test]
    fn a_cache_tells_pages_apart() {
        let (these, mut headers) = (CorsOrigins::These(vec![PAGE.into()]), HeaderMap::new());
        show(&mut headers, None, &these);
        assert_eq!((headers.len(), &headers[VARY]), (1, &HeaderValue::from_static("origin")));
        let mut headers = HeaderMap::new();
        show(&mut headers, Some(HeaderValue::from_static(PAGE)), &these);
        assert_eq!(headers[ACCESS_CONTROL_EXPOSE_HEADERS], "*");
    }
}
