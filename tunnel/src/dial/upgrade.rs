//! Asks for the WebSocket (RFC 6455 4.1), by HTTP/1.1.

use std::error::Error;
use std::io;

use bytes::Bytes;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
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

use crate::box_io::BoxIo;
use crate::limits::{ANSWER_HEAD, REFUSAL_BYTES, REFUSAL_TIMEOUT};
use crate::wire;

/// A WebSocket that was agreed on.
pub struct Upgraded {
    /// Its byte stream.
    pub io: BoxIo,
    /// What was read of it behind the answer.
    pub read: Bytes,
    /// The answer's fields.
    pub headers: HeaderMap,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Another answer than 101, and the first of its body.
    #[error("HTTP {}", .0.status().as_u16())]
    Refused(Box<Response<Vec<u8>>>),
    /// The connection was lost.
    #[error(transparent)]
    Io(io::Error),
    /// No answer of HTTP/1.1, or none at all.
    #[error("{}", cause(.0))]
    Http(hyper::Error),
    /// An answer of 101 that is none to what was asked: this field is wrong.
    #[error("HTTP 101 without the right {0}")]
    Answer(HeaderName),
}

impl From<hyper::Error> for HandshakeError {
    fn from(error: hyper::Error) -> Self {
        match cause(&error).downcast_ref::<io::Error>() {
            Some(io) => Self::Io(io::Error::new(io.kind(), io.to_string())),
            None => Self::Http(error),
        }
    }
}

/// What lies below everything: hyper's own words say that something failed, the last ones why.
fn cause(error: &hyper::Error) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

/// Asks whoever is at the other end of `io` for a WebSocket at `uri` that speaks `subprotocol`, with these fields besides
/// those of every one.
///
/// # Errors
/// There is another answer, a wrong one, or none.
pub async fn upgrade(
    io: BoxIo,
    uri: &Uri,
    subprotocol: &str,
    headers: HeaderMap,
) -> Result<Upgraded, HandshakeError> {
    let mut connecting = http1::Builder::new();
    // Some proxies know `Upgrade` and `Connection` in this spelling only.
    connecting.title_case_headers(true).max_buf_size(ANSWER_HEAD);
    let (mut sender, connection) = connecting.handshake(TokioIo::new(io)).await?;
    // It ends with the upgrade, or when nobody waits for it any more.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
    let key = generate_key();
    let response = sender.send_request(request(uri, &key, subprotocol, headers)).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(HandshakeError::Refused(Box::new(refusal(response).await)));
    }
    check(response.headers(), &key, subprotocol).map_err(HandshakeError::Answer)?;
    let headers = response.headers().clone();
    let upgraded = hyper::upgrade::on(response).await?;
    // It is what was put in: taking it out leaves hyper's own layer behind.
    let parts = upgraded.downcast::<TokioIo<BoxIo>>();
    let parts = parts.map_err(|_| HandshakeError::Answer(UPGRADE))?;
    Ok(Upgraded { io: parts.io.into_inner(), read: parts.read_buf, headers })
}

fn request(uri: &Uri, key: &str, subprotocol: &str, more: HeaderMap) -> Request<Empty<Bytes>> {
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
        (SEC_WEBSOCKET_PROTOCOL, subprotocol),
    ] {
        headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }
    headers.extend(more);
    request
}

/// Whether the answer is one to this key; otherwise, which field is wrong.
fn check(headers: &HeaderMap, key: &str, subprotocol: &str) -> Result<(), HeaderName> {
    let says = |name: &HeaderName, expected: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.eq_ignore_ascii_case(expected))
    };
    let accept = derive_accept_key(key.as_bytes());
    if headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|value| value != &*accept) {
        return Err(SEC_WEBSOCKET_ACCEPT);
    }
    // None was asked for.
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(SEC_WEBSOCKET_EXTENSIONS);
    }
    let lists = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut tokens = lists.flat_map(|list| list.split(',')).map(str::trim);
    if !tokens.any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return Err(CONNECTION);
    }
    let expected = [(UPGRADE, "websocket"), (SEC_WEBSOCKET_PROTOCOL, subprotocol)];
    let wrong = expected.into_iter().find(|(name, value)| !says(name, value));
    wrong.map_or(Ok(()), |(name, _)| Err(name))
}

