//! Everything the hub answers in an agent's stead: the one table of statuses.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tunnel::name::{Name, NameError};
use tunnel::wire::HUB_REASON;

use crate::limits::RETRY_PAUSE;
use crate::message::connect::{code_word, end_frame, http_status};
use crate::message::form::AnswerForm;

/// Why the hub answers itself. Each has a `hub-reason`, a gRPC status, and an HTTP status for callers
/// that do not speak gRPC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No `name`, and no service of the hub has this path.
    #[error(
        "no such service at the hub itself; to reach an agent's server, send the metadata `name`"
    )]
    NoName,
    /// The `name` is none.
    #[error("{0}")]
    BadName(BadName),
    /// A method that a proxy cannot pass on.
    #[error("CONNECT is not supported")]
    Connect,
    /// A request that is malformed, or that HTTP/2 has no form for.
    #[error("the request cannot be passed on: {0}")]
    BadRequest(String),
    /// Nobody has registered it.
    #[error("nobody has registered the name \"{0}\"")]
    UnknownName(Name),
    /// Somebody had, and is gone; or whoever has it takes no new calls.
    #[error("\"{name}\" is offline{}", .since.map(seconds_ago).unwrap_or_default())]
    Offline {
        /// The name asked for.
        name: Name,
        /// For how long. Unknown while a session remains that only takes no new calls.
        since: Option<Duration>,
    },
    /// No token.
    #[error("this hub wants a token: send it as metadata `hub-token`")]
    NoToken,
    /// Nobody's token.
    #[error("this hub does not know the token in `hub-token`")]
    UnknownToken,
    /// What the token is good for has changed under a call that had begun.
    #[error("what your token is good for has changed: call again")]
    Revised,
    /// The token is not good for the name.
    #[error("your token is not good for the name \"{0}\"")]
    Denied(Name),
    /// All streams that the upstream takes are in use, and no room came in time.
    #[error("\"{0}\" takes no more calls at once")]
    Limit(Name),
    /// The hub holds too much, and of that much is the caller's.
    #[error("too many bytes of your calls wait in the hub: try again when some have been taken")]
    Held,
    /// The agent is there, its server is not.
    #[error("the server of \"{0}\" is not reachable from its agent")]
    UpstreamUnreachable(Name),
    /// The upstream has ended this caller's connection for something that the caller did.
    #[error(
        "the server of \"{name}\" has ended your connection to it ({why}); it is not dialled again at once"
    )]
    UpstreamClosed {
        /// The name asked for.
        name: Name,
        /// What the upstream said.
        why: String,
        /// When it is dialled again.
        after: Duration,
    },
    /// The client has as many calls to the hub's own services open as it may.
    #[error("too many calls to the hub itself on this connection")]
    OwnCalls,
    /// Health has as many watchers as the hub takes, this connection one of them.
    #[error("too many watch the health of names at this hub")]
    Watches,
    /// A list of health would be longer than an answer may be.
    #[error(
        "the list would have more than the {0} bytes of one answer: \
         ask for one name at a time (Check), or for pages (hub.v1.Names/ListNames)"
    )]
    HealthList(usize),
    /// The request's header list is larger than the hub takes.
    #[error("the metadata is larger than the {0} bytes that the hub takes")]
    HeaderList(usize),
    /// The session went away under the call.
    #[error("the connection to \"{0}\" was lost during the call")]
    SessionLost(Name),
    /// A message that must be whole is too large for that.
    #[error(
        "the message is larger than the {0} bytes that the hub takes of one in Connect's unary form"
    )]
    MessageTooLarge(usize),
    /// The caller's own deadline has passed before the hub could pass anything on.
    #[error("the deadline has passed before all of the request was there")]
    TooLate,
    /// A page of an origin that may not call.
    #[error("--cors-origin does not list this origin")]
    Origin,
    /// The hub, or the connection that the call is on, ends, and the call had not by then.
    #[error("this hub ends the connection, and your call had not ended in the time for that")]
    GoingAway,
}

/// What is wrong with a `name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadName {
    /// It is no valid name.
    #[error("bad name: {0}")]
    Invalid(#[from] NameError),
    /// It is not even text.
    #[error("bad name: not plain ASCII")]
    Bytes,
    /// It is given more than once.
    #[error("bad name: given more than once")]
    Repeated,
}

fn seconds_ago(since: Duration) -> String {
    format!(": its last connection ended {} s ago", since.as_secs())
}

impl Refusal {
    /// Every `hub-reason`, in the order of [`Self::index`].
    pub(crate) const REASONS: [&str; 14] = [
        "no-name",
        "bad-name",
        "no-connect",
        "unknown-name",
        "offline",
        "unauthenticated",
        "denied",
        "limit",
        "session-lost",
        "bad-request",
        "upstream-unreachable",
        "upstream-closed",
        "going-away",
        "too-late",
    ];

