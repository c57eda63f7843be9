//! What HTTP/2 calls malformed and `h2` lets pass (RFC 9113 8.1.1): a proxy must not pass it on. Servers on
//! nghttp2 reset such a stream, and Node.js ends its connection after a thousand of them, which is everybody's
//! session.
//!
//! Pseudo-headers that are missing or repeated, fields of a connection, and a `content-length` that differs from
//! the body, `h2` refuses itself.

use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// What is wrong with a request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// A field of which there is one at most.
    #[error("`{0}` is given more than once")]
    Repeated(HeaderName),
    /// RFC 9113 8.3.1.
    #[error("`host` is empty")]
    EmptyHost,
    /// Or one beyond 63 bits, in which servers count.
    #[error("`content-length` is no number of bytes")]
    ContentLength,
    /// RFC 9113 8.3.1.
    #[error("`:path` does not begin with `/`; `*` is for OPTIONS")]
    Path,
    /// It says how to read or where to send what has gone before (RFC 9110 6.5.1).
    #[error("`{0}` is given as a trailer")]
    Trailer(HeaderName),
}

/// Looks at the head of a request.
pub(crate) fn head(head: &Parts) -> Result<(), Malformed> {
    if only(&head.headers, HOST)?.is_some_and(HeaderValue::is_empty) {
        return Err(Malformed::EmptyHost);
    }
    if only(&head.headers, CONTENT_LENGTH)?.is_some_and(|length| !is_length(length)) {
        return Err(Malformed::ContentLength);
    }
    // `Uri` says `/` where there is none; `h2` passes that of a request without `:authority`.
    let path = head.uri.clone().into_parts().path_and_query;
    let path = path.as_ref().map_or("", PathAndQuery::as_str);
    if path.starts_with('/') || path == "*" && head.method == Method::OPTIONS {
        Ok(())
    } else {
        Err(Malformed::Path)
    }
}

/// Looks at the trailers of a request.
pub(crate) fn trailers(trailers: &HeaderMap) -> Result<(), Malformed> {
    match [CONTENT_LENGTH, HOST].into_iter().find(|name| trailers.contains_key(name)) {
        Some(name) => Err(Malformed::Trailer(name)),
        None => Ok(()),
    }
}

fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, Malformed> {
    let mut values = headers.get_all(&name).into_iter();
    let first = values.next();
    if values.next().is_some() { Err(Malformed::Repeated(name)) } else { Ok(first) }
}

fn is_length(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    // `parse` takes a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i64>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::{Request, Uri};

    use super::*;

    fn look_at(
        method: Method,
        path: &str,
        fields: &[(&'static str, &str)],
    ) -> Result<(), Malformed> {
        let uri = if path.is_empty() { without_path() } else { with_path(path) };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        head(&request.body(()).expect("a request").into_parts().0)
    }

    /// As `h2` makes it of a request that has no `:authority` either.
    fn without_path() -> Uri {
        Uri::from_parts(http::uri::Parts::default()).expect("a URI")
    }

    fn with_path(path: &str) -> Uri {
        let uri = Uri::builder().scheme("http").authority("hub.test").path_and_query(path);
        uri.build().expect("a URI")
    }

    #[test]
    fn fields_of_which_there_is_one() {
        let post = |fields: &[_]| look_at(Method::POST, "/a.B/C", fields);
        let (host, length) = (("host", "a.test"), ("content-length", "5"));
        assert_eq!(post(&[]), Ok(()));
        assert_eq!(post(&[host, length]), Ok(()));
        assert_eq!(post(&[("cookie", "a=1"), ("cookie", "b=2"), ("x", ""), ("x", "")]), Ok(()));
        assert_eq!(post(&[host, host]), Err(Malformed::Repeated(HOST)));
        assert_eq!(post(&[host, ("host", "")]), Err(Malformed::Repeated(HOST)));
        assert_eq!(post(&[("host", "")]), Err(Malformed::EmptyHost));
        assert_eq!(post(&[length, length]), Err(Malformed::Repeated(CONTENT_LENGTH)));
    }

    #[test]
    fn lengths() {
        let of_length = |length| look_at(Method::PUT, "/", &[("content-length", length)]);
        for length in ["0", "5", "007", "9223372036854775807"] {
            assert_eq!(of_length(length), Ok(()), "{length}");
        }
        for length in ["", "+5", "-5", "5, 5", " 5", "0x5", "five", "ü", "9223372036854775808"] {
            assert_eq!(of_length(length), Err(Malformed::ContentLength), "{length}");
        }
    }

    #[test]
    fn paths() {
        for path in ["/", "//", "/*", "/a?b", "/?", "/ü"] {
            assert_eq!(look_at(Method::GET, path, &[]), Ok(()), "{path}");
            assert_eq!(look_at(Method::OPTIONS, path, &[]), Ok(()), "{path}");
        }
        assert_eq!(look_at(Method::OPTIONS, "*", &[]), Ok(()));
        for (method, path) in [
            (Method::GET, "*"),
            (Method::HEAD, "*"),
            (Method::GET, "?a"),
            (Method::OPTIONS, "?a"),
            (Method::GET, ""),
            (Method::OPTIONS, ""),
        ] {
            assert_eq!(look_at(method.clone(), path, &[]), Err(Malformed::Path), "{method} {path}");
        }
    }

    #[test]
    fn trailers_of_the_head() {
        let look_at =
            |name| trailers(&HeaderMap::from_iter([(name, HeaderValue::from_static("5"))]));
        assert_eq!(trailers(&HeaderMap::new()), Ok(()));
        assert_eq!(look_at(HOST), Err(Malformed::Trailer(HOST)));
        assert_eq!(look_at(CONTENT_LENGTH), Err(Malformed::Trailer(CONTENT_LENGTH)));
        for name in ["x-checksum", "te", "trailer", "content-encoding", "cookie", "hosts"] {
            assert_eq!(look_at(HeaderName::from_static(name)), Ok(()), "{name}");
        }
    }
}
