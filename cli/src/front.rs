//! Answers that are no gRPC: a proxy's without its hub, a gate's, a redirect.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{LOCATION, SERVER};
use http::{HeaderMap, Request, Response, StatusCode};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower_service::Service;
use tunnel::wire::{code_of_http, is_grpc, words};

/// Calls, whose answers it looks at.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    channel: Channel,
    /// There is a server behind the hub, too, whose answer it may be.
    has_server: bool,
}

impl Checked {
    /// `has_server` if calls are for a name.
    pub(crate) fn new(channel: Channel, has_server: bool) -> Self {
        Self { channel, has_server }
    }
}

impl Service<Request<Body>> for Checked {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        Answer { answer: Box::pin(self.channel.call(request)), has_server: self.has_server }
    }
}

/// What comes of one.
pub(crate) struct Answer {
    answer: Pin<Box<dyn Future<Output = Result<Response<Body>, tonic::transport::Error>> + Send>>,
    has_server: bool,
}

impl Future for Answer {
    type Output = Result<Response<Body>, tonic::transport::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.answer.as_mut().poll(cx))?;
        let status = of_front(response.status(), response.headers(), self.has_server);
        Poll::Ready(Ok(status.map_or(response, |status| status.into_http())))
    }
}

/// What an answer means that has no status of gRPC's; `None`, if it has, or is one by its own words.
fn of_front(status: StatusCode, headers: &HeaderMap, has_server: bool) -> Option<Status> {
    let has_status = headers.contains_key("grpc-status");
    if has_status || status == StatusCode::OK && is_grpc(headers) {
        return None;
    }
    let who = if has_server {
        "the server, or something in front of it or of the hub,"
    } else {
        "something in front of the hub"
    };
    let server =
        words(headers, &SERVER).map(|name| format!(" (server: {name})")).unwrap_or_default();
    let advice = advice(status, headers);
    let message = format!("{who}{server} answered HTTP {}: {advice}", status.as_u16());
    Some(Status::new(Code::from(code_of_http(status)), message))
}

fn advice(status: StatusCode, headers: &HeaderMap) -> String {
    match (status.as_u16(), words(headers, &LOCATION)) {
        (300..=399, Some(to)) => format!("it sends to {to}; if that is the hub, use --hub for it"),
        (401 | 403 | 407, _) => "it wants to know who is there first; --header says it".into(),
        (404, _) => "does it pass gRPC on to the hub?".into(),
        (415, _) => "it takes no gRPC".into(),
        (429, _) => "too many come at once: try again later".into(),
        (502..=504, _) => "it does not reach what is behind it".into(),
        (200, _) => "that is no gRPC: is it a hub at all?".into(),
        _ => "that is no gRPC".into(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn told(
        status: u16,
        fields: &[(&'static str, &'static str)],
        has_server: bool,
    ) -> Option<Status> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        of_front(StatusCode::from_u16(status).unwrap(), &headers, has_server)
    }

    #[test]
    fn who_answers_and_what_to_do() {
        for (status, fields, code, says) in [
            (
                502,
                &[("server", "nginx")][..],
                Code::Unavailable,
                "hub (server: nginx) answered HTTP 502: it does not",
            ),
            (
                403,
                &[],
                Code::PermissionDenied,
                "something in front of the hub answered HTTP 403: it wants",
            ),
            (308, &[("location", "https://hub/")], Code::Unknown, "it sends to https://hub/; if"),
            (200, &[("content-type", "text/html")], Code::Unknown, "is it a hub at all?"),
            (404, &[], Code::Unimplemented, "does it pass gRPC on"),
        ] {
            let told = told(status, fields, false).expect("a front's");
            assert_eq!(told.code(), code);
            assert!(told.message().contains(says), "{}", told.message());
        }
        let of_server = told(502, &[], true).expect("somebody's");
        assert!(of_server.message().starts_with("the server, or something"), "{of_server}");
        for (status, fields) in [
            (200, ("content-type", "application/grpc")),
            (200, ("grpc-status", "5")),
            (503, ("grpc-status", "14")),
        ] {
            assert!(told(status, &[fields], false).is_none(), "{fields:?}");
        }
    }
}