    /// The place of its reason among [`Self::REASONS`].
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::NoName => 0,
            Self::BadName(_) => 1,
            Self::Connect => 2,
            Self::UnknownName(_) => 3,
            Self::Offline { .. } => 4,
            Self::NoToken | Self::UnknownToken => 5,
            Self::Denied(_) | Self::Revised | Self::Origin => 6,
            Self::Limit(_)
            | Self::Held
            | Self::OwnCalls
            | Self::Watches
            | Self::HealthList(_)
            | Self::HeaderList(_)
            | Self::MessageTooLarge(_) => 7,
            Self::SessionLost(_) => 8,
            Self::BadRequest(_) => 9,
            Self::UpstreamUnreachable(_) => 10,
            Self::UpstreamClosed { .. } => 11,
            Self::GoingAway => 12,
            Self::TooLate => 13,
        }
    }

    /// The statuses, for gRPC and for other HTTP.
    fn statuses(&self) -> (Code, StatusCode) {
        match self {
            Self::NoName => (Code::Unimplemented, StatusCode::NOT_FOUND),
            Self::BadName(_) => (Code::InvalidArgument, StatusCode::BAD_REQUEST),
            Self::BadRequest(_) => (Code::InvalidArgument, StatusCode::BAD_REQUEST),
            Self::Connect => (Code::Unimplemented, StatusCode::METHOD_NOT_ALLOWED),
            Self::UnknownName(_) => (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::Offline { .. } => (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::NoToken | Self::UnknownToken => (Code::Unauthenticated, StatusCode::UNAUTHORIZED),
            Self::Denied(_) | Self::Origin => (Code::PermissionDenied, StatusCode::FORBIDDEN),
            Self::MessageTooLarge(_) => (Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE),
            Self::Revised | Self::GoingAway => (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::UpstreamUnreachable(_) => (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::Limit(_)
            | Self::Held
            | Self::OwnCalls
            | Self::Watches
            | Self::HealthList(_)
            | Self::UpstreamClosed { .. } => {
                (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS)
            }
            Self::HeaderList(_) => {
                (Code::ResourceExhausted, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
            Self::TooLate => (Code::DeadlineExceeded, StatusCode::REQUEST_TIMEOUT),
            Self::SessionLost(_) => (Code::Unavailable, StatusCode::BAD_GATEWAY),
        }
    }

    /// When it may be worth trying again, where what is in the way passes by itself and nothing of the call was begun.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::UpstreamClosed { after, .. } => Some(*after),
            Self::Limit(_)
            | Self::Held
            | Self::OwnCalls
            | Self::Watches
            | Self::Offline { .. }
            | Self::UpstreamUnreachable(_) => Some(RETRY_PAUSE),
            _ => None,
        }
    }

    /// The value of `hub-reason`, and the metrics' label.
    pub(crate) fn reason(&self) -> &'static str {
        Self::REASONS[self.index()]
    }

    /// The gRPC status.
    pub(crate) fn code(&self) -> Code {
        self.statuses().0
    }

    /// The HTTP status for a caller that does not speak gRPC.
    pub(crate) fn http_status(&self) -> StatusCode {
        self.statuses().1
    }

    /// The head of the answer, which for gRPC is all of it.
    pub(crate) fn response(&self, form: AnswerForm) -> Response<()> {
        let mut response = Response::new(());
        let headers = response.headers_mut();
        let (kind, status) = match form {
            AnswerForm::Grpc => ("application/grpc", StatusCode::OK),
            AnswerForm::GrpcWeb(kind) => (kind, StatusCode::OK),
            AnswerForm::ConnectStream(kind) => (kind, StatusCode::OK),
            AnswerForm::ConnectUnary => ("application/json", http_status(self.code())),
            AnswerForm::Http | AnswerForm::HttpHead => {
                ("text/plain; charset=utf-8", self.http_status())
            }
        };
        if let AnswerForm::Grpc | AnswerForm::GrpcWeb(_) = form {
            *headers = self.trailers();
        } else {
            headers.insert(HUB_REASON, HeaderValue::from_static(self.reason()));
            if let Some(after) = self.retry_after() {
                let seconds = after.as_millis().div_ceil(1000);
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds as u64));
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let AnswerForm::Http | AnswerForm::ConnectUnary = form {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body(form).len()));
        }
        *response.status_mut() = status;
        response
    }

    /// What follows the head.
    pub(crate) fn body(&self, form: AnswerForm) -> Bytes {
        let error = || json!({"code": code_word(self.code()), "message": self.to_string()});
        match form {
            AnswerForm::Grpc | AnswerForm::GrpcWeb(_) | AnswerForm::HttpHead => Bytes::new(),
            AnswerForm::Http => format!("{self}\n").into(),
            AnswerForm::ConnectUnary => error().to_string().into(),
            AnswerForm::ConnectStream(_) => end_frame(&json!({ "error": error() })),
        }
    }

    /// The trailers of a gRPC answer whose head has been sent.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(self.code() as i32 as u16));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&self.to_string())) {
            trailers.insert("grpc-message", message);
        }
        trailers.insert(HUB_REASON, HeaderValue::from_static(self.reason()));
        if let Some(after) = self.retry_after() {
            self.add_retry(after, &mut trailers);
        }
        trailers
    }

    /// Says when to try again, for retries by gRPC's libraries (gRFC A6), and for applications: OTLP exporters drop their data
    /// on RESOURCE_EXHAUSTED without a RetryInfo (OpenTelemetry Protocol, "Failures").
    fn add_retry(&self, after: Duration, trailers: &mut HeaderMap) {
        let millis = HeaderValue::from(after.as_millis() as u64);
        trailers.insert("grpc-retry-pushback-ms", millis);
        let details = ErrorDetails::with_retry_info(Some(after));
        let status = Status::with_error_details(self.code(), self.to_string(), details);
        if let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(status.details())) {
            trailers.insert("grpc-status-details-bin", details);
        }
    }
}

