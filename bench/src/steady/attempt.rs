//! One attempt at a call, and why it brought no answer.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tokio::time::Instant;
use tonic::Code;
use tunnel::bridge::grpc_status;
use tunnel::wire::{HUB_REASON, HUB_TOKEN, NAME};

use crate::channel::Channel;

/// Bytes of a message, but for gRPC's head.
const LENGTH: u32 = 64;

/// Why an attempt brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody has processed it, and its server said so, or it never left: gRPC's clients make it again by themselves.
    Unprocessed {
        why: &'static str,
        /// Whether it reached a server: such a call is made again once.
        was_sent: bool,
    },
    /// Everything else.
    Lost(String),
}

/// Of a call that has begun.
pub(crate) struct Begun {
    pub(crate) send: SendStream<Bytes>,
    response: ResponseFuture,
}

/// What is asked of whom.
pub(crate) struct Target<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) name: Option<&'a HeaderValue>,
    pub(crate) token: Option<&'a HeaderValue>,
    pub(crate) path: &'static str,
    pub(crate) deadline: Instant,
}

/// A message that no other call sends.
pub(crate) fn message(call: u64, number: u64) -> Bytes {
    let mut message = BytesMut::with_capacity(LENGTH as usize + bench::message::HEAD);
    message.put_slice(&bench::message::head(LENGTH));
    message.put_u64(call);
    message.put_u64(number);
    message.put_bytes(call as u8, LENGTH as usize - 16);
    message.freeze()
}

impl Target<'_> {
    /// Sends the head, once there is a connection, and room for a stream on it.
    pub(crate) async fn begin(&self, channel: &Channel) -> Result<Begun, Failure> {
        let Some(mut streams) = channel.streams().await else {
            return Err(Failure::Lost("no connection".to_owned()));
        };
        let opened = async {
            poll_fn(|cx| streams.open.poll_ready(cx)).await?;
            streams.open.send_request(self.head(), false)
        };
        match opened.await {
            Ok((response, send)) => Ok(Begun { send, response }),
            Err(_) => {
                channel.leave(&streams).await;
                Err(Failure::Unprocessed { why: "not sent", was_sent: false })
            }
        }
    }

    fn head(&self) -> Request<()> {
        let mut head = Request::new(());
        *head.method_mut() = http::Method::POST;
        let uri = format!("http://{}{}", self.address, self.path);
        *head.uri_mut() = uri.parse().unwrap_or_default();
        let headers = head.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("te", HeaderValue::from_static("trailers"));
        if let Some(timeout) = timeout(self.deadline.saturating_duration_since(Instant::now())) {
            headers.insert("grpc-timeout", timeout);
        }
        if let Some(name) = self.name {
            headers.insert(NAME, name.clone());
        }
        if let Some(token) = self.token {
            headers.insert(HUB_TOKEN, token.clone());
        }
        head
    }
}

/// As gRPC writes it, in at most eight digits.
fn timeout(left: Duration) -> Option<HeaderValue> {
    let millis = left.as_millis().clamp(1, 99_999_999);
    HeaderValue::from_str(&format!("{millis}m")).ok()
}

impl Begun {
    /// Waits for the answer's head. What is left is its body, and who may still send.
    pub(crate) async fn head(self) -> Result<(SendStream<Bytes>, RecvStream), Failure> {
        let response = self.response.await.map_err(|error| failure(&error))?;
        check(response.status(), response.headers())?;
        Ok((self.send, response.into_body()))
    }
}

/// Sends a message; what became of it, the answer tells.
pub(crate) fn say(send: &mut SendStream<Bytes>, message: Bytes, is_last: bool) {
    let _ = send.send_data(message, is_last);
}

