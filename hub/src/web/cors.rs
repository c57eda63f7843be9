//! Pages from elsewhere: what a browser asks before it lets one call, and what it lets the page see (Fetch standard, "CORS
//! protocol").

use std::fmt::Write as _;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::body::{self, Body};
use crate::config::cors::CorsOrigins;

/// For how long a browser need not ask again: the longest that Chromium heeds.
const MAX_AGE: Duration = Duration::from_secs(7200);
/// What a page may see anyway.
const SAFE: [&str; 7] = [
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
];

/// Whether a request asks only what a page may do.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to it: all that the page asked for, if it is from one of the origins.
pub(super) fn preflight(asked: &HeaderMap, origins: &CorsOrigins) -> Response<Body> {
    let Some(origin) = allowed(asked, origins) else {
        let mut refused = Response::new(body::full("--cors-origin does not list this origin\n"));
        *refused.status_mut() = StatusCode::FORBIDDEN;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        refused.headers_mut().insert(CONTENT_TYPE, plain);
        return refused;
    };
    let mut answer = Response::new(body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE.as_secs()));
    headers.insert(VARY, HeaderValue::from_static("origin"));
    for (asks, allows) in [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
    ] {
        headers.extend(asked.get(asks).map(|value| (allows, value.clone())));
    }
    answer
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

/// Whether a server has its own answer to who may see this.
pub(super) fn speaks_for_itself(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
}

/// Lets the page see all that an answer says in its head.
pub(super) fn expose(headers: &mut HeaderMap, origin: HeaderValue) {
    let mut names = String::new();
    for name in headers.keys().map(HeaderName::as_str).filter(|name| !SAFE.contains(name)) {
        // Writing to a string cannot fail.
        let _ = write!(names, "{}{name}", if names.is_empty() { "" } else { "," });
    }
    if let Ok(names) = HeaderValue::from_str(&names)
        && !names.is_empty()
    {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(VARY, HeaderValue::from_static("origin"));
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
        let answer = preflight(&asks(PAGE), &these);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], PAGE);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], "POST");
        let headers = &answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS];
        assert_eq!(headers, "content-type,name,x-grpc-web");
        let answer = preflight(&asks("https://other.test"), &these);
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(!answer.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        let answer = preflight(&asks("https://other.test"), &CorsOrigins::Any);
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }

    #[test]
    fn a_page_sees_what_is_said_in_the_head() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "hub-reason", "x-served-by"] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        expose(&mut headers, HeaderValue::from_static(PAGE));
        let exposed = headers[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().expect("text");
        let mut exposed: Vec<_> = exposed.split(',').collect();
        exposed.sort_unstable();
        assert_eq!(exposed, ["hub-reason", "x-served-by"]);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], PAGE);
    }
}
