//! How large a header list is, as HTTP/2 counts it (RFC 9113 6.5.2), so that none reaches a server which
//! would end its connection for it, and that is everybody's session.

use http::{HeaderMap, Request};

/// What each field costs besides its name and value.
const FIELD: usize = 32;

/// Of trailers, or of what is no pseudo-header.
pub(crate) fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum()
}

/// Of the head of a response, with its pseudo-header.
pub(crate) fn response_size(headers: &HeaderMap) -> usize {
    size(headers) + ":status".len() + "200".len() + FIELD
}

/// Of the head of a request, with its pseudo-headers.
pub(crate) fn request_size<T>(request: &Request<T>) -> usize {
    let field =
        |name: &str, value: Option<&str>| value.map_or(0, |value| name.len() + value.len() + FIELD);
    let uri = request.uri();
    size(request.headers())
        + field(":method", Some(request.method().as_str()))
        + field(":scheme", uri.scheme_str())
        + field(":authority", uri.authority().map(|authority| authority.as_str()))
        + field(":path", uri.path_and_query().map(|path| path.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_http2_does() {
        let request = Request::builder().uri("http://a.b/c?d").header("name", "testserver");
        let request = request.body(()).expect("a request");
        let fields = [":methodGET", ":schemehttp", ":authoritya.b", ":path/c?d", "nametestserver"];
        let expected: usize = fields.iter().map(|field| field.len() + 32).sum();
        assert_eq!(request_size(&request), expected);
    }
}