/// Takes what has come, until it is as long as a message; None at the end.
pub(crate) async fn hear(
    body: &mut RecvStream,
    heard: &mut BytesMut,
    length: usize,
) -> Result<Option<Bytes>, Failure> {
    while heard.len() < length {
        let Some(data) = body.data().await else { return Ok(None) };
        let data = data.map_err(|error| late(&error))?;
        heard.extend_from_slice(&data);
        // Fails only after a reset, of which the next read tells.
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(Some(heard.split_to(length).freeze()))
}

/// Waits for the trailers, with nothing before them.
pub(crate) async fn end(mut body: RecvStream, heard: BytesMut) -> Result<(), Failure> {
    if !heard.is_empty() || hear(&mut body, &mut BytesMut::new(), 1).await?.is_some() {
        return Err(Failure::Lost("more than was asked for".to_owned()));
    }
    let trailers = body.trailers().await.map_err(|error| late(&error))?;
    let trailers = trailers.ok_or_else(|| Failure::Lost("no trailers".to_owned()))?;
    check(StatusCode::OK, &trailers)?;
    match grpc_status(&trailers) {
        Some(_) => Ok(()),
        None => Err(Failure::Lost("no grpc-status".to_owned())),
    }
}

/// The end of a call whose answer is not its own, or is missing.
pub(crate) fn wrong<T>() -> Result<T, Failure> {
    Err(Failure::Lost("another call's answer".to_owned()))
}

fn check(status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
    if status != StatusCode::OK {
        return Err(Failure::Lost(format!("HTTP {}", status.as_u16())));
    }
    let code = grpc_status(headers).unwrap_or_default();
    match (code, headers.get(HUB_REASON)) {
        (0, None) => Ok(()),
        (code, reason) => {
            let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()));
            let reason = reason.as_deref().unwrap_or("no hub-reason");
            Err(Failure::Lost(format!("{:?}, {reason}", Code::from(i32::from(code)))))
        }
    }
}

/// Before any of the answer has come.
fn failure(error: &h2::Error) -> Failure {
    let unprocessed = |why| Failure::Unprocessed { why, was_sent: true };
    if error.is_remote() && error.is_go_away() {
        return unprocessed("behind GOAWAY");
    }
    if error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM) {
        return unprocessed("REFUSED_STREAM");
    }
    late(error)
}

/// After that, nobody makes it again.
fn late(error: &h2::Error) -> Failure {
    let whose = if error.is_remote() { "" } else { "our own " };
    Failure::Lost(match error.reason() {
        Some(reason) if error.is_go_away() => format!("{whose}GOAWAY {reason:?}"),
        Some(reason) => format!("{whose}reset {reason:?}"),
        None => "connection lost".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_messages_are_alike() {
        assert_ne!(message(1, 0), message(2, 0));
        assert_ne!(message(1, 0), message(1, 1));
        assert_eq!(message(1, 0).len(), 69);
    }

    #[test]
    fn a_status_and_who_gave_it_are_told_apart() {
        let answer = |status, reason: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", HeaderValue::from_static(status));
            if let Some(reason) = reason {
                headers.insert(HUB_REASON, HeaderValue::from_static(reason));
            }
            check(StatusCode::OK, &headers)
        };
        let lost = |why: &str| Err(Failure::Lost(why.to_owned()));
        assert_eq!(answer("0", None), Ok(()));
        assert_eq!(answer("14", None), lost("Unavailable, no hub-reason"));
        assert_eq!(answer("14", Some("offline")), lost("Unavailable, offline"));
        assert_eq!(check(StatusCode::BAD_GATEWAY, &HeaderMap::new()), lost("HTTP 502"));
    }

    #[test]
    fn only_what_was_not_processed_is_made_again() {
        let refused = failure(&h2::Error::from(Reason::REFUSED_STREAM));
        assert_eq!(refused, Failure::Lost("our own reset REFUSED_STREAM".to_owned()));
    }

    #[test]
    fn a_timeout_is_at_least_a_millisecond() {
        assert_eq!(timeout(Duration::ZERO).unwrap(), "1m");
        assert_eq!(timeout(Duration::from_secs(5)).unwrap(), "5000m");
    }
}