/// What a refusal says: one line of plain text, whoever wrote it, for a proxy in between may answer with a page.
#[must_use]
pub fn sentence(response: &Response<Vec<u8>>) -> String {
    let body = String::from_utf8_lossy(response.body());
    let sentence: String = body.lines().next().unwrap_or_default().chars().take(300).collect();
    if sentence.is_empty() { "no reason given".to_owned() } else { sentence }
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
    first.truncate(REFUSAL_BYTES);
    Response::from_parts(head, first)
}

#[cfg(test)]
mod tests {
    use tokio::io::{
        AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, duplex,
    };
    use tokio::time::{Duration, Instant, sleep};

    use super::*;

    const RIGHT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\
                         Sec-WebSocket-Protocol: hub-tunnel.v2\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n";

    /// What an agent makes of an answer that comes in these pieces, a second after each other.
    async fn answered(pieces: &[&str]) -> Result<Upgraded, HandshakeError> {
        let (agent, hub) = duplex(1 << 16);
        let uri = "ws://hub.test/ws".parse().expect("an address");
        let asks = upgrade(Box::new(agent), &uri, wire::SUBPROTOCOL, HeaderMap::new());
        let answers = async {
            let (mut hub, mut key) = (BufReader::new(hub), String::new());
            loop {
                let mut line = String::new();
                hub.read_line(&mut line).await.expect("a request");
                if let Some(value) = line.to_lowercase().strip_prefix("sec-websocket-key: ") {
                    key = line[line.len() - value.len()..].trim().to_owned();
                }
                if line == "\r\n" {
                    break;
                }
            }
            for piece in pieces {
                let piece = piece.replace("ACCEPT", &derive_accept_key(key.as_bytes()));
                hub.write_all(piece.as_bytes()).await.expect("read");
                sleep(Duration::from_secs(1)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            asked = asks => asked,
            () = answers => unreachable!("it waits for ever"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_right_answer_and_what_comes_behind_it() {
        let more = format!("{RIGHT}more");
        let Ok(mut upgraded) = answered(&[&more]).await else { panic!("it is right") };
        let mut rest = [0; 4];
        let came = upgraded.read.len();
        rest[..came].copy_from_slice(&upgraded.read);
        // What was read with the head is not in the stream any more.
        upgraded.io.read_exact(&mut rest[came..]).await.expect("the rest");
        assert_eq!(&rest, b"more");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_something_else() {
        let wrong = [
            (RIGHT.replace("ACCEPT", "guess"), SEC_WEBSOCKET_ACCEPT),
            (RIGHT.replace("Upgrade: WebSocket", "Upgrade: h2c"), UPGRADE),
            (RIGHT.replace("keep-alive, upgrade", "keep-alive"), CONNECTION),
            (RIGHT.replace("tunnel.v2", "tunnel.v1"), SEC_WEBSOCKET_PROTOCOL),
            (
                RIGHT.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n"),
                SEC_WEBSOCKET_EXTENSIONS,
            ),
        ];
        for (answer, field) in wrong {
            match answered(&[&answer]).await {
                Err(HandshakeError::Answer(told)) => assert_eq!(told, field),
                Err(other) => panic!("{other} of {answer}"),
                Ok(_) => panic!("taken: {answer}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_whose_reason_comes_behind_its_head_or_never_ends() {
        let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n";
        let start = Instant::now();
        let Err(HandshakeError::Refused(response)) = answered(&[head, "shutting down\n"]).await
        else {
            panic!("refused")
        };
        assert_eq!(response.body(), b"shutting down\n");
        assert_eq!(start.elapsed(), REFUSAL_TIMEOUT, "the rest is not waited for");
    }
}
