//! Asks for the WebSocket (RFC 6455 4.1), by HTTP/1.1.

use bytes::Bytes;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::task::AbortOnDropHandle;
use tunnel::box_io::BoxIo;
use tunnel::wire;

use crate::limits::{ANSWER_HEAD, REFUSAL_BYTES, REFUSAL_TIMEOUT};

/// A WebSocket that was agreed on.
pub(crate) struct Upgraded {
    /// Its byte stream.
    pub(crate) io: BoxIo,
    /// What was read of it behind the answer.
    pub(crate) read: Bytes,
    /// The answer's fields.
    pub(crate) headers: HeaderMap,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// Another answer than 101, and the first of its body.
    #[error("HTTP {}", .0.status().as_u16())]
    Refused(Box<Response<Vec<u8>>>),
    /// No answer of HTTP/1.1, or none at all.
    #[error("{}", cause(.0))]
    Http(#[from] hyper::Error),
    /// An answer of 101 that is none to what was asked.
    #[error("HTTP 101 without the right {0}")]
    Answer(HeaderName),
}

/// hyper's own words say what failed; of an error of the connection, the last says why.
fn cause(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Asks whoever is at the other end of `io` for a WebSocket at `uri`, with these fields besides those of every one.
pub(crate) async fn upgrade(
    io: BoxIo,
    uri: &Uri,
    headers: HeaderMap,
) -> Result<Upgraded, HandshakeError> {
    let mut connecting = http1::Builder::new();
    // Some proxies know these fields in their usual spelling only.
    connecting.title_case_headers(true).max_buf_size(ANSWER_HEAD);
    let (mut sender, connection) = connecting.handshake(TokioIo::new(io)).await?;
    // It ends with the upgrade, or when nobody waits for it any more.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
    let key = generate_key();
    let response = sender.send_request(request(uri, &key, headers)).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(HandshakeError::Refused(Box::new(refusal(response).await)));
    }
    check(response.headers(), &key).map_err(HandshakeError::Answer)?;
    let headers = response.headers().clone();
    let upgraded = hyper::upgrade::on(response).await?;
    // It is what was put in: taking it out leaves hyper's own layer behind.
    match upgraded.downcast::<TokioIo<BoxIo>>() {
        Ok(parts) => Ok(Upgraded { io: parts.io.into_inner(), read: parts.read_buf, headers }),
        Err(other) => {
            Ok(Upgraded { io: Box::new(TokioIo::new(other)), read: Bytes::new(), headers })
        }
    }
}

fn request(uri: &Uri, key: &str, more: HeaderMap) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    let path = uri.path_and_query().map_or(wire::PATH, |path| path.as_str());
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    let authority = uri.authority().map(|authority| authority.as_str());
    for (name, value) in [
        (HOST, authority.unwrap_or_default()),
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, key),
        (SEC_WEBSOCKET_PROTOCOL, wire::SUBPROTOCOL),
    ] {
        headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }
    headers.extend(more);
    request
}

/// Whether the answer is one to this key; otherwise, which field is wrong.
fn check(headers: &HeaderMap, key: &str) -> Result<(), HeaderName> {
    let says = |name: &HeaderName, expected: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.eq_ignore_ascii_case(expected))
    };
    let accept = derive_accept_key(key.as_bytes());
    if headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|value| value != &*accept) {
        return Err(SEC_WEBSOCKET_ACCEPT);
    }
    let expected = [(UPGRADE, "websocket"), (SEC_WEBSOCKET_PROTOCOL, wire::SUBPROTOCOL)];
    let wrong = expected.into_iter().find(|(name, value)| !says(name, value));
    wrong.map_or(Ok(()), |(name, _)| Err(name))
}

/// An answer that is no upgrade, with the first of its body, as far as that comes soon.
async fn refusal(response: Response<Incoming>) -> Response<Vec<u8>> {
    let (head, mut body) = response.into_parts();
    let mut first = Vec::new();
    let read = async {
        while first.len() < REFUSAL_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            first.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| bytes));
        }
    };
    let _ = timeout(REFUSAL_TIMEOUT, read).await;
    Response::from_parts(head, first)
}