/// `grpc-message` is printable ASCII, everything else and `%` as `%XX` (gRPC over HTTP/2, "Responses").
pub(crate) fn percent_encoded(text: &str) -> String {
    const ENCODED: &AsciiSet = &CONTROLS.add(b'%');
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_callers_get_trailers_only() {
        let refusal = Refusal::UnknownName("testserver".parse().expect("a name"));
        let response = refusal.response(AnswerForm::Grpc);
        let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header("grpc-status"), "14");
        assert_eq!(header("grpc-message"), "nobody has registered the name \"testserver\"");
        assert_eq!(header("hub-reason"), "unknown-name");
        assert_eq!(header("content-type"), "application/grpc");
    }

    #[test]
    fn what_passes_by_itself_says_when() {
        let refusal = Refusal::Limit("testserver".parse().expect("a name"));
        let response = refusal.response(AnswerForm::Grpc);
        assert_eq!(response.headers()["grpc-retry-pushback-ms"], "1000");
        let details = &response.headers()["grpc-status-details-bin"];
        let details = STANDARD_NO_PAD.decode(details).expect("base64");
        let status = Status::with_details(Code::ResourceExhausted, "", details.into());
        let retry = status.get_details_retry_info().expect("a RetryInfo");
        assert_eq!(retry.retry_delay, Some(RETRY_PAUSE));
        assert_eq!(refusal.response(AnswerForm::Http).headers()["retry-after"], "1");
        let response = Refusal::NoName.response(AnswerForm::Grpc);
        assert!(!response.headers().contains_key("grpc-status-details-bin"));
    }

    #[test]
    fn web_callers_get_the_status_in_the_head() {
        let refusal = Refusal::UnknownName("testserver".parse().expect("a name"));
        let form = AnswerForm::GrpcWeb("application/grpc-web+proto");
        let response = refusal.response(form);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
        assert_eq!(response.headers()["grpc-status"], "14");
        assert!(refusal.body(form).is_empty());
    }

    #[test]
    fn connect_callers_get_json() {
        let refusal = Refusal::Limit("testserver".parse().expect("a name"));
        let response = refusal.response(AnswerForm::ConnectUnary);
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["hub-reason"], "limit");
        assert_eq!(response.headers()["retry-after"], "1");
        let error = json!({"code": "resource_exhausted", "message": refusal.to_string()});
        let body = refusal.body(AnswerForm::ConnectUnary);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).expect("JSON"), error);

        let form = AnswerForm::ConnectStream("application/connect+proto");
        assert_eq!(refusal.response(form).status(), StatusCode::OK);
        let frame = refusal.body(form);
        assert_eq!(
            (frame[0], frame[1..5].to_vec()),
            (2, (frame.len() as u32 - 5).to_be_bytes().to_vec())
        );
        let end: serde_json::Value = serde_json::from_slice(&frame[5..]).expect("JSON");
        assert_eq!(end, json!({ "error": error }));
    }

    #[test]
    fn others_get_an_http_status() {
        let response = Refusal::BadName(BadName::Repeated).response(AnswerForm::Http);
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()["hub-reason"], "bad-name");
        assert!(!response.headers().contains_key("grpc-status"));
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("50 % \"ü\"\n"), "50 %25 \"%C3%BC\"%0A");
    }
}
